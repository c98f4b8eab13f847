-- RULES OF THE WORKFLOW

CREATE OR REPLACE FUNCTION statuses_before() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    IF (TG_OP = 'DELETE' OR NEW.status <> OLD.status)
        AND EXISTS (SELECT FROM public.tickets WHERE status = OLD.status) THEN
        RAISE SQLSTATE 'IR004' USING MESSAGE = format('tickets are in the status "%s"', OLD.status),
            HINT = 'Move them to another status first.';
    END IF;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END $$;
COMMENT ON FUNCTION statuses_before() IS 'Refuses to drop or rename a status that tickets are in';

CREATE OR REPLACE TRIGGER statuses_before BEFORE DELETE OR UPDATE OF status ON statuses
    FOR EACH ROW EXECUTE FUNCTION statuses_before();

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

CREATE OR REPLACE TRIGGER statuses_deleted AFTER DELETE ON statuses
    FOR EACH STATEMENT EXECUTE FUNCTION statuses_after();
CREATE OR REPLACE TRIGGER statuses_updated AFTER UPDATE OF is_open ON statuses
    FOR EACH ROW EXECUTE FUNCTION statuses_after();
