-- History, time travel, the feed, and writes that are safe to repeat; as initdb.sql had them.

CREATE FUNCTION source() RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(nullif(current_setting('application_name'), ''), 'sql');
COMMENT ON FUNCTION source() IS 'By which door: http, or the client''s application_name, such as psql';

CREATE FUNCTION changed(name text, old anycompatible, new anycompatible) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT CASE WHEN old IS DISTINCT FROM new THEN jsonb_build_object(name, jsonb_build_array(old, new)) ELSE '{}' END $$;
COMMENT ON FUNCTION changed(text, anycompatible, anycompatible) IS 'One column''s part of a change: {name: [old, new]}, or nothing if they are the same';

CREATE TYPE event_kind AS ENUM ('created', 'changed', 'deleted', 'commented', 'comment_changed', 'comment_deleted', 'linked', 'unlinked');
COMMENT ON TYPE event_kind IS 'What happened to a ticket';

CREATE TABLE events (
    event_id bigint GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL,
    actor text NOT NULL,
    source text NOT NULL,
    -- No foreign key: history stays when its ticket goes.
    ticket_id bigint NOT NULL,
    kind event_kind NOT NULL,
    comment_id bigint,
    changes jsonb NOT NULL,
    position bigint,
    kept jsonb NOT NULL DEFAULT '{}',
    other_id bigint,
    other_kept jsonb NOT NULL DEFAULT '{}',
    -- The very index that a ticket's history needs.
    CONSTRAINT events_pkey PRIMARY KEY (ticket_id, event_id)
);
COMMENT ON TABLE events IS 'The history: a row for each change of a ticket, a comment or a link, through whichever door; written by the rules, never changed';
COMMENT ON COLUMN events.event_id IS 'Its number; not the order of commits: that is position';
COMMENT ON COLUMN events.at IS 'When it happened';
COMMENT ON COLUMN events.actor IS 'Who did it: the setting iris.actor, else the session''s user';
COMMENT ON COLUMN events.source IS 'By which door: http, or the client''s application_name, such as psql';
COMMENT ON COLUMN events.ticket_id IS 'The ticket, which may be gone by now';
COMMENT ON COLUMN events.kind IS 'What happened';
COMMENT ON COLUMN events.comment_id IS 'The comment that was written, changed or deleted';
COMMENT ON COLUMN events.changes IS '{"column": [old, new]}';
COMMENT ON COLUMN events.position IS 'Its place in the feed, given when the feed is first read; null until then';
COMMENT ON COLUMN events.kept IS 'What the database kept of the ticket (and the comment) before: {"version": [old], …}, for tickets_as_of()';
COMMENT ON COLUMN events.other_id IS 'Of a link: the other ticket';
COMMENT ON COLUMN events.other_kept IS 'The same as kept, of the other ticket';

-- All events, newest first.
CREATE INDEX events_event_id_idx ON events (event_id);
-- at_before and at_after.
CREATE INDEX events_at_idx ON events (at);
-- The feed; and what has no place in it yet, which must cost nothing to ask while there is nothing.
CREATE INDEX events_position_idx ON events (position) WHERE position IS NOT NULL;
CREATE INDEX events_unpositioned_idx ON events (event_id) WHERE position IS NULL;
-- Tickets, comments and links as of some time: the other end of links, and what is gone.
CREATE INDEX events_other_id_idx ON events (other_id, event_id) WHERE other_id IS NOT NULL;
CREATE INDEX events_deleted_idx ON events (at) WHERE kind = 'deleted';
CREATE INDEX events_comment_deleted_idx ON events (at) WHERE kind = 'comment_deleted';

