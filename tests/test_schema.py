"""One schema, however it came about: initdb.sql, the migrations and the models agree."""

import difflib
import os
import re
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path

import psycopg2
import pytest
import warm
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from conftest import ROOT
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from iris import embedded, migrations, models, schema

FIXTURES = Path(__file__).parent / "fixtures"


def dump(url, *options):
    """Return what pg_dump writes of a database, whatever its name: also its settings and privileges."""
    command = [embedded.binaries() / "pg_dump", "--create", *options, url]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    name = url.rpartition("/")[2].partition("?")[0]
    # pg_dump locks its output by a word that is another each time.
    text = re.sub(r"^\\(un)?restrict .*\n", "", done.stdout, flags=re.M)
    # From where a database counts its changes, it finds by when it was made.
    text = re.sub(r"^SELECT .*setval\('public.change_base', .*\n", "", text, flags=re.M)
    lines = re.sub(rf"\b{name}\b(?=[ ;\n])", "DATABASE", text).splitlines()
    # Defaults of roles come in the order in which they happen to be stored.
    defaults = [line for line in lines if line.startswith("ALTER ROLE ")]
    return sorted(defaults) + [line for line in lines if not line.startswith("ALTER ROLE ")]


def difference(one, other):
    return [line for line in difflib.ndiff(one, other) if line[0] in "+-"]


def structure(url):
    return dump(url, "--schema-only")


def contents(url):
    """Return {table: its rows as JSON}, without what pg_dump would say of their columns."""
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')"
        )
        found = {}
        for (name,) in cursor.fetchall():
            cursor.execute(f"SELECT to_jsonb({name}) FROM {name}")
            found[name] = sorted((row for (row,) in cursor.fetchall()), key=str)
    connection.close()
    return found


