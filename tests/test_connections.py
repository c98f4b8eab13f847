"""Connections: whatever the environment, the role or the server say, the service has its own way."""

import contextlib
import json
import os
import shutil
import subprocess
import sys

import psycopg2
import pytest
from conftest import Live, free_port

from iris import embedded, location
from iris.database import SESSION, engine, refusals

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


def test_nothing_of_the_environment_or_the_role_gets_in(server, clean, owner):
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
            made = Live(server.url(), **LIBPQ)
            try:
                assert made.send("PUT", "/tickets?title=%C3%A9%5Cb&due=2026-02-03")[0] == 201
                status, _head, body = made.send("GET", "/tickets/1")
                shown = json.loads(body)
                assert (status, shown["title"], shown["due"]) == (
                    200,
                    "é\\b",
                    "2026-02-03T00:00:00+00:00",
                )
                (event,) = json.loads(made.send("GET", "/tickets/1/history")[2])
                assert event["source"] == "http"
                assert made.send("GET", "/tickets?format=ndjson")[0] == 200
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


@pytest.fixture
def gives(guarded):
    """Return a function that gives iris another password, and ends the sessions that it has; afterwards it has its own."""
    url = f"postgresql://postgres@/iris?host={guarded}"

    def give(password):
        with contextlib.closing(psycopg2.connect(url)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("ALTER ROLE iris PASSWORD %s", (password,))
                cursor.execute(
                    "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE usename = 'iris'"
                )

    yield give
    give("right")


def test_a_wrong_password_is_told_from_a_database_that_is_away(guarded, gives):
    made = Live(f"postgresql://iris:right@/iris?host={guarded}")
    try:
        status, _head, body = made.send("GET", "/tickets")
        assert (status, json.loads(body)) == (200, [])
        gives("another")
        status, _head, body = made.send("GET", "/tickets")
        checked = json.loads(made.send("GET", "/db-check")[2])
    finally:
        log = made.stop()
    problem = json.loads(body)
    assert (status, problem["code"]) == (503, "database_refused")
    assert checked | {"request_id": 0} == problem | {"request_id": 0}
    assert problem["sqlstate"] == "28P01"
    assert "the password that Iris was given" in problem["detail"]
    assert "ALTER ROLE" in problem["hint"]
    # Nobody outside learns more; who runs it finds PostgreSQL's words.
    assert "FATAL" not in body.decode()
    assert "FATAL" in log
    assert "right" not in log + body.decode()


@pytest.mark.parametrize(
    ("who", "where", "sqlstate"),
    [
        ("iris:wrong", "iris", "28P01"),
        ("nobody:right", "iris", "28000"),
        ("iris:right", "postgres", "28000"),
    ],
)
def test_whoever_is_not_let_in_is_refused(guarded, monkeypatch, who, where, sqlstate):
    url = f"postgresql://{who}@/{where}?host={guarded}"
    monkeypatch.setenv("DATABASE_URL", url)
    with pytest.raises(psycopg2.OperationalError) as refused:
        psycopg2.connect(url)
    problem = refusals.from_database(refused.value)
    assert (problem.code, problem.more.get("sqlstate")) == ("database_refused", sqlstate)


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


def test_the_service_may_have_a_login_of_its_own(guarded):
    made = Live(
        "", IRIS_DB_HOST=guarded, IRIS_USER="iris_service", IRIS_PASS="right", IRIS_SERVICE_PASS="own"
    )  # fmt: skip
    try:
        answer = made.send("PUT", "/tickets?title=x", headers=["Iris-Actor: alice"])
        assert answer[0] == 201
        path = f"/tickets/{json.loads(answer[2])['ticket_id']}/history"
        (event,) = json.loads(made.send("GET", path)[2])
        assert (event["actor"], event["source"]) == ("alice", "http")
    finally:
        made.stop()


@pytest.mark.parametrize(("password", "is_let_in"), [("own", True), ("right", False)])
def test_without_a_password_of_its_own_a_login_has_that_of_iris(
    guarded, monkeypatch, password, is_let_in
):
    """Which here is another."""
    for name in ("DATABASE_URL", "IRIS_SERVICE_PASS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (
        ("IRIS_DB_HOST", guarded),
        ("IRIS_USER", "iris_service"),
        ("IRIS_PASS", password),
    ):
        monkeypatch.setenv(name, value)
    refused = contextlib.nullcontext() if is_let_in else pytest.raises(psycopg2.OperationalError)
    with refused, contextlib.closing(psycopg2.connect(location.dsn())) as connection:
        connection.cursor().execute("TABLE tickets")


# What PostgreSQL 15 says in other languages: to a wrong password, of a database that is not there, and with too
# many clients, which is no refusal.
ABROAD = {
    "de_DE": ("FATAL:  Passwort-Authentifizierung für Benutzer »iris_service« fehlgeschlagen",
              "FATAL:  Datenbank »irisdb« existiert nicht", "FATAL:  tut mir leid, schon zu viele Verbindungen"),
    "fr_FR": ("FATAL:  authentification par mot de passe échouée pour l'utilisateur  «\xa0iris_service\xa0»",
              "FATAL:  la base de données «\xa0irisdb\xa0» n'existe pas", "FATAL:  désolé, trop de clients sont déjà connectés"),
    "ja_JP": ('FATAL:  ユーザー"iris_service"のパスワード認証に失敗しました', 'FATAL:  データベース"irisdb"は存在しません',
              "FATAL:  現在クライアント数が多すぎます"),
    "ru_RU": ('ВАЖНО:  пользователь "iris_service" не прошёл проверку подлинности (по паролю)',
              'ВАЖНО:  база данных "irisdb" не существует', "ВАЖНО:  извините, уже слишком много клиентов"),
    "sv_SE": ('FATALT:  Lösenordsautentisering misslyckades för användare "iris_service"', 'FATALT:  databasen "irisdb" existerar inte',
              "FATALT:  ledsen, för många klienter"),
}  # fmt: skip


@pytest.mark.parametrize("language", ABROAD)
def test_a_refusal_is_told_in_any_language(monkeypatch, language):
    monkeypatch.setenv("DATABASE_URL", "postgresql://iris_service:x@db.example.org/irisdb")
    codes = [
        refusals.from_database(
            psycopg2.OperationalError(f'connection to server at "db", port 5432 failed: {said}\n')
        ).code
        for said in ABROAD[language]
    ]
    assert codes == ["database_refused", "database_refused", "database_unavailable"]
    away = psycopg2.OperationalError(
        'connection to server on socket "/iris_service/.s.PGSQL.5432" failed: No such file or directory\n'
        '\tIs the server running locally, as "iris_service"?'
    )
    assert refusals.from_database(away).code == "database_unavailable"


@pytest.fixture(scope="module")
def german(tmp_path_factory):
    """Return where a server listens that speaks German, and wants a password of iris."""
    folder = tmp_path_factory.mktemp("german")
    folder.chmod(0o755)
    made = shutil.which("localedef") and subprocess.run(
        ["localedef", "-i", "de_DE", "-f", "UTF-8", str(folder / "de_DE.UTF-8")],
        check=False,
        capture_output=True,
    )
    if not made or made.returncode:
        pytest.skip("there is no localedef, or no German for it")
    server = embedded.Server(
        folder / "data", options={"lc_messages": "de_DE.UTF-8", "fsync": "off"}
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCPATH", str(folder))
        try:
            server.start()
        except embedded.Failed:
            pytest.skip("this PostgreSQL takes no locales of the system")
    try:
        (server.data / "pg_hba.conf").write_text(
            "local all postgres trust\nlocal iris iris scram-sha-256\n"
        )
        connection = psycopg2.connect(server.url("postgres", "postgres"))
        connection.autocommit = True
        with connection.cursor() as cursor:
            # It asks for the password before it looks for the database.
            cursor.execute("CREATE ROLE iris LOGIN; SELECT pg_reload_conf()")
            with pytest.raises(psycopg2.Error) as error:
                cursor.execute("SELECT nothing")
        connection.close()
        if "existiert nicht" not in str(error.value):
            pytest.skip("this PostgreSQL speaks no German")
        yield server.socket()
    finally:
        server.stop()


def test_a_wrong_password_is_told_by_a_german_server(german, monkeypatch):
    url = f"postgresql://iris:wrong@/iris?host={german}"
    monkeypatch.setenv("DATABASE_URL", url)
    with pytest.raises(psycopg2.OperationalError, match="fehlgeschlagen") as refused:
        psycopg2.connect(url)
    assert refusals.from_database(refused.value).code == "database_refused"