CREATE FUNCTION events_after(after bigint, most integer DEFAULT 100)
RETURNS TABLE ("position" bigint, event_id bigint, at timestamptz, actor text, source text, ticket_id bigint,
    kind event_kind, comment_id bigint, changes jsonb)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    IF EXISTS (SELECT FROM events WHERE position IS NULL) AND current_setting('transaction_read_only') = 'off' THEN
        -- Positions are given under a lock and must be committed at once: a transaction that stays
        -- open with them would hold up everybody else's feed. In a transaction of its own, a
        -- statement begins when its transaction does.
        IF statement_timestamp() = transaction_timestamp() AND current_setting('transaction_isolation') = 'read committed' THEN
            PERFORM pg_advisory_xact_lock(hashtext('iris feed'));
            -- A statement of its own, whose eyes are younger than the lock. What commits later
            -- gets a later position; in portions, so that no reader waits for a million.
            WITH last AS (SELECT coalesce(max(position), 0) AS position FROM events WHERE position IS NOT NULL),
            fresh AS (SELECT ticket_id, event_id, row_number() OVER (ORDER BY event_id) AS place
                FROM (SELECT ticket_id, event_id FROM events WHERE position IS NULL ORDER BY event_id LIMIT 5000) AS portion)
            UPDATE events SET position = last.position + fresh.place
                FROM fresh, last WHERE events.ticket_id = fresh.ticket_id AND events.event_id = fresh.event_id;
        ELSE
            RAISE WARNING 'there are events without a position yet, which is given outside of transaction blocks only';
        END IF;
    END IF;
    RETURN QUERY SELECT position, event_id, at, actor, source, ticket_id, kind, comment_id, changes
        FROM events WHERE position > after ORDER BY position LIMIT most;
END $$;
COMMENT ON FUNCTION events_after(bigint, integer) IS
    'The feed: every event exactly once, in one order, however transactions overlap; keep the last position, and ask again from there';

-- The next three give what there was at some moment. Each is one plain SELECT, which PostgreSQL
-- takes into the query around it, so that conditions reach the indexes.

CREATE FUNCTION tickets_as_of(moment timestamptz) RETURNS SETOF tickets
LANGUAGE sql STABLE
BEGIN ATOMIC
    -- Not touched since: as they are.
    SELECT tickets.* FROM tickets WHERE tickets.updated <= moment
    UNION ALL
    -- Touched or deleted since: what is there now, if anything, with the first old value since of
    -- each column laid over it.
    -- (touched.ticket_id, not was.ticket_id, so that a condition on it reaches the index)
    SELECT touched.ticket_id, was.title, was.description, was.status, was.assignee, was.reporter, was.priority, was.labels,
        was.fields, was.due, was.created, was.updated, was.closed, was.version
        FROM (SELECT tickets.ticket_id FROM tickets WHERE tickets.updated > moment AND tickets.created <= moment
            UNION ALL
            SELECT events.ticket_id FROM events
                WHERE events.kind = 'deleted' AND events.at > moment) AS touched
        LEFT JOIN tickets ON tickets.ticket_id = touched.ticket_id
        CROSS JOIN LATERAL (
            SELECT coalesce(jsonb_object_agg(first.key, first.value -> 0), '{}') AS old
                FROM (SELECT DISTINCT ON (item.key) item.key, item.value
                    FROM (SELECT events.event_id, events.changes || events.kept AS old FROM events
                            WHERE events.ticket_id = touched.ticket_id AND events.at > moment
                        UNION ALL
                        SELECT events.event_id, events.other_kept FROM events
                            WHERE events.other_id = touched.ticket_id AND events.at > moment) AS since
                    CROSS JOIN LATERAL jsonb_each(since.old) AS item
                    ORDER BY item.key, since.event_id) AS first) AS undone
        CROSS JOIN LATERAL jsonb_populate_record(tickets, undone.old) AS was
        WHERE was.created <= moment;
END;
COMMENT ON FUNCTION tickets_as_of(timestamptz) IS 'The tickets as they were at some moment, deleted ones included';

