"""`iris up` and the other commands, as a person uses them."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import psycopg2
import pytest
import warm
from conftest import Live, free_port
from test_connections import LIBPQ

from iris import cli, embedded, migrations, schema

IRIS = [sys.executable, "-W", "ignore", "-m", "iris.cli"]
# A database of an older revision.
OLD = Path(__file__).parent / "fixtures" / "0007.sql"
NAMES = ("DATABASE_URL", "IRIS_DB_HOST", "IRIS_PASS")


def environment(folder, port, **more):
    """Return the environment of somebody who has set nothing else."""
    kept = {name: value for name, value in os.environ.items() if name not in NAMES}
    given = {"IRIS_DATA": str(folder), "IRIS_BIND": f"127.0.0.1:{port}", "IRIS_WORKERS": "1"}
    return {**kept, **given, **more}


def iris(folder, port, *arguments, **more):
    return warm.run(
        [*IRIS[1:], *arguments], env=environment(folder, port, **more), text=True, timeout=60
    )


class Up:
    """A running `iris up`, and what it has said so far."""

    def __init__(self, folder, port, command=IRIS, **more):
        self.folder, self.port, self.said = folder, port, ""
        self.process = subprocess.Popen(
            [*command, "up"],
            env=environment(folder, port),
            **more,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def until(self, pattern):
        patience = threading.Timer(60, self.process.kill)
        patience.start()
        for line in self.process.stdout:
            self.said += line
            if re.search(pattern, line):
                patience.cancel()
                return self
        raise AssertionError(self.said)

    def curl(self, *arguments):
        done = subprocess.run(
            ["curl", "-s", *arguments], capture_output=True, text=True, check=False
        )
        return json.loads(done.stdout)

    def first(self):
        """Run the command that it offers, to the letter."""
        command = re.search(r"^    (curl .*)$", self.said, re.MULTILINE)[1]
        done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        self.said += self.process.communicate(timeout=30)[0]
        return self.process.returncode

    def postgres(self):
        return int((self.folder / "postgres" / "postmaster.pid").read_text().split("\n")[0])


@pytest.fixture
def folder(tmp_path):
    yield tmp_path / "data"
    embedded.Server(tmp_path / "data").stop()


class Place:
    """A folder in which `iris up` has run before, for tests that each leave one running or none, as they like."""

    def __init__(self, folder):
        self.folder, self.port, self.up = folder, free_port(), None

    def start(self):
        """Start one; return it when it is ready."""
        self.up = Up(self.folder, self.port).until("^    curl")
        return self.up

    def running(self):
        """Return the one that runs, or start one."""
        return self.up if self.up and self.up.process.poll() is None else self.start()

    def end(self):
        if self.up and self.up.process.poll() is None:
            self.up.stop()
        embedded.Server(self.folder).stop()


@pytest.fixture(scope="module")
def place(tmp_path_factory, put_data):
    made = Place(tmp_path_factory.mktemp("up") / "data")
    put_data(made.folder)
    yield made
    made.end()


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_from_nothing_to_the_first_ticket_and_back_from_anywhere(folder, tmp_path):
    port = free_port()
    # What was not made to its end is made anew.
    (folder / "postgres.new").mkdir(parents=True)
    (folder / "postgres.new" / "PG_VERSION").write_text("18\n")
    up = Up(folder, port).until("^    curl")
    assert "making a database in" in up.said
    assert "feeding it initdb.sql" in up.said
    ticket = up.first()
    assert (ticket["ticket_id"], ticket["title"]) == (1, "A new ticket")

    done = iris(folder, port, "psql", "-At", "-c", "SELECT title, current_user FROM tickets")
    assert done.stdout == "A new ticket|iris\n", done.stderr
    assert (
        iris(folder, port, "psql", "--owner", "-Atc", "SELECT current_user").stdout == "postgres\n"
    )
    for typed in (("-U", "iris_service"), ("-Uiris_service",), ("--username=iris_service",)):
        done = iris(folder, port, "psql", *typed, "-Atc", "SELECT current_user")
        assert done.stdout == "iris_service\n"
    done = iris(folder, port, "psql", "-c", "UPDATE tickets SET status = 'blocked'")
    assert 'From "open" it may go to: active, resolved, closed' in done.stderr
    done = iris(folder, port, "db", "check")
    assert (done.returncode, done.stdout) == (
        0,
        f"revision {schema.REVISION}; this Iris needs {schema.REVISION}\n",
    )

    # What libpq would heed changes nothing, but for what psql shows.
    done = iris(folder, port, "export", **LIBPQ)
    assert done.returncode == 0, done.stderr
    done = iris(folder, port, "psql", "-At", "-c", "SHOW timezone", **{**LIBPQ, "PGOPTIONS": ""})
    assert done.stdout == "Asia/Tokyo\n", done.stderr

    # A second one is refused, whether on the same folder or on the same port.
    second = iris(folder, free_port(), "up")
    assert second.returncode == 1
    assert "another `iris up` (process " in second.stderr
    other = iris(folder.parent / "other", port, "up")
    assert (other.returncode, other.stderr) == (
        1,
        f"iris: IRIS_BIND can't be 127.0.0.1:{port}: address already in use; stop what listens there, or"
        " choose another, IRIS_BIND=HOST:PORT\n",
    )

    # A database that stops meanwhile doesn't end it.
    os.kill(up.postgres(), signal.SIGKILL)
    up.until("starting it again")
    deadline = time.monotonic() + 60
    while "ticket_id" not in up.curl(f"127.0.0.1:{port}/tickets/1"):
        assert time.monotonic() < deadline
        time.sleep(0.2)

    assert up.stop() == 0
    assert "stopped; the data stay in" in up.said
    assert "Traceback" not in up.said
    assert not (folder / "postgres" / "postmaster.pid").exists()
    done = iris(folder, port, "psql", "-c", "SELECT 1")
    assert (done.returncode, "start it with `make up`" in done.stderr) == (1, True)

    # As from cron, in the folder that holds the checkout, whose name is the package's.
    (tmp_path / "iris").mkdir()
    for name in ("hug", "psycopg2", "queue"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('not this one')")
    began = time.monotonic()
    script = Path(sys.executable).with_name("iris")
    up = Up(folder, port, [script], cwd=tmp_path).until("^    curl")
    assert time.monotonic() - began < 20  # two seconds, on a machine that has nothing else to do
    assert "making a database" not in up.said
    # A crash may skip numbers, but loses no ticket.
    assert up.first()["ticket_id"] > 1
    assert up.curl(f"127.0.0.1:{port}/tickets/1")["title"] == "A new ticket"
    assert up.stop(signal.SIGINT) == 0
    assert "not this one" not in up.said


def everything_of(port):
    """Return the processes of the `iris up` on this port, PostgreSQL's included, {process: its name}."""
    found = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("IRIS_BIND") == f"127.0.0.1:{port}":
                # Now: in a moment it may be gone.
                found[process] = process.name()
    return found


