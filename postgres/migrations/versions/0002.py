"""History, time travel, the feed, and writes that are safe to repeat."""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def run(name):
    """Run a file of SQL as it stands: in it, neither : nor % mean anything to Python."""
    op.execute(sa.text(Path(__file__).with_name(name).read_text().replace(":", "\\:")))


def upgrade():
    """Write history from now on; what is there gets a beginning."""
    run("0002.sql")


def downgrade():
    """Forget history; tickets, comments and links stay."""
    run("0002_down.sql")
