"""From Iris 0.1.0 to the next release: all that is stored otherwise since.

- The parts of compounds are words.
- A title is one line; what there is with more becomes one.
- Tokens: who may come in.
- Changes have numbers, and events say what they took back.
- Events have digests.
- What tickets were is written down, and how many there were is counted by an index.
- Who joined a ticket, and who left it; who gets mail, and how far everybody has read.
- Moves from status to status are found by indexes, for statistics.
- Hooks: who is told, and what was tried.
"""

from alembic import op

from iris import migrations

revision = "0009"
down_revision = "0008"

# An index made anew is done sooner; and the planner is told of the new words.
WORDS = """
    DROP INDEX searches_words_idx;
    UPDATE searches SET words = ticket_words(title, description, labels){own}
        FROM tickets WHERE tickets.ticket_id = searches.ticket_id AND searches.comment_id = 0;
    UPDATE searches SET words = {words}
        FROM comments
        WHERE (comments.ticket_id, comments.comment_id) = (searches.ticket_id, searches.comment_id);
    {packed}
    CREATE INDEX searches_words_idx ON searches USING gin (words);
    ANALYZE searches
"""
# Since when they are these.
SINCE = """, since = coalesce(
        (SELECT max(at) FROM events WHERE events.ticket_id = tickets.ticket_id
            AND kind IN ('created', 'changed') AND changes ?| '{title,description,labels}'),
        tickets.created)"""
# Each row stands there twice then; a table that is written anew has them once.
PACKED = """
    ALTER TABLE searches ALTER since TYPE timestamptz USING since + interval '0', ALTER since SET NOT NULL;
"""

# A blank stands for each row of control characters and ends of lines, a dash for a title of nothing
# else. It is a change as any other, and the history says what stood there; it is written here, for the
# rules are dropped meanwhile.
TITLES = r"""
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
            RETURNING tickets.*)
    INSERT INTO events (at, actor, source, ticket_id, kind, changes, kept)
        SELECT mended, current_user, 'upgrade', ticket_id, 'changed',
                jsonb_build_object('title', jsonb_build_array(wrong.title, changed.title)),
                jsonb_build_object('version', jsonb_build_array(wrong.version),
                    'updated', jsonb_build_array(wrong.updated),
                    'closed', jsonb_build_array(wrong.closed))
            FROM wrong JOIN changed USING (ticket_id)
"""

TOKENS = """
    CREATE TYPE token_role AS ENUM ('reader', 'writer', 'admin');
    CREATE TABLE tokens (
        name text NOT NULL CONSTRAINT tokens_pkey PRIMARY KEY,
        role token_role NOT NULL,
        actor text NOT NULL,
        created timestamptz NOT NULL,
        expires timestamptz,
        used timestamptz,
        is_login boolean NOT NULL DEFAULT false,
        digest bytea NOT NULL CONSTRAINT tokens_digest_key UNIQUE,
        CONSTRAINT tokens_check CHECK (token_fits(name, actor, expires, digest))
    )
"""

# Events are stored in a table of other columns, in another order, and read by a view.
FILLED = """
    SELECT setval('{table}_event_id_seq', max(event_id)) FROM {table};
    DROP TABLE {old};
    ALTER TABLE {table} ADD CONSTRAINT events_pkey PRIMARY KEY (event_id){full};
    CREATE INDEX events_ticket_id_idx ON {table} (ticket_id, event_id);
    CREATE INDEX events_at_idx ON {table} (at){full};
    CREATE INDEX events_other_id_idx ON {table} (other_id, event_id) WHERE other_id IS NOT NULL;
    CREATE INDEX events_deleted_idx ON {table} (at) WHERE kind = 'deleted';
    CREATE INDEX events_comment_deleted_idx ON {table} (at) WHERE kind = 'comment_deleted';
    CREATE INDEX events_workflow_idx ON {table} (at) WHERE ticket_id IS NULL;
    ANALYZE {table}
"""

