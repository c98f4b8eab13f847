"""One ticket, planned once a session."""

from pathlib import Path

from alembic import op

from iris import migrations

revision = "0004"
down_revision = "0003"


def upgrade():
    """Add read_ticket()."""
    migrations.run(Path(__file__).with_suffix(".sql").read_text())


def downgrade():
    """Drop the function; tables are as they were."""
    op.execute("DROP FUNCTION read_ticket(bigint, bigint[])")
