"""The database goes away, comes back, is slow, is full: clear answers, and nothing else is harmed."""

import contextlib
import json
import re
import signal
import threading
import time
from pathlib import Path

import psutil
import psycopg2
import pytest
from conftest import Live
from test_feed import Reader

from iris import embedded


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """Return a server of its own, to be stopped at will."""
    made = embedded.Server(tmp_path_factory.mktemp("own"), options={"fsync": "off"})
    made.start()
    made.seed()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def service(own):
    # gunicorn would believe whom this names; Iris has its own setting.
    given = {"IRIS_POOL": "2", "IRIS_STATEMENT_SECONDS": "2", "FORWARDED_ALLOW_IPS": "*"}
    made = Live(own.url(), "hasty_app:app", PYTHONPATH=str(Path(__file__).parent), **given)
    yield made
    made.stop()


def test_away_and_back(own, service):
    assert service.send("PUT", "/tickets?title=before")[0] == 201
    own.stop()
    for method, path in (("GET", "/tickets"), ("PUT", "/tickets?title=x"), ("GET", "/db-check")):
        status, head, body = service.send(method, path)
        assert (status, json.loads(body)["code"]) == (503, "database_unavailable")
        assert "retry-after: 1" in head.lower()
    assert service.send("GET", "/health")[0] == 200
    status, _, metrics = service.send("GET", "/metrics")
    assert (status, b"\niris_database_up 0.0\n" in metrics) == (200, True)
    assert b"iris_feed_lag_seconds" not in metrics
    own.start()
    # Not one request fails, though the pool's connections are all dead.
    answers = [service.send("GET", "/tickets")[0] for _ in range(10)]
    assert answers == [200] * 10


def test_restarted_between_two_requests(own, service):
    for _ in range(4):
        assert service.send("GET", "/db-check")[0] == 200
    own.stop()
    own.start()
    assert [service.send("PUT", "/tickets?title=x")[0] for _ in range(4)] == [201] * 4


def cut(own, service, method, path, *headers, table="tickets"):
    """Send a request whose server process is ended while it waits; return (status, head, what was answered).

    table:    what it waits for.
    """
    answers = []
    asked = threading.Thread(
        target=lambda: answers.append(service.send(method, path, headers=headers))
    )
    # In a transaction, which `with` a connection is one, pg_stat_activity would stay as it was first seen.
    with (
        contextlib.closing(psycopg2.connect(own.url("postgres"))) as locks,
        contextlib.closing(psycopg2.connect(own.url("postgres"))) as ends,
    ):
        ends.autocommit = True
        with locks.cursor() as cursor, ends.cursor() as ender:
            cursor.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            asked.start()
            waiting = "SELECT pid FROM pg_stat_activity WHERE application_name = 'http' AND wait_event_type = 'Lock'"
            while asked.is_alive():
                ender.execute(waiting)
                if first := ender.fetchall():
                    break
            # All others as well: none of the pool's is of any use.
            ender.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'http'"
            )
            while asked.is_alive():
                ender.execute(waiting)
                if ender.fetchall() != first:
                    break
            locks.rollback()
    asked.join()
    ((status, head, body),) = answers
    return status, head, json.loads(body)


def test_what_reads_is_tried_once_more_when_its_server_process_ends(own, service):
    number = json.loads(service.send("PUT", "/tickets?title=cut")[2])["ticket_id"]
    for path in (f"/tickets/{number}", "/tickets", "/tickets?q=cut"):
        assert cut(own, service, "GET", path)[0] == 200, path


def test_what_only_admins_read_is_tried_once_more_too(own):
    with psycopg2.connect(own.url()) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT add_token('ada', 'admin') ->> 'token'")
        header = f"Authorization: Bearer {cursor.fetchone()[0]}"
    made = Live(own.url(), IRIS_AUTH="token")
    try:
        # From now on she is known, and only the list waits.
        assert made.send("GET", "/me", headers=[header])[0] == 200
        assert cut(own, made, "GET", "/tokens", header, table="tokens")[0] == 200
    finally:
        made.stop()


def test_without_a_connection_to_be_had_it_says_so(own, service):
    """All that the server gives are somebody else's."""
    held = []
    with contextlib.closing(psycopg2.connect(own.url("postgres"))) as owner:
        owner.autocommit = True
        cursor = owner.cursor()
        try:
            # It has none of its own left, and gets none.
            cursor.execute(
                "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE application_name = 'http'"
            )
            with pytest.raises(psycopg2.OperationalError, match=r"reserved|too many clients"):
                while True:
                    held.append(psycopg2.connect(own.url()))
            for method, path in (
                ("GET", "/tickets"),
                ("PUT", "/tickets?title=x"),
                ("GET", "/db-check"),
            ):
                status, head, body = service.send(method, path)
                assert (status, json.loads(body)["code"]) == (503, "database_busy")
                assert "retry-after: 1" in head.lower()
        finally:
            while held:
                held.pop().close()
        # They have gone when their server processes have.
        while cursor.execute("SELECT FROM pg_stat_activity") or cursor.rowcount > 50:
            pass
    assert service.send("PUT", "/tickets?title=x")[0] == 201


