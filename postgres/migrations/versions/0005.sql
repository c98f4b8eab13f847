-- Cheaper writes: one check a table, triggers by row; an index for what is to do; as initdb.sql had them.

DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET random_page_cost TO 1.1', current_database()); END $$;

CREATE INDEX tickets_todo_idx ON tickets (assignee, priority, created, ticket_id) WHERE closed IS NULL;
ALTER TABLE searches ALTER words SET STATISTICS 1000;

DROP TRIGGER tickets_inserted ON tickets;
DROP TRIGGER tickets_updated ON tickets;
DROP TRIGGER tickets_deleted ON tickets;
DROP TRIGGER comments_inserted ON comments;
DROP TRIGGER comments_updated ON comments;
DROP TRIGGER comments_deleted ON comments;

CREATE FUNCTION ticket_fits(title text, description text, assignee text, reporter text, labels text[], fields jsonb, due timestamptz)
RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
-- One function for all columns, which a session prepares once: every statement prepares every CHECK
-- anew, and seven of them took longer than writing the row.
AS $$
DECLARE
    label text;
BEGIN
    IF char_length(title) > 300 OR public.is_blank(title) THEN
        RETURN public.refuse('title must have 1 to 300 characters, not only blanks', 'tickets_check', 'title');
    ELSIF char_length(description) > 100000 THEN
        RETURN public.refuse('description must have at most 100,000 characters', 'tickets_check', 'description');
    ELSIF char_length(assignee) > 100 THEN
        RETURN public.refuse('assignee must have at most 100 characters', 'tickets_check', 'assignee');
    ELSIF char_length(reporter) > 100 OR public.is_blank(reporter) THEN
        RETURN public.refuse('reporter must have 1 to 100 characters, not only blanks', 'tickets_check', 'reporter');
    ELSIF jsonb_typeof(fields) <> 'object' OR octet_length(fields::text) > 16384 THEN
        RETURN public.refuse('fields must be a JSON object of at most 16 KiB', 'tickets_check', 'fields');
    ELSIF NOT isfinite(due) THEN
        RETURN public.refuse('due must be a finite time', 'tickets_check', 'due');
    END IF;
    FOREACH label IN ARRAY labels LOOP
        IF label IS NULL OR char_length(label) > 50 OR cardinality(labels) > 50 OR array_ndims(labels) > 1 THEN
            RETURN public.refuse('labels must be a list of at most 50 texts of at most 50 characters', 'tickets_check', 'labels');
        END IF;
    END LOOP;
    RETURN true;
END $$;
COMMENT ON FUNCTION ticket_fits(text, text, text, text, text[], jsonb, timestamptz) IS
    'Whether a ticket''s columns are what they may be; refuses what is not, in words';

GRANT EXECUTE ON FUNCTION ticket_fits(text, text, text, text, text[], jsonb, timestamptz) TO iris;

CREATE FUNCTION comment_fits(author text, body text) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
BEGIN
    IF char_length(author) > 100 OR public.is_blank(author) THEN
        RETURN public.refuse('author must have 1 to 100 characters, not only blanks', 'comments_check', 'author');
    ELSIF char_length(body) > 100000 OR public.is_blank(body) THEN
        RETURN public.refuse('body must have 1 to 100,000 characters, not only blanks', 'comments_check', 'body');
    END IF;
    RETURN true;
END $$;
COMMENT ON FUNCTION comment_fits(text, text) IS 'Whether a comment''s columns are what they may be; refuses what is not, in words';

GRANT EXECUTE ON FUNCTION comment_fits(text, text) TO iris;

ALTER TABLE tickets
    DROP CONSTRAINT tickets_title_check,
    DROP CONSTRAINT tickets_description_check,
    DROP CONSTRAINT tickets_assignee_check,
    DROP CONSTRAINT tickets_reporter_check,
    DROP CONSTRAINT tickets_labels_check,
    DROP CONSTRAINT tickets_fields_check,
    DROP CONSTRAINT tickets_due_check,
    ADD CONSTRAINT tickets_check CHECK (ticket_fits(title, description, assignee, reporter, labels, fields, due));
