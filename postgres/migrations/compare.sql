-- How the schema that is there differs from the one that this Iris makes. Run it in a transaction that is rolled back: it
-- puts public aside, makes everything anew beside it, and looks. No table is locked, nobody sees any of it.

SET LOCAL search_path = public;
SET LOCAL lock_timeout = '4s';
SET LOCAL client_min_messages = error;
-- One at a time, and not during an upgrade.
LOCK TABLE alembic_version IN SHARE UPDATE EXCLUSIVE MODE;
CREATE TEMPORARY TABLE as_it_is ON COMMIT DROP AS {{inventory}};
ALTER SCHEMA public RENAME TO iris_as_it_is;
CREATE SCHEMA public;
{{everything}}
SELECT kind, name, CASE WHEN present.kind IS NULL THEN 'missing' WHEN shipped.kind IS NULL THEN 'not Iris''s' ELSE 'not as shipped' END AS what,
        CASE WHEN present.kind IS NULL THEN shipped.makes WHEN shipped.kind IS NOT NULL THEN shipped.mends
            WHEN kind IN ('privilege', 'membership') THEN present.mends END AS remedy
    FROM as_it_is AS present FULL JOIN ({{inventory}}) AS shipped USING (kind, name)
    WHERE present.value IS DISTINCT FROM shipped.value OR present.kind IS NULL OR shipped.kind IS NULL
    ORDER BY kind, name;
