"""Heavy reads on standbys: what is heavy, and what becomes of it where a standby is of no use."""

import contextlib
import json
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import psycopg2
import pytest
import reads
from cluster import Cluster, follows, sql
from conftest import ROOT, Live
from reads import PRIMARY, STANDBY, VAIN, WAITS
from test_feed import Reader
from test_poolers import PGBOUNCER, bouncing

from iris import doctor, location
from iris.database import standbys  # noqa: F401 (of the settings of now)
from iris.doctor import outside

# Where it is not about time.
PATIENT, FOLDER = "patient_app:app", str(Path(__file__).parent)
LIGHT = ("/tickets", "/tickets/1", "/tickets?status=open&count=true", "/events", "/events?after=0", "/tickets/1/history", "/workflow", "/inbox", "/tickets/1/watchers", "/db-check")  # fmt: skip


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, put_data):
    made = Cluster(tmp_path_factory.mktemp("cluster"), put_data)
    sql(made.primary, "INSERT INTO tickets (title) VALUES ('first')", user="iris")
    made.follow("one")
    made.follow("two")
    yield made
    made.stop()


@pytest.fixture(scope="module")
def service(cluster):
    made = Live(cluster.primary.url(), PATIENT, IRIS_READ_URL=cluster.url(), PYTHONPATH=FOLDER)
    yield made
    made.stop()


@contextlib.contextmanager
def alone(cluster, *servers, primary=None, app="iris.app:app", **environment):
    """Give an Iris with some standbys of its own choice, and what it has counted from then on."""
    environment = {"IRIS_READ_URL": cluster.url(*servers), "PYTHONPATH": FOLDER, **environment}
    made = Live((primary or cluster.primary).url(), app, **environment)
    try:
        yield made, lambda: reads.metrics(made)
    finally:
        log = made.stop()
        assert "Traceback" not in log


def shared(service):
    """Give the service of all standbys, and what it has counted from then on."""
    before = reads.metrics(service)
    return service, lambda: tuple(
        now - then for now, then in zip(reads.metrics(service), before, strict=True)
    )


@pytest.fixture(scope="module")
def third(cluster):
    """Return one more standby, which is none of those that are known; it is promoted some time."""
    made = cluster.follow("third")
    cluster.standbys.remove(made)
    follows(cluster.primary, made)
    yield made
    made.stop()


def promote(server):
    if sql(server, "SELECT pg_is_in_recovery()") == [(True,)]:
        sql(server, "SELECT pg_promote()")


def search(live, headers=()):
    status, _head, body = live.send("GET", "/tickets?q=first", headers=headers)
    assert status == 200, body
    return [row["title"] for row in json.loads(body)]


def test_each_heavy_read_is_a_standbys_and_no_other_is(service):
    before = reads.metrics(service)
    assert reads.misses(service, iter([0]), 1) == []
    found = reads.metrics(service)
    # A past search asks first how to search.
    assert found[STANDBY] - before[STANDBY] == len(reads.HEAVY) + 1
    assert found[PRIMARY] == before[PRIMARY]
    for path in LIGHT:
        assert service.send("GET", path)[0] == 200, path
    assert reads.metrics(service)[:2] == found[:2]


def test_what_was_just_written_is_found_each_time(cluster):
    """As `make reads` has it a thousand times."""
    found, counted = reads.run(cluster, *cluster.standbys, rounds=6, workers=1)
    assert found == []
    assert all(each[STANDBY] > 0 for each in counted)
    # One of the two waits for what comes late.
    assert counted[1][WAITS] > 0


def test_a_standby_that_comes_a_moment_later_is_waited_for(cluster):
    one, _two = cluster.standbys
    with alone(cluster, one) as (live, counted):
        assert search(live) == ["first"]
        try:
            before = counted()
            sql(one, "SELECT pg_wal_replay_pause()")
            live.send("PUT", "/tickets?title=first+of+more")
            timer = threading.Timer(0.1, sql, (one, "SELECT pg_wal_replay_resume()"))
            timer.start()
            assert search(live) == ["first of more", "first"]
            timer.join()
            assert counted()[WAITS] > before[WAITS]
            # One that does not come is given up, and left alone for a while.
            sql(one, "SELECT pg_wal_replay_pause()")
            live.send("PUT", "/tickets?title=first+of+all")
            assert search(live)[0] == "first of all"
            assert counted()[PRIMARY] > before[PRIMARY]
            assert counted()[VAIN] > before[VAIN]
        finally:
            sql(one, "SELECT pg_wal_replay_resume()")
            sql(cluster.primary, "DELETE FROM tickets WHERE title LIKE 'first of%%'")


