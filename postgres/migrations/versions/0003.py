"""Many tickets at once."""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade():
    """Run the file of SQL as it stands: in it, neither : nor % mean anything to Python."""
    script = Path(__file__).with_suffix(".sql").read_text()
    op.execute(sa.text(script.replace(":", "\\:")))


def downgrade():
    """Drop the functions; tables are as they were."""
    op.execute("DROP FUNCTION put_tickets(jsonb, boolean), put_rows(jsonb, boolean)")