def test_what_writes_is_tried_once_more_if_it_has_a_key(own, service):
    path = "/tickets?title=keyed"
    status, _head, filed = cut(own, service, "PUT", path, "Idempotency-Key: once")
    again = service.send("PUT", path, headers=["Idempotency-Key: once"])
    assert (status, again[0], json.loads(again[2])) == (201, 201, filed)
    status, head, body = cut(own, service, "PUT", "/tickets?title=keyless")
    assert (status, body["code"]) == (503, "database_unavailable")
    assert "retry-after: 1" in head.lower()
    with psycopg2.connect(own.url()) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT title, count(*) FROM tickets WHERE title LIKE 'key%' GROUP BY 1")
        assert cursor.fetchall() == [("keyed", 1)]


def test_a_stream_outlives_a_restart(own, service):
    def has(title):
        return lambda events: events and events[-1][1]["changes"].get("title") == [None, title]

    reader = Reader(service)
    service.send("PUT", "/tickets?title=before+the+restart")
    assert has("before the restart")(reader.until(has("before the restart")))
    own.stop()
    time.sleep(0.5)
    own.start()
    service.send("PUT", "/tickets?title=after+the+restart")
    events = reader.until(has("after the restart"))
    assert has("after the restart")(events)
    assert [place for place, _ in events] == list(range(1, len(events) + 1))
    reader.close()


def test_a_statement_that_waits_too_long(own, service):
    number = json.loads(service.send("PUT", "/tickets?title=x")[2])["ticket_id"]
    connection = psycopg2.connect(own.url())
    with connection.cursor() as cursor:
        cursor.execute("SELECT FROM tickets WHERE ticket_id = %s FOR UPDATE", (number,))
        began = time.monotonic()
        status, _head, body = service.send("PUT", f"/tickets/{number}?title=y")
        assert (status, json.loads(body)["code"]) == (503, "database_slow")
        assert time.monotonic() - began < 8
        connection.rollback()
    connection.close()
    assert service.send("PUT", f"/tickets/{number}?title=y")[0] == 200


def freeze(own, number):
    """Send a signal to all of a server's processes: SIGSTOP leaves its connections as they are, and says nothing."""
    whole = psutil.Process(own.pid())
    for each in [whole, *whole.children()]:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.send_signal(number)


@pytest.mark.parametrize(("method", "path"), [("GET", "/tickets"), ("PUT", "/tickets?title=x")])
def test_a_server_that_says_nothing_any_more(own, service, method, path):
    """Frozen, or a pooler in front of one that is away: nobody hangs up, and nobody answers."""
    assert service.send("GET", "/tickets")[0] == 200
    freeze(own, signal.SIGSTOP)
    try:
        began = time.monotonic()
        answers = [service.send(method, path) for _ in range(2)]
        took = time.monotonic() - began
    finally:
        freeze(own, signal.SIGCONT)
    for status, head, body in answers:
        assert (status, json.loads(body)["code"]) == (503, "database_unavailable")
        assert "retry-after: 1" in head.lower()
    # What PostgreSQL allows, and some seconds for that and for a new connection, each time.
    assert took < 2 * (2 + 1 + 5 + 3)
    # Whoever did not hear that they were ended holds nothing for ever.
    assert service.send("PUT", "/tickets?title=after")[0] == 201


def test_an_empty_pool_says_so_and_others_are_served(own, service):
    number = json.loads(service.send("PUT", "/tickets?title=x")[2])["ticket_id"]
    connection = psycopg2.connect(own.url())
    connection.cursor().execute("SELECT FROM tickets WHERE ticket_id = %s FOR UPDATE", (number,))
    answers = []
    threads = [
        threading.Thread(
            target=lambda: answers.append(service.send("PUT", f"/tickets/{number}?title=z")[0])
        )
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    began = time.monotonic()
    assert service.send("GET", "/health")[0] == 200
    assert time.monotonic() - began < 1
    for thread in threads:
        thread.join()
    assert answers == [503] * 6
    connection.close()
    assert service.send("PUT", f"/tickets/{number}?title=z")[0] == 200


def test_a_full_disk_is_named(own, service):
    """By PostgreSQL's SQLSTATE; to fill a disk, one has to have one to oneself."""
    connection = psycopg2.connect(own.url("postgres"))
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " RAISE SQLSTATE '53100' USING MESSAGE = 'could not extend file \"base/5/16400\": No space left on device';"
            " END $$; CREATE TRIGGER no_room BEFORE INSERT ON tickets EXECUTE FUNCTION no_room()"
        )
    status, _head, body = service.send("PUT", "/tickets?title=x")
    problem = json.loads(body)
    assert (status, problem["code"], problem["sqlstate"]) == (503, "database_full", "53100")
    assert "disk of the database is full" in problem["detail"]
    assert "base/5" not in body.decode()
    with connection, connection.cursor() as cursor:
        cursor.execute("DROP FUNCTION no_room CASCADE")
    connection.close()
    assert service.send("PUT", "/tickets?title=x")[0] == 201