PLACES = """
    ALTER TABLE places ADD CONSTRAINT places_pkey PRIMARY KEY (event_id) WITH (fillfactor = 100);
    CREATE INDEX places_position_idx ON places (position) WITH (fillfactor = 100);
    ANALYZE places
"""
PLACES_BEFORE = """
    DROP TABLE places, places_reached;
    CREATE INDEX events_position_idx ON events (position) WHERE position IS NOT NULL;
    CREATE INDEX events_unpositioned_idx ON events (event_id) WHERE position IS NULL
"""

# What had the same transaction can no longer be known of the history that there is: each event is a
# change by itself, of its own number. What the database kept stands in columns of its own.
EVENTS = """
    CREATE TABLE stored_events (
        event_id bigint GENERATED ALWAYS AS IDENTITY,
        at timestamptz NOT NULL,
        ticket_id bigint,
        comment_id bigint,
        other_id bigint,
        change bigint NOT NULL,
        undoes bigint,
        kept_version bigint,
        kept_updated timestamptz,
        kept_closed timestamptz,
        kind event_kind NOT NULL,
        actor text NOT NULL,
        source text NOT NULL,
        changes jsonb NOT NULL,
        kept_more jsonb,
        other_kept jsonb
    );
    -- Of a ticket whose long texts were changed, what it was filed with is not what it has.
    CREATE TEMPORARY TABLE retold AS SELECT DISTINCT ticket_id FROM events
        WHERE kind IN ('changed', 'deleted') AND changes ?| '{title,description,fields}';
    ANALYZE retold;
    INSERT INTO stored_events OVERRIDING SYSTEM VALUE
        SELECT event_id, at, ticket_id, comment_id, other_id, event_id, NULL,
            (kept -> 'version' ->> 0)::bigint, (kept -> 'updated' ->> 0)::timestamptz,
            (kept -> 'closed' ->> 0)::timestamptz, kind, actor, source,
            CASE WHEN long.shortened = '{}' THEN '{}' ELSE changes || coalesce(long.shortened, '{}') END,
            nullif(kept - 'version' - 'updated'
                    - CASE WHEN kind = 'changed' OR kept -> 'closed' <> '[null]' THEN 'closed' ELSE '' END,
                CASE WHEN kind <> 'changed' OR kept ? 'closed' THEN '{}'::jsonb END),
            nullif(other_kept, '{}')
        FROM events
        LEFT JOIN LATERAL (
            SELECT '{}'::jsonb AS shortened FROM comments
                WHERE events.kind = 'commented' AND comments.ticket_id = events.ticket_id
                    AND comments.comment_id = events.comment_id AND comments.updated <= events.at
                    AND events.changes = jsonb_build_object('body', jsonb_build_array(NULL, body))
            UNION ALL
            SELECT jsonb_object_agg(name, NULL)
                FROM tickets CROSS JOIN unnest('{title,description,fields}'::text[]) AS name
                WHERE events.kind = 'created' AND tickets.ticket_id = events.ticket_id
                    AND events.ticket_id NOT IN (SELECT ticket_id FROM retold) AND events.changes ? name
                HAVING bool_and(events.changes -> name = jsonb_build_array(NULL, to_jsonb(tickets) -> name))
        ) AS long ON true
        ORDER BY event_id;
    DROP TABLE retold;
    -- Their places stand by themselves.
    CREATE TABLE places (
        position bigint NOT NULL,
        event_id bigint NOT NULL,
        digest bytea NOT NULL
    );
    INSERT INTO places SELECT position, event_id, '' FROM events WHERE position IS NOT NULL ORDER BY position;
    CREATE TABLE places_reached (
        change bigint NOT NULL,
        open bigint[] NOT NULL,
        base bigint,
        until bigint,
        until_open bigint[],
        event_id bigint
    );
    INSERT INTO places_reached
        SELECT coalesce(min(event_id) FILTER (WHERE position IS NULL), max(event_id) + 1, 0), '{}' FROM events
"""
EVENTS_BEFORE = """
    SET LOCAL timezone TO 'UTC';
    ALTER VIEW events RENAME TO events_told;
    CREATE TABLE events (
        event_id bigint GENERATED ALWAYS AS IDENTITY,
        at timestamptz NOT NULL,
        actor text NOT NULL,
        source text NOT NULL,
        ticket_id bigint,
        kind event_kind NOT NULL,
        comment_id bigint,
        changes jsonb NOT NULL,
        position bigint,
        kept jsonb NOT NULL DEFAULT '{}',
        other_id bigint,
        other_kept jsonb NOT NULL DEFAULT '{}'
    );
    INSERT INTO events OVERRIDING SYSTEM VALUE
        SELECT event_id, at, actor, source, ticket_id, kind, comment_id,
            changes, position,
            coalesce(kept_more, CASE WHEN kind = 'changed' THEN '{"closed": [null]}' ELSE '{}' END::jsonb)
                || (SELECT coalesce(jsonb_object_agg(name, jsonb_build_array(value)), '{}')
                    FROM (VALUES ('version', to_jsonb(kept_version)), ('updated', to_jsonb(kept_updated)),
                        ('closed', to_jsonb(kept_closed))) AS item(name, value) WHERE value IS NOT NULL),
            other_id, coalesce(other_kept, '{}')
        FROM events_told ORDER BY event_id;
    DROP VIEW events_told;
    DROP FUNCTION first_told;
    DROP FUNCTION IF EXISTS kept(stored_events), kept_told(stored_events)
"""
CHANGES = """
    CREATE SEQUENCE change_base MINVALUE -9223372036854775808;
    CREATE INDEX events_change_idx ON stored_events (change) WITH (fillfactor = 100);
    CREATE MATERIALIZED VIEW change_base_set AS
        SELECT setval('change_base',
            coalesce(max(change), 0) + 1 - pg_snapshot_xmin(pg_current_snapshot())::text::bigint) AS base,
            coalesce(max(change), 0) + 1 AS first
            FROM stored_events;
    ALTER TABLE stored_events ALTER change
        SET DEFAULT pg_current_xact_id()::text::bigint + pg_sequence_last_value('change_base')
"""

