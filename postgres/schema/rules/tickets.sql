-- RULES OF TICKETS: what the database keeps, the workflow, words, history

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

CREATE OR REPLACE TRIGGER tickets_before BEFORE INSERT OR UPDATE ON tickets
    FOR EACH ROW EXECUTE FUNCTION tickets_before();

CREATE OR REPLACE FUNCTION touch(ids bigint[]) RETURNS TABLE (ticket_id bigint, at timestamptz, kept jsonb)
LANGUAGE plpgsql
-- Otherwise plans are made anew each time, for PostgreSQL takes an unknown list for a longer one.
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    moment timestamptz;
BEGIN
    -- Locked in the order of their numbers, so that two who touch the same tickets can't deadlock;
    -- one time for all of them, which is later than any of them has seen.
    SELECT greatest(clock_timestamp(), max(updated) + interval '1 microsecond') INTO moment
        FROM (SELECT updated FROM tickets WHERE ticket_id = ANY (ids) ORDER BY ticket_id FOR NO KEY UPDATE) AS locked;
    RETURN QUERY
        UPDATE tickets SET version = old.version + cardinality(array_positions(ids, old.ticket_id)), updated = moment
            FROM tickets AS old WHERE old.ticket_id = ANY (ids) AND tickets.ticket_id = old.ticket_id
            RETURNING old.ticket_id, moment,
                jsonb_build_object('version', jsonb_build_array(old.version), 'updated', jsonb_build_array(old.updated));
END $$;
COMMENT ON FUNCTION touch(bigint[]) IS
    'Counts the version of tickets on, once for each time they are named, when what hangs on them changed; gives when, and what they were';

CREATE OR REPLACE FUNCTION tickets_after() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
DECLARE
    changes jsonb;
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO searches VALUES (NEW.ticket_id, 0, ticket_words(NEW.title, NEW.description, NEW.labels));
        INSERT INTO events (at, actor, source, ticket_id, kind, changes)
            VALUES (NEW.created, left(actor(), 100), source(), NEW.ticket_id, 'created',
                -- All that is never null at once: to add one to another is to copy it.
                jsonb_build_object('title', jsonb_build_array(NULL, NEW.title), 'status', jsonb_build_array(NULL, NEW.status),
                    'reporter', jsonb_build_array(NULL, NEW.reporter), 'priority', jsonb_build_array(NULL, NEW.priority),
                    'labels', jsonb_build_array(NULL, NEW.labels), 'fields', jsonb_build_array(NULL, NEW.fields))
                 || changed('description', NULL, NEW.description) || changed('assignee', NULL, NEW.assignee)
                 || changed('due', NULL, NEW.due));
    ELSIF TG_OP = 'DELETE' THEN
        DELETE FROM searches WHERE ticket_id = OLD.ticket_id;
        INSERT INTO events (at, actor, source, ticket_id, kind, changes, kept)
            VALUES (greatest(clock_timestamp(), OLD.updated + interval '1 microsecond'), left(actor(), 100), source(), OLD.ticket_id, 'deleted',
                changed('title', OLD.title, NULL) || changed('description', OLD.description, NULL)
                 || changed('status', OLD.status, NULL) || changed('assignee', OLD.assignee, NULL)
                 || changed('reporter', OLD.reporter, NULL) || changed('priority', OLD.priority, NULL)
                 || changed('labels', OLD.labels, NULL) || changed('fields', OLD.fields, NULL)
                 || changed('due', OLD.due, NULL),
                jsonb_build_object('version', jsonb_build_array(OLD.version), 'created', jsonb_build_array(OLD.created),
                    'updated', jsonb_build_array(OLD.updated), 'closed', jsonb_build_array(OLD.closed)));
    ELSE
        changes := changed('title', OLD.title, NEW.title) || changed('description', OLD.description, NEW.description)
             || changed('status', OLD.status, NEW.status) || changed('assignee', OLD.assignee, NEW.assignee)
             || changed('reporter', OLD.reporter, NEW.reporter) || changed('priority', OLD.priority, NEW.priority)
             || changed('labels', OLD.labels, NEW.labels) || changed('fields', OLD.fields, NEW.fields)
             || changed('due', OLD.due, NEW.due);
        IF changes = '{}' THEN
            -- What is closed follows the status, unless the status itself was declared closed.
            changes := changed('closed', OLD.closed, NEW.closed);
            IF changes = '{}' THEN
                RETURN NULL;
            END IF;
        END IF;
        INSERT INTO events (at, actor, source, ticket_id, kind, changes, kept)
            VALUES (NEW.updated, left(actor(), 100), source(), NEW.ticket_id, 'changed', changes,
                jsonb_build_object('version', jsonb_build_array(OLD.version),
                    'updated', jsonb_build_array(OLD.updated), 'closed', jsonb_build_array(OLD.closed)));
        IF changes ?| '{title,description,labels}' THEN
            UPDATE searches SET words = ticket_words(NEW.title, NEW.description, NEW.labels)
                WHERE ticket_id = NEW.ticket_id AND comment_id = 0;
        END IF;
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION tickets_after() IS 'Keeps the words of tickets; writes history';

CREATE OR REPLACE TRIGGER tickets_inserted AFTER INSERT ON tickets
    FOR EACH ROW EXECUTE FUNCTION tickets_after();
-- Not when only a comment or a link counted the version on. By columns, for a WHEN is read anew by each statement.
CREATE OR REPLACE TRIGGER tickets_updated AFTER UPDATE OF title, description, status, assignee, reporter, priority, labels, fields, due, closed
    ON tickets FOR EACH ROW EXECUTE FUNCTION tickets_after();
CREATE OR REPLACE TRIGGER tickets_deleted AFTER DELETE ON tickets
    FOR EACH ROW EXECUTE FUNCTION tickets_after();