def run(url, *statements):
    connection = psycopg2.connect(url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        rows = cursor.fetchall() if cursor.description else None
    connection.close()
    return rows


def feed(server, database, script):
    """Have psql run a script, which is longer than an argument may be."""
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(script)
        file.flush()
        server._psql(database, "-f", file.name)


def edit(path, old, new):
    text = path.read_text()
    assert old in text, f"{old} is not in {path}"
    path.write_text(text.replace(old, new, 1))


@pytest.fixture
def empty(server, owner):
    """Return the owner's URL of a database with nothing in it."""
    with owner.cursor() as cursor:
        cursor.execute("CREATE DATABASE iris_migrated TEMPLATE template0")
        yield server.url("postgres", "iris_migrated")
        cursor.execute("DROP DATABASE iris_migrated WITH (FORCE)")


@pytest.fixture
def old(server, empty):
    """Return the owner's URL of a database of revision 0007, with data in its tables."""
    server._psql("iris_migrated", "-f", str(FIXTURES / "0007.sql"))
    return empty


@pytest.fixture
def fresh(anew, owner):
    """Return the owner's URL of a database as initdb.sql has just made it."""
    yield anew("iris_fresh")
    with owner.cursor() as cursor:
        cursor.execute("DROP DATABASE iris_fresh WITH (FORCE)")


# However it came about ----------------------------------------------------------------------------


def test_an_empty_database_becomes_what_initdb_makes(fresh, empty):
    migrations.move(empty)
    assert difference(dump(empty), dump(fresh)) == []


def test_the_printed_script_makes_the_same_of_an_empty_database(server, fresh, empty, capsys):
    migrations.script(None)
    feed(server, "iris_migrated", capsys.readouterr().out)
    assert difference(dump(empty), dump(fresh)) == []


def test_rules_that_run_again_change_nothing(fresh):
    run(fresh, "INSERT INTO tickets (title) VALUES ('x')")
    before = dump(fresh)
    assert migrations.move(fresh) == []
    assert difference(dump(fresh), before) == []


def test_a_database_from_before_the_first_release_is_taken_along_with_its_data(fresh, old):
    before = contents(old)
    assert before.pop("alembic_version") == [{"version_num": "0007"}]
    assert all(before.values())
    migrations.move(old)
    assert difference(structure(old), structure(fresh)) == []
    after = contents(old)
    # What the database kept stands in columns of its own, and says the same.
    told = run(
        old, "SELECT event_id, stored_events.kept, coalesce(other_kept, '{}') FROM stored_events"
    )
    for row in before["events"]:
        assert (row["event_id"], row.pop("kept"), row.pop("other_kept")) in told
    # Words are made anew, by the rules of today.
    before.pop("searches")
    assert run(old, "SELECT count(*) FROM searches WHERE words <> ALL (SELECT words FROM searches_as_of(now())"
                    " AS now WHERE (now.ticket_id, now.comment_id) = (searches.ticket_id, searches.comment_id))") == [(0,)]  # fmt: skip
    for name, rows in before.items():
        rows.sort(key=str)
        # Columns may have come; none has gone, and none has other values.
        kept = [{column: row[column] for column in rows[0]} for row in after[name]]
        assert sorted(kept, key=str) == rows
    assert after["alembic_version"] == [{"version_num": schema.REVISION}]


def test_it_is_taken_along_on_a_server_that_has_no_roles_of_ours_yet(server, owner):
    names = ("iris_reader", "iris_writer", "iris_admin")
    with owner.cursor() as cursor:
        for name in names:
            cursor.execute(f"ALTER ROLE {name} RENAME TO {name}_away")
        cursor.execute("CREATE DATABASE iris_roleless TEMPLATE template0")
        try:
            server._psql("iris_roleless", "-f", str(FIXTURES / "0007.sql"))
            url = server.url("postgres", "iris_roleless")
            migrations.move(url)
            assert run(url, "SELECT has_table_privilege('iris_reader', 'tickets', 'SELECT')") == [(True,)]  # fmt: skip
        finally:
            cursor.execute("DROP DATABASE iris_roleless WITH (FORCE)")
            for name in reversed(names):
                cursor.execute(f"DROP ROLE IF EXISTS {name}")
                cursor.execute(f"ALTER ROLE {name}_away RENAME TO {name}")


def test_the_printed_script_takes_it_along_too(server, fresh, old, capsys):
    migrations.script("0007")
    script = capsys.readouterr().out
    feed(server, "iris_migrated", script)
    assert difference(structure(old), structure(fresh)) == []
    with pytest.raises(embedded.Failed, match="the database is not at revision 0007 any more"):
        feed(server, "iris_migrated", script)


def test_the_printed_script_runs_the_rules_again(server, fresh, capsys):
    before = dump(fresh)
    run(fresh, "GRANT DELETE ON events TO iris")
    migrations.script(schema.REVISION)
    feed(server, "iris_fresh", capsys.readouterr().out)
    assert difference(dump(fresh), before) == []


def test_what_was_taken_along_lives_on(old):
    migrations.move(old)
    run(
        old,
        "UPDATE tickets SET status = 'closed' WHERE ticket_id = 1",
        "INSERT INTO comments (ticket_id, body) VALUES (2, 'still there')",
    )
    assert run(old, "SELECT version, closed IS NOT NULL FROM tickets WHERE ticket_id = 1") == [
        (8, True)
    ]
    assert run(
        old, "SELECT status FROM tickets_as_of(now() - interval '1 hour') WHERE ticket_id = 1"
    ) in ([("active",)], [])
    assert run(old, "SELECT kind FROM events ORDER BY event_id DESC LIMIT 2") == [
        ("commented",),
        ("changed",),
    ]


@pytest.mark.parametrize(
    ("revision", "words"),
    [
        (
            "0003",
            "the database is at revision 0003, from before the first release; only 0007 can be taken along:"
            " bring it there with the Iris it came from (git checkout e1f8263), then try again",
        ),
        (
            "4711",
            "the database is at revision 4711, which this Iris does not know: use a newer one",
        ),
    ],
)
def test_it_refuses_what_it_cannot_take_along(old, revision, words):
    run(old, f"UPDATE alembic_version SET version_num = '{revision}'")
    before = dump(old)
    with pytest.raises(migrations.Refused) as caught:
        migrations.move(old)
    assert str(caught.value) == f"iris: {words}"
    assert difference(dump(old), before) == []


def test_it_refuses_a_revision_that_there_is_not(fresh):
    with pytest.raises(
        migrations.Refused, match="there is no revision 0007; this Iris knows 0008, "
    ):
        migrations.move(fresh, "0007", down=True)


def test_titles_of_two_lines_become_one(old):
    """Whatever stands there from when that was no rule; as a change, so that the history has what it was."""
    titles = {
        "a\r\n\tb": "a b",
        "\x01": "–",
        "\u2028x\x9f ": "x",
        "as it is\u200d ": "as it is\u200d ",
    }
    made = [
        run(old, f"INSERT INTO tickets (title) VALUES (U&'{''.join(f'{chr(92)}{ord(char):04x}' for char in title)}') RETURNING ticket_id")[0][0]
        for title in titles
    ]  # fmt: skip
    migrations.move(old)
    for number, (was, is_) in zip(made, titles.items(), strict=True):
        (title, version) = run(
            old, f"SELECT title, version FROM tickets WHERE ticket_id = {number}"
        )[0]
        assert (title, version) == (is_, 1 if was == is_ else 2)
        told = run(old, f"SELECT changes FROM events WHERE ticket_id = {number} ORDER BY event_id")
        assert told[1:] == ([] if was == is_ else [({"title": [was, title]},)])
    # The history leads to what is there, and what is found is what is there.
    with psycopg2.connect(old) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT title FROM events CROSS JOIN LATERAL tickets_as_of(at - interval '1 microsecond')"
            " WHERE source = 'upgrade' AND tickets_as_of.ticket_id = events.ticket_id ORDER BY 1"
        )
        assert {title for (title,) in cursor.fetchall()} == {
            was for was, is_ in titles.items() if was != is_
        }
        cursor.execute(
            "SELECT title, words, ticket_words(title, description, labels) FROM tickets JOIN searches USING (ticket_id)"
            " WHERE comment_id = 0 AND words IS DISTINCT FROM ticket_words(title, description, labels)"
        )
        assert cursor.fetchall() == []


