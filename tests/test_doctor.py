# ruff: noqa: F811 (fixtures)
"""The doctor finds what is wrong, says what to do, and that mends it."""

import json
import os
import re
import subprocess
import threading
import time

import psycopg2
import pytest
import warm
from mails import Server
from test_schema import difference, dump, empty, fresh, old, run  # noqa: F401 (fixtures)
from test_up import IRIS, environment

from iris import doctor, migrations, schema
from iris.doctor import findings, inside, outside
from iris.transfer import backup, programs

# What an owner may have done by accident, and what is found then.
ACCIDENTS = (
    ("CREATE OR REPLACE FUNCTION actor() RETURNS text LANGUAGE sql STABLE RETURN 'mallory'", "functions", "not as shipped", "actor()"),
    ("DROP FUNCTION links_as_of(timestamptz)", "functions", "missing", "links_as_of(timestamp with time zone)"),
    ("ALTER FUNCTION comments_after() SECURITY INVOKER", "functions", "not as shipped", "comments_after()"),
    ("ALTER TABLE tickets DISABLE TRIGGER tickets_before", "triggers", "not as shipped", "tickets_before on tickets"),
    ("DROP TRIGGER tickets_updated ON tickets", "triggers", "missing", "tickets_updated on tickets"),
    ("ALTER TABLE comments DISABLE TRIGGER ALL", "constraints", "not as shipped", "comments_ticket_id_fkey on comments"),
    ("ALTER TABLE links DROP CONSTRAINT links_self_check", "constraints", "missing", "links_self_check on links"),
    ("ALTER TABLE tickets ADD extra text", "columns", "not Iris's", "tickets.extra"),
    ("DROP INDEX tickets_due_idx", "indexes", "missing", "tickets_due_idx"),
    ("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'tickets_closed_idx'::regclass", "indexes", "not as shipped", "tickets_closed_idx"),
    ("GRANT UPDATE ON events TO iris", "privileges", "not Iris's", "iris on events"),
    ("GRANT UPDATE (actor) ON events TO PUBLIC", "privileges", "not Iris's", "PUBLIC on events.actor"),
    ("GRANT EXECUTE ON FUNCTION tickets_before() TO PUBLIC", "privileges", "not Iris's", "PUBLIC on tickets_before()"),
    ("REVOKE SELECT ON tickets FROM iris_reader", "privileges", "missing", "iris_reader on tickets"),
    ("GRANT TEMPORARY ON DATABASE iris_fresh TO PUBLIC", "roles", "the role iris may make temporary objects", ""),
    ("GRANT CREATE ON SCHEMA public TO iris", "roles", "the role iris may make objects beside the tables", ""),
    ("ALTER DATABASE iris_fresh SET timezone TO 'Europe/Berlin'", "defaults", "not as shipped", "TimeZone of the database"),
    ("ALTER ROLE iris IN DATABASE iris_fresh SET search_path TO nowhere", "defaults", "not as shipped", "search_path of iris"),
    ("SELECT setval('tickets_ticket_id_seq', 1)", "numbers", "public.tickets_ticket_id_seq is behind", "tickets"),
    # What only a backup mends.
    ("ALTER TABLE tickets ALTER labels DROP DEFAULT", "columns", "not as shipped", "tickets.labels"),
    ("CREATE RULE quiet AS ON DELETE TO comments DO INSTEAD NOTHING", "tables", "not as shipped", "comments"),
    ("ALTER TABLE stored_events ENABLE ROW LEVEL SECURITY", "tables", "not as shipped", "stored_events"),
    ("ALTER TYPE priority ADD VALUE 'whenever'", "types", "not as shipped", "priority"),
)  # fmt: skip


@pytest.fixture
def place(server, fresh, tmp_path, monkeypatch):
    """Return the owner's URL of an Iris with three tickets that the settings name."""
    monkeypatch.setenv("DATABASE_URL", server.url("iris", "iris_fresh"))
    monkeypatch.setenv("IRIS_OWNER_URL", fresh)
    monkeypatch.setenv("IRIS_BACKUPS", str(tmp_path))
    # The server of the tests writes nothing to disk for good.
    monkeypatch.setattr(outside, "NEEDED", ("autovacuum",))
    run(fresh, "INSERT INTO tickets (title) SELECT 'x' FROM generate_series(1, 3)")
    backup.write(fresh, str(tmp_path / "one.dump"), str)
    return fresh


def examined(*checks, **more):
    """Return what is found of some checks, of all unless some are named; most take longer than those that a test is about."""
    with pytest.MonkeyPatch.context() as patch:
        if checks:
            looks = [look for look in doctor.LOOKS if look.check in checks]
            patch.setattr(doctor, "LOOKS", looks)
        return list(doctor.examine(**more))