def kill(up):
    """Kill -9 `iris up`: the service goes with it, PostgreSQL is left behind."""
    os.kill(up.process.pid, signal.SIGKILL)
    up.process.wait()
    deadline = time.monotonic() + 30
    while set(everything_of(up.port).values()) != {"postgres"}:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_an_end_while_the_service_starts_is_not_waited_for(place):
    place.end()
    up = Up(place.folder, place.port).until("Booting worker")
    began = time.monotonic()
    assert up.stop(signal.SIGINT) == 0
    # A worker that misses the signal is given ten seconds.
    assert time.monotonic() - began < 9
    assert everything_of(up.port) == {}


@pytest.mark.parametrize("path", ["/proc/iris", "/dev/null", "/dev/null/iris"])
def test_a_folder_that_cant_be_written_is_named(path):
    done = iris(path, free_port(), "up")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert f"iris: {path} can't be written (" in done.stderr
    assert "set IRIS_DATA to a folder that can" in done.stderr


def test_data_that_are_gone_are_not_made_anew(place):
    up, data = place.running(), place.folder / "postgres"
    postgres = up.postgres()
    data.rename(place.folder / "elsewhere")
    # At once, whoever is connected.
    os.kill(postgres, signal.SIGINT)
    up.until("is gone: nothing is left to serve")
    assert up.process.wait(30) == 1
    (place.folder / "elsewhere").rename(data)
    place.start()


