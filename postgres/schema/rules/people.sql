-- RULES OF PEOPLE: what the database keeps of who gets mail, and who may see it

CREATE OR REPLACE FUNCTION people_before() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    missing text := CASE WHEN NEW.name IS NULL THEN 'name' WHEN NEW.mail IS NULL THEN 'mail' END;
BEGIN
    IF missing IS NOT NULL THEN
        RAISE not_null_violation USING MESSAGE = missing || ' is required', COLUMN = missing;
    END IF;
    NEW.name := normalize(NEW.name);
    NEW.mail := normalize(NEW.mail);
    NEW.digest := coalesce(NEW.digest, 'now');
    NEW.state := coalesce(NEW.state, 'active');
    IF TG_OP = 'INSERT' THEN
        NEW.created := clock_timestamp();
        -- What happens from now on.
        NEW.position := coalesce((SELECT max(places.position) FROM places), 0);
        NEW.mailed := NEW.created;
        RETURN NEW;
    ELSIF (NEW.mail, NEW.digest, NEW.state) IS NOT DISTINCT FROM (OLD.mail, OLD.digest, OLD.state)
        OR current_user = (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = TG_RELID) AND NEW.epoch <> OLD.epoch THEN
        RETURN NEW;
    END IF;
    -- Another address, or a word of theirs that it is good again, and nothing of before comes late.
    NEW.epoch := OLD.epoch + 1;
    IF NEW.mail <> OLD.mail AND OLD.state = 'bounced' AND NEW.state = 'bounced' THEN
        NEW.state := 'active';
    END IF;
    NEW.reason := CASE WHEN NEW.state = OLD.state AND NEW.mail = OLD.mail THEN OLD.reason END;
    NEW.tried := 0;
    NEW.next_try := NULL;
    NEW.holder := NULL;
    NEW.until := NULL;
    IF (OLD.state <> 'active' OR OLD.digest = 'none') AND NEW.state = 'active' AND NEW.digest <> 'none' THEN
        NEW.position := coalesce((SELECT max(places.position) FROM places), 0);
        NEW.mailed := clock_timestamp();
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION people_before() IS 'Keeps what the database keeps of who gets mail';

CREATE OR REPLACE TRIGGER people_before BEFORE INSERT OR UPDATE ON people
    FOR EACH ROW EXECUTE FUNCTION people_before();

CREATE OR REPLACE FUNCTION may_tend(whose text) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    caller CONSTANT name := CASE current_setting('role') WHEN 'none' THEN session_user ELSE current_setting('role') END;
BEGIN
    IF whose IS DISTINCT FROM actor() AND NOT has_table_privilege(caller, 'people', 'DELETE') THEN
        RAISE insufficient_privilege USING MESSAGE = 'permission denied for people other than oneself';
    END IF;
END $$;
COMMENT ON FUNCTION may_tend(text) IS 'Refuses whoever asks about somebody else and is no admin; a part of the rules';
