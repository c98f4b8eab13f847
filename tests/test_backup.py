# ruff: noqa: F811 (fixtures)
"""A backup is the whole Iris of one moment, and comes back whole."""

import json
import os
import signal
import subprocess
import threading
import time

import psycopg2
import pytest
import replay
import warm
from conftest import Sql
from test_schema import difference, dump, empty, fresh, old, run  # noqa: F401 (fixtures)
from test_time_travel import Life
from test_transfer import exported, refused
from test_up import IRIS

from iris import cli, embedded, migrations, schema, settings
from iris.transfer import backup, programs


def quiet(sentence):
    """Hear nothing."""


@pytest.fixture
def owned(server):
    """Return the URL of the owner of the Iris that is backed up."""
    return server.url("postgres")


@pytest.fixture
def other(anew, owner):
    """Return the name of a second, empty Iris."""
    anew("iris_copy")
    yield "iris_copy"
    with owner.cursor() as cursor:
        cursor.execute("DROP DATABASE iris_copy WITH (FORCE)")


@pytest.fixture
def file(owned, ticket, tmp_path):
    """Return the path of a backup with a ticket in it."""
    ticket()
    backup.write(owned, str(tmp_path / "one.dump"), quiet)
    return tmp_path / "one.dump"


def iris(server, database, *arguments, **more):
    """Run a command on one of the server's databases."""
    given = {
        "DATABASE_URL": server.url("iris", database),
        "IRIS_OWNER_URL": server.url("postgres", database),
    }
    return warm.run([*IRIS[1:], *arguments], env={**os.environ, **given}, timeout=120, **more)


def positions(sql):
    """Give every event its place in the feed."""
    while sql("SELECT * FROM events_after((SELECT coalesce(max(position), 0) FROM events))"):
        pass


# Out and in ---------------------------------------------------------------------------------------


def test_it_comes_back_whole(http, sql, server, owned, other, empty, fresh, tmp_path):
    """Into an empty Iris, and into nothing."""
    lives = [Life(seed, http, sql) for seed in range(2)]
    lives[0].run(100)
    positions(sql)
    lives[1].run(100)
    http.put("/tickets", {"title": "Once"}, headers={"Idempotency-Key": "k"})
    run(owned, "INSERT INTO tokens (name, role, digest) VALUES ('bob', 'writer', sha256('x'))")
    before, last = exported(server.url()), sql.one("SELECT max(position) AS p FROM events")["p"]
    said = backup.write(owned, str(tmp_path / "all.dump"), quiet)
    assert said["revision"] == schema.REVISION
    targets = {name: server.url("postgres", name) for name in (other, "iris_migrated")}
    tables = {
        f"SELECT * FROM {table} ORDER BY {table}::text": run(
            owned, f"SELECT * FROM {table} ORDER BY {table}::text"
        )
        for table in ("searches", "replays", "tokens", "workflow_recorded")
    }
    moments = [moment for moment, *_ in lives[0].moments[::50]]
    question = "SELECT * FROM tickets_as_of(%s) ORDER BY ticket_id"
    past = [sql(question, moment) for moment in moments]
    # What goes on afterwards, there as here.
    file = "INSERT INTO tickets (title) VALUES ('next') RETURNING ticket_id"
    next_one = sql.one(file)
    latest = "SELECT change > ALL (SELECT change FROM events AS e WHERE e.event_id < events.event_id) FROM events ORDER BY event_id DESC LIMIT 1"
    after = "SELECT position, event_id FROM events_after(%s, 1000)"
    feed = sql(after, last)

    # To the last privilege: a constraint's parentheses are all that a dump may change.
    def bare(url):
        return [line.translate({ord(c): None for c in "()"}) for line in dump(url, "--schema-only")]

    new = bare(fresh)
    for name, url in targets.items():
        done = backup.read(url, str(tmp_path / "all.dump"), quiet)
        assert (done["position"], done["made"], done["left"]) == (last, [], []), name
        assert exported(server.url(database=name)) == before, name

        # Words, kept answers, the past, the numbers and the feed go on; so do the rules.
        copy = Sql(server.url(database=name))
        for rows, wanted in tables.items():
            assert run(url, rows) == wanted != [], (name, rows)
        assert [copy(question, moment) for moment in moments] == past, name
        assert copy.one(file) == next_one, name
        # Another server counts its transactions otherwise; changes go on all the same.
        assert run(url, latest) == run(owned, latest) == [(True,)], name
        assert copy(after, last) == feed, name
        assert copy.refusal("UPDATE tickets SET status = 'blocked' WHERE ticket_id = (SELECT max(ticket_id) FROM tickets)").pgcode == "IR001"  # fmt: skip
        copy.connection.close()
        assert difference(bare(url), new) == [], name