def wrong(*checks, **more):
    """Return {check: [what is wrong]}."""
    found = {}
    for finding in examined(*checks, **more):
        if finding.status == findings.WRONG:
            found.setdefault(finding.check, []).append(finding.found)
    return found


def status(check, **more):
    """Return what was found of one check: its only finding."""
    (finding,) = (each for each in examined(check, **more) if each.check == check)
    return finding


def test_all_is_well_with_one_that_is_new_was_taken_along_or_restored(
    server, owner, place, old, tmp_path, monkeypatch
):
    assert wrong() == {}
    told = {finding.check: finding.status for finding in doctor.examine()}
    assert {check for check, told in told.items() if told != findings.OK} == set()
    migrations.move(old)
    with owner.cursor() as cursor:
        cursor.execute("CREATE DATABASE iris_copy")
        try:
            copy = server.url("postgres", "iris_copy")
            backup.write(old, str(tmp_path / "two.dump"), str)
            backup.read(copy, str(tmp_path / "two.dump"), str)
            for name, url in (("iris_migrated", old), ("iris_copy", copy)):
                monkeypatch.setenv("DATABASE_URL", server.url("iris", name))
                monkeypatch.setenv("IRIS_OWNER_URL", url)
                assert wrong() == {}
        finally:
            cursor.execute("DROP DATABASE iris_copy WITH (FORCE)")


def test_what_an_owner_may_have_done_is_found_and_mended_by_what_it_says(place, monkeypatch):
    monkeypatch.setattr(findings, "MOST", 100)
    run(place, *(statement for statement, *_ in ACCIDENTS))
    told = wrong(quick=True)
    for statement, check, what, name in ACCIDENTS:
        found = [words for words in told.get(check, []) if words.startswith(what)]
        assert any(name in re.split("[:,] | and | in ", words) or not name for words in found), (
            statement,
            told.get(check),
        )
    # Once more for what comes with it.
    for _ in range(3):
        todo = [each.todo for each in doctor.examine(quick=True) if each.status == findings.WRONG]
        for command in dict.fromkeys(re.findall(r"`(.*?)`", " ".join(todo))):
            if command == "iris db upgrade":
                migrations.move(place)
            else:
                run(place, command)
    # Rules are made of the columns that there are, with their defaults.
    assert {check: len(found) for check, found in wrong(quick=True).items()} == {
        "columns": 1,
        "tables": 1,
        "types": 1,
        "functions": 1,
    }


def test_roles_that_may_too_much_are_named(owner, place):
    """Roles are the whole server's."""
    with owner.cursor() as cursor:
        try:
            cursor.execute(
                "ALTER ROLE iris_service CREATEROLE; GRANT pg_write_all_data TO iris;"
                " ALTER ROLE iris_writer LOGIN"
            )
            run(place, "CREATE TABLE mine (); ALTER TABLE mine OWNER TO iris")
            told = wrong(quick=True)
            assert told["roles"] == [
                "the role iris_service may do what no rule holds",
                "the role iris_writer can log in, and is there to act under only",
                "the role iris may do what the role pg_write_all_data may",
                "the role iris owns mine, and so can change it",
            ]
            # So there can be none like it made anew.
            assert told["schema"][0].startswith(
                "schema can't be looked at: there is a role iris_writer already, which may do more than Iris gives it ("
            )
            run(place, "DROP TABLE mine")
            todo = [
                each.todo for each in doctor.examine(quick=True) if each.status == findings.WRONG
            ]
            for command in re.findall(r"`(ALTER .*?|REVOKE .*?)`", " ".join(todo)):
                cursor.execute(command)
            cursor.execute("REVOKE iris_admin FROM iris")
            assert wrong(quick=True) == {"privileges": ["missing: iris in iris_admin"]}
            migrations.move(place)
            assert wrong(quick=True) == {}
        finally:
            cursor.execute(
                "ALTER ROLE iris_service NOCREATEROLE; REVOKE pg_write_all_data FROM iris;"
                " ALTER ROLE iris_writer NOLOGIN; GRANT iris_admin TO iris"
            )


def test_what_others_have_made_is_told_and_left_alone(place):
    run(place, "CREATE TABLE lodgers (i integer)", "GRANT SELECT ON tickets TO pg_monitor")
    (finding,) = (each for each in examined("schema") if each.check == "others")
    assert (finding.status, finding.found) == (findings.NOTE, "not Iris's: table lodgers")
    assert wrong(quick=True) == {}


def test_a_history_that_does_not_lead_to_what_is_there_is_found(place):
    assert status("history").found == "3 events lead to what is there"
    connection = psycopg2.connect(place)
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "SET session_replication_role = replica; UPDATE tickets SET labels = '{forged}' WHERE ticket_id = 2"
        )
    connection.close()
    assert wrong("history")["history"] == [
        "tickets, ticket_id 2: labels is not what its history ends with"
    ]
    assert "history" not in wrong(quick=True)


