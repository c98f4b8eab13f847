"""A PostgreSQL of one's own starts again, whatever became of the last one."""

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import psycopg2
import pytest

from iris import embedded


class Place:
    """A folder for a server, and as many servers as a test wants in it."""

    def __init__(self, folder):
        self.folder, self.said, self.made = folder, [], []

    def server(self):
        options = {"fsync": "off", "shared_buffers": "16MB"}
        self.made.append(embedded.Server(self.folder, self.said.append, options))
        return self.made[-1]

    def lock_file(self):
        return self.folder / "postgres" / "postmaster.pid"


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path / "data")
    yield made
    made.server().stop()


def count(server):
    connection = psycopg2.connect(server.url("postgres", "postgres"))
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM kept")
        (rows,) = cursor.fetchone()
    connection.close()
    return rows


@pytest.fixture
def started(place):
    """Return a running server with a row that was acknowledged."""
    made = place.server()
    made.start()
    made._psql("postgres", "-c", "CREATE TABLE kept (n integer); INSERT INTO kept VALUES (1)")
    return made


def test_a_dead_one_that_nobody_has_asked_for_is_not_taken_for_alive(place, started):
    pid = started.pid()
    os.kill(pid, signal.SIGKILL)
    # Its parent, which is this process, doesn't ask: it stays listed, and would take signals.
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    os.kill(pid, 0)
    again = place.server()
    assert (again.pid(), again.is_ready()) == (None, False)
    again.start()
    assert again.pid() != pid
    assert count(again) == 1
    assert not any("already" in sentence for sentence in place.said)


@pytest.mark.parametrize("whose", ["another PostgreSQL's", "any other's"])
def test_a_number_that_is_somebody_elses_by_now_is_not_taken_for_it(place, started, server, whose):
    started.stop()
    rest = "\n/nowhere\n1\n5432\n/nowhere\n\n  1234567   7654321\nready   \n"
    other = subprocess.Popen(["sleep", "60"], cwd=started.data)
    pid = server.pid() if whose == "another PostgreSQL's" else other.pid
    place.lock_file().write_text(f"{pid}{rest}")
    (started.data / ".s.PGSQL.5432.lock").write_text(f"{pid}\n")
    again = place.server()
    assert (again.pid(), again.is_ready()) == (None, False)
    again.start()
    assert count(again) == 1
    assert server.is_ready()
    other.kill()
    other.wait()


def test_a_lock_file_that_was_never_written_is_no_obstacle(place, started):
    started.stop()
    place.lock_file().write_text("")
    again = place.server()
    again.start()
    assert count(again) == 1


def test_what_outlives_its_server_is_ended_first(place, started):
    connection = psycopg2.connect(started.url("postgres", "postgres"))
    backend = connection.get_backend_pid()
    # It can't notice that its server goes.
    os.kill(backend, signal.SIGSTOP)
    os.kill(started.pid(), signal.SIGKILL)
    again = place.server()
    began = time.monotonic()
    again.start()
    assert time.monotonic() - began < 20
    assert count(again) == 1
    with pytest.raises(psycopg2.OperationalError):
        connection.cursor().execute("SELECT 1")


def test_one_that_says_it_is_ready_and_does_not_answer_is_named(place, started, monkeypatch):
    monkeypatch.setattr(embedded.server, "ANSWER_SECONDS", 1)
    pid = started.pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(embedded.Failed) as caught:
            place.server().start()
    finally:
        os.kill(pid, signal.SIGCONT)
    assert f"PostgreSQL (process {pid}) says that it is ready, and has not answered" in str(
        caught.value
    )


def test_one_that_is_stopping_is_waited_for(place, started):
    connection = psycopg2.connect(started.url("postgres", "postgres"))
    # It waits for us, who stay for a second.
    os.kill(started.pid(), signal.SIGTERM)
    deadline = time.monotonic() + 10
    again = place.server()
    while again.status() != "stopping":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    threading.Timer(1, connection.close).start()
    again.start()
    assert count(again) == 1


def test_one_that_does_not_hear_is_stopped_all_the_same(started, monkeypatch):
    monkeypatch.setattr(embedded.server, "STOP_SECONDS", 0.5)
    os.kill(started.pid(), signal.SIGSTOP)
    started.stop()
    assert started.pid() is None


def test_the_processes_are_told_apart_without_proc_rights(place, started, monkeypatch):
    """In a container, even root may not see where others are."""

    def refuse(path):
        raise PermissionError

    monkeypatch.setattr(Path, "readlink", refuse)
    assert started.pid() is not None
    started.stop()
    assert started.pid() is None


@pytest.mark.parametrize("name", ["long" * 25, "a,b"])
def test_its_socket_stays_where_it_is_when_it_is_started_again(tmp_path, server, name):
    """Who serves from it has its name; a path that is too long, or has a comma, is none for a socket."""
    place = Place(tmp_path / name)
    own = place.server()
    own.start()
    try:
        url = own.url("postgres", "postgres")
        os.kill(own.pid(), signal.SIGKILL)
        while own.pid() is not None:
            time.sleep(0.05)
        # Its number is somebody else's by now.
        (Path(own.socket()) / ".s.PGSQL.5432.lock").write_text(f"{server.pid()}\n")
        own.start()
        assert own.url("postgres", "postgres") == url
        psycopg2.connect(url).close()
    finally:
        own.stop()