def test_it_is_of_one_moment_while_people_write(sql, server, owned, other, ticket, tmp_path):
    ticket()
    stop, wrong, written = threading.Event(), [], []

    def write(statement):
        connection = psycopg2.connect(server.url())
        connection.autocommit = True
        with connection.cursor() as cursor:
            while not stop.is_set():
                try:
                    cursor.execute(statement)
                    written.append(statement)
                except psycopg2.Error as error:
                    wrong.append(error)
                    break
        connection.close()

    statements = (
        "INSERT INTO comments (ticket_id, body) VALUES (1, 'more')",
        "UPDATE tickets SET title = random()::text WHERE ticket_id = 1",
        "INSERT INTO tickets (title) VALUES ('x')",
    )
    threads = [threading.Thread(target=write, args=(each,)) for each in statements]
    for thread in threads:
        thread.start()
    try:
        while len(written) < 100:
            time.sleep(0.01)
        backup.write(owned, str(tmp_path / "all.dump"), quiet)
        least = len(written)
        while len(written) < least + 50:
            time.sleep(0.01)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert wrong == []
    done = backup.read(server.url("postgres", other), str(tmp_path / "all.dump"), quiet)
    assert 100 < done["events"] < len(written)
    with psycopg2.connect(server.url("postgres", other)) as connection:
        assert replay.differences(connection.cursor()) == []
    connection.close()


def test_what_others_have_made_comes_along(server, owner, owned, ticket, other, tmp_path):
    ticket()
    path = str(tmp_path / "all.dump")
    try:
        with owner.cursor() as cursor:
            cursor.execute(
                'CREATE ROLE "the boss"; CREATE ROLE gone; CREATE SCHEMA mine;'
                " CREATE VIEW mine.open AS SELECT * FROM tickets WHERE closed IS NULL;"
                ' GRANT SELECT ON tickets TO "the boss"; GRANT USAGE ON SCHEMA mine TO gone;'
                " GRANT SELECT (title) ON tickets TO gone; GRANT DELETE ON events TO iris"
            )
            backup.write(owned, path, quiet)
            cursor.execute("DROP OWNED BY gone; DROP ROLE gone")
        done = backup.read(server.url("postgres", other), path, quiet)
        assert sorted(done["left"]) == [
            "GRANT SELECT(title) ON TABLE public.tickets TO gone;",
            "GRANT USAGE ON SCHEMA mine TO gone;",
        ]
        url = server.url("postgres", other)
        assert run(url, "SELECT count(*) FROM mine.open") == [(1,)]
        rights = "SELECT has_table_privilege('the boss', 'tickets', 'SELECT'), has_table_privilege('iris', 'events', 'DELETE')"
        assert run(url, rights) == [(True, False)]
        run(url, 'DROP OWNED BY "the boss"')
    finally:
        with owner.cursor() as cursor:
            cursor.execute("DROP SCHEMA mine CASCADE; REVOKE DELETE ON events FROM iris")
            cursor.execute(
                'DROP OWNED BY "the boss"; DROP ROLE "the boss"; DROP ROLE IF EXISTS gone'
            )


def test_logins_that_stay_behind_are_named_until_they_are_made_again(
    server, owner, owned, sql, other, tmp_path
):
    sql("SELECT add_token('lodger', 'reader'), add_login('lodger', 'x')")
    backup.write(owned, str(tmp_path / "one.dump"), quiet)
    with owner.cursor() as cursor:
        # As on another server.
        cursor.execute("DROP ROLE lodger")
        try:
            told = iris(server, other, "restore", str(tmp_path / "one.dump"))
            assert b"lacks the logins of the tokens lodger, which" in told.stderr
            found = iris(server, other, "doctor", "--quick").stdout.decode()
            assert "WRONG   logins: not there: lodger\n" in found
            door = Sql(server.url("postgres", other))
            door("SELECT add_login('lodger', 'x')")
            door.connection.close()
            assert "ok      logins: " in iris(server, other, "doctor", "--quick").stdout.decode()
            lodger = Sql(server.url("lodger", other))
            assert lodger.refusal("DELETE FROM tickets").pgcode == "42501"
            lodger.connection.close()
        finally:
            cursor.execute("DROP ROLE IF EXISTS lodger")


def test_one_of_an_older_revision_is_brought_up_to_date(server, old, other, tmp_path):
    backup.write(old, str(tmp_path / "old.dump"), quiet)
    done = backup.read(server.url("postgres", other), str(tmp_path / "old.dump"), quiet)
    assert done["revision"] == "0007"
    migrations.move(old)
    assert exported(server.url(database=other)) == exported(server.url(database="iris_migrated"))


