-- What there is in the schema public, a row for each thing: kind, name, what it is, as text, and what makes it or mends it.
-- Two of these are compared by compare.sql, where {{roles}} are Iris's own. What belongs to an extension is left out, and so is what others may do.
-- Parentheses don't count in what PostgreSQL writes down itself: a dump and a restore may leave out some.
SELECT 'table' AS kind, relname::text AS name, concat_ws(' ', relpersistence, relrowsecurity, relforcerowsecurity,
        (SELECT string_agg(translate(pg_get_ruledef(pg_rewrite.oid), '()', ''), ' ') FROM pg_rewrite WHERE ev_class = pg_class.oid)) AS value,
        CASE relkind WHEN 'v' THEN 'iris db upgrade' END AS makes, CASE relkind WHEN 'v' THEN 'iris db upgrade' END AS mends
    -- Of the views, those of ours: other people's are their own matter.
    FROM pg_class WHERE relnamespace = 'public'::regnamespace AND (relkind IN ('r', 'p', 'm') OR relkind = 'v' AND relname IN ('events', 'watchers'))
        AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e')
UNION ALL
SELECT 'sequence', seqrelid::regclass::text, concat_ws(' ', seqtypid::regtype, seqstart, seqincrement, seqmin, seqmax, seqcycle), NULL, NULL
    FROM pg_sequence JOIN pg_class ON pg_class.oid = seqrelid WHERE relnamespace = 'public'::regnamespace
        AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = seqrelid AND deptype = 'e')
UNION ALL
SELECT 'column', format('%s.%s', relname, attname), concat_ws(' ', format_type(atttypid, atttypmod), attnotnull, attidentity, attgenerated,
        translate(pg_get_expr(adbin, adrelid), '()', ''), attcollation::regcollation, coalesce(nullif(attstattarget, -1), 0)),
        format('ALTER TABLE %I ADD %I %s', relname, attname, format_type(atttypid, atttypmod)), NULL
    FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'm') AND attnum > 0 AND NOT attisdropped
UNION ALL
SELECT 'type', typname::text, CASE typtype WHEN 'e' THEN (SELECT string_agg(enumlabel, ', ' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = pg_type.oid)
        ELSE (SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = typrelid AND NOT attisdropped) END, NULL, NULL
    FROM pg_type WHERE typnamespace = 'public'::regnamespace
        AND (typtype = 'e' OR EXISTS (SELECT FROM pg_class WHERE oid = typrelid AND relkind = 'c'))
UNION ALL
-- PostgreSQL 18 has NOT NULL among them, under names that tell how a table came about.
SELECT 'constraint', format('%s on %s', conname, relname), concat_ws(' ', translate(pg_get_constraintdef(pg_constraint.oid), '()', ''), convalidated,
        (SELECT string_agg(DISTINCT tgenabled::text, '') FROM pg_trigger WHERE tgconstraint = pg_constraint.oid)),
        format('ALTER TABLE %I ADD CONSTRAINT %I %s', relname, conname, pg_get_constraintdef(pg_constraint.oid)),
        CASE WHEN contype = 'f' THEN format('ALTER TABLE %I ENABLE TRIGGER ALL; ALTER TABLE %s ENABLE TRIGGER ALL', relname, confrelid::regclass)
            ELSE format('drop it, then ALTER TABLE %I ADD CONSTRAINT %I %s', relname, conname, pg_get_constraintdef(pg_constraint.oid)) END
    FROM pg_constraint JOIN pg_class ON pg_class.oid = conrelid WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
UNION ALL
SELECT 'index', indexrelid::regclass::text, translate(pg_get_indexdef(indexrelid), '()', '') || CASE WHEN NOT (indisvalid AND indisready) THEN ' INVALID' ELSE '' END,
        pg_get_indexdef(indexrelid), format('REINDEX INDEX CONCURRENTLY %s', indexrelid::regclass)
    FROM pg_index JOIN pg_class ON pg_class.oid = indrelid WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'm')
UNION ALL
SELECT 'trigger', format('%s on %s', tgname, relname), concat_ws(' ', pg_get_triggerdef(pg_trigger.oid), tgenabled), 'iris db upgrade', 'iris db upgrade'
    FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid WHERE relnamespace = 'public'::regnamespace AND NOT tgisinternal
UNION ALL
SELECT 'function', pg_proc.oid::regprocedure::text,
        CASE WHEN prosqlbody IS NULL THEN pg_get_functiondef(pg_proc.oid) ELSE translate(pg_get_functiondef(pg_proc.oid), '()', '') END, 'iris db upgrade', 'iris db upgrade'
    FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prokind = 'f'
        AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e')
UNION ALL
SELECT 'privilege', format('%s on %s', CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END, thing),
        string_agg(privilege_type || CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END, ', ' ORDER BY privilege_type), 'iris db upgrade', 'iris db upgrade'
    FROM (
        SELECT oid::regclass::text, coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", relowner))
            FROM pg_class WHERE relnamespace = 'public'::regnamespace AND (relkind IN ('r', 'm', 'S') OR relkind = 'v' AND relname IN ('events', 'watchers'))
        UNION ALL
        SELECT format('%s.%s', attrelid::regclass, attname), attacl FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
            WHERE relnamespace = 'public'::regnamespace AND (relkind IN ('r', 'm') OR relkind = 'v' AND relname IN ('events', 'watchers'))
                AND NOT attisdropped AND attacl IS NOT NULL
        UNION ALL
        SELECT oid::regprocedure::text, coalesce(proacl, acldefault('f', proowner)) FROM pg_proc
            WHERE (pronamespace = 'public'::regnamespace AND prokind = 'f' AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e'))
                OR (pronamespace = 'pg_catalog'::regnamespace AND proname IN ('lo_creat', 'lo_create', 'lo_from_bytea'))
        UNION ALL
        SELECT 'the database', coalesce(datacl, acldefault('d', datdba)) FROM pg_database WHERE datname = current_database()
        UNION ALL
        SELECT 'what functions will be made', coalesce(
            (SELECT defaclacl FROM pg_default_acl WHERE defaclrole = current_user::regrole AND defaclobjtype = 'f' AND defaclnamespace = 0),
            acldefault('f', current_user::regrole))
    ) AS things(thing, acl) CROSS JOIN aclexplode(acl)
    WHERE grantee = 0 OR grantee::regrole::text = ANY ('{{roles}}'::text[])
    GROUP BY grantee, thing
UNION ALL
SELECT 'membership', format('%s in %s', member::regrole, roleid::regrole), 'yes', 'iris db upgrade', 'iris db upgrade'
    FROM pg_auth_members WHERE roleid::regrole::text = ANY ('{{roles}}'::text[]) AND member::regrole::text = ANY ('{{roles}}'::text[])
    GROUP BY member, roleid
UNION ALL
SELECT 'setting', format('%s of %s', split_part(item, '=', 1), CASE setrole WHEN 0 THEN 'the database' ELSE setrole::regrole::text END),
        substr(item, strpos(item, '=') + 1), 'iris db upgrade', 'iris db upgrade'
    FROM pg_db_role_setting JOIN pg_database ON pg_database.oid = setdatabase CROSS JOIN unnest(setconfig) AS item
    WHERE datname = current_database() AND (setrole = 0 OR setrole::regrole::text = ANY ('{{roles}}'::text[]))
