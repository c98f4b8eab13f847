"""Cheaper writes: one check a table, triggers by row; an index for what is to do."""

from pathlib import Path

from iris import migrations

revision = "0005"
down_revision = "0004"


def upgrade():
    """Check and write history row by row."""
    migrations.run(Path(__file__).with_suffix(".sql").read_text())


def downgrade():
    """Go back to a check a column and triggers by statement; tables are as they were."""
    migrations.run(Path(__file__).with_name("0005_down.sql").read_text())