def test_after_everything_was_killed_it_starts_at_once_and_mends_the_rules(place):
    up = place.running()
    number = up.first()["ticket_id"]
    # Rules that are not those of this Iris are mended whenever it starts.
    iris(
        place.folder, place.port, "psql", "--owner", "-c", "DROP TRIGGER tickets_before ON tickets"
    )
    killed = everything_of(place.port)
    assert "postgres" in killed.values()
    for process in killed:
        process.kill()
    again = place.start()
    assert "already" not in again.said
    ticket = f"127.0.0.1:{place.port}/tickets/{number}"
    assert again.curl(ticket)["title"] == "A new ticket"
    answer = again.curl("-X", "PUT", "-d", "status=blocked", ticket)
    assert answer["code"] == "transition_not_allowed"
    up.process.wait()


def test_after_the_service_was_killed_it_starts_at_once(place):
    up = place.running()
    (master,) = (
        each for each in psutil.Process(up.process.pid).children() if each.name() != "postgres"
    )
    workers = master.children()
    # A worker that is held for a moment keeps the address for as long.
    workers[0].suspend()
    master.kill()
    assert up.process.wait(timeout=30) != 0
    threading.Timer(0.5, workers[0].resume).start()
    place.start()


def test_a_database_left_running_is_used_whoever_has_a_transaction_open(place):
    up = place.running()
    number, postgres = up.first()["ticket_id"], up.postgres()
    kill(up)
    connection = psycopg2.connect(embedded.Server(place.folder).url())
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute("UPDATE tickets SET title = 'half written'")
        up = place.start()
        assert f"(process {postgres}): using it" in up.said
        assert "somebody's transaction is open, so the rules were not run again" in up.said
        assert up.curl(f"127.0.0.1:{place.port}/tickets/{number}")["title"] == "A new ticket"
        connection.commit()


