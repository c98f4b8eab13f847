-- As it was at revision 0004.

DO $$ BEGIN EXECUTE format('ALTER DATABASE %I RESET random_page_cost', current_database()); END $$;

DROP INDEX tickets_todo_idx;
ALTER TABLE searches ALTER words SET STATISTICS -1;

DROP TRIGGER tickets_inserted ON tickets;
DROP TRIGGER tickets_updated ON tickets;
DROP TRIGGER tickets_deleted ON tickets;
DROP TRIGGER comments_inserted ON comments;
DROP TRIGGER comments_updated ON comments;
DROP TRIGGER comments_deleted ON comments;

CREATE FUNCTION labels_fit(labels text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN cardinality(labels) = 0 OR (cardinality(labels) <= 50 AND array_ndims(labels) = 1
    AND (SELECT bool_and(label IS NOT NULL AND char_length(label) <= 50) FROM unnest(labels) AS label));
COMMENT ON FUNCTION labels_fit(text[]) IS 'Whether these are up to 50 labels of up to 50 characters';

GRANT EXECUTE ON FUNCTION labels_fit(text[]) TO iris;

ALTER TABLE tickets
    DROP CONSTRAINT tickets_check,
    ADD CONSTRAINT tickets_title_check CHECK ((char_length(title) <= 300 AND NOT is_blank(title))
        OR refuse('title must have 1 to 300 characters, not only blanks', 'tickets_title_check', 'title')),
    ADD CONSTRAINT tickets_description_check CHECK (description IS NULL OR char_length(description) <= 100000
        OR refuse('description must have at most 100,000 characters', 'tickets_description_check', 'description')),
    ADD CONSTRAINT tickets_assignee_check CHECK (assignee IS NULL OR char_length(assignee) <= 100
        OR refuse('assignee must have at most 100 characters', 'tickets_assignee_check', 'assignee')),
    ADD CONSTRAINT tickets_reporter_check CHECK ((char_length(reporter) <= 100 AND NOT is_blank(reporter))
        OR refuse('reporter must have 1 to 100 characters, not only blanks', 'tickets_reporter_check', 'reporter')),
    ADD CONSTRAINT tickets_labels_check CHECK (labels_fit(labels)
        OR refuse('labels must be a list of at most 50 texts of at most 50 characters', 'tickets_labels_check', 'labels')),
    ADD CONSTRAINT tickets_fields_check CHECK ((jsonb_typeof(fields) = 'object' AND octet_length(fields::text) <= 16384)
        OR refuse('fields must be a JSON object of at most 16 KiB', 'tickets_fields_check', 'fields')),
    ADD CONSTRAINT tickets_due_check CHECK (due IS NULL OR isfinite(due)
        OR refuse('due must be a finite time', 'tickets_due_check', 'due'));
ALTER TABLE comments
    DROP CONSTRAINT comments_check,
    ADD CONSTRAINT comments_author_check CHECK ((char_length(author) <= 100 AND NOT is_blank(author))
        OR refuse('author must have 1 to 100 characters, not only blanks', 'comments_author_check', 'author')),
    ADD CONSTRAINT comments_body_check CHECK ((char_length(body) <= 100000 AND NOT is_blank(body))
        OR refuse('body must have 1 to 100,000 characters, not only blanks', 'comments_body_check', 'body'));
DROP FUNCTION ticket_fits(text, text, text, text, text[], jsonb, timestamptz), comment_fits(text, text);

CREATE OR REPLACE FUNCTION touch(ids bigint[]) RETURNS TABLE (ticket_id bigint, at timestamptz, kept jsonb)
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

CREATE TRIGGER tickets_inserted AFTER INSERT ON tickets
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION tickets_after();
CREATE TRIGGER tickets_updated AFTER UPDATE ON tickets
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION tickets_after();
CREATE TRIGGER tickets_deleted AFTER DELETE ON tickets
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION tickets_after();
CREATE TRIGGER comments_inserted AFTER INSERT ON comments
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION comments_after();
CREATE TRIGGER comments_updated AFTER UPDATE ON comments
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION comments_after();
CREATE TRIGGER comments_deleted AFTER DELETE ON comments
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION comments_after();