ALTER TABLE comments
    DROP CONSTRAINT comments_author_check,
    DROP CONSTRAINT comments_body_check,
    ADD CONSTRAINT comments_check CHECK (comment_fits(author, body));
DROP FUNCTION labels_fit(text[]);

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
        INSERT INTO events (at, actor, source, ticket_id, kind, changes, kept)
            VALUES (NEW.updated, left(actor(), 100), source(), NEW.ticket_id, 'changed',
                -- What is closed follows the status, unless the status itself was declared closed.
                CASE WHEN changes = '{}' THEN changed('closed', OLD.closed, NEW.closed) ELSE changes END,
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

CREATE OR REPLACE FUNCTION comments_after() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
DECLARE
    touched record;
BEGIN
    -- With its ticket gone, there is nothing left to touch.
    SELECT at, kept INTO touched FROM touch(ARRAY[coalesce(NEW.ticket_id, OLD.ticket_id)]);
    IF TG_OP = 'INSERT' THEN
        INSERT INTO searches VALUES (NEW.ticket_id, NEW.comment_id, to_tsvector('simple', NEW.body));
        INSERT INTO events (at, actor, source, ticket_id, kind, comment_id, changes, kept)
            VALUES (touched.at, left(actor(), 100), source(), NEW.ticket_id, 'commented', NEW.comment_id,
                changed('body', NULL, NEW.body), touched.kept);
    ELSIF TG_OP = 'UPDATE' THEN
        UPDATE searches SET words = to_tsvector('simple', NEW.body)
            WHERE ticket_id = NEW.ticket_id AND comment_id = NEW.comment_id;
        INSERT INTO events (at, actor, source, ticket_id, kind, comment_id, changes, kept)
            VALUES (touched.at, left(actor(), 100), source(), NEW.ticket_id, 'comment_changed', NEW.comment_id,
                changed('body', OLD.body, NEW.body),
                touched.kept || jsonb_build_object('comment', changed('updated', OLD.updated, NEW.updated)));
    ELSE
        DELETE FROM searches WHERE ticket_id = OLD.ticket_id AND comment_id = OLD.comment_id;
        INSERT INTO events (at, actor, source, ticket_id, kind, comment_id, changes, kept)
            VALUES (coalesce(touched.at, clock_timestamp()), left(actor(), 100), source(), OLD.ticket_id, 'comment_deleted', OLD.comment_id,
                changed('body', OLD.body, NULL),
                coalesce(touched.kept, '{}') || jsonb_build_object('comment', changed('author', OLD.author, NULL)
                    || changed('created', OLD.created, NULL) || changed('updated', OLD.updated, NULL)));
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION comments_after() IS 'Keeps the words of comments; counts the version of their ticket on; writes history';

CREATE TRIGGER tickets_inserted AFTER INSERT ON tickets
    FOR EACH ROW EXECUTE FUNCTION tickets_after();
CREATE TRIGGER tickets_updated AFTER UPDATE ON tickets
    FOR EACH ROW WHEN (
        (OLD.title, OLD.description, OLD.status, OLD.assignee, OLD.reporter, OLD.priority, OLD.labels, OLD.fields, OLD.due, OLD.closed)
            IS DISTINCT FROM
        (NEW.title, NEW.description, NEW.status, NEW.assignee, NEW.reporter, NEW.priority, NEW.labels, NEW.fields, NEW.due, NEW.closed))
    EXECUTE FUNCTION tickets_after();
CREATE TRIGGER tickets_deleted AFTER DELETE ON tickets
    FOR EACH ROW EXECUTE FUNCTION tickets_after();
CREATE TRIGGER comments_inserted AFTER INSERT ON comments
    FOR EACH ROW EXECUTE FUNCTION comments_after();
CREATE TRIGGER comments_updated AFTER UPDATE ON comments
    FOR EACH ROW WHEN (OLD.body <> NEW.body) EXECUTE FUNCTION comments_after();
CREATE TRIGGER comments_deleted AFTER DELETE ON comments
    FOR EACH ROW EXECUTE FUNCTION comments_after();