# It is written by `iris db upgrade` when all this is done, and by whoever asks for a past.
PAST = """
    CREATE TABLE past_tickets (
        past_since timestamptz NOT NULL,
        past_until timestamptz NOT NULL,
        past_cell integer NOT NULL,
        past_touched timestamptz[],
        LIKE tickets,
        CONSTRAINT past_tickets_pkey PRIMARY KEY (ticket_id, past_until)
    );
    CREATE INDEX past_tickets_created_idx ON past_tickets (created, ticket_id);
    CREATE INDEX past_tickets_cell_idx ON past_tickets (past_cell);
    CREATE INDEX past_tickets_assignee_idx ON past_tickets (assignee, past_cell);
    CREATE INDEX past_tickets_status_idx ON past_tickets (status, past_cell);
    CREATE TABLE past_searches (
        ticket_id bigint NOT NULL,
        comment_id bigint NOT NULL,
        words tsvector NOT NULL,
        past_since timestamptz NOT NULL,
        past_until timestamptz NOT NULL,
        CONSTRAINT past_searches_pkey PRIMARY KEY (ticket_id, comment_id, past_until)
    );
    CREATE INDEX past_searches_words_idx ON past_searches USING gin (words);
    CREATE TABLE past_reached (
        position bigint NOT NULL
    );
    INSERT INTO past_reached VALUES (0)
"""


# Comments as of some time.
EDITED = """
    CREATE INDEX comments_edited_idx ON comments (updated) WHERE updated > created;
    ALTER INDEX comments_comment_id_idx SET (fillfactor = 100);
    ALTER INDEX comments_created_idx SET (fillfactor = 100)
"""


COUNTED = """
    DROP INDEX tickets_updated_idx;
    CREATE INDEX tickets_updated_idx ON tickets (updated, ticket_id){created};
    DROP INDEX tickets_open_idx;
    CREATE INDEX tickets_open_idx ON tickets (created, ticket_id){updated} WHERE closed IS NULL;
    DROP INDEX tickets_status_idx;
    CREATE INDEX tickets_status_idx ON tickets (status, created, ticket_id){updated};
    DROP INDEX tickets_assignee_idx;
    CREATE INDEX tickets_assignee_idx ON tickets (assignee, created, ticket_id){updated}
"""