def test_a_feed_that_somebody_holds_is_found(place, monkeypatch):
    monkeypatch.setattr(inside, "FEED_SECONDS", 0)
    assert status("feed").found == "at 3, and nothing waits for long"
    run(place, "INSERT INTO tickets (title) VALUES ('late')")
    connection = psycopg2.connect(place)
    try:
        connection.cursor().execute("SELECT FROM latches WHERE name = 'feed' FOR UPDATE")
        finding = status("feed")
        assert finding.status == findings.WRONG
        assert re.match("at 3; events that wait for their place: 1, the oldest for", finding.found)
    finally:
        connection.close()
    assert status("feed").found == "at 4, and nothing waits for long"


def test_a_clock_that_was_set_back_is_found(place):
    connection = psycopg2.connect(place)
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "SET session_replication_role = replica; UPDATE stored_events SET at = at + interval '1 hour'"
        )
    connection.close()
    assert re.match(
        "the newest event lies 3[56]..? s ahead: the clock has been set back",
        wrong("clock")["clock"][0],
    )


def test_backups_that_are_missing_old_or_nowhere_are_told(place, tmp_path, monkeypatch):
    assert re.fullmatch(r"the newest, one.dump, is 0\.\d h old", status("backups").found)
    os.utime(tmp_path / "one.dump", (time.time() - 100_000,) * 2)
    assert wrong("backups")["backups"] == ["the newest, one.dump, is 27.8 h old"]
    assert "backups" not in wrong("backups", hours=28)
    (tmp_path / "one.dump").write_text("no backup")
    assert wrong("backups")["backups"] == [f"there is none in {tmp_path}"]
    monkeypatch.setenv("IRIS_BACKUPS", str(tmp_path / "no"))
    assert wrong("backups")["backups"] == [
        f"{tmp_path / 'no'} can't be read: No such file or directory"
    ]
    monkeypatch.delenv("IRIS_BACKUPS")
    assert status("backups").status == findings.NOTE
    # Where nobody makes any, no pg_dump is needed.
    with monkeypatch.context() as patch:
        patch.setattr(programs, "folders", dict)
        told = [each.status for each in examined("backups") if each.check == "backups"]
        assert told == [findings.NOTE, findings.NOTE]
        patch.setenv("IRIS_BACKUPS", str(tmp_path))
        assert "and pg_dump is not here: install" in wrong("backups")["backups"][0]
    monkeypatch.setattr(outside, "FREE_BYTES", 1 << 70)
    monkeypatch.setenv("IRIS_BACKUPS", str(tmp_path))
    assert re.search(f"GB are free for backups in {tmp_path}", wrong("disk")["disk"][0])


def as_replica(url, statement):
    """Write what the database keeps."""
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        cursor.execute(f"SET session_replication_role = replica; {statement}")
    connection.close()


def test_hooks_and_people_whom_nobody_tells_are_found(place, monkeypatch):
    monkeypatch.setattr(inside, "IDLE_SECONDS", 1)
    run(
        place,
        "INSERT INTO hooks (url) VALUES ('https://example.org/')",
        "INSERT INTO people (name, mail) VALUES ('alice', 'alice@example.org')",
        "INSERT INTO tickets (title, assignee) VALUES ('x', 'alice')",
    )
    found = status("mail")
    assert (found.status, found.found) == (
        findings.NOTE,
        "1 person wants mail, and no mail server is known here",
    )
    post = Server()
    post.start()
    monkeypatch.setenv("IRIS_SMTP_URL", f"smtp://127.0.0.1:{post.port}")
    monkeypatch.setenv("IRIS_MAIL_FROM", "iris@example.org")
    nobody = {
        "hooks": ["nobody tells hook 1 what it waits for"],
        "mail": ["nobody mails what waits for 1 person"],
    }
    time.sleep(1)
    assert wrong(quick=True) == nobody
    mine = ("hooks", "mail")
    for table in ("hooks", "people"):
        as_replica(place, f"UPDATE {table} SET holder = 'one', until = now() + interval '1 minute'")
    assert wrong(*mine) == {}
    # Who had them was killed.
    for table in ("hooks", "people"):
        as_replica(place, f"UPDATE {table} SET until = now() - interval '1 minute'")
    assert wrong(*mine) == nobody
    # They have been told, and wait for nothing, however long that was ago; or are told again later.
    last = "(SELECT max(position) FROM events)"
    as_replica(place, f"UPDATE hooks SET position = {last}, next_try = now() - interval '1 hour'")
    as_replica(
        place,
        "UPDATE people SET tried = 2, next_try = now() + interval '1 hour', reason = '451 later'",
    )
    told = [each.found for each in examined(*mine) if each.check in ("hooks", "mail")]
    assert told == [
        "1 hook is told",
        "mail for alice was tried 2 times in vain: 451 later",
        "the mail server answers",
    ]
    as_replica(place, "UPDATE people SET tried = 0, state = 'bounced'")
    post.stop()
    told = [each.found for each in examined(*mine) if each.check == "mail"]
    assert told[0] == "1 address bounced"
    assert told[1].startswith("the mail server takes nothing from Iris: ")
    assert wrong(*mine).keys() == {"mail"}


