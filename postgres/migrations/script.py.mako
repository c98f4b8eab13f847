"""${message}."""

from alembic import op

from iris import migrations

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade():
    """Go up, with data in the tables; the rules of today follow."""
    op.execute("ALTER TABLE …")


def downgrade():
    """Go back down, with data in the tables; the rules of ${down_revision} follow."""
    migrations.drop_rules()
    op.execute("ALTER TABLE …")