# What has a position gets its digest. The functions are of today, as those of words are.
DIGESTS = """
    CREATE TYPE event_contents AS (
        event_id bigint, at timestamptz, actor text, source text, ticket_id bigint, kind event_kind,
        comment_id bigint, changes jsonb, "position" bigint, kept json, other_id bigint,
        other_kept jsonb, change bigint, undoes bigint)
"""

# By these, what was left out is found.
TEXTS = """
    CREATE INDEX events_texts_idx ON stored_events (ticket_id, at)
        WHERE kind IN ('changed', 'deleted') AND changes ?| '{title,description,fields}';
    CREATE INDEX events_edits_idx ON stored_events (ticket_id, comment_id, at)
        WHERE kind IN ('comment_changed', 'comment_deleted')
"""

MOVES = """
    CREATE INDEX events_moves_idx ON stored_events (ticket_id, at)
        WHERE kind = 'changed' AND changes ? 'status';
    CREATE INDEX events_reopened_idx ON stored_events (ticket_id, at)
        WHERE kind = 'changed' AND (kept_closed IS NOT NULL OR kept_more -> 'closed' ->> 0 IS NOT NULL)
            AND changes ?| '{status,closed}'
"""

HOOKS = """
    CREATE TYPE hook_state AS ENUM ('active', 'stopped', 'disabled');
    CREATE TYPE hook_failure AS ENUM ('park', 'stop');
    CREATE TYPE delivery_outcome AS ENUM ('accepted', 'failed', 'parked', 'stopped', 'disabled');
    CREATE TABLE hooks (
        hook_id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT hooks_pkey PRIMARY KEY,
        url text NOT NULL,
        kind event_kind[] NOT NULL DEFAULT '{}',
        filter jsonb NOT NULL DEFAULT '{}',
        position bigint,
        state hook_state NOT NULL DEFAULT 'active',
        on_failure hook_failure NOT NULL DEFAULT 'park',
        reason text,
        tried integer NOT NULL DEFAULT 0,
        next_try timestamptz,
        created timestamptz NOT NULL,
        holder text,
        until timestamptz,
        epoch bigint NOT NULL DEFAULT 0,
        begins bigint,
        secrets text[] NOT NULL DEFAULT ARRAY[new_secret()],
        rotated timestamptz,
        CONSTRAINT hooks_check CHECK (hook_fits(url, filter, position, secrets))
    );
    CREATE TABLE deliveries (
        delivery_id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT deliveries_pkey PRIMARY KEY,
        hook_id bigint NOT NULL CONSTRAINT deliveries_hook_id_fkey REFERENCES hooks ON DELETE CASCADE,
        position bigint NOT NULL,
        at timestamptz NOT NULL,
        tried integer NOT NULL,
        outcome delivery_outcome NOT NULL,
        status integer,
        took integer NOT NULL,
        answer text
    );
    CREATE INDEX deliveries_hook_id_idx ON deliveries (hook_id, delivery_id)
"""

# Of what is there, watchers are seen by looking.
WATCHES = """
    CREATE TABLE watches (
        ticket_id bigint NOT NULL,
        who text NOT NULL,
        muted boolean NOT NULL DEFAULT false,
        CONSTRAINT watches_pkey PRIMARY KEY (ticket_id, who),
        CONSTRAINT watches_check CHECK (watch_fits(who))
    );
    CREATE INDEX watches_who_idx ON watches (who, ticket_id)
"""

PEOPLE = """
    CREATE TYPE mail_digest AS ENUM ('none', 'now', 'daily');
    CREATE TYPE mail_state AS ENUM ('active', 'bounced', 'disabled');
    CREATE TABLE people (
        person_id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT people_person_id_key UNIQUE,
        name text NOT NULL CONSTRAINT people_pkey PRIMARY KEY,
        mail text NOT NULL,
        digest mail_digest NOT NULL DEFAULT 'now',
        state mail_state NOT NULL DEFAULT 'active',
        reason text,
        created timestamptz NOT NULL,
        position bigint NOT NULL,
        mailed timestamptz,
        tried integer NOT NULL DEFAULT 0,
        next_try timestamptz,
        holder text,
        until timestamptz,
        epoch bigint NOT NULL DEFAULT 0,
        key bytea NOT NULL
            DEFAULT sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8')),
        CONSTRAINT people_check CHECK (person_fits(name, mail))
    );
    CREATE INDEX people_mail_idx ON people (lower(mail));
    CREATE TABLE read_marks (
        who text NOT NULL CONSTRAINT read_marks_pkey PRIMARY KEY,
        position bigint NOT NULL,
        at timestamptz NOT NULL
    )
"""


