-- TOKENS

CREATE OR REPLACE FUNCTION add_token(name text, role token_role, actor text DEFAULT NULL, expires timestamptz DEFAULT NULL,
    digest bytea DEFAULT NULL) RETURNS json
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    -- 244 bits by chance.
    secret text := CASE WHEN add_token.digest IS NULL
        THEN 'iris_' || replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', '') END;
    made json;
BEGIN
    INSERT INTO tokens (name, role, actor, expires, digest)
        VALUES (add_token.name, add_token.role, add_token.actor, add_token.expires,
            coalesce(add_token.digest, sha256(convert_to(secret, 'UTF8'))))
        ON CONFLICT ON CONSTRAINT tokens_pkey DO NOTHING
        RETURNING json_build_object('name', name, 'role', role, 'actor', actor, 'created', created, 'expires', expires) INTO made;
    IF made IS NULL THEN
        RAISE unique_violation USING MESSAGE = format('there is a token "%s" already', add_token.name),
            HINT = 'Revoke that one first, or give this one another name and the same actor.', CONSTRAINT = 'tokens_pkey';
    END IF;
    RETURN CASE WHEN secret IS NULL THEN made ELSE (made::jsonb || jsonb_build_object('token', secret))::json END;
END $$;
COMMENT ON FUNCTION add_token(text, token_role, text, timestamptz, bytea) IS
    'Makes a token, which is shown this once: add_token(''alice'', ''writer''); digest: the SHA-256 of one that somebody else has made';

CREATE OR REPLACE FUNCTION token_of(sent bytea) RETURNS TABLE (name text, role token_role, actor text, expires timestamptz, seconds float8)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    IF current_setting('transaction_read_only') = 'off' THEN
        UPDATE tokens SET used = date_trunc('hour', clock_timestamp())
            WHERE digest = token_of.sent AND used IS DISTINCT FROM date_trunc('hour', clock_timestamp());
    END IF;
    RETURN QUERY SELECT name, role, actor, expires, extract(epoch FROM expires - clock_timestamp())::float8
        FROM tokens WHERE digest = token_of.sent AND coalesce(expires > clock_timestamp(), true);
END $$;
COMMENT ON FUNCTION token_of(bytea) IS
    'The token of this SHA-256, unless it has ended, and for how many seconds it is good; notes that it was used. For the service';

CREATE OR REPLACE FUNCTION add_login(name text, password text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    its tokens;
    setting text[];
BEGIN
    SELECT * INTO its FROM tokens WHERE name = add_login.name FOR UPDATE;
    IF NOT FOUND THEN
        RAISE no_data_found USING MESSAGE = format('there is no token "%s"', add_login.name);
    -- One that the token has had is made again where it is gone: roles stay behind when a database moves.
    ELSIF EXISTS (SELECT FROM pg_roles WHERE rolname = its.name) THEN
        RAISE duplicate_object USING MESSAGE = format('there is a role "%s" already', its.name), HINT = 'Give the token another name.';
    ELSIF octet_length(its.name) > 63 THEN
        PERFORM refuse('the name of a login has at most 63 bytes', 'tokens_check', 'name');
    ELSIF coalesce(password, '') = '' THEN
        PERFORM refuse('a login needs a password', 'tokens_check', 'password');
    END IF;
    EXECUTE format('CREATE ROLE %I LOGIN PASSWORD %L VALID UNTIL %L IN ROLE %I', its.name, password, coalesce(its.expires, 'infinity'), 'iris_' || its.role);
    -- Where a server has many trackers, this one's only.
    IF NOT has_database_privilege(its.name, current_database(), 'CONNECT') THEN
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), its.name);
    END IF;
    FOREACH setting SLICE 1 IN ARRAY ARRAY[['lock_timeout', '5s'], ['idle_in_transaction_session_timeout', '60s']] LOOP
        EXECUTE format('ALTER ROLE %I IN DATABASE %I SET %I TO %L', its.name, current_database(), setting[1], setting[2]);
    END LOOP;
    UPDATE tokens SET is_login = true WHERE name = its.name;
END $$;
COMMENT ON FUNCTION add_login(text, text) IS
    'Makes a login for psql of a token''s name, with its role; it goes when the token does. The password may be a SCRAM verifier, as \password sends it';