CREATE FUNCTION comments_as_of(moment timestamptz) RETURNS SETOF comments
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT comments.* FROM comments WHERE comments.updated <= moment
    UNION ALL
    SELECT touched.comment_id, touched.ticket_id, was.author, was.body, was.created, was.updated
        FROM (SELECT comments.ticket_id, comments.comment_id FROM comments WHERE comments.updated > moment AND comments.created <= moment
            UNION ALL
            SELECT events.ticket_id, events.comment_id FROM events
                WHERE events.kind = 'comment_deleted' AND events.at > moment) AS touched
        LEFT JOIN comments ON comments.ticket_id = touched.ticket_id AND comments.comment_id = touched.comment_id
        CROSS JOIN LATERAL (
            SELECT coalesce(jsonb_object_agg(first.key, first.value -> 0), '{}') AS old
                FROM (SELECT DISTINCT ON (item.key) item.key, item.value
                    FROM events CROSS JOIN LATERAL jsonb_each(events.changes || coalesce(events.kept -> 'comment', '{}')) AS item
                    WHERE events.ticket_id = touched.ticket_id AND events.comment_id = touched.comment_id AND events.at > moment
                    ORDER BY item.key, events.event_id) AS first) AS undone
        CROSS JOIN LATERAL jsonb_populate_record(comments, undone.old) AS was
        WHERE was.created <= moment;
END;
COMMENT ON FUNCTION comments_as_of(timestamptz) IS 'The comments as they were at some moment, deleted ones included';

CREATE FUNCTION links_as_of(moment timestamptz) RETURNS SETOF links
LANGUAGE sql STABLE
BEGIN ATOMIC
    -- There now, and not made since.
    SELECT links.* FROM links
        WHERE NOT EXISTS (SELECT FROM events WHERE events.ticket_id = links.ticket_id AND events.other_id = links.other_id
            AND events.at > moment AND events.kind = 'linked' AND events.changes -> 'kind' ->> 1 = links.kind::text)
    UNION ALL
    -- Unlinked since, with nothing before that since.
    SELECT first.ticket_id, (first.changes -> 'kind' ->> 0)::link_kind, first.other_id
        FROM (SELECT DISTINCT ON (events.ticket_id, events.other_id, coalesce(events.changes -> 'kind' ->> 0, events.changes -> 'kind' ->> 1))
                events.ticket_id, events.other_id, events.kind, events.changes
            FROM events WHERE events.kind IN ('linked', 'unlinked') AND events.other_id IS NOT NULL AND events.at > moment
            ORDER BY events.ticket_id, events.other_id, coalesce(events.changes -> 'kind' ->> 0, events.changes -> 'kind' ->> 1),
                events.event_id) AS first
        WHERE first.kind = 'unlinked';
END;
COMMENT ON FUNCTION links_as_of(timestamptz) IS 'The links as they were at some moment, those of deleted tickets included';

CREATE FUNCTION searches_as_of(moment timestamptz) RETURNS SETOF searches
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT ticket_id, 0::bigint, ticket_words(title, description, labels) FROM tickets_as_of(moment)
    UNION ALL
    SELECT ticket_id, comment_id, to_tsvector('simple', body) FROM comments_as_of(moment);
END;
COMMENT ON FUNCTION searches_as_of(timestamptz) IS 'The words as they were at some moment; made anew, as nothing keeps them';


CREATE TABLE replays (
    actor text NOT NULL,
    key text NOT NULL,
    request text NOT NULL,
    answer json,
    created timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT replays_pkey PRIMARY KEY (actor, key)
);
COMMENT ON TABLE replays IS 'Answers to writes that carried an Idempotency-Key, to be given again';
COMMENT ON COLUMN replays.actor IS 'Who wrote; everybody has keys of their own';
COMMENT ON COLUMN replays.key IS 'The Idempotency-Key';
COMMENT ON COLUMN replays.request IS 'A digest of the request, for the key is good for one request only';
COMMENT ON COLUMN replays.answer IS 'The row that the write gave';
COMMENT ON COLUMN replays.created IS 'When; kept for 24 hours at least';

-- Serves the sweeping out of old ones.
CREATE INDEX replays_created_idx ON replays (created);

