"""A title is one line: what else there is becomes one.

The rule is in rules/checks.sql. A blank stands for each row of control characters and ends of lines, and a
dash for a title of nothing else. It is a change as any other, and the history says what stood there; it is
written here, for who comes from before the first release has no rules at this point.
"""

from alembic import op

from iris import migrations

revision = "0010"
down_revision = "0009"


def upgrade():
    """Go up, with data in the tables; the rules of today follow."""
    migrations.drop_rules()
    migrations.run("rules/words.sql")
    op.execute(
        migrations.literal(
            r"""
            WITH wrong AS (
                SELECT *, greatest(clock_timestamp(), updated + interval '1 microsecond') AS mended,
                        regexp_replace(title, '[\u0001-\u001f\u007f-\u009f\u2028\u2029]+', ' ', 'g') AS line
                    FROM tickets WHERE title ~ '[\u0001-\u001f\u007f-\u009f\u2028\u2029]'
                    FOR NO KEY UPDATE),
            changed AS (
                UPDATE tickets
                    SET title = coalesce(nullif(btrim(line), ''), '–'),
                        version = wrong.version + 1, updated = mended
                    FROM wrong WHERE tickets.ticket_id = wrong.ticket_id
                    RETURNING tickets.*),
            renewed AS (
                UPDATE searches SET words = ticket_words(title, description, labels)
                    FROM changed WHERE searches.ticket_id = changed.ticket_id AND comment_id = 0)
            INSERT INTO events (at, actor, source, ticket_id, kind, changes, kept)
                SELECT mended, current_user, 'upgrade', ticket_id, 'changed',
                        jsonb_build_object('title', jsonb_build_array(wrong.title, changed.title)),
                        jsonb_build_object('version', jsonb_build_array(wrong.version),
                            'updated', jsonb_build_array(wrong.updated),
                            'closed', jsonb_build_array(wrong.closed))
                    FROM wrong JOIN changed USING (ticket_id)
            """
        )
    )


def downgrade():
    """Go back down, with data in the tables; the rules of 0009 follow. Titles stay one line."""