def test_of_two_the_one_that_is_there_reads(cluster):
    one, two = cluster.standbys
    # One of its own: it remembers for a while who did not answer.
    with alone(cluster, app=PATIENT) as (live, counted):

        def read_on():
            """Read until a standby has: one that is late for a moment is not waited for."""
            before, deadline = counted()[STANDBY], time.monotonic() + 30
            while counted()[STANDBY] == before and time.monotonic() < deadline:
                assert search(live) == ["first"]
                time.sleep(0.1)
            assert counted()[STANDBY] > before

        try:
            read_on()
            one.stop()
            for _ in range(4):
                read_on()
            two.stop()
            standby, primary = counted()[:2]
            assert [search(live) for _ in range(4)] == [["first"]] * 4
            assert counted()[:2] == (standby, primary + 4)
        finally:
            for each in (one, two):
                each.stop()
                each.start()
        read_on()


def test_one_that_does_not_answer_is_not_waited_for(cluster):
    one, _two = cluster.standbys
    follows(cluster.primary, one)
    with alone(cluster, one) as (live, counted):
        assert search(live) == ["first"]
        master = psutil.Process(one.pid())
        held = [master, *master.children()]
        for each in held:
            each.suspend()
        try:
            assert [search(live) for _ in range(3)] == [["first"]] * 3
            assert counted()[PRIMARY] == 3
        finally:
            for each in held:
                each.resume()


def test_one_that_was_promoted_is_none_any_more(cluster, third):
    with alone(cluster, third, app=PATIENT) as (live, counted):
        assert search(live) == ["first"]
        promote(third)
        sql(third, "UPDATE tickets SET title = 'not the first'")
        assert [search(live) for _ in range(3)] == [["first"]] * 3
        assert counted()[STANDBY] == 1


def test_what_follows_another_timeline_is_not_taken_for_far_enough(tmp_path, put_data):
    """A standby that had more of the old primary than the new one, and was left behind."""
    cluster = Cluster(tmp_path, put_data)
    try:
        new, left = cluster.follow("new"), cluster.follow("left")
        sql(cluster.primary, "INSERT INTO tickets (title) VALUES ('first')", user="iris")
        follows(cluster.primary, new)
        sql(new, "SELECT pg_wal_replay_pause()")
        new.stop()
        # These only one of the two gets.
        for _ in range(20):
            sql(cluster.primary, "UPDATE tickets SET title = 'first of old'", user="iris")
        follows(cluster.primary, left)
        cluster.primary.stop()
        new.start()
        sql(new, "SELECT pg_promote()")
        sql(new, "UPDATE tickets SET title = 'first of new'", user="iris")
        with alone(cluster, left, primary=new) as (live, counted):
            assert search(live) == ["first of new"]
            assert counted()[:2] == (0, 1)
    finally:
        cluster.stop()


def test_another_database_is_no_standby(cluster, server):
    """One of the same schema, which is as far by chance."""
    with alone(cluster, server) as (live, counted):
        assert search(live) == ["first"]
        assert counted()[:2] == (0, 1)


def test_a_log_that_ends_with_a_page_is_not_waited_for(cluster, service):
    """Behind it only the header of the next one is there, and nobody can replay that."""
    follows(cluster.primary, cluster.standbys[0])
    live, counted = shared(service)
    sql(cluster.primary, "SELECT pg_switch_wal()")
    assert search(live) == ["first"]
    assert counted()[:2] == (1, 0)
    # The time that others need to write something is not there.
    assert counted()[VAIN] == 0


# Run by another process, for it is this one's setting.
SLEEPING = """
from iris import counters
from iris.database import standbys
standbys.PATIENCE = 30
print(standbys.rows("SELECT pg_is_in_recovery(), (SELECT count(*) FROM tickets), pg_sleep(3)", {})[0][:2],
    counters.MINE[counters.GIVEN_UP])
"""


