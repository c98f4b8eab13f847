"""The parts of compounds are words."""

from alembic import op

from iris import migrations

revision = "0009"
down_revision = "0008"

# An index made anew is done sooner; and the planner is told of the new words.
RENEWED = """
    DROP INDEX searches_words_idx;
    UPDATE searches SET words = ticket_words(title, description, labels)
        FROM tickets WHERE tickets.ticket_id = searches.ticket_id AND searches.comment_id = 0;
    UPDATE searches SET words = {words}
        FROM comments
        WHERE (comments.ticket_id, comments.comment_id) = (searches.ticket_id, searches.comment_id);
    CREATE INDEX searches_words_idx ON searches USING gin (words);
    ANALYZE searches
"""


def upgrade():
    """Go up, with data in the tables; the rules of today follow."""
    migrations.run("rules/words.sql")
    op.execute(migrations.literal(RENEWED.format(words="body_words(body)")))


def downgrade():
    """Go back down, with data in the tables; the rules of 0008 follow."""
    op.execute(
        """
        CREATE OR REPLACE FUNCTION ticket_words(title text, description text, labels text[]) RETURNS tsvector
        LANGUAGE sql IMMUTABLE PARALLEL SAFE
        RETURN setweight(to_tsvector('simple', title), 'A')
            || setweight(to_tsvector('simple', array_to_string(labels, ' ', '')), 'B')
            || setweight(to_tsvector('simple', coalesce(description, '')), 'C')
        """
    )
    op.execute(migrations.literal(RENEWED.format(words="to_tsvector('simple', body)")))
