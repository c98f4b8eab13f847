"""Whether a tracker may be moved to another server, and whatever of it no replication takes along."""

from psycopg2 import sql

from iris import schema
from iris.trackers import servers

# Everything that is stored beside what PostgreSQL itself has, and how it is kept and of which columns.
STORED = r"""
    SELECT CASE relkind WHEN 'S' THEN 'sequence ' WHEN 'v' THEN 'view ' WHEN 'm' THEN 'materialized view '
            WHEN 'f' THEN 'foreign table ' ELSE 'table ' END || format('%I.%I', nspname, relname),
            concat_ws(' ', relpersistence,
                (SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attname)
                    FROM pg_attribute
                    WHERE attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped AND relkind <> 'S'))
        FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
        WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' AND relkind NOT IN ('i', 'I', 't', 'c')
    UNION ALL
    SELECT 'large object ' || oid, '' FROM pg_largeobject_metadata
"""
UNLOGGED = (
    "SELECT oid::regclass::text FROM pg_class WHERE relpersistence = 'u' AND relkind IN ('r', 'p')"
)
# What texts are compared by; no index would be of use, and lists in another order.
SORTED = """
    SELECT concat_ws(' ', pg_encoding_to_char(encoding), datlocprovider, datcollate, datctype)
        FROM pg_database WHERE datname = %s
"""
ROOM = """
    SELECT current_setting('server_version_num')::integer / 10000, current_setting('wal_level'),
        (SELECT count(*) FROM pg_replication_slots) < current_setting('max_replication_slots')::integer,
        (SELECT count(*) FROM pg_stat_replication) < current_setting('max_wal_senders')::integer
"""
# Triggers that fire even for what is replicated would do their work twice.
ALWAYS = """
    SELECT format('%s on %s', tgname, tgrelid::regclass) FROM pg_trigger
        WHERE NOT tgisinternal AND tgenabled IN ('A', 'R')
"""
# Who may do something here beside Iris's own, whom the rules give what they need.
OTHERS = """
    SELECT DISTINCT rolname FROM (
            SELECT relacl FROM pg_class UNION ALL SELECT attacl FROM pg_attribute
            UNION ALL SELECT proacl FROM pg_proc
            UNION ALL SELECT datacl FROM pg_database WHERE datname = current_database()
        ) AS things(acl) CROSS JOIN aclexplode(acl) JOIN pg_roles ON pg_roles.oid = grantee
        WHERE rolname <> ALL (%s) AND NOT rolsuper AND rolname !~ '^pg_'
"""
# A login as it is: its verifier, and for how long it is good.
LOGIN = "SELECT rolpassword, coalesce(rolvaliduntil::text, 'infinity') FROM pg_authid WHERE rolname = %s"
MEMBER = "SELECT roleid::regrole::text FROM pg_auth_members WHERE member = quote_ident(%s)::regrole"
SETTINGS = """
    SELECT rolname, split_part(item, '=', 1), substr(item, strpos(item, '=') + 1)
        FROM pg_db_role_setting JOIN pg_database ON pg_database.oid = setdatabase
            LEFT JOIN pg_roles ON pg_roles.oid = setrole CROSS JOIN unnest(setconfig) AS item
        WHERE datname = current_database() ORDER BY 1, 2
"""
# Their values are lists, and stored as SQL has them.
LISTS = {
    "search_path",
    "temp_tablespaces",
    "local_preload_libraries",
    "session_preload_libraries",
}


def look(cursor, source, target, name):
    """Refuse to move a tracker that would not be there what it is here.

    cursor:   of the tracker's owner.
    source:   the servers.Server that it is on; target: another.
    Raises:   Refused.
    """
    cursor.execute("SELECT version_num FROM alembic_version")
    if words := schema.misfit(cursor.fetchone()[0], name):
        raise servers.Refused("{}. {}".format(*words))
    with target.cursor() as there:
        cursor.execute(ROOM)
        version, level, slots, senders = cursor.fetchone()
        there.execute(ROOM)
        if there.fetchone()[0] < version:
            raise servers.Refused(f"{target} has an older PostgreSQL than {source}")
        if level != "logical":
            raise servers.Refused(
                f"{source} writes no log that another server could follow:"
                " ALTER SYSTEM SET wal_level = logical, then start it again"
                " (iris up does it where IRIS_TRACKERS is set)"
            )
        if not (slots and senders):
            raise servers.Refused(
                f"{source} has no room for another who follows its log: a larger max_replication_slots and"
                " max_wal_senders"
            )
        cursor.execute(SORTED, (name,))
        here = cursor.fetchone()
        there.execute(SORTED, (servers.TEMPLATE,))
        if here != (made := there.fetchone()):
            raise servers.Refused(
                f"texts are sorted otherwise on {target}: {made[0]}, here {here[0]}"
            )
        logins = source.logins(name)
        there.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY (%s)", (logins,))
        if taken := there.fetchone():
            raise servers.Refused(
                f"{target} has a role {taken[0]} already, which is a token's here"
            )
    _refuse_strange(cursor, target)


def _refuse_strange(cursor, target):
    """Refuse what replication would not take along, or what has no place there."""
    cursor.execute(UNLOGGED)
    if found := cursor.fetchone():
        raise servers.Refused(f"{found[0]} is UNLOGGED, which no log tells of")
    cursor.execute(ALWAYS)
    if found := cursor.fetchone():
        raise servers.Refused(f"the trigger {found[0]} would fire a second time there")
    cursor.execute(STORED)
    here = dict(cursor.fetchall())
    with target.cursor(servers.TEMPLATE) as there:
        there.execute(STORED)
        known = dict(there.fetchall())
    if strange := sorted(each for each in here if known.get(each) != here[each]):
        raise servers.Refused(
            f"this tracker has what Iris has not made, and {target} would not have: {', '.join(strange)}."
            " Move it by iris backup and iris restore"
        )


def others(cursor, names):
    """Return the roles that somebody has granted something here, beside Iris's own and these."""
    cursor.execute(OTHERS, ([*schema.roles(), *names],))
    return sorted(name for (name,) in cursor.fetchall())


def take_logins(source, there, names):
    """Make the logins of a tracker's tokens on another server, with the passwords that they have.

    source:   a servers.Server.
    there:    a cursor of the owner in the tracker's new database.
    """
    with source.cursor() as here:
        for name in names:
            here.execute(LOGIN, (name,))
            login, (password, until) = sql.Identifier(name), here.fetchone()
            there.execute(
                sql.SQL("CREATE ROLE {} LOGIN PASSWORD %s VALID UNTIL %s").format(login),
                (password, until),
            )
            here.execute(MEMBER, (name,))
            for (role,) in here.fetchall():
                there.execute(sql.SQL("GRANT {} TO {}").format(sql.SQL(role), login))
            there.execute("SELECT current_database()")
            (database,) = there.fetchone()
            there.execute(
                sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(
                    sql.Identifier(database), login
                )
            )


def take_settings(here, there, name, logins):
    """Set in a database what sessions start with in another: everybody's, and those of a tracker's logins."""
    here.execute(SETTINGS)
    for role, setting, value in here.fetchall():
        if role not in (None, name, *logins):
            continue
        what = sql.SQL("DATABASE {}").format(sql.Identifier(name))
        if role is not None:
            what = sql.SQL("ROLE {} IN {}").format(sql.Identifier(role), what)
        as_it_is = setting in LISTS and value
        there.execute(
            sql.SQL("ALTER {} SET {} TO {}").format(
                what, sql.Identifier(setting), sql.SQL(value) if as_it_is else sql.Literal(value)
            )
        )
