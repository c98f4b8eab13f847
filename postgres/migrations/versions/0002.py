"""History, time travel, the feed, and writes that are safe to repeat."""

from pathlib import Path

from iris import migrations

revision = "0002"
down_revision = "0001"


def upgrade():
    """Write history from now on; what is there gets a beginning."""
    migrations.run(Path(__file__).with_suffix(".sql").read_text())


def downgrade():
    """Forget history; tickets, comments and links stay."""
    migrations.run(Path(__file__).with_name("0002_down.sql").read_text())
