"""One schema, however it came about: initdb.sql, the migrations and the models agree."""

import json
import re

import psycopg2
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from iris import REVISION, embedded, migrations, models

# Everything that a schema is made of, as text that two databases can be compared by.
CATALOGUE = """
SELECT 'column' AS what, format('%s.%s', c.relname, a.attname) AS name,
       format('%s %s %s %s %s %s %s', format_type(atttypid, atttypmod), attnotnull, attidentity, attgenerated,
              pg_get_expr(adbin, adrelid), attacl, coalesce(attstattarget, -1)) AS is, col_description(c.oid, attnum) AS comment
  FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid LEFT JOIN pg_attrdef ON adrelid = c.oid AND adnum = attnum
 WHERE relnamespace = 'public'::regnamespace AND attnum > 0 AND relkind = 'r'
UNION ALL
SELECT 'relation', relname, format('%s %s', relkind, relacl), obj_description(oid, 'pg_class')
  FROM pg_class WHERE relnamespace = 'public'::regnamespace
UNION ALL
SELECT 'index', indexname, indexdef, NULL FROM pg_indexes WHERE schemaname = 'public'
UNION ALL
SELECT 'constraint', format('%s.%s', conrelid::regclass, conname), pg_get_constraintdef(oid), NULL
  FROM pg_constraint WHERE connamespace = 'public'::regnamespace
UNION ALL
SELECT 'function', oid::regprocedure::text, format('%s %s', pg_get_functiondef(oid), proacl), obj_description(oid, 'pg_proc')
  FROM pg_proc WHERE pronamespace = 'public'::regnamespace
UNION ALL
SELECT 'trigger', format('%s.%s', tgrelid::regclass, tgname), pg_get_triggerdef(oid), tgenabled::text
  FROM pg_trigger WHERE NOT tgisinternal
UNION ALL
SELECT 'type', typname, (SELECT string_agg(enumlabel, ',' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid),
       obj_description(oid, 'pg_type') FROM pg_type t WHERE typnamespace = 'public'::regnamespace AND typtype = 'e'
UNION ALL
SELECT 'schema', nspname, nspacl::text, NULL FROM pg_namespace WHERE nspname = 'public'
UNION ALL
SELECT 'default privileges', defaclobjtype::text, defaclacl::text, NULL FROM pg_default_acl
UNION ALL
SELECT 'setting', 'database', setconfig::text, NULL FROM pg_db_role_setting
 WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
UNION ALL
SELECT 'row', 'workflow', '$workflow', NULL
"""


def catalogue(url):
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT to_regprocedure('workflow()') IS NOT NULL")
        rows = ""
        if cursor.fetchone()[0]:
            cursor.execute("SELECT workflow()")
            rows = json.dumps(cursor.fetchone()[0])
        cursor.execute(CATALOGUE.replace("$workflow", rows))
        found = sorted(cursor.fetchall(), key=str)
    connection.close()
    return found


@pytest.fixture
def empty(server, owner):
    """Return the owner's URL of a database with nothing in it."""
    with owner.cursor() as cursor:
        cursor.execute("CREATE DATABASE migrated TEMPLATE template0")
        yield server.url("postgres", "migrated")
        cursor.execute("DROP DATABASE migrated WITH (FORCE)")


def test_initdb_and_the_migrations_end_in_the_same_schema(server, clean, empty):
    migrations.move(empty, "head")
    built, migrated = catalogue(server.url("postgres")), catalogue(empty)
    assert len(built) > 100
    assert built == migrated


def test_the_printed_script_does_the_same(server, clean, empty, capsys):
    migrations.script(None, "head")
    script = capsys.readouterr().out
    server._psql("migrated", "-c", script)
    assert catalogue(empty) == catalogue(server.url("postgres"))


def test_going_down_leaves_nothing_and_up_works_again(server, clean, empty):
    before = catalogue(empty)
    migrations.move(empty, "head")
    connection = psycopg2.connect(empty)
    with connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO tickets (title) VALUES ('x')")
    connection.close()
    migrations.move(empty, "base", down=True)
    left = [
        row for row in catalogue(empty) if "alembic_version" not in row[1] and row[0] != "setting"
    ]
    assert [row[:2] for row in left] == [row[:2] for row in before]
    migrations.move(empty, "head")
    assert catalogue(empty) == catalogue(server.url("postgres"))


def test_every_migration_goes_down_and_up_with_data(server, empty):
    """Step by step, with a ticket, a comment and a link in the tables."""
    migrations.move(empty, "head")
    connection = psycopg2.connect(empty)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO tickets (title, labels) VALUES ('x', '{a}'), ('y', '{b}')")
        cursor.execute("INSERT INTO comments (ticket_id, body) VALUES (1, 'hello')")
        cursor.execute("INSERT INTO links VALUES (1, 'blocks', 2)")
        cursor.execute("SELECT * FROM tickets ORDER BY ticket_id")
        before = cursor.fetchall()
        migrations.move(empty, "0001", down=True)
        migrations.move(empty, "head")
        cursor.execute("SELECT * FROM tickets ORDER BY ticket_id")
        assert cursor.fetchall() == before
    connection.close()
    assert catalogue(empty) == catalogue(server.url("postgres"))


def test_the_models_are_the_database(server):
    engine = create_engine(
        "postgresql+psycopg2://",
        creator=lambda: psycopg2.connect(server.url("postgres")),
        poolclass=NullPool,
    )
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = [
            difference
            for difference in compare_metadata(context, models.Base.metadata)
            if "alembic_version" not in str(difference) and "comment" not in str(difference[0])
        ]
    assert [
        d for d in differences if not (isinstance(d, list) and d[0][0] == "modify_comment")
    ] == []


def test_everything_is_explained(owner):
    with owner.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname, attname FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid"
            " WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND attnum > 0 AND relname <> 'alembic_version'"
            " AND (col_description(c.oid, attnum) IS NULL OR obj_description(c.oid, 'pg_class') IS NULL)"
            " UNION ALL SELECT 'function', proname FROM pg_proc"
            " WHERE pronamespace = 'public'::regnamespace AND obj_description(oid, 'pg_proc') IS NULL"
        )
        assert cursor.fetchall() == []


def test_the_service_knows_its_revision():
    head = ScriptDirectory.from_config(migrations.config()).get_current_head()
    assert head == REVISION
    assert (
        f"INSERT INTO alembic_version VALUES ('{head}')"
        in (embedded.INITDB.parent / "schema" / "revision.sql").read_text()
    )


def test_initdb_can_run_in_a_second_database(server, owner):
    """Roles outlive databases."""
    with owner.cursor() as cursor:
        cursor.execute("CREATE DATABASE second TEMPLATE template0")
        server._psql("second", "-f", str(embedded.INITDB), IRIS_PASS="x")
        cursor.execute("DROP DATABASE second")


def test_initdb_wants_a_password(server, owner):
    with owner.cursor() as cursor:
        cursor.execute("CREATE DATABASE third TEMPLATE template0")
        with pytest.raises(embedded.Failed) as caught:
            server._psql("third", "-f", str(embedded.INITDB))
        assert re.search("IRIS_PASS is not set: it is the password", str(caught.value))
        cursor.execute("DROP DATABASE third")
