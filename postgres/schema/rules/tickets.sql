-- RULES OF TICKETS: what the database keeps, the workflow, words, history

CREATE OR REPLACE FUNCTION locked_status(name text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    open boolean;
BEGIN
    SELECT is_open INTO open FROM statuses WHERE status = name FOR SHARE;
    RETURN open;
END $$;
COMMENT ON FUNCTION locked_status(text) IS
    'Whether a status is open, for who looks with old eyes (REPEATABLE READ, SERIALIZABLE): fails where it changed since they were opened';

CREATE OR REPLACE FUNCTION locked_transition(origin text, target text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    PERFORM FROM transitions WHERE from_status = origin AND to_status = target FOR SHARE;
    RETURN FOUND;
END $$;
COMMENT ON FUNCTION locked_transition(text, text) IS 'Whether there is such a transition, for who looks with old eyes';

GRANT EXECUTE ON FUNCTION locked_status(text), locked_transition(text, text) TO iris_writer;

DO $generate$ BEGIN EXECUTE replace(replace($function$
CREATE OR REPLACE FUNCTION tickets_before() RETURNS trigger
LANGUAGE plpgsql
-- The path is the rule's own, not the caller's: whoever wrote it could give what they made in pg_temp
-- the name of a type, and with it decide what the comparisons below say.
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    missing text := CASE {missing} END;
    old_eyes boolean;
    open boolean;
    undoing boolean := false;
    closed_then timestamptz;
    advice text;
    allowed text[];
BEGIN
    IF missing IS NOT NULL THEN
        RAISE not_null_violation USING MESSAGE = missing || ' is required', COLUMN = missing;
    END IF;
    {composed}
    IF cardinality(NEW.labels) > 1 OR octet_length(NEW.labels[1]) <> char_length(NEW.labels[1]) THEN
        NEW.labels := ARRAY(SELECT DISTINCT normalize(label) COLLATE "C" FROM unnest(NEW.labels) AS label ORDER BY 1);
    END IF;

    IF TG_OP = 'INSERT' THEN
        IF NEW.version < 0 AND current_user = (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = TG_RELID) THEN
            -- undo() brings it back.
            undoing := true;
            closed_then := NEW.closed;
            NEW.version := -NEW.version;
            NEW.updated := after_last(NEW.ticket_id);
        ELSE
            NEW.version := 1;
            NEW.created := clock_timestamp();
            NEW.updated := NEW.created;
        END IF;
    ELSE
        NEW.ticket_id := OLD.ticket_id;
        NEW.created := OLD.created;
        -- Only the rules themselves, which run as the tables' owner, may count a version on and say
        -- when: a comment came, or a status was declared closed.
        IF NEW.version <> OLD.version AND current_user = (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = TG_RELID) THEN
            IF NEW.version > 0 THEN
                RETURN NEW;
            END IF;
            -- undo() takes it back, in the contrary direction of whatever transition it was.
            undoing := true;
            closed_then := NEW.closed;
        END IF;
        NEW.version := OLD.version;
        NEW.updated := OLD.updated;
        -- What a status that was declared open or closed did to it goes back with that.
        NEW.closed := CASE WHEN undoing AND NEW.status = OLD.status AND (closed_then IS NULL) = (OLD.closed IS NULL) THEN closed_then ELSE OLD.closed END;
        IF NEW IS NOT DISTINCT FROM OLD THEN
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

    -- In a READ COMMITTED transaction this sees what is there now, and who changes the workflow waits
    -- for it (statuses_first); in others it sees what was there when the transaction began.
    old_eyes := current_setting('transaction_isolation') <> 'read committed';
    IF old_eyes THEN
        open := locked_status(NEW.status);
    ELSE
        SELECT is_open INTO open FROM statuses WHERE status = NEW.status;
    END IF;
    IF open IS NULL THEN
        SELECT 'The workflow has: ' || string_agg(status, ', ' ORDER BY position), array_agg(status ORDER BY position)
            INTO advice, allowed FROM statuses;
        RAISE foreign_key_violation USING MESSAGE = format('there is no status "%s"', NEW.status), HINT = advice,
            CONSTRAINT = 'tickets_status_fkey', COLUMN = 'status', DATATYPE = json_build_object('allowed', allowed)::text;
    END IF;
    IF TG_OP = 'UPDATE' AND NOT undoing AND NOT (NOT old_eyes AND EXISTS (
            SELECT FROM transitions WHERE from_status = OLD.status AND to_status = NEW.status)
        OR old_eyes AND locked_transition(OLD.status, NEW.status)) THEN
        SELECT coalesce(array_agg(to_status ORDER BY position), '{}') INTO allowed
            FROM transitions JOIN statuses ON status = to_status WHERE from_status = OLD.status;
        RAISE SQLSTATE 'IR001' USING MESSAGE = format('ticket %s can''t go from "%s" to "%s"', OLD.ticket_id, OLD.status, NEW.status),
            HINT = format('From "%s" it may go ', OLD.status) || coalesce('to: ' || nullif(array_to_string(allowed, ', '), ''), 'nowhere'),
            COLUMN = 'status', DATATYPE = json_build_object('allowed', allowed)::text;
    END IF;
    NEW.closed := CASE WHEN open THEN NULL
        WHEN undoing AND closed_then IS NOT NULL THEN closed_then
        WHEN TG_OP = 'UPDATE' AND OLD.closed IS NOT NULL THEN OLD.closed
        ELSE NEW.updated END;
    RETURN NEW;
END $$;
$function$,
    '{missing}', each_column('tickets', 'WHEN NEW.%1$I IS NULL THEN %1$L', ' ', required => true)),
    '{composed}', composed('tickets'));
END $generate$;
COMMENT ON FUNCTION tickets_before() IS 'Keeps what the database keeps of a ticket, and holds it to the workflow';

CREATE OR REPLACE TRIGGER tickets_before BEFORE INSERT OR UPDATE ON tickets
    FOR EACH ROW EXECUTE FUNCTION tickets_before();

CREATE OR REPLACE FUNCTION touch(ids bigint[]) RETURNS TABLE (ticket_id bigint, at timestamptz, version bigint, updated timestamptz)
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
-- Otherwise plans are made anew each time, for PostgreSQL takes an unknown list for a longer one.
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
BEGIN
    -- Locked in the order of their numbers, so that two who touch the same tickets can't deadlock;
    -- one time for all of them, which is later than any of them has seen.
    SELECT greatest(clock_timestamp(), max(locked.updated) + interval '1 microsecond') INTO at
        FROM (SELECT updated FROM tickets WHERE ticket_id = ANY (touch.ids) ORDER BY ticket_id FOR NO KEY UPDATE) AS locked;
    RETURN QUERY
        UPDATE tickets SET version = old.version + cardinality(array_positions(touch.ids, old.ticket_id)), updated = touch.at
            FROM tickets AS old WHERE old.ticket_id = ANY (touch.ids) AND tickets.ticket_id = old.ticket_id
            RETURNING old.ticket_id, touch.at, old.version, old.updated;
END $$;
COMMENT ON FUNCTION touch(bigint[]) IS
    'Counts the version of tickets on, once for each time they are named, when what hangs on them changed; gives when, and what they were';

CREATE OR REPLACE FUNCTION after_last(number bigint) RETURNS timestamptz
LANGUAGE sql VOLATILE
RETURN greatest(clock_timestamp(), (SELECT events.at + interval '1 microsecond' FROM events
    WHERE events.ticket_id = number ORDER BY events.ticket_id DESC, events.event_id DESC LIMIT 1));
COMMENT ON FUNCTION after_last(bigint) IS
    'Now, and later than all that happened to a ticket, which is gone: also where the clock was set back';

DO $generate$ BEGIN EXECUTE replace(replace(replace($function$
CREATE OR REPLACE FUNCTION tickets_after() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    changes jsonb;
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO searches VALUES (NEW.ticket_id, 0, ticket_words(NEW.title, NEW.description, NEW.labels), NEW.updated);
        IF NEW.version = 1 THEN
            INSERT INTO stored_events (at, actor, source, ticket_id, kind, changes)
                VALUES (NEW.created, left(actor(), 100), source(), NEW.ticket_id, 'created',
                    {given});
        ELSE
            -- Brought back: until now it was not there. As text, or the index of all that was deleted would do, too, which is long
            -- where many come back at once.
            INSERT INTO stored_events (at, actor, source, ticket_id, kind, changes, kept_version, kept_updated, kept_more)
                VALUES (NEW.updated, left(actor(), 100), source(), NEW.ticket_id, 'created',
                    {given}, NEW.version - 1,
                    (SELECT events.at FROM events WHERE events.ticket_id = NEW.ticket_id AND events.kind::text = 'deleted'
                        ORDER BY events.ticket_id DESC, events.event_id DESC LIMIT 1),
                    '{"created": [null], "closed": [null]}');
        END IF;
    ELSIF TG_OP = 'DELETE' THEN
        DELETE FROM searches WHERE ticket_id = OLD.ticket_id;
        INSERT INTO stored_events (at, actor, source, ticket_id, kind, changes, kept_version, kept_updated, kept_more)
            VALUES (greatest(clock_timestamp(), OLD.updated + interval '1 microsecond'), left(actor(), 100), source(), OLD.ticket_id, 'deleted',
                {gone}, OLD.version, OLD.updated,
                jsonb_build_object('created', jsonb_build_array(OLD.created), 'closed', jsonb_build_array(OLD.closed)));
    ELSE
        changes := {changed};
        IF changes = '{}' THEN
            -- What is closed follows the status, unless the status itself was declared closed.
            IF OLD.closed IS NOT DISTINCT FROM NEW.closed THEN
                RETURN NULL;
            END IF;
            changes := jsonb_build_object('closed', jsonb_build_array(OLD.closed, NEW.closed));
        END IF;
        INSERT INTO stored_events (at, actor, source, ticket_id, kind, changes, kept_version, kept_updated, kept_closed)
            VALUES (NEW.updated, left(actor(), 100), source(), NEW.ticket_id, 'changed', changes, OLD.version, OLD.updated, OLD.closed);
        IF changes ?| '{title,description,labels}' THEN
            UPDATE searches SET words = ticket_words(NEW.title, NEW.description, NEW.labels), since = NEW.updated
                WHERE ticket_id = NEW.ticket_id AND comment_id = 0;
        END IF;
    END IF;
    RETURN NULL;
END $$;
$function$,
    '{given}', recorded('tickets', 'NULL', 'NEW')),
    '{changed}', recorded('tickets', 'OLD', 'NEW')),
    '{gone}', recorded('tickets', 'OLD', 'NULL'));
END $generate$;
COMMENT ON FUNCTION tickets_after() IS 'Keeps the words of tickets; writes history';

CREATE OR REPLACE TRIGGER tickets_inserted AFTER INSERT ON tickets
    FOR EACH ROW EXECUTE FUNCTION tickets_after();
-- Not when only a comment or a link counted the version on. By columns, for a WHEN is read anew by each statement.
DO $generate$ BEGIN EXECUTE format('CREATE OR REPLACE TRIGGER tickets_updated AFTER UPDATE OF closed, %s ON tickets
    FOR EACH ROW EXECUTE FUNCTION tickets_after()', each_column('tickets', '%1$I'));
END $generate$;
CREATE OR REPLACE TRIGGER tickets_deleted AFTER DELETE ON tickets
    FOR EACH ROW EXECUTE FUNCTION tickets_after();
