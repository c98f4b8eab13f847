-- RULES OF TOKENS: what the database keeps; logins; history, without anything secret

CREATE OR REPLACE FUNCTION tokens_before() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    missing text;
BEGIN
    NEW.name := normalize(NEW.name);
    NEW.actor := normalize(coalesce(NEW.actor, NEW.name));
    missing := CASE WHEN NEW.name IS NULL THEN 'name' WHEN NEW.role IS NULL THEN 'role' WHEN NEW.digest IS NULL THEN 'digest' END;
    IF missing IS NOT NULL THEN
        RAISE not_null_violation USING MESSAGE = missing || ' is required', COLUMN = missing;
    END IF;
    NEW.created := clock_timestamp();
    NEW.used := NULL;
    NEW.is_login := false;
    IF NEW.expires <= NEW.created THEN
        PERFORM refuse('expires must be a time to come', 'tokens_check', 'expires');
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION tokens_before() IS 'Keeps what the database keeps of a token';

CREATE OR REPLACE TRIGGER tokens_before BEFORE INSERT ON tokens
    FOR EACH ROW EXECUTE FUNCTION tokens_before();

CREATE OR REPLACE FUNCTION tokens_after() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO events (at, actor, source, kind, changes)
            VALUES (NEW.created, left(actor(), 100), source(), 'token_added',
                jsonb_build_object('token', jsonb_build_array(NULL, NEW.name), 'role', jsonb_build_array(NULL, NEW.role),
                    'actor', jsonb_build_array(NULL, NEW.actor))
                || CASE WHEN NEW.expires IS NULL THEN '{}' ELSE jsonb_build_object('expires', jsonb_build_array(NULL, NEW.expires)) END);
    ELSE
        INSERT INTO events (at, actor, source, kind, changes)
            VALUES (clock_timestamp(), left(actor(), 100), source(), 'token_revoked',
                jsonb_build_object('token', jsonb_build_array(OLD.name, NULL), 'role', jsonb_build_array(OLD.role, NULL),
                    'actor', jsonb_build_array(OLD.actor, NULL))
                || CASE WHEN OLD.expires IS NULL THEN '{}' ELSE jsonb_build_object('expires', jsonb_build_array(OLD.expires, NULL)) END);
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION tokens_after() IS 'Writes history';

CREATE OR REPLACE TRIGGER tokens_after AFTER INSERT OR DELETE ON tokens
    FOR EACH ROW EXECUTE FUNCTION tokens_after();