CREATE FUNCTION once(the_key text, the_request text, write text) RETURNS TABLE (answer json, replayed boolean)
LANGUAGE plpgsql
-- Runs as the caller, who could run the write as well without this.
AS $$
DECLARE
    earlier public.replays;
    written record;
    rows integer;
BEGIN
    DELETE FROM public.replays WHERE (replays.actor, replays.key) IN (
        SELECT old.actor, old.key FROM public.replays AS old WHERE old.created < now() - interval '25 hours'
            LIMIT 100 FOR UPDATE SKIP LOCKED);
    -- Who comes second waits here for the first one's end.
    INSERT INTO public.replays (actor, key, request) VALUES (public.actor(), the_key, the_request)
        ON CONFLICT ON CONSTRAINT replays_pkey DO NOTHING;
    IF NOT FOUND THEN
        SELECT * INTO earlier FROM public.replays WHERE replays.actor = public.actor() AND replays.key = the_key;
        IF earlier.request <> the_request THEN
            RAISE SQLSTATE 'IR005' USING MESSAGE = 'this Idempotency-Key was used for another request',
                HINT = 'Make a new key for each new request.';
        END IF;
        RETURN QUERY SELECT earlier.answer, true;
        RETURN;
    END IF;
    EXECUTE write INTO written;
    GET DIAGNOSTICS rows = ROW_COUNT;
    IF rows = 0 THEN
        -- Nothing was there to be written to: as if it had not been tried.
        DELETE FROM public.replays WHERE replays.actor = public.actor() AND replays.key = the_key;
    ELSE
        answer := row_to_json(written);
        UPDATE public.replays SET answer = once.answer WHERE replays.actor = public.actor() AND replays.key = the_key;
    END IF;
    replayed := false;
    RETURN NEXT;
END $$;
COMMENT ON FUNCTION once(text, text, text) IS
    'Runs a write in the transaction that keeps its answer, or gives the answer that is kept';

DROP FUNCTION touch(bigint[]);

CREATE FUNCTION touch(ids bigint[]) RETURNS TABLE (ticket_id bigint, at timestamptz, kept jsonb)
LANGUAGE sql
BEGIN ATOMIC
    -- Locked in the order of their numbers, so that two who touch the same tickets can't deadlock.
    WITH counted AS (SELECT id, count(*) AS times FROM unnest(ids) AS id GROUP BY id),
    locked AS MATERIALIZED (
        SELECT tickets.ticket_id, tickets.version, tickets.updated, counted.times
            FROM tickets JOIN counted ON counted.id = tickets.ticket_id
            ORDER BY tickets.ticket_id FOR NO KEY UPDATE OF tickets),
    -- One time for all of them, which is later than any of them has seen.
    moment AS MATERIALIZED (
        SELECT greatest(clock_timestamp(), max(locked.updated) + interval '1 microsecond') AS at FROM locked),
    touched AS (
        UPDATE tickets SET version = locked.version + locked.times, updated = moment.at
            FROM locked, moment WHERE tickets.ticket_id = locked.ticket_id)
    SELECT locked.ticket_id, moment.at,
        jsonb_build_object('version', jsonb_build_array(locked.version), 'updated', jsonb_build_array(locked.updated))
        FROM locked, moment;
END;
COMMENT ON FUNCTION touch(bigint[]) IS
    'Counts the version of tickets on, once for each time they are named, when what hangs on them changed; gives when, and what they were';

CREATE OR REPLACE FUNCTION tickets_before() RETURNS trigger
LANGUAGE plpgsql
-- Names are qualified rather than a search_path set, which every single row would pay for.
AS $$
DECLARE
    missing text := CASE WHEN NEW.title IS NULL THEN 'title' WHEN NEW.status IS NULL THEN 'status'
        WHEN NEW.reporter IS NULL THEN 'reporter' WHEN NEW.priority IS NULL THEN 'priority'
        WHEN NEW.labels IS NULL THEN 'labels' WHEN NEW.fields IS NULL THEN 'fields' END;
    open boolean;
    advice text;