# Rules that run again -----------------------------------------------------------------------------


def test_running_the_rules_again_repairs_them(fresh):
    before = dump(fresh)
    run(
        fresh,
        "CREATE OR REPLACE FUNCTION actor() RETURNS text LANGUAGE sql STABLE RETURN 'mallory'",
        "DROP TRIGGER tickets_updated ON tickets",
        "COMMENT ON COLUMN tickets.title IS NULL",
        "GRANT UPDATE ON events TO iris",
        "GRANT UPDATE (event_id) ON events TO iris",
        "GRANT UPDATE ON events TO PUBLIC",
        "GRANT ALL ON SEQUENCE tickets_ticket_id_seq TO iris",
        "GRANT EXECUTE ON FUNCTION tickets_before() TO PUBLIC",
        "REVOKE SELECT ON tickets FROM iris",
        "REVOKE EXECUTE ON FUNCTION workflow() FROM iris",
        "ALTER DATABASE iris_fresh SET timezone TO 'Europe/Berlin'",
        "ALTER DATABASE iris_fresh RESET jit",
    )
    assert dump(fresh) != before
    migrations.move(fresh)
    assert difference(dump(fresh), before) == []


def test_what_the_rules_no_longer_have_goes(fresh):
    before = dump(fresh)
    run(
        fresh,
        "CREATE FUNCTION inner_one() RETURNS integer LANGUAGE sql RETURN 1",
        "CREATE FUNCTION outer_one() RETURNS integer LANGUAGE sql RETURN inner_one()",
        "CREATE FUNCTION tickets_aside() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "CREATE TRIGGER tickets_aside AFTER INSERT ON tickets EXECUTE FUNCTION tickets_aside()",
        "CREATE FUNCTION workflow(as_of timestamptz) RETURNS json LANGUAGE sql RETURN '{}'::json",
    )
    said = migrations.move(fresh)
    assert difference(dump(fresh), before) == []
    assert said == [
        "dropped TRIGGER tickets_aside ON tickets, which the rules don't have",
        "dropped FUNCTION inner_one(), outer_one(), tickets_aside(),"
        " workflow(timestamp with time zone), which the rules don't have",
    ]