def test_a_statement_that_replay_can_not_wait_for_is_done_on_the_primary(cluster):
    third = cluster.follow("impatient", hot_standby_feedback="off", max_standby_streaming_delay="0")
    cluster.standbys.remove(third)
    follows(cluster.primary, third)
    environment = {**os.environ, "DATABASE_URL": cluster.primary.url(), "IRIS_READ_URL": cluster.url(third), "PYTHONPATH": str(ROOT)}  # fmt: skip
    running = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", SLEEPING], env=environment, stdout=subprocess.PIPE, text=True
    )  # fmt: skip
    while not sql(third, "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"):
        assert running.poll() is None, running.communicate()
    sql(cluster.primary, "BEGIN; LOCK TABLE tickets IN ACCESS EXCLUSIVE MODE; COMMIT")
    assert running.communicate()[0].startswith("(False, ")
    third.stop()


def take_turns(url, over):
    """Use a pooler now and then, so that who comes next is led to another server than before."""
    with contextlib.closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        while not over.wait(0.002):
            cursor.execute("SELECT pg_sleep(0.002)")
            connection.commit()


@pytest.mark.skipif(not PGBOUNCER, reason="there is no pgbouncer here")
def test_a_pooler_that_leads_each_statement_to_another_standby_makes_none_stale(cluster, tmp_path):
    """Whether one is far enough is asked in the message that reads."""
    one, two = cluster.standbys
    over = threading.Event()
    with (
        bouncing(tmp_path, f"{one.socket()},{two.socket()}") as url,
        alone(cluster, app=PATIENT, IRIS_READ_URL=url) as (live, counted),
    ):
        sql(one, "SELECT pg_wal_replay_pause()")
        others = [threading.Thread(target=take_turns, args=(url, over)) for _ in range(2)]
        for each in others:
            each.start()
        try:
            for number in range(20):
                made = f"pooled{number}"
                assert live.send("PUT", f"/tickets?title={made}")[0] == 201
                assert made.encode() in live.send("GET", f"/tickets?q={made}")[2]
        finally:
            over.set()
            for each in others:
                each.join()
            sql(one, "SELECT pg_wal_replay_resume()")
        assert counted()[STANDBY] + counted()[PRIMARY] == 20
        # Looked at there, and read here: it is this that a guard is for.
        assert counted()[PRIMARY] > 0


def test_whoever_may_not_may_not_there_either(cluster):
    connection = psycopg2.connect(cluster.primary.url())
    with connection, connection.cursor() as cursor:
        headers = {}
        for role in ("reader", "admin"):
            cursor.execute("SELECT add_token(%s, %s) ->> 'token'", (f"the {role}", role))
            headers[role] = [f"Authorization: Bearer {cursor.fetchone()[0]}"]
    connection.close()
    with alone(cluster, app=PATIENT, IRIS_AUTH="token") as (live, _counted):
        assert search(live, headers["reader"]) == ["first"]
        path = "/tokens?format=ndjson"
        assert live.send("GET", path, headers=headers["admin"])[0] == 200
        status, _head, body = live.send("GET", path, headers=headers["reader"])
        assert (status, json.loads(body)["sqlstate"]) == (403, "42501")
        sql(cluster.primary, "DELETE FROM tokens")


def test_what_is_wrong_is_refused_in_the_same_words(cluster, service):
    plain = Live(cluster.primary.url())
    try:
        for path in ("/tickets?as_of=nonsense", "/tickets?q=x&due_before=2026-13-01", "/stats?as_of=2026-02-30",
            "/tickets?q=x&cursor=nonsense", "/changes?since=nonsense", "/tickets/999/history?format=ndjson"):  # fmt: skip
            first, second = (json.loads(each.send("GET", path)[2]) for each in (service, plain))
            for each in (first, second):
                del each["request_id"]
            assert first == second, path
    finally:
        plain.stop()


