# ruff: noqa: F811 (fixtures)
"""A service and a database that don't fit together say so; an upgrade under load loses nothing."""

import json
import threading
import time

import psycopg2
import pytest
import replay
from conftest import Live
from test_schema import empty, fresh, run  # noqa: F401 (fixtures)
from test_up import iris

from iris import migrations, schema

NEWER = "It is newer than this Iris: use the Iris that brought it there, or a newer one."
OLDER = "Run `iris db upgrade`."


@pytest.fixture
def served(server, fresh):
    """Return a service of a database of its own."""
    made = Live(server.url("iris_service", "iris_fresh"))
    yield made
    made.stop()


def asked(live, *arguments):
    """Return (status, what the JSON says)."""
    status, _, body = live.send(*arguments)
    return status, json.loads(body)


def forget(url):
    """End the service's sessions, as time does."""
    run(
        url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'iris_service'"
    )


def test_another_revision_is_refused_in_a_sentence_until_it_fits(served, fresh):
    for revision, hint in (
        ("9999", NEWER),
        ("0008", OLDER),
        (None, "Run `iris db upgrade`, which makes it."),
    ):
        assert asked(served, "GET", "/tickets") == (200, [])
        if revision:
            sentence = f"the database's schema is at revision {revision}, this Iris needs {schema.REVISION}"
            run(fresh, f"UPDATE alembic_version SET version_num = '{revision}'")
        else:
            sentence = "the database has nothing of Iris in it"
            run(fresh, "ALTER SCHEMA public RENAME TO aside", "CREATE SCHEMA public")
        forget(fresh)
        for arguments in (
            ("GET", "/tickets"),
            ("PUT", "/tickets", b"title=x"),
            ("GET", "/tickets?format=ndjson"),
            ("GET", "/db-check"),
        ):
            status, told = asked(served, *arguments)
            found = (status, told["code"], told["detail"], told["hint"])
            assert found == (503, "database_not_ready", sentence, hint), arguments
        if revision:
            run(fresh, f"UPDATE alembic_version SET version_num = '{schema.REVISION}'")
        else:
            run(fresh, "DROP SCHEMA public", "ALTER SCHEMA aside RENAME TO public")
    assert asked(served, "GET", "/tickets") == (200, [])


def test_a_schema_that_changes_under_a_service_is_told_as_such(served, fresh):
    """Its sessions are older than the change."""
    assert asked(served, "GET", "/tickets") == (200, [])
    run(
        fresh,
        "ALTER TABLE tickets RENAME title TO headline",
        "UPDATE alembic_version SET version_num = '9999'",
    )
    status, told = asked(served, "GET", "/tickets")
    assert (status, told["hint"]) == (503, NEWER), told


def test_the_commands_say_it_too(server, fresh, tmp_path):
    run(fresh, "UPDATE alembic_version SET version_num = '9999'")
    given = {"DATABASE_URL": server.url("iris", "iris_fresh"), "IRIS_OWNER_URL": fresh}
    done = iris(tmp_path, 1, "db", "upgrade", **given)
    words = (
        "iris: the database is at revision 9999, which this Iris does not know: use a newer one\n"
    )
    assert (done.returncode, done.stderr) == (1, words)
    run(fresh, f"UPDATE alembic_version SET version_num = '{schema.REVISION}'")
    holder = psycopg2.connect(fresh)
    holder.cursor().execute("LOCK TABLE tickets")
    done = iris(tmp_path, 1, "db", "upgrade", **given)
    holder.close()
    assert done.returncode == 1
    assert done.stderr.startswith(
        "iris: somebody holds a table that the upgrade needs, so nothing was changed"
    )


def test_a_command_that_lacks_something_says_which_schema_it_needs(server, fresh, tmp_path):
    given = {"DATABASE_URL": server.url("iris", "iris_fresh"), "IRIS_OWNER_URL": fresh}
    assert iris(tmp_path, 1, "db", "downgrade", "0008", **given).returncode == 0
    words = (
        "iris: the database's schema is at revision 0008, this Iris needs"
        f" {schema.REVISION}. Run `iris db upgrade`.\n"
    )
    for typed in (["token", "add", "ada"], ["token", "list"], ["verify"]):
        done = iris(tmp_path, 1, *typed, **given)
        assert (done.returncode, done.stdout, done.stderr) == (1, "", words), typed


def test_an_upgrade_under_load_loses_nothing(served, fresh):
    """From an older revision, during which the service says to try again; and of the rules alone."""
    stop, acknowledged, wrong, refused = threading.Event(), [], [], []

    def write(name):
        number = 0
        while not stop.is_set():
            tag = f"{name}-{number}"
            headers = ["Content-Type: application/json", f"Idempotency-Key: {tag}"]
            status, _, body = served.send(
                "PUT", "/tickets", json.dumps({"title": tag}).encode(), headers
            )
            if status == 201:
                acknowledged.append(tag)
                number += 1
            elif status == 503:
                refused.append(tag)
                time.sleep(0.02)
            else:
                wrong.append((status, body))
                return

    migrations.move(fresh, migrations.known()[-2], down=True)
    forget(fresh)
    threads = [threading.Thread(target=write, args=(f"w{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    try:
        while not refused:
            time.sleep(0.01)
        assert not acknowledged
        for _ in range(3):
            migrations.move(fresh)
            least = len(acknowledged) + 20
            while len(acknowledged) < least and not wrong:
                time.sleep(0.01)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert wrong == []
    titles = [title for (title,) in run(fresh, "SELECT title FROM tickets")]
    # What was asked for last may have been done without having been acknowledged.
    assert sorted(titles) == sorted(set(titles))
    assert set(acknowledged) <= set(titles)
    assert len(titles) <= len(acknowledged) + len(threads)
    connection = psycopg2.connect(fresh)
    assert replay.differences(connection.cursor()) == []
    connection.close()