BEGIN
    IF missing IS NOT NULL THEN
        RAISE not_null_violation USING MESSAGE = missing || ' is required', COLUMN = missing;
    END IF;
    IF cardinality(NEW.labels) > 1 THEN
        NEW.labels := ARRAY(SELECT DISTINCT label COLLATE "C" FROM unnest(NEW.labels) AS label ORDER BY 1);
    END IF;

    IF TG_OP = 'INSERT' THEN
        NEW.version := 1;
        NEW.created := clock_timestamp();
        NEW.updated := NEW.created;
    ELSE
        NEW.ticket_id := OLD.ticket_id;
        NEW.created := OLD.created;
        -- Only the rules themselves, which run as the tables' owner, may count a version on and say
        -- when: a comment came, or a status was declared closed.
        IF NEW.version <> OLD.version
            AND current_user::regrole = (SELECT relowner FROM pg_catalog.pg_class WHERE oid = TG_RELID) THEN
            RETURN NEW;
        END IF;
        NEW.version := OLD.version;
        NEW.updated := OLD.updated;
        NEW.closed := OLD.closed;
        IF (NEW.title, NEW.description, NEW.status, NEW.assignee, NEW.reporter, NEW.priority, NEW.labels, NEW.fields, NEW.due)
            IS NOT DISTINCT FROM
            (OLD.title, OLD.description, OLD.status, OLD.assignee, OLD.reporter, OLD.priority, OLD.labels, OLD.fields, OLD.due) THEN
            RETURN NEW;
        END IF;
        NEW.version := OLD.version + 1;
        -- The row is locked by now, so a ticket's times are in the order of its versions; one
        -- microsecond on, where the clock was set back.
        NEW.updated := greatest(clock_timestamp(), OLD.updated + interval '1 microsecond');
        IF NEW.status = OLD.status THEN
            RETURN NEW;
        END IF;
    END IF;

    SELECT is_open INTO open FROM public.statuses WHERE status = NEW.status;
    IF NOT FOUND THEN
        SELECT 'The workflow has: ' || string_agg(status, ', ' ORDER BY position) INTO advice FROM public.statuses;
        RAISE foreign_key_violation USING MESSAGE = format('there is no status "%s"', NEW.status), HINT = advice,
            CONSTRAINT = 'tickets_status_fkey', COLUMN = 'status';
    END IF;
    IF TG_OP = 'UPDATE' AND NOT EXISTS (
        SELECT FROM public.transitions WHERE from_status = OLD.status AND to_status = NEW.status) THEN
        SELECT format('From "%s" it may go ', OLD.status) || coalesce('to: ' || string_agg(to_status, ', ' ORDER BY position), 'nowhere')
            INTO advice FROM public.transitions JOIN public.statuses ON status = to_status WHERE from_status = OLD.status;
        RAISE SQLSTATE 'IR001' USING HINT = advice, COLUMN = 'status',
            MESSAGE = format('ticket %s can''t go from "%s" to "%s"', OLD.ticket_id, OLD.status, NEW.status);
    END IF;
    NEW.closed := CASE WHEN open THEN NULL
        WHEN TG_OP = 'UPDATE' AND OLD.closed IS NOT NULL THEN OLD.closed
        ELSE NEW.updated END;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION tickets_before() IS 'Keeps what the database keeps of a ticket, and holds it to the workflow';

CREATE OR REPLACE FUNCTION links_inserted() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
DECLARE
    circle record;