def test_a_reader_of_the_feed_who_is_far_behind_reads_what_is_there_from_a_standby(
    cluster, service
):
    live, counted = shared(service)
    rows = json.dumps([{"title": f"One of many, {number}"} for number in range(600)]).encode()
    assert live.send("PUT", "/tickets", rows, ["Content-Type: application/json"])[0] == 200
    ((last,),) = sql(cluster.primary, "SELECT count(*) FROM events")
    # All have positions by then.
    assert live.send("GET", "/events?after=0&limit=1")[0] == 200
    reader = Reader(live, 0)
    events = reader.until(lambda found: len(found) >= last, seconds=60)
    assert [place for place, _ in events] == list(range(1, last + 1))
    reader.close()
    assert counted()[STANDBY] >= 6
    assert counted()[PRIMARY] == 0


def test_the_doctor_finds_what_is_no_standby_of_it(cluster, third, server, tmp_path, monkeypatch):
    def looked(primary, *servers):
        """Return what the doctor says of each, without its name."""
        monkeypatch.setenv("DATABASE_URL", primary.url("iris"))
        monkeypatch.setenv("IRIS_READ_URL", cluster.url(*servers))
        found = [each for each in doctor.examine(quick=True) if each.check == "standbys"]
        for standby, each in zip(servers, found, strict=True):
            assert each.found.startswith(f"{standby.socket()}:5432 "), each
        return [(each.status, each.found.partition(":5432 ")[2]) for each in found]

    monkeypatch.setattr(outside, "LAG_SECONDS", 3)
    one, two = cluster.standbys
    (first, is_primary, second) = looked(cluster.primary, one, cluster.primary, two)
    assert is_primary == ("ok", "is the primary")
    for status, words in (first, second):
        assert status == "ok"
        assert re.fullmatch(r"follows, [0-3]\.\d s behind at most", words)
    sql(one, "SELECT pg_wal_replay_pause()")
    try:
        sql(cluster.primary, "INSERT INTO tickets (title) VALUES ('late')", user="iris")
        late, second = looked(cluster.primary, one, two)
        assert late[0] == "wrong"
        assert re.match(r"lacks \d+ \w+ that the primary had 3 s ago, its last is of 2", late[1])
        assert second[0] == "ok"
    finally:
        sql(one, "SELECT pg_wal_replay_resume()")
        sql(cluster.primary, "DELETE FROM tickets WHERE title = 'late'")
    ((status, words),) = looked(cluster.primary, server)
    assert (status, words) == ("wrong", "is another database's than the primary")
    promote(third)
    ((status, words),) = looked(cluster.primary, third)
    assert (status, words) == ("wrong", "is a primary of its own")
    # As it is after a failover with those that were left behind.
    ((status, words),) = looked(third, one)
    assert (status, words) == ("wrong", "follows timeline 1, and the primary is on 2")
    monkeypatch.setenv("IRIS_READ_URL", f"postgresql:///iris?host={tmp_path}/nobody")
    (found,) = [each for each in doctor.examine(quick=True) if each.check == "standbys"]
    assert found.status == "wrong"
    assert found.found.startswith(f"{tmp_path}/nobody:5432 can't be read: ")
    monkeypatch.setenv("DATABASE_URL", one.url("iris"))
    (found,) = [each for each in doctor.examine(quick=True) if each.check == "standbys"]
    assert (found.status, found.found) == (
        "wrong",
        "what Iris writes to is a standby itself",
    )


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("postgresql://iris:p%40ss@one,two:6432/iris", ["host=one", "host=two port=6432"]),
        ("postgresql://iris@one,two/iris?port=6432", ["host=one port=6432", "host=two port=6432"]),
        ("postgresql:///iris?host=/run/a,/run/b", ["host=/run/a", "host=/run/b"]),
        ("postgresql:///iris", [""]),
    ],
)  # fmt: skip
def test_each_host_is_a_standby(url, found, monkeypatch):
    monkeypatch.setenv("IRIS_READ_URL", url)
    told = [psycopg2.extensions.parse_dsn(each) for each in location.standbys()]
    wanted = [dict(word.split("=") for word in each.split()) for each in found]
    assert [
        {name: each[name] for name in ("host", "port") if each.get(name)} for each in told
    ] == wanted
    assert all(each["dbname"] == "iris" for each in told)
