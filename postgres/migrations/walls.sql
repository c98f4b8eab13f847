-- What lets one of Iris's roles ({{roles}}) get round the rules, a row for each such thing: a sentence, and what to do.
-- An owner may have granted it; some of it is lost by a dump and a restore. Any role may ask.
WITH ours AS (SELECT * FROM pg_roles WHERE rolname = ANY ('{{roles}}'::text[]))
SELECT format('the role %s is not there', name) AS sentence, '`iris db upgrade`' AS todo
    FROM unnest('{{roles}}'::text[]) AS name WHERE name NOT IN (SELECT rolname FROM pg_roles)
UNION ALL
SELECT format('the role %s may make temporary objects, which nobody but the owner should', rolname), '`iris db upgrade`'
    FROM ours WHERE has_database_privilege(oid, current_database(), 'TEMPORARY')
UNION ALL
SELECT format('the role %s may make objects beside the tables', rolname), '`iris db upgrade`'
    FROM ours WHERE has_schema_privilege(oid, 'public', 'CREATE')
UNION ALL
SELECT format('the role %s may do what no rule holds', rolname),
        format('`ALTER ROLE %I NOSUPERUSER NOCREATEROLE NOCREATEDB NOREPLICATION NOBYPASSRLS`', rolname)
    FROM ours WHERE rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls
UNION ALL
SELECT format('the role %s can log in, and is there to act under only', rolname), format('`ALTER ROLE %I NOLOGIN`', rolname)
    FROM ours WHERE rolcanlogin AND rolname IN ('iris_reader', 'iris_writer', 'iris_admin')
UNION ALL
SELECT format('the role %s may do what the role %s may', ours.rolname, other.rolname), format('`REVOKE %I FROM %I`', other.rolname, ours.rolname)
    FROM ours JOIN pg_auth_members ON member = ours.oid JOIN pg_roles AS other ON other.oid = roleid
    WHERE other.rolname <> ALL ('{{roles}}'::text[])
UNION ALL
SELECT format('the role %s owns %s, and so can change it', rolname, thing), '`ALTER … OWNER TO` the database''s owner'
    FROM ours JOIN (
        SELECT relowner, oid::regclass::text FROM pg_class WHERE relnamespace = 'public'::regnamespace
        UNION ALL
        SELECT proowner, oid::regprocedure::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    ) AS owned(by, thing) ON by = oid
