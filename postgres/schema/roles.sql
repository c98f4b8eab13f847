-- ROLES
-- psql is best used as `iris`. The service may have a login of its own, `iris_service`, which can do
-- the same and which nobody shares: what somebody does to the login iris (its password, its defaults,
-- ending its sessions) then hurts nobody else. Both own nothing. What may be done is granted to three roles without a
-- login, each of which may do what the one before may: iris_reader, iris_writer, iris_admin (privileges.sql). `iris` is an admin;
-- a statement for somebody's token runs under the token's role. Where a server has many trackers, a database each, the one that is
-- called acme has a login acme, a member of iris, in the place of iris and iris_service: roles are the server's, so
-- nobody else's login may so much as connect there.

DO $$
DECLARE
    login text;
    setting text[];
    logins text[] := '{iris,iris_service}';
    is_one_of_many boolean;
BEGIN
    -- Roles belong to the whole server and outlive a database, so this may find its own work.
    FOREACH login IN ARRAY '{iris,iris_service}'::text[] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = login) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', login);
        END IF;
    END LOOP;
    FOREACH login IN ARRAY '{iris_reader,iris_writer,iris_admin}'::text[] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = login) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', login);
        ELSIF EXISTS (SELECT FROM pg_roles WHERE rolname = login AND (rolcanlogin OR rolsuper OR rolcreaterole OR rolcreatedb
                OR rolreplication OR rolbypassrls OR oid = (SELECT datdba FROM pg_database WHERE datname = current_database()))) THEN
            -- Whoever may act for somebody's token would be whoever this is.
            RAISE duplicate_object USING MESSAGE = format('there is a role %s already, which may do more than Iris gives it', login),
                HINT = 'Iris needs the names iris_reader, iris_writer and iris_admin for roles of its own: rename that one.';
        END IF;
    END LOOP;
    FOREACH setting SLICE 1 IN ARRAY ARRAY[
            ['iris_reader', 'iris_writer'], ['iris_writer', 'iris_admin'], ['iris_admin', 'iris'], ['iris', 'iris_service']] LOOP
        IF NOT pg_has_role(setting[2], setting[1], 'USAGE') THEN
            EXECUTE format('GRANT %I TO %I', setting[1], setting[2]);
        END IF;
    END LOOP;
    is_one_of_many := EXISTS (SELECT FROM pg_roles WHERE rolname = current_database() AND rolname <> ALL (logins)
        AND rolcanlogin AND NOT rolsuper AND pg_has_role(oid, 'iris', 'MEMBER'));
    IF is_one_of_many THEN
        logins := ARRAY[current_database()];
    END IF;
    -- What sessions start with. A role may change its own defaults for ever, so they are set anew here;
    -- the service doesn't trust them and says all of it whenever it connects (iris/database), but a
    -- pooler in between may drop what is said.
    FOREACH login IN ARRAY logins LOOP
        BEGIN
            EXECUTE format('ALTER ROLE %I RESET ALL', login);
            EXECUTE format('ALTER ROLE %I IN DATABASE %I RESET ALL', login, current_database());
            FOREACH setting SLICE 1 IN ARRAY ARRAY[
                ['default_transaction_isolation', 'read committed'],
                ['default_transaction_read_only', 'off'],
                ['default_transaction_deferrable', 'off'],
                ['search_path', 'public'],
                ['timezone', 'UTC'],
                ['datestyle', 'ISO, MDY'],
                ['intervalstyle', 'postgres'],
                ['client_encoding', 'UTF8'],
                ['standard_conforming_strings', 'on'],
                ['backslash_quote', 'safe_encoding'],
                ['bytea_output', 'hex'],
                ['extra_float_digits', '1'],
                ['array_nulls', 'on'],
                ['transform_null_equals', 'off'],
                ['gin_fuzzy_search_limit', '0'],
                ['exit_on_error', 'off'],
                ['row_security', 'on'],
                ['synchronous_commit', 'on'],
                ['lock_timeout', '5s'],
                ['idle_in_transaction_session_timeout', '60s'],
                ['idle_session_timeout', '0']] LOOP
                EXECUTE format('ALTER ROLE %I IN DATABASE %I SET %I TO %L', login, current_database(), setting[1], setting[2]);
            END LOOP;
        EXCEPTION WHEN insufficient_privilege THEN
            -- An owner that may not: the service says it all by itself; a pooler has to keep what it says.
            RAISE WARNING 'the defaults of the role % were not set: %', login, SQLERRM;
        END;
    END LOOP;
    -- Times are shown in UTC at both doors.
    EXECUTE format('ALTER DATABASE %I SET timezone TO ''UTC''', current_database());
    -- For disks without arms, and for tables that mostly fit into memory. By the default, 4, a search
    -- in 20,000 tickets read all of them.
    EXECUTE format('ALTER DATABASE %I SET random_page_cost TO 1.1', current_database());
    -- Nor is a compiler of use: for each tickets_as_of() in psql it took a second to save some milliseconds.
    EXECUTE format('ALTER DATABASE %I SET jit TO off', current_database());
    -- Who may make temporary objects can give them the names of the rules' own; nobody needs to.
    EXECUTE format('REVOKE TEMPORARY, CREATE ON DATABASE %I FROM PUBLIC, iris, iris_service', current_database());
    IF is_one_of_many OR (SELECT datistemplate FROM pg_database WHERE datname = current_database()) THEN
        EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC, iris, iris_service, iris_reader', current_database());
        -- What somebody writes into the template would be in each tracker that is made of it.
        logins := CASE WHEN is_one_of_many THEN logins END;
    ELSE
        logins := logins || '{iris_reader}';
    END IF;
    IF logins IS NOT NULL THEN
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO %s', current_database(),
            (SELECT string_agg(quote_ident(name), ', ') FROM unnest(logins) AS name));
    END IF;
END $$;

-- A function is for whom it is granted to: with the right to execute a trigger function, one could
-- hang it on a table of one's own and write what only the rules may write.
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
REVOKE ALL ON SCHEMA public FROM iris, iris_service;
GRANT USAGE ON SCHEMA public TO iris_reader;
