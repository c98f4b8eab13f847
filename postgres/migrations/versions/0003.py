"""Many tickets at once."""

from pathlib import Path

from alembic import op

from iris import migrations

revision = "0003"
down_revision = "0002"


def upgrade():
    """Add put_tickets()."""
    migrations.run(Path(__file__).with_suffix(".sql").read_text())


def downgrade():
    """Drop the functions; tables are as they were."""
    op.execute("DROP FUNCTION put_tickets(jsonb, boolean), put_rows(jsonb, boolean)")
