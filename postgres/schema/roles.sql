-- ROLES
-- The service connects as `iris`, and psql is best used as `iris`, too. It owns nothing.

DO $$ BEGIN
    -- Roles belong to the whole server and outlive a database, so this may find its own work.
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'iris') THEN
        CREATE ROLE iris LOGIN;
    END IF;
    -- Times are shown in UTC at both doors.
    EXECUTE format('ALTER DATABASE %I SET timezone TO ''UTC''', current_database());
    -- For disks without arms, and for tables that mostly fit into memory. By the default, 4, a search
    -- in 20,000 tickets read all of them.
    EXECUTE format('ALTER DATABASE %I SET random_page_cost TO 1.1', current_database());
END $$;

-- A function is for whom it is granted to: with the right to execute a trigger function, one could
-- hang it on a table of one's own and write what only the rules may write.
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO iris;
