-- Run after the rules: what this transaction has not written, the rules no longer have. Whoever wants
-- triggers and functions of their own keeps them in a schema of their own.

DO $$
DECLARE
    old text;
BEGIN
    FOR old IN
        SELECT format('TRIGGER %I ON %s', tgname, tgrelid::regclass)
            FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid JOIN pg_proc ON pg_proc.oid = tgfoid
            WHERE NOT tgisinternal AND relnamespace = 'public'::regnamespace AND relowner = current_user::regrole
                AND pronamespace = 'public'::regnamespace AND pg_trigger.xmin <> pg_current_xact_id()::xid LOOP
        EXECUTE 'DROP ' || old;
        RAISE NOTICE 'dropped %, which the rules don''t have', old;
    END LOOP;
    -- In one statement, for they may need each other.
    SELECT 'FUNCTION ' || string_agg(pg_proc.oid::regprocedure::text, ', ') INTO old FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace AND proowner = current_user::regrole AND prokind = 'f'
            AND pg_proc.xmin <> pg_current_xact_id()::xid
            AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e');
    IF old IS NOT NULL THEN
        EXECUTE 'DROP ' || old;
        RAISE NOTICE 'dropped %, which the rules don''t have', old;
    END IF;
END $$;
