"""Synchronous standbys: what none of them has is not acknowledged, whoever ends the wait for one."""

import contextlib
import json
import threading
import time

import psycopg2
import pytest
from cluster import Cluster, sql
from conftest import Live

from iris.database import callers


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, put_data):
    made = Cluster(tmp_path_factory.mktemp("cluster"), put_data)
    made.follow("one", cluster_name="one")
    yield made
    made.stop()


@pytest.fixture(scope="module")
def service(cluster):
    made = Live(cluster.primary.url())
    assert made.send("PUT", "/tickets?title=first")[0] == 201
    yield made
    made.stop()


def wait_for(primary, names):
    """Have all commits wait for standbys of these names."""
    sql(primary, f"ALTER SYSTEM SET synchronous_standby_names TO {names}")
    sql(primary, "SELECT pg_reload_conf()")


def is_waited_for(primary):
    """Commit something; return whether that had to wait, which is ended then."""
    writing = "SELECT pg_logical_emit_message(true, '', 'x')"
    thread = threading.Thread(target=sql, args=(primary, writing))
    thread.start()
    while thread.is_alive():
        if found := sql(primary, "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"):
            sql(primary, "SELECT pg_cancel_backend(%s)", *found[0])
            thread.join()
            return True
    return False


@contextlib.contextmanager
def nobody_there(primary):
    """Have all commits wait for a standby that is not there."""
    wait_for(primary, "'nobody'")
    # PostgreSQL's processes read their settings one after the other: it holds when somebody waits.
    while not is_waited_for(primary):
        pass
    try:
        yield
    finally:
        wait_for(primary, "''")


class Asked(threading.Thread):
    """A request that is on its way; answer is what came back."""

    def __init__(self, service, *request):
        super().__init__()
        self.service, self.request, self.answer = service, request, None
        self.start()

    def run(self):
        status, _head, body = self.service.send(*self.request)
        self.answer = status, json.loads(body)


def waiting(primary, many=1):
    """Return the processes that wait for a standby, when there are so many."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = sql(primary, "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
        if len(found) >= many:
            return [pid for (pid,) in found]
        time.sleep(0.02)
    raise AssertionError("nobody waits")


def test_a_wait_that_somebody_ends_is_no_acknowledgement(cluster, service):
    with nobody_there(cluster.primary):
        asked = Asked(service, "PUT", "/tickets?title=on+one+machine")
        (pid,) = waiting(cluster.primary)
        sql(cluster.primary, "SELECT pg_cancel_backend(%s)", pid)
        asked.join()
    status, problem = asked.answer
    assert (status, problem["code"]) == (503, "database_unavailable")
    assert "on one machine only" in problem["detail"]


def test_a_session_that_is_ended_meanwhile_is_none_either(cluster, service):
    with nobody_there(cluster.primary):
        asked = Asked(service, "PUT", "/tickets?title=on+one+machine")
        (pid,) = waiting(cluster.primary)
        sql(cluster.primary, "SELECT pg_terminate_backend(%s)", pid)
        asked.join()
    status, problem = asked.answer
    assert (status, problem["code"]) == (503, "database_unavailable")


def test_an_answer_that_is_given_again_waits_as_the_first_one_did(cluster, service):
    """Else who repeats what was not acknowledged would have it acknowledged by what is on one machine only."""
    request = ("PUT", "/tickets?title=repeated", b"", ["Idempotency-Key: again"])
    with nobody_there(cluster.primary):
        first = Asked(service, *request)
        sql(cluster.primary, "SELECT pg_cancel_backend(%s)", *waiting(cluster.primary))
        first.join()
        assert first.answer[0] == 503
        again = Asked(service, *request)
        waiting(cluster.primary)
        assert again.answer is None
    again.join()
    status, ticket = again.answer
    assert (status, ticket["title"]) == (201, "repeated")
    assert sql(cluster.primary, "SELECT count(*) FROM tickets WHERE title = 'repeated'") == [(1,)]


def test_in_sql_as_well(cluster):
    """psql shows the warning; whoever goes by once() waits again."""

    def once():
        with contextlib.closing(psycopg2.connect(cluster.primary.url())) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT replayed FROM once('sql', 'x', $$INSERT INTO tickets (title) VALUES ('once') RETURNING title$$)"
                )
                return cursor.fetchone()[0], list(connection.notices)

    found = []
    with nobody_there(cluster.primary):
        for _ in range(2):
            thread = threading.Thread(target=lambda: found.append(once()))
            thread.start()
            sql(cluster.primary, "SELECT pg_cancel_backend(%s)", *waiting(cluster.primary))
            thread.join()
    assert [replayed for replayed, _ in found] == [False, True]
    assert all("canceling wait for synchronous replication" in said[0] for _, said in found)


def test_with_a_standby_there_nobody_waits_for_long(cluster, service):
    wait_for(cluster.primary, "one")
    try:
        assert service.send("PUT", "/tickets?title=on+two+machines")[0] == 201
    finally:
        wait_for(cluster.primary, "''")


@contextlib.contextmanager
def writers_wait(primary, service, many, headers=()):
    """Have so many writes wait for a standby that is not there; they are answered afterwards."""
    with nobody_there(primary):
        asked = [
            Asked(service, "PUT", f"/tickets?title=waits+{number}", b"", headers)
            for number in range(many)
        ]
        # Of two connections, one is for whoever writes.
        waiting(primary)
        yield
    for each in asked:
        each.join()
    assert sorted({each.answer[0] for each in asked}) in ([201], [201, 503])


def test_while_no_standby_is_there_what_reads_is_answered(cluster):
    """However many writes wait: some connections of the pool are for reading only."""
    made = Live(cluster.primary.url(), IRIS_AUTH="token", IRIS_POOL="2", IRIS_WORKERS="1")
    try:
        ((token,),) = sql(
            cluster.primary, "SELECT add_token('zoe', 'admin') ->> 'token'", user="iris"
        )
        headers = [f"Authorization: Bearer {token}"]
        assert made.send("PUT", "/tickets?title=a+word", headers=headers)[0] == 201
        # As if an hour had gone by: looking at a token notes that it was used.
        sql(cluster.primary, "UPDATE tokens SET used = used - interval '2 hours'")
        time.sleep(callers.SECONDS)
        with writers_wait(cluster.primary, made, 6, headers):
            for path in (
                "/me",
                "/tickets",
                "/tickets/1",
                "/tickets?q=word",
                "/tickets?as_of=now",
                "/tickets?format=ndjson",
                "/stats?as_of=now",
                "/changes?since=yesterday",
                "/db-check",
            ):
                began = time.monotonic()
                assert made.send("GET", path, headers=headers)[0] == 200, path
                assert time.monotonic() - began < 3, path
            # The feed gives what has none a position, which is as good as a write.
            status, _, body = made.send("GET", "/events?after=0", headers=headers)
            assert (status, json.loads(body)["code"]) == (503, "database_unavailable")
    finally:
        made.stop()