def test_what_others_have_made_stays(fresh):
    """In a schema of their own, or on top of what Iris has."""
    run(
        fresh,
        "CREATE SCHEMA mine",
        "CREATE FUNCTION mine.tell() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "CREATE TRIGGER tell AFTER INSERT ON tickets FOR EACH ROW EXECUTE FUNCTION mine.tell()",
        "CREATE VIEW mine.weekly AS SELECT * FROM tickets_as_of(now() - interval '7 days')",
        "CREATE VIEW open_ones AS SELECT * FROM tickets WHERE closed IS NULL",
        "GRANT SELECT ON open_ones TO iris",
    )
    before = dump(fresh)
    assert migrations.move(fresh) == []
    assert difference(dump(fresh), before) == []


def test_two_may_upgrade_at_once_while_others_write(old):
    """None of them fails, and nothing that was written is lost."""
    failed, written, stop = [], [], threading.Event()

    def upgrade():
        try:
            migrations.move(old)
        except BaseException as error:
            failed.append(error)

    def write(statement):
        connection = psycopg2.connect(old)
        connection.autocommit = True
        with connection.cursor() as cursor:
            while not stop.is_set():
                try:
                    cursor.execute(statement)
                    written.append(statement)
                except psycopg2.errors.DeadlockDetected:
                    pass
                except psycopg2.Error as error:
                    failed.append(error)
                    break
        connection.close()

    statements = (
        "INSERT INTO comments (ticket_id, body) VALUES (1, 'more')",
        "UPDATE tickets SET title = random()::text WHERE ticket_id = 1",
        "WITH made AS (INSERT INTO tickets (title) VALUES ('x') RETURNING *) SELECT FROM made",
    )
    before = run(old, "SELECT count(*) FROM events")[0][0]
    writers = [threading.Thread(target=write, args=(each,)) for each in statements]
    movers = [threading.Thread(target=upgrade) for _ in range(2)]
    for thread in (*writers, *movers):
        thread.start()
    for thread in movers:
        thread.join()
    stop.set()
    for thread in writers:
        thread.join()
    assert failed == []
    assert run(old, "SELECT count(*) FROM events")[0][0] == before + len(written)
    assert run(old, "SELECT version_num FROM alembic_version") == [(schema.REVISION,)]


def test_an_owner_need_not_be_a_superuser(server, owner):
    """Nor be the only one who has something there."""
    with owner.cursor() as cursor:
        cursor.execute("CREATE ROLE landlady LOGIN CREATEROLE")
        cursor.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE 'iris%'")
        for (role,) in cursor.fetchall():
            cursor.execute(f"GRANT {role} TO landlady WITH ADMIN OPTION")
        cursor.execute("CREATE DATABASE iris_let OWNER landlady")
        url = server.url("landlady", "iris_let")
        try:
            migrations.move(url)
            run(
                server.url("postgres", "iris_let"),
                "CREATE TABLE lodgers ()",
                "CREATE FUNCTION lodge() RETURNS integer LANGUAGE sql RETURN 1",
            )
            before = dump(url, "--exclude-table", "lodgers")
            assert migrations.move(url) == []
            assert difference(dump(url, "--exclude-table", "lodgers"), before) == []
        finally:
            cursor.execute("DROP DATABASE iris_let WITH (FORCE)")
            cursor.execute("DROP ROLE landlady")