def test_another_revision_ends_the_looks_that_need_this_one(place):
    run(place, "UPDATE alembic_version SET version_num = '9999'")
    found = {each.check: each for each in doctor.examine()}
    told = found["revision"]
    assert (
        told.found
        == f"the database's schema is at revision 9999, this Iris needs {schema.REVISION}"
    )
    assert (
        told.todo
        == "It is newer than this Iris: use the Iris that brought it there, or a newer one."
    )
    assert not {"tables", "history", "feed"} & found.keys()
    assert {"roles", "disk", "backups"} <= found.keys()


def test_it_changes_nothing_and_holds_nobody_up(place):
    """Nor is it held up by whoever has locked a table as writers do."""
    before, written = dump(place, "--schema-only"), []
    connection, holder = psycopg2.connect(place), psycopg2.connect(place)
    connection.autocommit = True
    stop = threading.Event()

    def write():
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '2s'")
            while not stop.is_set():
                cursor.execute("UPDATE tickets SET title = random()::text WHERE ticket_id = 1")
                written.append(1)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        holder.cursor().execute("LOCK TABLE comments IN SHARE ROW EXCLUSIVE MODE")
        for _ in range(3):
            many = len(written)
            assert wrong(quick=True) == {}
            assert len(written) > many
    finally:
        stop.set()
        thread.join()
        connection.close()
        holder.close()
    assert difference(dump(place, "--schema-only"), before) == []


def test_an_owner_need_not_be_a_superuser(server, owner, monkeypatch, tmp_path):
    monkeypatch.setenv("IRIS_BACKUPS", str(tmp_path))
    with owner.cursor() as cursor:
        cursor.execute("CREATE ROLE landlady LOGIN CREATEROLE")
        for role in schema.roles():
            cursor.execute(f"GRANT {role} TO landlady WITH ADMIN OPTION")
        cursor.execute("CREATE DATABASE iris_let OWNER landlady")
        url = server.url("landlady", "iris_let")
        try:
            migrations.move(url)
            monkeypatch.setenv("DATABASE_URL", server.url("iris", "iris_let"))
            monkeypatch.setenv("IRIS_OWNER_URL", url)
            assert wrong().keys() <= {"server", "backups"}
            run(url, "ALTER TABLE tickets DISABLE TRIGGER tickets_before")
            assert "triggers" in wrong()
        finally:
            cursor.execute("DROP DATABASE iris_let WITH (FORCE)")
            cursor.execute("DROP ROLE landlady")


def test_without_the_owner_it_says_what_it_could_not_look_at(server, place, tmp_path, monkeypatch):
    monkeypatch.delenv("IRIS_OWNER_URL")
    assert wrong() == {}
    finding = status("schema")
    assert finding.status == findings.UNKNOWN
    assert finding.found.startswith(
        "only the database's owner can look at it: IRIS_OWNER_URL is not set"
    )
    # What he can pass on.
    run(place, "DROP INDEX tickets_due_idx")
    script = warm.run([*IRIS[1:], "doctor", "--sql"], text=True).stdout
    (tmp_path / "look.sql").write_text(script)
    printed = server._psql("iris_fresh", "-At", "-f", str(tmp_path / "look.sql"))
    assert printed.startswith("index|tickets_due_idx|missing|CREATE INDEX tickets_due_idx ON ")
    assert len(printed.splitlines()) == 1


def test_by_its_command(place, tmp_path):
    """For people, for cron, and for programs; also where there is no database."""
    done = warm.run([*IRIS[1:], "doctor"], text=True)
    assert done.returncode == 1, done.stdout
    assert "WRONG   server: PostgreSQL runs with fsync off" in done.stdout
    assert f"ok      revision: {schema.REVISION}, which this Iris needs\n" in done.stdout
    # Whoever reads may have seen enough.
    piped = " ".join([*IRIS, "doctor", "--quick", "|", "head", "-1"])
    done = subprocess.run(piped, shell=True, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("ok      database: it can be reached\n", "")
    given = environment(tmp_path / "nowhere", 1)
    done = warm.run([*IRIS[1:], "doctor", "--json"], text=True, env=given)
    told = json.loads(done.stdout)
    assert (done.returncode, told["ok"], told["checks"][0]["check"]) == (4, False, "database")
    assert "no database runs in" in told["checks"][0]["found"]
