-- RULES OF THE WORKFLOW: one at a time, no status dropped that is in use; history

CREATE OR REPLACE FUNCTION workflow_first() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    PERFORM latch('workflow');
    IF TG_RELNAME = 'statuses' AND TG_OP <> 'INSERT' THEN
        -- Who is moving a ticket just now has read the workflow as it is: wait for them. Before anything
        -- is touched, for they would wait for that.
        LOCK TABLE tickets IN SHARE ROW EXCLUSIVE MODE;
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION workflow_first() IS 'Lets one change the workflow at a time, and not while tickets are moved';

CREATE OR REPLACE TRIGGER statuses_first BEFORE INSERT OR UPDATE OR DELETE ON statuses
    FOR EACH STATEMENT EXECUTE FUNCTION workflow_first();
CREATE OR REPLACE TRIGGER transitions_first BEFORE INSERT OR UPDATE OR DELETE ON transitions
    FOR EACH STATEMENT EXECUTE FUNCTION workflow_first();

CREATE OR REPLACE FUNCTION statuses_before() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    -- The table's own CHECK knows of blanks no more than the plain one.
    IF TG_OP <> 'DELETE' AND NEW.status <> btrim(NEW.status, blanks()) THEN
        PERFORM refuse('a status has 1 to 50 characters, no comma, no ! in front and no blank at either end', 'statuses_status_check', 'status');
    END IF;
    IF TG_OP <> 'INSERT' AND (TG_OP = 'DELETE' OR NEW.status <> OLD.status)
        AND EXISTS (SELECT FROM tickets WHERE status = OLD.status) THEN
        RAISE SQLSTATE 'IR004' USING MESSAGE = format('tickets are in the status "%s"', OLD.status),
            HINT = 'Move them to another status first.';
    END IF;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END $$;
COMMENT ON FUNCTION statuses_before() IS 'Refuses to drop or rename a status that tickets are in, and a name with a blank at either end';

CREATE OR REPLACE TRIGGER statuses_before BEFORE INSERT OR DELETE OR UPDATE OF status ON statuses
    FOR EACH ROW EXECUTE FUNCTION statuses_before();

CREATE OR REPLACE FUNCTION statuses_after() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF NOT EXISTS (SELECT FROM statuses) THEN
            RAISE check_violation USING MESSAGE = 'a workflow needs at least one status', COLUMN = 'statuses';
        END IF;
    ELSIF NEW.is_open <> OLD.is_open THEN
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

CREATE OR REPLACE FUNCTION workflow_after() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    old jsonb;
    new jsonb := workflow();
    differs jsonb;
    moment timestamptz;
BEGIN
    SELECT document, greatest(clock_timestamp(), at + interval '1 microsecond') INTO old, moment FROM workflow_recorded FOR UPDATE;
    SELECT jsonb_object_agg(key, jsonb_build_array(old -> key, value)) INTO differs
        FROM jsonb_each(new) WHERE value IS DISTINCT FROM old -> key;
    -- What comes at the end of a transaction comes once for each row; the first one tells it all.
    IF differs IS NOT NULL THEN
        UPDATE workflow_recorded SET document = new, at = moment;
        INSERT INTO stored_events (at, actor, source, kind, changes)
            VALUES (moment, left(actor(), 100), source(), 'workflow_changed', differs);
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION workflow_after() IS 'Writes history: one event for all that a transaction changed of the workflow';

DO $$
DECLARE
    name text;
BEGIN
    -- A constraint trigger can be put off to the end of a transaction, but not replaced.
    FOREACH name IN ARRAY '{statuses,transitions}'::text[] LOOP
        IF EXISTS (SELECT FROM pg_trigger WHERE tgname = name || '_recorded' AND tgrelid = name::regclass) THEN
            EXECUTE format('DROP TRIGGER %I ON %I', name || '_recorded', name);
        END IF;
        EXECUTE format('CREATE CONSTRAINT TRIGGER %I AFTER INSERT OR UPDATE OR DELETE ON %I
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION workflow_after()', name || '_recorded', name);
    END LOOP;
END $$;
