"""A PostgreSQL of one's own starts again, whatever became of the last one."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
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


@pytest.fixture(scope="module")
def spare(tmp_path_factory, put_data):
    """Return the folder of data in which somebody has kept a row."""
    place = Place(tmp_path_factory.mktemp("spare") / "data")
    put_data(place.folder)
    made = place.server()
    made.start()
    made._psql("postgres", "-c", "CREATE TABLE kept (n integer); INSERT INTO kept VALUES (1)")
    made.stop()
    return made.data


@pytest.fixture
def lend(spare):
    """Return a function that puts those data into a folder, from which they come back: a copy takes longer than most tests."""
    lent = []

    def put(folder):
        folder.mkdir()
        lent.append(spare.rename(folder / "postgres"))

    yield put
    for each in lent:
        each.rename(spare)


@pytest.fixture
def place(tmp_path, lend):
    made = Place(tmp_path / "data")
    lend(made.folder)
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
def short():
    """Return a folder whose name leaves room for a socket's; pytest's are too long for some."""
    made = Path(tempfile.mkdtemp(dir=os.environ["PYTEST_DEBUG_TEMPROOT"]))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def started(place):
    """Return a running server with a row that was acknowledged."""
    made = place.server()
    made.start()
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

    def refuse(one, other):
        raise PermissionError

    monkeypatch.setattr(os.path, "samefile", refuse)
    assert started.pid() is not None
    started.stop()
    assert started.pid() is None


def test_a_copy_of_a_running_one_is_another(place, started, tmp_path):
    shutil.copytree(place.folder, tmp_path / "copy", ignore=lambda *_: [".s.PGSQL.5432"])
    for each in (tmp_path / "copy" / "postgres").rglob("*"):
        shutil.chown(each, *ids(started.data))
    shutil.chown(tmp_path / "copy" / "postgres", *ids(started.data))
    copies = Place(tmp_path / "copy")
    copy = copies.server()
    assert (copy.pid(), copy.is_ready()) == (None, False)
    copy.start()
    assert not any("already" in sentence for sentence in copies.said)
    copy._psql("postgres", "-c", "INSERT INTO kept VALUES (2)")
    assert (count(copy), count(started)) == (2, 1)
    copy.stop()
    assert (copy.pid(), count(started)) == (None, 1)


def ids(path):
    """Return whose a file is, (user id, group id)."""
    found = path.stat()
    return found.st_uid, found.st_gid


def test_one_that_is_of_another_folder_is_left_alone(short, put_data, monkeypatch):
    """A folder was moved while its server ran, and there is another one in its old place, by the same socket."""
    place, moved = Place(short / "data"), Place(short / "moved")
    put_data(place.folder)
    place.server().start()
    place.folder.rename(moved.folder)
    # Where the system tells nothing of processes, and where it does.
    systems = {"tells nothing": short / "nowhere", "tells": embedded.identity.PROC}
    monkeypatch.setattr(embedded.identity, "PROC", systems["tells nothing"])
    new = place.server()
    new.start()
    try:
        other = moved.server()
        for system, proc in systems.items():
            monkeypatch.setattr(embedded.identity, "PROC", proc)
            for use in (other.identify, other.start, other.stop):
                with pytest.raises(embedded.Failed) as caught:
                    use()
                assert f"is the PostgreSQL of {new.data} (process {new.pid()})" in str(
                    caught.value
                ), system
                assert "it is left alone" in str(caught.value), system
            assert new.is_ready(), system
        done = subprocess.run(
            [sys.executable, "-m", "iris.cli", "psql", "-c", "SELECT 1"],
            env={**os.environ, "DATABASE_URL": "", "IRIS_DATA": str(moved.folder)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, "it is left alone" in done.stderr) == (1, True), done.stderr
    finally:
        new.stop()
        # Nobody is in the way any more: the moved one is known by its folder.
        monkeypatch.undo()
        assert other.pid() is not None
        other.stop()
        assert other.pid() is None


def test_a_number_that_is_anybodys_is_not_signalled_where_the_system_tells_nothing(
    place, started, monkeypatch
):
    started.stop()
    other = subprocess.Popen(["sleep", "60"])
    lines = [other.pid, started.data, 1, 5432, started.data, "", "1 1", "ready   "]
    place.lock_file().write_text("".join(f"{line}\n" for line in lines))
    monkeypatch.setattr(embedded.identity, "PROC", place.folder / "nowhere")
    with pytest.raises(embedded.Failed, match="does not answer on"):
        place.server().stop()
    assert other.poll() is None
    other.kill()
    other.wait()
    place.lock_file().unlink()


@pytest.mark.parametrize("end", ["stopped", "killed", "stopped by somebody else", "not started"])
def test_it_leaves_nothing_outside_of_its_folder(tmp_path, short, lend, monkeypatch, end):
    monkeypatch.setattr(tempfile, "tempdir", str(short))
    place = Place(tmp_path / ("long" * 25))
    lend(place.folder)
    if end == "not started":
        made = embedded.Server(place.folder, options={"no_such_setting": "on"})
        with pytest.raises(embedded.Failed):
            made.start()
        assert [*short.iterdir()] == []
        return
    own = place.server()
    own.start()
    (socket,) = short.iterdir()
    if end == "killed":
        os.kill(own.pid(), signal.SIGKILL)
        while own.pid() is not None:
            time.sleep(0.05)
        # Whoever comes next takes the same place.
        own = place.server()
        own.start()
        assert [*short.iterdir()] == [socket]
    (place.server() if end == "stopped by somebody else" else own).stop()
    own.stop()
    assert [*short.iterdir()] == []


@pytest.mark.parametrize("name", ["long" * 25, "a,b"])
def test_its_socket_stays_where_it_is_when_it_is_started_again(tmp_path, server, lend, name):
    """Who serves from it has its name; a path that is too long, or has a comma, is none for a socket."""
    place = Place(tmp_path / name)
    lend(place.folder)
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
