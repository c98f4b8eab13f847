-- Run before the rules: what the roles may do is what the rules grant, whatever was granted before; what everybody may
-- do, they may do, too. (A restore without privileges makes functions that everybody may execute.)

-- By its own number, after_rules.sql tells what this has written from what the rules write.
SAVEPOINT revoking;
DO $$
DECLARE
    statement text;
BEGIN
    FOR statement IN
        SELECT format('REVOKE ALL ON %s FROM %s', thing, who) FROM (
            SELECT 'PUBLIC'
            UNION ALL
            SELECT quote_ident(rolname) FROM pg_roles
                WHERE rolname IN ('iris', 'iris_service', 'iris_reader', 'iris_writer', 'iris_admin')
        ) AS named(who), (
            SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || oid::regclass FROM pg_class
                WHERE relnamespace = 'public'::regnamespace AND relowner = current_user::regrole
                    -- Of the views, those of ours: other people's are their own matter.
                    AND (relkind IN ('r', 'm', 'S') OR relname IN ('events', 'watchers'))
            UNION ALL
            SELECT 'FUNCTION ' || oid::regprocedure FROM pg_proc
                WHERE pronamespace = 'public'::regnamespace AND proowner = current_user::regrole AND prokind = 'f'
                    AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e')
        ) AS ours(thing) LOOP
        EXECUTE statement;
    END LOOP;
END $$;
RELEASE SAVEPOINT revoking;
