"""One ticket, planned once a session."""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade():
    """Run the file of SQL as it stands: in it, neither : nor % mean anything to Python."""
    script = Path(__file__).with_suffix(".sql").read_text()
    op.execute(sa.text(script.replace(":", "\\:")))


def downgrade():
    """Drop the function; tables are as they were."""
    op.execute("DROP FUNCTION read_ticket(bigint, bigint[])")
