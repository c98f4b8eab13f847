-- RULES OF COMMENTS: what the database keeps, words, history

DO $generate$ BEGIN EXECUTE replace($function$
CREATE OR REPLACE FUNCTION comments_before() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    missing text := CASE WHEN NEW.ticket_id IS NULL THEN 'ticket_id' WHEN NEW.author IS NULL THEN 'author'
        WHEN NEW.body IS NULL THEN 'body' END;
BEGIN
    IF missing IS NOT NULL THEN
        RAISE not_null_violation USING MESSAGE = missing || ' is required', COLUMN = missing;
    END IF;
    {composed}
    IF TG_OP = 'INSERT' THEN
        -- Locked, so that it can't go before the comment is there.
        PERFORM FROM tickets WHERE ticket_id = NEW.ticket_id FOR KEY SHARE;
        IF NOT FOUND THEN
            RAISE foreign_key_violation USING MESSAGE = format('there is no ticket %s', NEW.ticket_id),
                CONSTRAINT = 'comments_ticket_id_fkey', COLUMN = 'ticket_id';
        END IF;
        IF NEW.updated = '-infinity' AND current_user = (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = TG_RELID) THEN
            -- undo() brings it back.
            NEW.updated := greatest(clock_timestamp(), NEW.created + interval '1 microsecond');
        ELSE
            NEW.created := clock_timestamp();
            NEW.updated := NEW.created;
        END IF;
    ELSE
        NEW.comment_id := OLD.comment_id;
        NEW.ticket_id := OLD.ticket_id;
        NEW.author := OLD.author;
        NEW.created := OLD.created;
        NEW.updated := OLD.updated;
        IF NEW IS DISTINCT FROM OLD THEN
            NEW.updated := greatest(clock_timestamp(), OLD.updated + interval '1 microsecond');
        END IF;
    END IF;
    RETURN NEW;
END $$;
$function$, '{composed}', composed('comments'));
END $generate$;
COMMENT ON FUNCTION comments_before() IS 'Keeps what the database keeps of a comment';

CREATE OR REPLACE TRIGGER comments_before BEFORE INSERT OR UPDATE ON comments
    FOR EACH ROW EXECUTE FUNCTION comments_before();

DO $generate$ BEGIN EXECUTE replace(replace(replace($function$
CREATE OR REPLACE FUNCTION comments_after() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
-- Whatever columns there will be.
#variable_conflict use_variable
DECLARE
    touched bigint := coalesce(NEW.ticket_id, OLD.ticket_id);
    moment timestamptz;
    was_version bigint;
    was_updated timestamptz;
BEGIN
    -- As touch() does, which is for many and takes longer. With its ticket gone, there is nothing left to touch.
    SELECT greatest(clock_timestamp(), updated + interval '1 microsecond'), version, updated
        INTO moment, was_version, was_updated FROM tickets WHERE ticket_id = touched FOR NO KEY UPDATE;
    UPDATE tickets SET version = version + 1, updated = moment WHERE ticket_id = touched;
    IF TG_OP = 'INSERT' THEN
        INSERT INTO searches VALUES (NEW.ticket_id, NEW.comment_id, body_words(NEW.body), NEW.updated);
        INSERT INTO stored_events (at, actor, source, ticket_id, kind, comment_id, changes, kept_version, kept_updated, kept_more)
            VALUES (moment, left(actor(), 100), source(), NEW.ticket_id, 'commented', NEW.comment_id,
                {given}, was_version, was_updated, CASE WHEN NEW.updated <> NEW.created
                    -- Brought back: until now it was not there.
                    THEN jsonb_build_object('comment', jsonb_build_object('author', jsonb_build_array(NULL, NEW.author),
                        'created', jsonb_build_array(NULL, NEW.created), 'updated', jsonb_build_array(NULL, NEW.updated))) END);
    ELSIF TG_OP = 'UPDATE' THEN
        UPDATE searches SET words = body_words(NEW.body), since = NEW.updated
            WHERE ticket_id = NEW.ticket_id AND comment_id = NEW.comment_id;
        INSERT INTO stored_events (at, actor, source, ticket_id, kind, comment_id, changes, kept_version, kept_updated, kept_more)
            VALUES (moment, left(actor(), 100), source(), NEW.ticket_id, 'comment_changed', NEW.comment_id,
                {changed}, was_version, was_updated,
                jsonb_build_object('comment', jsonb_build_object('updated', jsonb_build_array(OLD.updated, NEW.updated))));
    ELSE
        DELETE FROM searches WHERE ticket_id = OLD.ticket_id AND comment_id = OLD.comment_id;
        INSERT INTO stored_events (at, actor, source, ticket_id, kind, comment_id, changes, kept_version, kept_updated, kept_more)
            VALUES (coalesce(moment, after_last(OLD.ticket_id)), left(actor(), 100), source(), OLD.ticket_id, 'comment_deleted', OLD.comment_id,
                {gone}, was_version, was_updated,
                jsonb_build_object('comment', jsonb_build_object('author', jsonb_build_array(OLD.author, NULL),
                    'created', jsonb_build_array(OLD.created, NULL), 'updated', jsonb_build_array(OLD.updated, NULL))));
    END IF;
    RETURN NULL;
END $$;
$function$,
    '{given}', recorded('comments', 'NULL', 'NEW')),
    '{changed}', recorded('comments', 'OLD', 'NEW')),
    '{gone}', recorded('comments', 'OLD', 'NULL'));
END $generate$;
COMMENT ON FUNCTION comments_after() IS 'Keeps the words of comments; counts the version of their ticket on; writes history';

CREATE OR REPLACE TRIGGER comments_inserted AFTER INSERT ON comments
    FOR EACH ROW EXECUTE FUNCTION comments_after();
CREATE OR REPLACE TRIGGER comments_updated AFTER UPDATE ON comments
    FOR EACH ROW WHEN (OLD.updated <> NEW.updated) EXECUTE FUNCTION comments_after();
CREATE OR REPLACE TRIGGER comments_deleted AFTER DELETE ON comments
    FOR EACH ROW EXECUTE FUNCTION comments_after();