BEGIN
    IF EXISTS (SELECT FROM new_rows WHERE kind IN ('blocks', 'parent')) THEN
        -- Two halves of a circle, written at once, would not see each other: one at a time, and
        -- with eyes that are younger than the lock, which other isolation levels don't have.
        IF current_setting('transaction_isolation') <> 'read committed' THEN
            RAISE 'links of the kinds blocks and parent are written in READ COMMITTED transactions only' USING ERRCODE = '0A000';
        END IF;
        PERFORM pg_advisory_xact_lock(hashtext('iris links'));
        WITH RECURSIVE walk(ticket_id, kind, first_id, reached_id) AS (
            SELECT ticket_id, kind, other_id, other_id FROM new_rows WHERE kind IN ('blocks', 'parent')
            UNION
            SELECT walk.ticket_id, walk.kind, walk.first_id, links.other_id
                FROM walk JOIN links ON links.ticket_id = walk.reached_id AND links.kind = walk.kind)
        SELECT ticket_id, kind, first_id INTO circle FROM walk WHERE reached_id = ticket_id LIMIT 1;
        IF FOUND THEN
            RAISE SQLSTATE 'IR002' USING MESSAGE = format(CASE circle.kind
                WHEN 'blocks' THEN 'ticket %s can''t block ticket %s: it would be blocked by itself in the end'
                ELSE 'ticket %s can''t have the parent %s: it would be its own parent in the end' END,
                circle.ticket_id, circle.first_id);
        END IF;
    END IF;
    -- Both ends show the link, so both have a new version.
    WITH touched AS MATERIALIZED (SELECT * FROM touch(ARRAY(SELECT ticket_id FROM new_rows UNION ALL SELECT other_id FROM new_rows)))
    INSERT INTO events (at, actor, source, ticket_id, kind, changes, kept, other_id, other_kept)
        SELECT this.at, left(actor(), 100), source(), new_rows.ticket_id, 'linked',
            changed('kind', NULL, kind::text) || changed('other_id', NULL, new_rows.other_id),
            this.kept, new_rows.other_id, other.kept
        FROM new_rows JOIN touched AS this USING (ticket_id) JOIN touched AS other ON other.ticket_id = new_rows.other_id
        ORDER BY new_rows;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION links_inserted() IS 'Refuses a circle of blocks or of parents; counts the versions of both ends on; writes history';

CREATE OR REPLACE FUNCTION links_deleted() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM old_rows) THEN
        RETURN NULL;
    END IF;
    -- An end that goes with the link is not there to be touched any more.
    WITH touched AS MATERIALIZED (SELECT * FROM touch(ARRAY(SELECT ticket_id FROM old_rows UNION ALL SELECT other_id FROM old_rows)))
    INSERT INTO events (at, actor, source, ticket_id, kind, changes, kept, other_id, other_kept)
        SELECT coalesce(this.at, other.at, clock_timestamp()), left(actor(), 100), source(), old_rows.ticket_id, 'unlinked',
            changed('kind', kind::text, NULL) || changed('other_id', old_rows.other_id, NULL),
            coalesce(this.kept, '{}'), old_rows.other_id, coalesce(other.kept, '{}')
        FROM old_rows LEFT JOIN touched AS this USING (ticket_id) LEFT JOIN touched AS other ON other.ticket_id = old_rows.other_id
        ORDER BY old_rows;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION links_deleted() IS 'Counts the versions of both ends on; writes history';