def test_an_older_database_is_brought_up_to_date(place):
    up, folder, port = place.running(), place.folder, place.port
    # Whatever libpq would heed.
    done = iris(folder, port, "db", "upgrade", **LIBPQ)
    sentence = f"is at revision {schema.REVISION} as before; its rules have been run again"
    assert (done.returncode, sentence in done.stderr) == (0, True), done.stderr
    done = iris(folder, port, "db", "downgrade", "0007")
    assert (done.returncode, done.stderr) == (
        1,
        f"iris: there is no revision 0007; this Iris knows {', '.join(migrations.known())}\n",
    )
    words = ("DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    done = iris(
        folder, port, "psql", "--owner", "-q", *(each for word in words for each in ("-c", word)), "-f", str(OLD)
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    done = iris(folder, port, "db", "check", **LIBPQ)
    assert (done.returncode, done.stdout) == (
        1,
        f"revision 0007; this Iris needs {schema.REVISION}\n",
    ), done.stderr
    answer = up.curl(f"127.0.0.1:{port}/db-check")
    assert (answer["status"], answer["code"]) == (503, "database_not_ready")
    assert up.stop() == 0
    assert not (folder / "postgres" / "postmaster.pid").exists()
    up = place.start()
    assert f"upgrading the database from revision 0007 to {schema.REVISION}" in up.said
    assert up.curl(f"127.0.0.1:{port}/tickets/1")["title"] == "Printer is on fire"


def test_another_version_and_other_peoples_files_are_left_alone(folder):
    (folder / "postgres").mkdir(parents=True)
    (folder / "postgres" / "PG_VERSION").write_text("12\n")
    done = iris(folder, free_port(), "up")
    assert (done.returncode, "holds data of PostgreSQL 12" in done.stderr) == (1, True)
    assert "`iris backup` by the Iris of before" in done.stderr
    (folder / "postgres" / "PG_VERSION").rename(folder / "postgres" / "letters")
    done = iris(folder, free_port(), "up")
    assert (done.returncode, "is not empty" in done.stderr) == (1, True)


def test_help_is_everywhere(tmp_path, monkeypatch, capsys):
    for command in ([], ["up"], ["serve"], ["psql"], ["db"], ["db", "upgrade"], ["db", "check"]):
        monkeypatch.setattr(sys, "argv", ["iris", *command, "--help"])
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert (end.value.code, capsys.readouterr().out.startswith("usage: iris")) == (0, True)
    assert iris(tmp_path, 1, "--version").stdout.startswith("iris 0.")
    done = iris(tmp_path, 1, "up", "--nonsense")
    assert (done.returncode, "--nonsense is no option" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            {"IRIS_BIND": "8000"},
            "iris: IRIS_BIND must be HOST:PORT, such as 127.0.0.1:8000, not '8000'\n",
        ),
        ({"IRIS_BIND": "0.0.0.0:8000"}, "iris: IRIS_BIND is 0.0.0.0, where others can reach it"),
        (
            {"IRIS_WORKERS": "many"},
            "iris: IRIS_WORKERS must be a whole number from 1 to 64, not 'many'\n",
        ),
        ({"IRIS_POOL": "0"}, "iris: IRIS_POOL must be a whole number from 1 to 100, not '0'\n"),
        (
            {"IRIS_TLS_CERT": "/dev/null"},
            "iris: IRIS_TLS_CERT and IRIS_TLS_KEY go together: one of them is not set\n",
        ),
        (
            {"IRIS_TLS_KEY": "/nowhere"},
            "iris: IRIS_TLS_KEY must be a file that can be read (no such file or directory), not '/nowhere'\n",
        ),
        (
            {"IRIS_ORIGINS": "https://a.org/"},
            "iris: IRIS_ORIGINS must be like https://board.example.org, several with commas between them,"
            " not 'https://a.org/'\n",
        ),
        ({"IRIS_AUTH": "open"}, "iris: IRIS_AUTH must be one of: none, token, not 'open'\n"),
        (
            {"DATABASE_URL": "mysql://secret@x"},
            "iris: DATABASE_URL must start with postgresql://\n",
        ),
        (
            {"IRIS_DB_HOST": "x"},
            "iris: IRIS_PASS is not set: the password of the database role that Iris uses\n",
        ),
        (
            {"IRIS_DB_HOST": "x", "IRIS_PASS": "choose-a-password"},
            "iris: IRIS_PASS is that of an older .env.example, which everybody knows: choose another\n",
        ),
        (
            {"IRIS_PROXIES": "10.0.0.1/8"},
            "iris: IRIS_PROXIES must be addresses or networks with commas between them: ",
        ),
        ({"IRIS_PASS_FILE": "/nowhere"}, "iris: IRIS_PASS_FILE can't be read: "),
        (
            {"IRIS_PASS_FILE": "/nowhere", "IRIS_PASS": "x"},
            "iris: IRIS_PASS and IRIS_PASS_FILE are both set",
        ),
        ({}, "iris: no database runs in "),
    ],
)
def test_a_bad_setting_stops_the_start(tmp_path, given, sentence):
    done = iris(tmp_path, free_port(), "serve", **given)
    assert (done.returncode, done.stderr.startswith(sentence)) == (1, True), done.stderr


def test_a_password_may_come_from_a_file(tmp_path, monkeypatch):
    from iris import location  # noqa: PLC0415

    (tmp_path / "pass").write_text("sec'ret\n")
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("IRIS_PASS_FILE", str(tmp_path / "pass"))
    monkeypatch.setenv("IRIS_DB_HOST", "db")
    assert location.dsn() == "host=db port=5432 dbname=iris user=iris password=sec\\'ret"


def test_what_is_counted_is_counted_over_all_workers(server, sql):
    token = sql.one("SELECT add_token('ada', 'writer') ->> 'token' AS it")["it"]
    live = Live(server.url(), IRIS_AUTH="token", IRIS_WORKERS="2", IRIS_RATE="5")

    def statuses(token, number):
        # A connection for each, so that every worker has some.
        header = f"Authorization: Bearer {token}"
        return [live.send("GET", "/me", headers=[header])[0] for _ in range(number)]

    try:
        begun = time.monotonic()
        said = statuses(token, 30)
        # As time goes by, one more every twelve seconds.
        assert 5 <= said.count(200) <= 6 + (time.monotonic() - begun) // 12
        begun = time.monotonic()
        said = statuses("none", 40)
        assert 10 <= said.count(401) <= 11 + (time.monotonic() - begun) // 6
    finally:
        live.stop()
