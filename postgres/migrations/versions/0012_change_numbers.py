"""Changes have numbers, and events say what they took back.

What had the same transaction can no longer be known of the history that there is: each event is a change by
itself, of its own number.
"""

from alembic import op

from iris import migrations

revision = "0012"
down_revision = "0011"

BASE = """
    CREATE MATERIALIZED VIEW change_base_set AS
        SELECT setval('change_base',
            coalesce(max(change), 0) + 1 - pg_snapshot_xmin(pg_current_snapshot())::text::bigint) AS base
            FROM events;
    ALTER TABLE events ALTER change
        SET DEFAULT pg_current_xact_id()::text::bigint + pg_sequence_last_value('change_base')
"""


def upgrade():
    """Go up, with data in the tables; the rules of today follow."""
    # events_after() gives more columns from now on.
    migrations.drop_rules()
    op.execute("CREATE SEQUENCE change_base MINVALUE -9223372036854775808")
    op.execute("ALTER TABLE events ADD change bigint, ADD undoes bigint")
    # One pass over the table, where an UPDATE would leave every row twice.
    op.execute(
        "ALTER TABLE events ALTER change TYPE bigint USING event_id, ALTER change SET NOT NULL"
    )
    op.execute("CREATE INDEX events_change_idx ON events (change)")
    op.execute(migrations.literal(BASE))


def downgrade():
    """Go back down, with data in the tables; the rules of 0011 follow."""
    op.execute("DROP MATERIALIZED VIEW change_base_set")
    migrations.drop_rules()
    op.execute("ALTER TABLE events DROP change, DROP undoes")
    op.execute("DROP SEQUENCE change_base")