CREATE OR REPLACE FUNCTION tickets_after() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO searches SELECT ticket_id, 0, ticket_words(title, description, labels) FROM new_rows;
        INSERT INTO events (at, actor, source, ticket_id, kind, changes)
            SELECT created, left(actor(), 100), source(), ticket_id, 'created',
                changed('title', NULL, new_rows.title) || changed('description', NULL, new_rows.description)
                 || changed('status', NULL, new_rows.status) || changed('assignee', NULL, new_rows.assignee)
                 || changed('reporter', NULL, new_rows.reporter) || changed('priority', NULL, new_rows.priority)
                 || changed('labels', NULL, new_rows.labels) || changed('fields', NULL, new_rows.fields)
                 || changed('due', NULL, new_rows.due)
            FROM new_rows ORDER BY ticket_id;
    ELSIF TG_OP = 'DELETE' THEN
        DELETE FROM searches USING old_rows WHERE searches.ticket_id = old_rows.ticket_id;
        INSERT INTO events (at, actor, source, ticket_id, kind, changes, kept)
            SELECT greatest(clock_timestamp(), updated + interval '1 microsecond'), left(actor(), 100), source(), ticket_id, 'deleted',
                changed('title', old_rows.title, NULL) || changed('description', old_rows.description, NULL)
                 || changed('status', old_rows.status, NULL) || changed('assignee', old_rows.assignee, NULL)
                 || changed('reporter', old_rows.reporter, NULL) || changed('priority', old_rows.priority, NULL)
                 || changed('labels', old_rows.labels, NULL) || changed('fields', old_rows.fields, NULL)
                 || changed('due', old_rows.due, NULL),
                jsonb_build_object('version', jsonb_build_array(version), 'created', jsonb_build_array(created),
                    'updated', jsonb_build_array(updated), 'closed', jsonb_build_array(closed))
            FROM old_rows ORDER BY ticket_id;
    ELSE
        INSERT INTO events (at, actor, source, ticket_id, kind, changes, kept)
            SELECT new_rows.updated, left(actor(), 100), source(), ticket_id, 'changed',
                -- What is closed follows the status, unless the status itself was declared closed.
                CASE WHEN changes = '{}' THEN changed('closed', old_rows.closed, new_rows.closed) ELSE changes END,
                jsonb_build_object('version', jsonb_build_array(old_rows.version),
                    'updated', jsonb_build_array(old_rows.updated), 'closed', jsonb_build_array(old_rows.closed))
            FROM new_rows JOIN old_rows USING (ticket_id), LATERAL (SELECT
                changed('title', old_rows.title, new_rows.title)
                 || changed('description', old_rows.description, new_rows.description)
                 || changed('status', old_rows.status, new_rows.status)
                 || changed('assignee', old_rows.assignee, new_rows.assignee)
                 || changed('reporter', old_rows.reporter, new_rows.reporter)
                 || changed('priority', old_rows.priority, new_rows.priority)
                 || changed('labels', old_rows.labels, new_rows.labels)
                 || changed('fields', old_rows.fields, new_rows.fields) || changed('due', old_rows.due, new_rows.due)) AS all_of_them(changes)
            WHERE changes <> '{}' OR old_rows.closed IS DISTINCT FROM new_rows.closed
            ORDER BY ticket_id;
        UPDATE searches SET words = ticket_words(new_rows.title, new_rows.description, new_rows.labels)
            FROM new_rows JOIN old_rows USING (ticket_id)
            WHERE searches.ticket_id = new_rows.ticket_id AND comment_id = 0
                AND (new_rows.title, new_rows.description, new_rows.labels)
                    IS DISTINCT FROM (old_rows.title, old_rows.description, old_rows.labels);
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION tickets_after() IS 'Keeps the words of tickets; writes history';

