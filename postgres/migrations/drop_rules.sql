-- Run by a revision before it drops a column or changes what a function takes or gives: all triggers, views
-- and functions go, but those that the tables need for their defaults and checks, and views. What is there after
-- the revision is made anew by the rules.

DO $$
DECLARE
    old text;
BEGIN
    -- A view that is written to by a rule of ours is one; history is not.
    FOR old IN
        SELECT DISTINCT tgrelid::regclass::text
            FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid JOIN pg_proc ON pg_proc.oid = tgfoid
            WHERE relkind = 'v' AND relname <> 'events' AND relnamespace = 'public'::regnamespace AND relowner = current_user::regrole
                AND pronamespace = 'public'::regnamespace LOOP
        EXECUTE 'DROP VIEW ' || old;
    END LOOP;
    FOR old IN
        SELECT format('TRIGGER %I ON %s', tgname, tgrelid::regclass)
            FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid JOIN pg_proc ON pg_proc.oid = tgfoid
            WHERE NOT tgisinternal AND relnamespace = 'public'::regnamespace AND relowner = current_user::regrole
                AND pronamespace = 'public'::regnamespace LOOP
        EXECUTE 'DROP ' || old;
    END LOOP;
    WITH RECURSIVE ours AS (
        SELECT oid, proname, prosrc FROM pg_proc
            WHERE pronamespace = 'public'::regnamespace AND proowner = current_user::regrole AND prokind = 'f'
                AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e')),
    needed AS (
        SELECT ours.* FROM ours WHERE EXISTS (SELECT FROM pg_depend WHERE refobjid = ours.oid
            AND classid IN ('pg_attrdef'::regclass, 'pg_constraint'::regclass, 'pg_class'::regclass, 'pg_rewrite'::regclass))
        UNION
        -- PL/pgSQL keeps no record of what it calls, so its text is looked through for names.
        SELECT ours.* FROM needed, ours WHERE needed.prosrc ~ ('\m' || ours.proname || '\M')
            OR EXISTS (SELECT FROM pg_depend WHERE objid = needed.oid AND refobjid = ours.oid))
    SELECT 'FUNCTION ' || string_agg(oid::regprocedure::text, ', ') INTO old
        FROM ours WHERE oid NOT IN (SELECT oid FROM needed);
    IF old IS NOT NULL THEN
        EXECUTE 'DROP ' || old;
    END IF;
END $$;