# The next revision --------------------------------------------------------------------------------


@pytest.fixture
def copy(tmp_path):
    """Return a function that runs Python in a copy of this tree."""
    for name in ("iris", "postgres"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))

    def python(*arguments):
        return warm.run(
            ["-W", "ignore", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            text=True,
        )

    python.folder = tmp_path
    return python


def example():
    """Return {path: code} of CONTRIBUTING's example, a column for tickets."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    steps = re.findall(r"^\d\. `(\S+)`.*\n((?:   .*\n|\n)+)", text, re.MULTILINE)
    return {path: "".join(re.findall(r"^ {7}(.*\n)|^\n", code, re.M)) for path, code in steps}


def test_a_revision_goes_up_and_down_with_data(server, owner, fresh, copy, monkeypatch):
    """CONTRIBUTING's own example, line by line."""
    before = structure(fresh)
    run(fresh, "INSERT INTO tickets (title) VALUES ('x')")
    run(fresh, "UPDATE tickets SET status = 'active'")

    last, new = schema.REVISION, f"{int(schema.REVISION) + 1:04}"
    (table, sql), (revision, steps), (model, field) = example().items()
    revision = re.sub(r"\d{4}(?=_add)", new, revision)
    steps = re.sub(r"(?<=the rules of )\d{4}", last, steps)
    done = copy("-m", "iris.migrations", "add_severity")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[0] == str(copy.folder / revision)
    skeleton = (copy.folder / revision).read_text()
    (copy.folder / revision).write_text(skeleton[: skeleton.index("def upgrade")] + steps)
    column, _, comment = sql.partition("COMMENT")
    edit(copy.folder / table, "    CONSTRAINT", f"{column}    CONSTRAINT")
    edit(copy.folder / table, "COMMENT ON TABLE", f"COMMENT{comment}COMMENT ON TABLE")
    edit(copy.folder / model, "    version: ", f"    {field}    version: ")

    def iris(*arguments):
        monkeypatch.setenv("IRIS_OWNER_URL", fresh)
        monkeypatch.setenv("DATABASE_URL", server.url("iris", "iris_fresh"))
        done = copy("-m", "iris.cli", "db", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout or done.stderr

    assert f"was at revision {last}, now it is at {new}" in iris("upgrade")
    above = structure(fresh)
    assert any("severity text" in line for line in above)
    with owner.cursor() as cursor:
        cursor.execute("CREATE DATABASE iris_newer TEMPLATE template0")
    initdb = copy.folder / "postgres" / "initdb.sql"
    server._psql("iris_newer", "-f", str(initdb), IRIS_PASS="x")
    assert difference(above, structure(server.url("postgres", "iris_newer"))) == []
    with owner.cursor() as cursor:
        cursor.execute("DROP DATABASE iris_newer")
    with pytest.raises(psycopg2.errors.CheckViolation, match="at most 20 characters"):
        run(fresh, "UPDATE tickets SET severity = repeat('x', 21)")
    run(fresh, "UPDATE tickets SET severity = 'bad'")
    assert run(fresh, "SELECT version, severity FROM tickets_as_of(now())") == [(3, "bad")]

    assert f"was at revision {new}, now it is at {last}" in iris("downgrade", last)
    assert difference(structure(fresh), before) == []
    assert run(fresh, "SELECT title, status FROM tickets") == [("x", "active")]
    run(fresh, "UPDATE tickets SET status = 'open'")
    assert run(fresh, "SELECT version, status FROM tickets_as_of(now())") == [(4, "open")]
    feed(server, "iris_fresh", iris("upgrade", "--sql"))
    assert difference(structure(fresh), above) == []
    feed(server, "iris_fresh", iris("downgrade", last, "--sql"))
    assert difference(structure(fresh), before) == []
    assert run(fresh, "SELECT title, status FROM tickets") == [("x", "open")]


def test_the_parts_of_compounds_become_words_and_words_of_before_again(server, fresh, monkeypatch):
    """Revision 0009, up and down."""
    migrations.move(fresh, "0008", down=True)
    run(fresh, "INSERT INTO tickets (title, labels) VALUES ('main.py', '{a/b}')")
    run(fresh, "INSERT INTO comments (ticket_id, body) VALUES (1, '日本語 PROJ-1234')")
    words = "SELECT words::text FROM searches ORDER BY comment_id"
    before = [("'a/b':2B 'main.py':1A",), ("'-1234':3 'proj':2 '日本語':1",)]
    assert run(fresh, words) == before
    migrations.move(fresh, "0009")
    assert run(fresh, words) == [
        ("'a':3B 'b':4B 'main':1A 'py':2A",),
        ("'1234':5 'proj':4 '日本':1 '本語':2 '語':3",),
    ]
    migrations.move(fresh, "0008", down=True)
    assert run(fresh, words) == before


# The models, and what is explained ----------------------------------------------------------------


def test_the_models_are_the_database(server):
    engine = create_engine(
        "postgresql+psycopg2://",
        creator=lambda: psycopg2.connect(server.url("postgres")),
        poolclass=NullPool,
    )
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_type": True,
                "include_object": lambda found, *_: "view" not in found.info,
            },
        )
        differences = [
            difference
            for difference in compare_metadata(context, models.Base.metadata)
            # Tables that only the rules and the migrations use have no model.
            if not re.search(
                "alembic_version|latches|workflow_recorded|past_|places_reached", str(difference)
            )
            and "comment" not in str(difference[0])
        ]
    assert [
        d for d in differences if not (isinstance(d, list) and d[0][0] == "modify_comment")
    ] == []