def upgrade():
    """Go up, with data in the tables; the rules of today follow."""
    migrations.drop_rules()
    op.execute("ALTER TYPE event_kind ADD VALUE IF NOT EXISTS 'token_added'")
    op.execute("ALTER TYPE event_kind ADD VALUE IF NOT EXISTS 'token_revoked'")
    for kind in ("hook_added", "hook_changed", "hook_removed"):
        op.execute(f"ALTER TYPE event_kind ADD VALUE IF NOT EXISTS '{kind}'")
    migrations.run("rules/words.sql", "rules/checks.sql")
    op.execute(migrations.literal(TITLES))
    op.execute("ALTER TABLE searches ADD since timestamptz")
    words = WORDS.format(
        own=SINCE, words="body_words(body), since = comments.updated", packed=PACKED
    )
    migrations.say("making the words of tickets and comments anew")
    op.execute(migrations.literal(words))
    op.execute(TOKENS)
    op.execute(WATCHES)
    op.execute(migrations.literal(PEOPLE))
    filled = FILLED.format(table="stored_events", old="events", full=" WITH (fillfactor = 100)")
    for statements in (EVENTS, filled, PLACES, TEXTS, CHANGES, DIGESTS):
        op.execute(migrations.literal(statements))
    migrations.run("rules/events.sql", "calls/proof.sql")
    migrations.renew_digests()
    # As with words, above.
    op.execute("DROP FUNCTION exported(stored_events, bigint, bytea, text); DROP VIEW events")
    op.execute("ALTER TABLE places ALTER digest TYPE bytea USING substr(digest, 1)")
    op.execute(COUNTED.format(created=" INCLUDE (created)", updated=" INCLUDE (updated)"))
    op.execute(PAST)
    op.execute(EDITED)
    op.execute(migrations.literal(MOVES))
    op.execute(HOOKS)


def downgrade():
    """Go back down, with data in the tables; the rules of 0008 follow.

    All tokens and hooks are gone then. What history tells of them stays, under the kinds that it has;
    titles stay one line.
    """
    op.execute("DROP MATERIALIZED VIEW change_base_set")
    migrations.drop_rules()
    op.execute("DROP TABLE past_tickets, past_searches, past_reached, watches, people, read_marks")
    op.execute("DROP FUNCTION watch_fits, person_fits; DROP TYPE mail_digest, mail_state")
    op.execute(COUNTED.format(created="", updated=""))
    op.execute("DROP INDEX comments_edited_idx")
    for name in ("comments_comment_id_idx", "comments_created_idx"):
        op.execute(f"ALTER INDEX {name} RESET (fillfactor)")
    filled = FILLED.format(table="events", old="stored_events", full="")
    for statements in (EVENTS_BEFORE, filled, PLACES_BEFORE):
        op.execute(migrations.literal(statements))
    op.execute("DROP SEQUENCE change_base; DROP TYPE event_contents")
    op.execute("DROP TABLE tokens; DROP FUNCTION token_fits; DROP TYPE token_role")
    op.execute("DROP TABLE deliveries, hooks; DROP FUNCTION hook_fits, new_secret")
    op.execute("DROP TYPE hook_state, hook_failure, delivery_outcome")
    op.execute(
        """
        CREATE OR REPLACE FUNCTION ticket_words(title text, description text, labels text[]) RETURNS tsvector
        LANGUAGE sql IMMUTABLE PARALLEL SAFE
        RETURN setweight(to_tsvector('simple', title), 'A')
            || setweight(to_tsvector('simple', array_to_string(labels, ' ', '')), 'B')
            || setweight(to_tsvector('simple', coalesce(description, '')), 'C')
        """
    )
    op.execute("ALTER TABLE searches DROP since")
    op.execute(
        migrations.literal(WORDS.format(own="", words="to_tsvector('simple', body)", packed=""))
    )
