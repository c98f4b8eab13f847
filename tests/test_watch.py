"""`iris watch`: the feed followed, over restarts of either side."""

import json
import random
import signal
import subprocess
import sys
import time

import pytest
from conftest import ALICE, BOB, Iris, Live

WAIT = 30


def lines(running, count):
    """Return so many lines of what a command prints, as they come."""
    return [running.stdout.readline().decode() for _ in range(count)]


def moved(path, before=""):
    """Return the position that a file keeps, once it keeps another."""
    deadline = time.monotonic() + WAIT
    while (kept := path.read_text().split()[:1] if path.exists() else []) in ([], [before]):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return kept[0]


def ended(running, number=signal.SIGINT):
    running.send_signal(number)
    out, err = running.communicate(timeout=WAIT)
    return out.decode(), err.decode()


@pytest.fixture
def iris(server, clean, tmp_path):
    """Return the `iris` command at an Iris of its own, which has not seen the events of another test."""
    made = Live(server.url())
    yield Iris(tmp_path, f"http://127.0.0.1:{made.port}")
    made.stop(signal.SIGQUIT)


@pytest.fixture
def watching():
    """Return a function that starts `iris watch` at an Iris; what still runs is ended."""
    started = []

    def start(iris, *words, **environment):
        started.append(iris.start("watch", *words, **environment))
        return started[-1]

    yield start
    for running in started:
        if running.poll() is None:
            running.kill()
            running.communicate()


def test_it_tells_what_happens_as_it_happens(watching, iris, http, sql):
    http.put("/tickets", title="before")
    # From the beginning, for who asks for that.
    running = watching(iris, "--from", "0")
    assert "  anonymous  created ticket 1: before\n" in lines(running, 1)[0]
    http.put("/tickets/1", status="active", labels=["a", "b"], description="x\n" * 99, actor=BOB)
    changed = lines(running, 1)[0]
    for said in ("  bob  changed ticket 1: ", "status: open → active", "labels: a, b", " x …"):
        assert said in changed
    sql(
        "UPDATE tickets SET assignee = 'bob'; INSERT INTO comments (ticket_id, body) VALUES (1, E'\\u009bhi')"
    )
    told = lines(running, 2)
    assert "iris  changed ticket 1: assignee: bob" in told[0]
    assert "iris  commented on ticket 1: \ufffdhi" in told[1]
    change = json.loads(iris("log", "limit=1", "--json").out)[0]["change"]
    iris("undo", str(change))
    # Both were one change.
    assert all("(undoes " in line for line in lines(running, 2))
    assert ended(running) == ("", "")
    assert running.returncode == 130


def test_it_goes_on_where_it_was(watching, iris, http):
    http.put("/tickets", title="before")
    running = watching(iris, "--json", "--position", "kept")
    begun = moved(iris.home / "kept")
    http.put("/tickets", title="one")
    assert json.loads(lines(running, 1)[0])["changes"]["title"] == [None, "one"]
    # It goes to a pipe, of which nobody can tell whether it was read: once it is written down, it is not repeated.
    moved(iris.home / "kept", begun)
    ended(running, signal.SIGKILL)
    http.put("/tickets", title="two")
    running = watching(iris, "--json", "--position", "kept")
    assert json.loads(lines(running, 1)[0])["changes"]["title"] == [None, "two"]
    # A position is one reader's.
    other = iris("watch", "--position", "kept")
    assert (other.status, "hint: Name one of your own" in other.err) == (2, True)
    ended(running)
    (iris.home / "kept").write_text("soon")
    assert iris("watch", "--position", "kept").status == 2
    assert iris("watch", "--position", "/proc/nope").status == 1
    assert iris("watch", "--from", "-1").status == 2
    assert iris("watch", IRIS_URL="http://127.0.0.1:1").status == 4


def test_only_what_is_asked_for_is_told(watching, iris, http):
    other = watching(iris, "actor=me,bob", "kind!=commented", "--from", "0")
    for actor in (None, ALICE, BOB):
        http.put("/tickets", title=f"of {actor}", actor=actor)
        http.put("/tickets/1/comments", body="x", actor=actor)
    running = watching(iris, "2", "--from", "0")
    assert "ticket 2: of alice" in lines(running, 1)[0]
    assert [line.split("of ")[1] for line in lines(other, 2)] == ["alice\n", "bob\n"]
    http.put("/tickets/2/comments", body="x")
    assert "commented on ticket 2: x" in lines(running, 1)[0]
    http.put("/tickets/2/links/blocks/3")
    assert "linked ticket 2: blocks 3\n" in lines(running, 1)[0]
    # What never was is waited for in vain; what is gone has a history.
    assert iris("watch", "99").status == 3
    http.put("/comments/4", body="y")
    http.delete("/comments/4")
    http.delete("/tickets/2")
    told = lines(running, 4)
    assert "changed a comment on ticket 2: x → y\n" in told[0]
    assert "deleted a comment on ticket 2: y\n" in told[1]
    ended(running)
    assert "deleted ticket 2: of alice\n" in "".join(told)


def test_killed_at_any_moment_it_repeats_and_loses_nothing(iris, sql):
    """What it prints goes to a file."""
    sql("INSERT INTO tickets (title) SELECT 'x' FROM generate_series(1, 400)")
    seed = random.randrange(2**32)
    chance, told, killed = random.Random(seed), iris.home / "told", 0
    deadline = time.monotonic() + 2 * WAIT
    while told.read_bytes().count(b"\n") < 400 if told.exists() else True:
        assert time.monotonic() < deadline
        size = told.stat().st_size if told.exists() else 0
        with told.open("ab") as out:
            words = ["--from", "0"] if not killed and not size else []
            running = subprocess.Popen(
                [sys.executable, "-m", "iris.cli", "watch", "--json", "--position", "kept", *words],
                stdout=out, cwd=iris.home, env=iris.environment,
            )  # fmt: skip
        while not told.stat().st_size > size and running.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        time.sleep(chance.random() * 0.01)
        running.kill()
        running.wait()
        killed += 1
    events = [json.loads(line)["event_id"] for line in told.read_text().splitlines()]
    assert events == sorted(set(events)), seed
    assert len(events) == 400


def test_it_waits_for_an_iris_that_is_away_and_ends_when_it_may_no_more(
    server, sql, watching, tmp_path
):
    token = sql.one("SELECT add_token('rita', 'reader') ->> 'token' AS it")["it"]
    live = Live(server.url(), IRIS_AUTH="token")
    iris = Iris(tmp_path, f"http://127.0.0.1:{live.port}")
    try:
        running = watching(iris, "kind=created", "--from", "0", IRIS_TOKEN=token)
        sql("INSERT INTO tickets (title) VALUES ('one')")
        assert "ticket 1: one" in lines(running, 1)[0]
        live.stop()
        sql("INSERT INTO tickets (title) VALUES ('two')")
        time.sleep(1.5)
        live = Live(server.url(), port=live.port, IRIS_AUTH="token")
        assert "ticket 2: two" in lines(running, 1)[0]
        sql("DELETE FROM tokens")
        _, err = running.communicate(timeout=WAIT)
        assert (running.returncode, err.count(b"trying again") <= 2) == (1, True)
        assert b"this token is none" in err
        assert token.encode() not in err
    finally:
        live.stop()
