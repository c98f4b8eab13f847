-- Run before a backup is read into a database: what an empty Iris has there goes, in the same transaction.
-- Its tables, sequences and types are named by whoever runs this, so that nobody else's go.

SET LOCAL search_path = public;
SET LOCAL client_min_messages = warning;
DO $$
BEGIN
    IF to_regclass('tickets') IS NOT NULL THEN
        LOCK TABLE alembic_version, tickets, events IN ACCESS EXCLUSIVE MODE;
        IF EXISTS (TABLE tickets) OR EXISTS (TABLE events) THEN
            RAISE 'there are tickets or events already: a backup goes into an empty Iris';
        END IF;
    END IF;
END $$;

\ir drop_rules.sql

-- They need each other in a circle (a table its defaults, a default its function, a function its table), so each goes
-- once nothing needs it any more. What others have made of them is not taken away: that refuses.
DO $$
DECLARE
    left_over text[] := ARRAY(
        SELECT unnest('{{things}}'::text[])
        UNION ALL
        SELECT 'FUNCTION ' || oid::regprocedure FROM pg_proc
            WHERE pronamespace = 'public'::regnamespace AND proowner = current_user::regrole AND prokind = 'f'
                AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e'));
    still text[];
    thing text;
    why text;
    others text;
BEGIN
    LOOP
        still := '{}';
        others := NULL;
        FOREACH thing IN ARRAY left_over LOOP
            BEGIN
                EXECUTE 'DROP ' || thing;
            EXCEPTION WHEN dependent_objects_still_exist THEN
                GET STACKED DIAGNOSTICS why = PG_EXCEPTION_DETAIL;
                still := still || thing;
                -- What is not Iris's own.
                SELECT nullif(concat_ws(', ', others, string_agg(line, ', ')), '') INTO others FROM regexp_split_to_table(why, E'\\n') AS line
                    WHERE thing ~ '^(TABLE|VIEW) ' AND line !~ '^(constraint|column|default value|function|view events|and \d)';
            END;
        END LOOP;
        EXIT WHEN still = '{}';
        IF still = left_over THEN
            RAISE dependent_objects_still_exist USING MESSAGE = format('something else needs what would go: %s', coalesce(others, why));
        END IF;
        left_over := still;
    END LOOP;
END $$;
