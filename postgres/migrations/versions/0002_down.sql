-- Back to a tracker without history.

DROP FUNCTION touch(bigint[]);

CREATE FUNCTION touch(ids bigint[]) RETURNS void
LANGUAGE sql
SET search_path = public, pg_temp
BEGIN ATOMIC
    -- Locked in the order of their numbers, so that two who touch the same tickets can't deadlock.
    WITH touched AS MATERIALIZED (
        SELECT tickets.ticket_id, times FROM tickets
            JOIN (SELECT id, count(*) AS times FROM unnest(ids) AS id GROUP BY id) AS counted ON id = tickets.ticket_id
            ORDER BY tickets.ticket_id FOR NO KEY UPDATE OF tickets)
    UPDATE tickets SET version = version + touched.times FROM touched WHERE tickets.ticket_id = touched.ticket_id;
END;
COMMENT ON FUNCTION touch(bigint[]) IS 'Counts the version of tickets on, once for each time they are named, when what hangs on them changed';

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
        -- Only the rules themselves, which run as the tables' owner, may count a version on:
        -- a comment came, or a status was declared closed.
        IF NEW.version <> OLD.version
            AND current_user::regrole = (SELECT relowner FROM pg_catalog.pg_class WHERE oid = TG_RELID) THEN
            NEW.updated := greatest(clock_timestamp(), OLD.updated + interval '1 microsecond');
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
    PERFORM touch(array_agg(id)) FROM (SELECT ticket_id FROM new_rows UNION ALL SELECT other_id FROM new_rows) AS ends(id);
    RETURN NULL;
END $$;
COMMENT ON FUNCTION links_inserted() IS 'Refuses a circle of blocks or of parents; counts the versions of both ends on';

CREATE OR REPLACE FUNCTION links_deleted() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
BEGIN
    PERFORM touch(array_agg(id)) FROM (SELECT ticket_id FROM old_rows UNION ALL SELECT other_id FROM old_rows) AS ends(id);
    RETURN NULL;
END $$;
COMMENT ON FUNCTION links_deleted() IS 'Counts the versions of both ends on';

CREATE OR REPLACE FUNCTION tickets_after() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO searches SELECT ticket_id, 0, ticket_words(title, description, labels) FROM new_rows;
    ELSIF TG_OP = 'DELETE' THEN
        DELETE FROM searches USING old_rows WHERE searches.ticket_id = old_rows.ticket_id;
    ELSE
        UPDATE searches SET words = ticket_words(new_rows.title, new_rows.description, new_rows.labels)
            FROM new_rows JOIN old_rows USING (ticket_id)
            WHERE searches.ticket_id = new_rows.ticket_id AND comment_id = 0
                AND (new_rows.title, new_rows.description, new_rows.labels)
                    IS DISTINCT FROM (old_rows.title, old_rows.description, old_rows.labels);
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION tickets_after() IS 'Keeps the words of tickets';

CREATE OR REPLACE FUNCTION comments_after() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO searches SELECT ticket_id, comment_id, to_tsvector('simple', body) FROM new_rows;
        PERFORM touch(array_agg(ticket_id)) FROM new_rows;
    ELSIF TG_OP = 'DELETE' THEN
        DELETE FROM searches USING old_rows
            WHERE searches.ticket_id = old_rows.ticket_id AND searches.comment_id = old_rows.comment_id;
        PERFORM touch(array_agg(ticket_id)) FROM old_rows;
    ELSE
        UPDATE searches SET words = to_tsvector('simple', new_rows.body)
            FROM new_rows JOIN old_rows USING (ticket_id, comment_id)
            WHERE searches.ticket_id = new_rows.ticket_id AND searches.comment_id = new_rows.comment_id
                AND new_rows.body <> old_rows.body;
        PERFORM touch(array_agg(new_rows.ticket_id))
            FROM new_rows JOIN old_rows USING (ticket_id, comment_id) WHERE new_rows.body <> old_rows.body;
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION comments_after() IS 'Keeps the words of comments; counts the version of their ticket on';

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
        UPDATE tickets SET version = version + 1, closed = CASE WHEN NOT NEW.is_open THEN clock_timestamp() END
            WHERE status = NEW.status AND (closed IS NULL) <> NEW.is_open;
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION statuses_after() IS 'Keeps one status at least; opens or closes the tickets of a status whose is_open changes';

DROP FUNCTION events_after(bigint, integer), searches_as_of(timestamptz), links_as_of(timestamptz),
    comments_as_of(timestamptz), tickets_as_of(timestamptz), once(text, text, text);
DROP TABLE replays, events;
DROP TYPE event_kind;
DROP FUNCTION changed(text, anycompatible, anycompatible), source();