def test_a_service_that_runs_goes_on_with_what_was_restored(live, http, server, file):
    """Its sessions have prepared statements about tables that are gone then."""
    http("DELETE", "/tickets/1")
    with psycopg2.connect(server.url("postgres")) as connection, connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica; DELETE FROM stored_events")
    connection.close()
    live.send("GET", "/tickets")
    backup.read(server.url("postgres"), str(file), quiet)
    for _ in range(4):
        status, _, text = live.send("PUT", "/tickets/1", b'{"priority": "high"}', ["Content-Type: application/json"])  # fmt: skip
        assert status == 200, text
        assert json.loads(text)["priority"] == "high"


# What is refused ----------------------------------------------------------------------------------


def test_it_goes_into_an_empty_iris_only(server, owned, file, fresh):
    before = exported(server.url())
    words = "there are tickets or events already: a backup goes into an empty Iris"
    assert refused(backup.read, owned, str(file), quiet) == words
    assert exported(server.url()) == before
    # Also if the first one came after we looked.
    with pytest.raises(psycopg2.errors.RaiseException, match=words):
        run(owned, backup.make_way())
    url = server.url("postgres", "iris_fresh")
    run(url, "CREATE VIEW lodgers AS SELECT title FROM tickets")
    assert "something else needs what would go: view lodgers depends on" in refused(backup.read, url, str(file), quiet)  # fmt: skip
    run(url, "DROP VIEW lodgers", "UPDATE alembic_version SET version_num = '9999'")
    assert refused(backup.read, url, str(file), quiet).startswith("the database's schema is at revision 9999")  # fmt: skip


@pytest.mark.parametrize("revision", ["0003", "9999"])
def test_one_of_a_revision_that_is_not_known_is_refused(server, fresh, other, tmp_path, revision):
    run(fresh, f"UPDATE alembic_version SET version_num = '{revision}'")
    backup.write(fresh, str(tmp_path / "x.dump"), quiet)
    url = server.url("postgres", other)
    before = dump(url)
    words = f"the backup's schema is at revision {revision}, this Iris needs {schema.REVISION}. "
    assert refused(backup.read, url, str(tmp_path / "x.dump"), quiet).startswith(words)
    assert difference(dump(url), before) == []


