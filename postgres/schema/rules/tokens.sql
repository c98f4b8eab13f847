-- RULES OF TOKENS: what the database keeps; logins; history, without anything secret

CREATE OR REPLACE FUNCTION tokens_before() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    missing text;
BEGIN
    NEW.name := normalize(NEW.name);
    -- Whoever it speaks for is called as by iris.actor.
    NEW.actor := btrim(normalize(coalesce(NEW.actor, NEW.name)), blanks());
    missing := CASE WHEN NEW.name IS NULL THEN 'name' WHEN NEW.role IS NULL THEN 'role' WHEN NEW.digest IS NULL THEN 'digest' END;
    IF missing IS NOT NULL THEN
        RAISE not_null_violation USING MESSAGE = missing || ' is required', COLUMN = missing;
    END IF;
    IF NEW.name <> btrim(NEW.name, blanks()) THEN
        PERFORM refuse('a token''s name has 1 to 60 characters, no slash and no blank at either end, and is not "me"', 'tokens_check', 'name');
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

CREATE OR REPLACE FUNCTION drop_login(login text, of token_role) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    -- Somebody else's of the same name, on a server that this database has moved to, stays.
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = login AND rolcanlogin AND NOT rolsuper AND NOT rolcreaterole)
        OR NOT EXISTS (SELECT FROM pg_auth_members WHERE member = quote_ident(login)::regrole
            AND roleid = quote_ident('iris_' || of)::regrole)
        OR NOT has_database_privilege(login, current_database(), 'CONNECT') THEN
        RETURN;
    END IF;
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM %I', current_database(), login);
    EXECUTE format('ALTER ROLE %I NOLOGIN', login);
    EXECUTE format('REVOKE %I FROM %I', 'iris_' || of, login);
    BEGIN
        PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = login AND pid <> pg_backend_pid();
        EXECUTE format('DROP ROLE %I', login);
    EXCEPTION WHEN dependent_objects_still_exist OR object_in_use OR insufficient_privilege THEN
        RAISE WARNING 'the role % may do nothing any more, but is still there: %', login, SQLERRM;
    END;
END $$;
COMMENT ON FUNCTION drop_login(text, token_role) IS 'Ends the sessions of a token''s login, and the login; a part of the rules';

CREATE OR REPLACE FUNCTION tokens_after() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO stored_events (at, actor, source, kind, changes)
            VALUES (NEW.created, left(actor(), 100), source(), 'token_added',
                jsonb_build_object('token', jsonb_build_array(NULL, NEW.name), 'role', jsonb_build_array(NULL, NEW.role),
                    'actor', jsonb_build_array(NULL, NEW.actor))
                || CASE WHEN NEW.expires IS NULL THEN '{}' ELSE jsonb_build_object('expires', jsonb_build_array(NULL, NEW.expires)) END);
    ELSE
        IF OLD.is_login THEN
            PERFORM drop_login(OLD.name, OLD.role);
        END IF;
        INSERT INTO stored_events (at, actor, source, kind, changes)
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