def test_the_models_and_the_rules_keep_the_same(owner):
    """What is no history by itself: the keys, what the database keeps, and a comment's author, which stays."""
    with owner.cursor() as cursor:
        cursor.execute("SELECT kept()")
        found = set(cursor.fetchone()[0])
    keys = {"ticket_id", "comment_id", "author"}
    assert (
        found - keys
        == {
            *models.names(models.Ticket, "kept"),
            *models.names(models.Comment, "kept"),
        }
        - keys
    )


def test_everything_is_explained(owner):
    with owner.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname, attname FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid"
            " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v') AND attnum > 0 AND relname <> 'alembic_version'"
            " AND (col_description(c.oid, attnum) IS NULL OR obj_description(c.oid, 'pg_class') IS NULL)"
            " UNION ALL SELECT 'function', proname FROM pg_proc"
            " WHERE pronamespace = 'public'::regnamespace AND obj_description(oid, 'pg_proc') IS NULL"
        )
        assert cursor.fetchall() == []


def test_the_newest_revision_is_that_of_the_schema():
    assert migrations.known()[-1] == schema.REVISION


def test_rules_know_nothing_of_psql_and_may_run_again():
    assert not re.search(r"^\\", schema.everything(), re.M)
    made = re.findall(r"^CREATE (?!OR REPLACE).*", schema.rules(), re.M)
    assert made == []


def test_initdb_can_run_in_a_second_database(server, owner, fresh):
    """Roles outlive databases. And what tests take for made by it, by a copy, is the same."""
    with owner.cursor() as cursor:
        cursor.execute("CREATE DATABASE iris_second TEMPLATE template0")
        server._psql("iris_second", "-f", str(schema.INITDB), IRIS_PASS="x")
        assert difference(dump(fresh), dump(server.url("postgres", "iris_second"))) == []
        cursor.execute("DROP DATABASE iris_second")


def test_initdb_wants_a_password(server, owner):
    with owner.cursor() as cursor:
        cursor.execute("CREATE DATABASE third TEMPLATE template0")
        with pytest.raises(embedded.Failed) as caught:
            server._psql("third", "-f", str(schema.INITDB))
        assert re.search("IRIS_PASS is not set: it is the password", str(caught.value))
        cursor.execute("DROP DATABASE third")
