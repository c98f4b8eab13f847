-- Cheaper comments and changes, as initdb.sql had them.

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

CREATE OR REPLACE FUNCTION comments_after() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
DECLARE
    touched bigint := coalesce(NEW.ticket_id, OLD.ticket_id);
    moment timestamptz;
    was jsonb;
BEGIN
    -- As touch() does, which is for many and takes longer. With its ticket gone, there is nothing left to touch.
    SELECT greatest(clock_timestamp(), updated + interval '1 microsecond'),
            jsonb_build_object('version', jsonb_build_array(version), 'updated', jsonb_build_array(updated))
        INTO moment, was FROM tickets WHERE ticket_id = touched FOR NO KEY UPDATE;
    UPDATE tickets SET version = version + 1, updated = moment WHERE ticket_id = touched;
    IF TG_OP = 'INSERT' THEN
        INSERT INTO searches VALUES (NEW.ticket_id, NEW.comment_id, to_tsvector('simple', NEW.body));
        INSERT INTO events (at, actor, source, ticket_id, kind, comment_id, changes, kept)
            VALUES (moment, left(actor(), 100), source(), NEW.ticket_id, 'commented', NEW.comment_id,
                changed('body', NULL, NEW.body), was);
    ELSIF TG_OP = 'UPDATE' THEN
        UPDATE searches SET words = to_tsvector('simple', NEW.body)
            WHERE ticket_id = NEW.ticket_id AND comment_id = NEW.comment_id;
        INSERT INTO events (at, actor, source, ticket_id, kind, comment_id, changes, kept)
            VALUES (moment, left(actor(), 100), source(), NEW.ticket_id, 'comment_changed', NEW.comment_id,
                changed('body', OLD.body, NEW.body),
                was || jsonb_build_object('comment', changed('updated', OLD.updated, NEW.updated)));
    ELSE
        DELETE FROM searches WHERE ticket_id = OLD.ticket_id AND comment_id = OLD.comment_id;
        INSERT INTO events (at, actor, source, ticket_id, kind, comment_id, changes, kept)
            VALUES (coalesce(moment, clock_timestamp()), left(actor(), 100), source(), OLD.ticket_id, 'comment_deleted', OLD.comment_id,
                changed('body', OLD.body, NULL),
                coalesce(was, '{}') || jsonb_build_object('comment', changed('author', OLD.author, NULL)
                    || changed('created', OLD.created, NULL) || changed('updated', OLD.updated, NULL)));
    END IF;
    RETURN NULL;
END $$;

DROP TRIGGER tickets_updated ON tickets;

CREATE TRIGGER tickets_updated AFTER UPDATE OF title, description, status, assignee, reporter, priority, labels, fields, due, closed
    ON tickets FOR EACH ROW EXECUTE FUNCTION tickets_after();