def test_what_is_not_whole_changes_nothing(server, owned, other, ticket, tmp_path):
    for number in range(20):
        ticket(description=os.urandom(3000).hex() + str(number))
    path = tmp_path / "x.dump"
    backup.write(owned, str(path), quiet)
    data, url = path.read_bytes(), server.url("postgres", other)
    before = dump(url)
    for most in (0, 3, 5, 1000, len(data) // 2, len(data) - 10):
        path.write_bytes(data[:most])
        words = refused(backup.read, url, str(path), quiet)
        assert "is no backup" in words or "can't be read" in words, (most, words)
    path.write_bytes(data[: len(data) // 2] + b"\xff" * 200 + data[len(data) // 2 + 200 :])
    refused(backup.read, url, str(path), quiet)
    assert difference(dump(url), before) == []
    for odd, words in (
        (tmp_path, "Is a directory"),
        (tmp_path / "no", "No such file or directory"),
    ):
        assert refused(backup.read, url, str(odd), quiet) == f"{odd} can't be read: {words}"


def test_whoever_is_killed_while_it_comes_in_nothing_has_changed(server, file, other, tmp_path):
    url = server.url("postgres", other)
    before = dump(url)
    holder = psycopg2.connect(url)
    holder.cursor().execute("LOCK TABLE tickets IN SHARE MODE")
    given = {"DATABASE_URL": server.url("iris", other), "IRIS_OWNER_URL": url}
    process = subprocess.Popen(
        [*IRIS, "restore", str(file)], env={**os.environ, **given}, stderr=subprocess.DEVNULL
    )
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'iris_copy' AND wait_event_type = 'Lock'"
    while run(url, waiting) == [(0,)]:
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    holder.close()
    while run(url, "SELECT count(*) FROM pg_stat_activity WHERE datname = 'iris_copy' AND application_name IN ('psql', 'pg_restore')") != [(0,)]:  # fmt: skip
        time.sleep(0.02)
    assert difference(dump(url), before) == []


def test_a_file_is_never_written_over(owned, file):
    data = file.read_bytes()
    words = f"{file} is there already: remove it first, or name another file"
    assert refused(backup.write, owned, str(file), quiet) == words
    with pytest.raises(SystemExit, match="has appeared meanwhile"):
        part = file.with_name("part")
        part.write_bytes(b"x")
        backup._give_name(part, file)
    assert file.read_bytes() == data
    words = refused(backup.write, owned, str(file.parent), quiet)
    assert (
        words == f"{file.parent} is a folder: name a file, or say how many to keep in it, --keep 7"
    )
    words = refused(backup.write, owned, str(file.parent / "no" / "x"), quiet)
    assert words.endswith("x.part can't be written: No such file or directory")
    assert file.stat().st_mode & 0o777 == 0o600


def test_only_whole_backups_have_a_name(server, owned, ticket, tmp_path, empty):
    ticket()
    path, part = tmp_path / "x.dump", tmp_path / "x.dump.part"
    # Left from one that was killed.
    part.write_bytes(b"half of it")
    with backup._alone(part):
        words = refused(backup.write, owned, str(path), quiet)
        assert words == f"another backup is being written to {part} just now"
    assert refused(backup.write, empty, str(path), quiet) == "there is no Iris in this database: nothing to back up"  # fmt: skip
    # One that is told to stop leaves nothing.
    holder = psycopg2.connect(owned)
    holder.cursor().execute("LOCK TABLE tickets")
    given = {"IRIS_OWNER_URL": owned}
    process = subprocess.Popen(
        [*IRIS, "backup", str(path)], env={**os.environ, **given}, stderr=subprocess.PIPE
    )
    while run(owned, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'pg_dump'") == [(0,)]:  # fmt: skip
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=30)[1] == b"iris: stopped\n"
    assert process.returncode == 1
    holder.close()
    assert list(tmp_path.iterdir()) == []
    backup.write(owned, str(path), quiet)
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_that_is_full_is_told(owned, ticket):
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    ticket()
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*IRIS, "backup", "-"], env={**os.environ, "IRIS_OWNER_URL": owned}, stdout=full,
            stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.stderr.startswith("iris: the backup can't be written: No space left on device")
    assert done.returncode == 1


# By the commands ----------------------------------------------------------------------------------


def test_the_last_ones_are_kept(server, owned, ticket, tmp_path, monkeypatch):
    ticket()
    folder = tmp_path / "backups"
    folder.mkdir()
    mine = ["iris-20260101T000000Z.dump.part", "iris-before-the-move.dump", "notes.txt"]
    older = [f"iris-2026010{day}T000000Z.dump" for day in range(1, 5)]
    for name in (*mine, *older):
        (folder / name).write_text("x")
    said = backup.write(owned, str(folder), quiet, keep=3)
    assert said["removed"] == older[:2]
    names = {path.name for path in folder.iterdir()}
    assert names - {os.path.basename(said["file"])} == {*mine, *older[2:]}
    found, age = backup.newest(folder)
    assert str(found) == said["file"]
    assert age < 60
    monkeypatch.setenv("IRIS_BACKUPS", str(tmp_path / "made"))
    done = iris(server, "iris", "backup", "--keep", "1", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["file"].startswith(str(tmp_path / "made" / "iris-2"))
    for arguments in (["--keep", "0", "x"], ["a", "b"]):
        with pytest.raises(SystemExit) as caught:
            cli.parser("backup").parse_args(["backup", *arguments])
        assert caught.value.code == 2
    monkeypatch.delenv("IRIS_BACKUPS")
    given = cli.parser("backup").parse_args(["backup"])
    with pytest.raises(settings.Wrong, match="needs a FILE, or --keep N and a folder"):
        given.run(given)


def test_by_a_pipe(server, ticket, other):
    ticket()
    data = iris(server, "iris", "backup", "-").stdout
    done = iris(server, other, "restore", "-", "--json", given=data)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["tickets"] == 1
    done = iris(server, other, "restore", "-", given=b"{}")
    assert done.stderr.startswith(b"iris: stdin is no backup")


def test_programs_that_are_too_old_are_told(owned, tmp_path, monkeypatch):
    for name in ("pg_dump", "pg_restore", "psql"):
        (tmp_path / name).write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.24'\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    # Those that came along do.
    assert programs.fit_for(150000) == embedded.binaries()
    assert next(iter(programs.folders().values())) == 9

    def absent():
        raise embedded.Failed("not installed")

    monkeypatch.setattr(embedded, "binaries", absent)
    words = refused(backup.write, owned, str(tmp_path / "x"), quiet)
    assert "and pg_dump is of version 9, which is older: install PostgreSQL" in words
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    words = refused(backup.write, owned, str(tmp_path / "x"), quiet)
    assert "and pg_dump is not here: install PostgreSQL" in words


def test_a_password_stays_out_of_the_list_of_processes():
    where, environment = programs.target("postgresql://me:s3cret@db,other:5433/iris?sslmode=prefer")
    assert "s3cret" not in where
    assert environment["PGPASSWORD"] == "s3cret"
    assert "host=db,other" in where
