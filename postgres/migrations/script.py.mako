"""${message}."""

from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade():
    """Go up, with data in the tables."""
    ${upgrades if upgrades else "pass"}


def downgrade():
    """Go back down, with data in the tables."""
    ${downgrades if downgrades else "pass"}