CREATE OR REPLACE FUNCTION comments_after() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO searches SELECT ticket_id, comment_id, to_tsvector('simple', body) FROM new_rows;
        INSERT INTO events (at, actor, source, ticket_id, kind, comment_id, changes, kept)
            SELECT touched.at, left(actor(), 100), source(), ticket_id, 'commented', comment_id, changed('body', NULL, body), touched.kept
            FROM new_rows JOIN touch(ARRAY(SELECT ticket_id FROM new_rows)) AS touched USING (ticket_id)
            ORDER BY comment_id;
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO events (at, actor, source, ticket_id, kind, comment_id, changes, kept)
            SELECT touched.at, left(actor(), 100), source(), ticket_id, 'comment_changed', comment_id,
                changed('body', old_rows.body, new_rows.body),
                touched.kept || jsonb_build_object('comment', changed('updated', old_rows.updated, new_rows.updated))
            FROM new_rows JOIN old_rows USING (ticket_id, comment_id)
                JOIN touch(ARRAY(SELECT new_rows.ticket_id FROM new_rows JOIN old_rows USING (ticket_id, comment_id)
                    WHERE new_rows.body <> old_rows.body)) AS touched USING (ticket_id)
            WHERE new_rows.body <> old_rows.body
            ORDER BY comment_id;
        UPDATE searches SET words = to_tsvector('simple', new_rows.body)
            FROM new_rows JOIN old_rows USING (ticket_id, comment_id)
            WHERE searches.ticket_id = new_rows.ticket_id AND searches.comment_id = new_rows.comment_id
                AND new_rows.body <> old_rows.body;
    ELSIF EXISTS (SELECT FROM old_rows) THEN
        DELETE FROM searches USING old_rows
            WHERE searches.ticket_id = old_rows.ticket_id AND searches.comment_id = old_rows.comment_id;
        -- With its ticket gone, there is nothing left to touch.
        INSERT INTO events (at, actor, source, ticket_id, kind, comment_id, changes, kept)
            SELECT coalesce(touched.at, clock_timestamp()), left(actor(), 100), source(), ticket_id, 'comment_deleted', comment_id,
                changed('body', body, NULL),
                coalesce(touched.kept, '{}') || jsonb_build_object('comment', changed('author', author, NULL)
                    || changed('created', created, NULL) || changed('updated', updated, NULL))
            FROM old_rows LEFT JOIN touch(ARRAY(SELECT ticket_id FROM old_rows)) AS touched USING (ticket_id)
            ORDER BY comment_id;
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION comments_after() IS 'Keeps the words of comments; counts the version of their ticket on; writes history';

CREATE OR REPLACE FUNCTION statuses_after() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF NOT EXISTS (SELECT FROM statuses) THEN
            RAISE check_violation USING MESSAGE = 'a workflow needs at least one status', COLUMN = 'statuses';
        END IF;
    ELSIF NEW.is_open <> OLD.is_open THEN
        -- Who is moving a ticket into this status just now has read the old is_open: wait for them.
        LOCK TABLE tickets IN SHARE ROW EXCLUSIVE MODE;
        UPDATE tickets SET version = version + 1, closed = CASE WHEN NOT NEW.is_open THEN clock_timestamp() END,
            updated = greatest(clock_timestamp(), updated + interval '1 microsecond')
            WHERE status = NEW.status AND (closed IS NULL) <> NEW.is_open;
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION statuses_after() IS 'Keeps one status at least; opens or closes the tickets of a status whose is_open changes';

GRANT SELECT ON events TO iris;
GRANT SELECT, INSERT, UPDATE, DELETE ON replays TO iris;
GRANT EXECUTE ON FUNCTION source(), events_after(bigint, integer), tickets_as_of(timestamptz), comments_as_of(timestamptz),
    links_as_of(timestamptz), searches_as_of(timestamptz), once(text, text, text),
    changed(text, anycompatible, anycompatible) TO iris;

-- What is there already gets a beginning: as it is now, since it was made. What it was in between,
-- nobody has written down.
INSERT INTO events (at, actor, source, ticket_id, kind, changes)
    SELECT created, reporter, 'migration', ticket_id, 'created',
        changed('title', NULL, title) || changed('description', NULL, description) || changed('status', NULL, status)
        || changed('assignee', NULL, assignee) || changed('reporter', NULL, reporter) || changed('priority', NULL, priority)
        || changed('labels', NULL, labels) || changed('fields', NULL, fields) || changed('due', NULL, due)
    FROM tickets ORDER BY ticket_id;
INSERT INTO events (at, actor, source, ticket_id, kind, comment_id, changes)
    SELECT created, author, 'migration', ticket_id, 'commented', comment_id, changed('body', NULL, body)
    FROM comments ORDER BY comment_id;
INSERT INTO events (at, actor, source, ticket_id, kind, changes, other_id)
    SELECT greatest(this.created, other.created), 'migration', 'migration', links.ticket_id, 'linked',
        changed('kind', NULL, kind::text) || changed('other_id', NULL, other_id), other_id
    FROM links JOIN tickets AS this ON this.ticket_id = links.ticket_id JOIN tickets AS other ON other.ticket_id = other_id
    ORDER BY links;
