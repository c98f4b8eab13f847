"""Connections: whatever the environment, the role or the server say, the service has its own way."""

import json
import os
import subprocess
import sys

import psycopg2
import pytest
from conftest import Live, free_port

from iris import embedded
from iris.database import SESSION, engine

# What psql heeds, each of it to the harm of somebody who doesn't expect it.
LIBPQ = {
    "PGOPTIONS": "-c default_transaction_read_only=on -c search_path=pg_temp -c statement_timeout=1",
    "PGTZ": "Asia/Tokyo",
    "PGDATESTYLE": "German",
    "PGCLIENTENCODING": "LATIN1",
    "PGAPPNAME": "psql",
    "PGHOST": "/nowhere",
    "PGPORT": "1",
    "PGUSER": "postgres",
    "PGDATABASE": "postgres",
    "PGSSLMODE": "verify-full",
    "PGTARGETSESSIONATTRS": "standby",
    "PGSERVICE": "none",
}


def test_a_session_has_the_settings_that_iris_relies_on(server):
    with SESSION() as session:
        connection = session.connection()
        for name, expected in {**engine.SETTINGS, **engine.FASTER}.items():
            found = connection.exec_driver_sql(f"SHOW {name}").scalar()
            # As PostgreSQL writes it: 60s is 1min.
            connection.exec_driver_sql("SELECT set_config(%s, %s, true)", (name, expected))
            assert found == connection.exec_driver_sql(f"SHOW {name}").scalar(), name


def test_the_roles_have_the_same_settings_for_poolers_that_drop_what_is_said(owner):
    with owner.cursor() as cursor:
        cursor.execute(
            "SELECT rolname, setconfig FROM pg_db_role_setting JOIN pg_roles ON pg_roles.oid = setrole"
            " WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        found = {
            role: {name.lower(): value for name, value in (each.split("=", 1) for each in config)}
            for role, config in cursor
        }
    assert found == {"iris": engine.SETTINGS, "iris_service": engine.SETTINGS}


def test_nothing_of_the_environment_gets_in(server, clean):
    made = Live(server.url(), **LIBPQ)
    try:
        assert made.send("PUT", "/tickets?title=%C3%A9&due=2026-02-03")[0] == 201
        status, _head, body = made.send("GET", "/tickets/1")
        shown = json.loads(body)
        assert (status, shown["title"], shown["due"]) == (200, "é", "2026-02-03T00:00:00+00:00")
        (event,) = json.loads(made.send("GET", "/tickets/1/history")[2])
        assert event["source"] == "http"
        assert made.send("GET", "/tickets?format=ndjson")[0] == 200
    finally:
        made.stop()


def test_nothing_of_the_role_gets_in(server, clean, owner):
    hostile = {
        "default_transaction_read_only": "on", "search_path": "pg_temp", "timezone": "Asia/Tokyo",
        "standard_conforming_strings": "off", "default_transaction_isolation": "serializable",
    }  # fmt: skip
    with owner.cursor() as cursor:
        cursor.execute("SELECT setconfig FROM pg_db_role_setting WHERE setrole = 'iris'::regrole")
        before = cursor.fetchone()
        for name, value in hostile.items():
            cursor.execute(f"ALTER ROLE iris IN DATABASE iris SET {name} TO '{value}'")
        try:
            made = Live(server.url())
            try:
                assert made.send("PUT", "/tickets?title=a%5Cb&due=2026-02-03")[0] == 201
                shown = json.loads(made.send("GET", "/tickets/1")[2])
                assert (shown["title"], shown["due"]) == ("a\\b", "2026-02-03T00:00:00+00:00")
            finally:
                made.stop()
        finally:
            cursor.execute("ALTER ROLE iris IN DATABASE iris RESET ALL")
            for each in before[0] if before else ():
                name, value = each.split("=", 1)
                cursor.execute(f"ALTER ROLE iris IN DATABASE iris SET {name} TO %s", (value,))


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """Return the folder of the socket of a server that asks for iris's password."""
    made = embedded.Server(tmp_path_factory.mktemp("guarded"), options={"fsync": "off"})
    made.start()
    made.seed()
    (made.data / "pg_hba.conf").write_text(
        "local all postgres trust\nlocal iris iris,iris_service scram-sha-256\n"
    )
    connection = psycopg2.connect(made.url("postgres"))
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "ALTER ROLE iris PASSWORD 'right'; ALTER ROLE iris_service PASSWORD 'own';"
            " SELECT pg_reload_conf()"
        )
    connection.close()
    yield made.socket()
    made.stop()


@pytest.mark.parametrize(
    ("who", "where", "code"),
    [
        ("iris:right", "iris", None),
        ("iris:wrong", "iris", "database_refused"),
        ("nobody:right", "iris", "database_refused"),
        ("iris:right", "postgres", "database_refused"),
    ],
)
def test_a_wrong_password_is_told_from_a_database_that_is_away(guarded, who, where, code):
    made = Live(f"postgresql://{who}@/{where}?host={guarded}")
    status, _head, body = made.send("GET", "/tickets")
    if code is not None:
        checked = json.loads(made.send("GET", "/db-check")[2])
        assert checked | {"request_id": 0} == json.loads(body) | {"request_id": 0}
    log = made.stop()
    if code is None:
        assert (status, json.loads(body)) == (200, [])
        return
    problem = json.loads(body)
    assert (status, problem["code"]) == (503, code)
    if who == "iris:wrong":
        assert (problem["sqlstate"], "the password that Iris was given" in problem["detail"]) == (
            "28P01",
            True,
        )
        assert "ALTER ROLE" in problem["hint"]
    # Nobody outside learns more; who runs it finds PostgreSQL's words.
    assert "FATAL" not in body.decode()
    assert "FATAL" in log
    assert "right" not in log + body.decode()


def test_a_wrong_password_is_named_at_the_start(guarded):
    done = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "iris.cli", "serve"],
        env={
            **os.environ,
            "DATABASE_URL": f"postgresql://iris:wrong@/iris?host={guarded}",
            "IRIS_BIND": f"127.0.0.1:{free_port()}",
        },
        stderr=subprocess.PIPE,
        text=True,
    )
    said = [done.stderr.readline(), done.stderr.readline()]
    done.terminate()
    done.communicate()
    assert said[0].startswith(
        "iris: the database does not let Iris in: the password that Iris was given"
    )
    assert said[1].startswith("iris: The database keeps the passwords that IRIS_PASS")


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"IRIS_PASS": "right", "IRIS_SERVICE_PASS": "own"}, 201),
        # Without one of its own, it has that of iris; which here is another.
        ({"IRIS_PASS": "own"}, 201),
        ({"IRIS_PASS": "right"}, 503),
    ],
)
def test_the_service_may_have_a_login_of_its_own(guarded, given, status):
    made = Live("", IRIS_DB_HOST=guarded, IRIS_USER="iris_service", **given)
    try:
        answer = made.send("PUT", "/tickets?title=x", headers=["Iris-Actor: alice"])
        assert answer[0] == status
        if status == 201:
            path = f"/tickets/{json.loads(answer[2])['ticket_id']}/history"
            (event,) = json.loads(made.send("GET", path)[2])
            assert (event["actor"], event["source"]) == ("alice", "http")
    finally:
        made.stop()