def scheme(service):
    """Return by which scheme people came, as a page and a text have it, who say that it was https."""
    told = ["X-Forwarded-Proto: https"]
    page = service.send("GET", "/tickets", headers=[*told, "Accept: text/html"])[2]
    (in_page,) = set(re.findall(rb"curl -s &#39;(\w+)://", page))
    text = service.send("GET", "/", headers=told)[2]
    assert (b"https://" in text) == (in_page == b"https")
    # What a client says beside it is no reason to refuse anything.
    assert service.send("GET", "/me", headers=[*told, "X-Forwarded-Ssl: off"])[0] == 200
    return in_page.decode()


def test_nobody_is_believed_whom_nobody_trusts(service):
    """Neither who asked nor by which scheme; else lines to type would name http, or what anybody likes."""
    service.send("GET", "/health", headers=["X-Request-Id: asked", "X-Forwarded-For: 192.0.2.7"])
    assert re.search(r"Z 127\.0\.0\.1 - .* asked$", service.said(), re.M)
    assert "192.0.2.7" not in service.said()
    assert scheme(service) == "http"


def test_others_than_who_is_trusted_are_not_believed_and_it_stops_cleanly(own):
    made = Live(own.url(), IRIS_PROXIES="10.0.0.0/8", FORWARDED_ALLOW_IPS="*")
    try:
        assert scheme(made) == "http"
    finally:
        began = time.monotonic()
        log = made.stop()
    assert time.monotonic() - began < 5
    assert "Traceback" not in log
    assert made.process.returncode == 0


def test_who_is_trusted_is_believed_and_the_log_names_requests(own):
    made = Live(own.url(), IRIS_PROXIES="127.0.0.0/24, 10.0.0.0/8", FORWARDED_ALLOW_IPS="*")
    assert scheme(made) == "https"
    for headers in (
        ["X-Request-Id: first"],
        # Who asks through two proxies, the second one of which wrote the last address.
        [
            "X-Request-Id: second",
            "X-Forwarded-For: 6.6.6.6, 192.0.2.7, 10.1.2.3",
            "Iris-Actor: alice",
        ],
        ["X-Request-Id: third", "X-Forwarded-For: nonsense", 'Iris-Actor: a b"\u202eé'],
        ["X-Request-Id: fourth", "X-Forwarded-For: [2001:db8::1]", "Iris-Actor: zoë"],
    ):
        made.send("GET", "/tickets?limit=1", headers=headers)
    made.send("PUT", "/tickets?title=x", headers=["X-Request-Id: fifth"])
    log = made.stop()
    time_ = r"2\d\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d\d\dZ"
    lines = re.findall(rf'^{time_} (\S+ \S+) "[A-Z]+ /tickets\?\S* HTTP/1.1" (?:20\d|400) \d+ \d+ms (\w+)$', log, re.M)  # fmt: skip
    assert {number: who for who, number in lines} == {
        "first": "127.0.0.1 -",
        "second": "192.0.2.7 alice",
        "third": "127.0.0.1 a%20b%22%202Eé",
        "fourth": "2001:db8::1 zoë",
        "fifth": "127.0.0.1 -",
    }


def test_of_several_hosts_the_next_one_serves_when_one_goes(own, server, clean):
    hosts = f"{own.socket()},{server.socket()}"
    url = f"postgresql://iris@/iris?host={hosts}&target_session_attrs=read-write"
    made = Live(url, IRIS_POOL="2")
    try:
        assert made.send("PUT", "/tickets?title=of+the+first")[0] == 201
        own.stop()
        # Nothing comes along by itself: here the other is one that knows nothing of it.
        assert made.send("PUT", "/tickets?title=of+the+second")[0] == 201
        with psycopg2.connect(server.url()) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT title FROM tickets")
            assert cursor.fetchall() == [("of the second",)]
    finally:
        made.stop()
        own.start()
