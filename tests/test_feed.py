"""The feed: every event exactly once, in one order, soon, for any number of readers."""

import json
import random
import selectors
import signal
import subprocess
import threading
import time

import gevent
import psycopg2
import pytest
from conftest import Live

from iris import embedded, events, feed, schema


@pytest.fixture
def live(server, clean):
    """Return a service of its own: a poller remembers where it was, and counts as a statement."""
    made = Live(server.url(), IRIS_WORKERS="2")
    yield made
    made.stop(signal.SIGQUIT)


class Reader:
    """A reader of the stream, over a real socket."""

    def __init__(self, live, position=None, path="/events"):
        self.connection = live.connect()
        lines = [f"GET {path} HTTP/1.1", "Host: iris", "Accept: text/event-stream"]
        if position is not None:
            lines.append(f"Last-Event-ID: {position}")
        self.connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
        self.data = b""

    def until(self, enough, seconds=10):
        """Read until enough(events) or the end; return the events [(position, event)]."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if enough(self.events()):
                break
            self.connection.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                more = self.connection.recv(65536)
            except TimeoutError:
                break
            if not more:
                break
            self.data += more
        return self.events()

    @property
    def text(self):
        """Return what has come so far, without HTTP's chunks."""
        _head, _, rest = self.data.partition(b"\r\n\r\n")
        text = b""
        while b"\r\n" in rest:
            size, _, rest = rest.partition(b"\r\n")
            size = int(size, 16)
            if size == 0 or len(rest) < size + 2:
                break
            text, rest = text + rest[:size], rest[size + 2 :]
        return text.decode()

    def events(self):
        found = []
        for block in self.text.split("\n\n")[:-1]:
            lines = dict(
                line.split(": ", 1) for line in block.split("\n") if not line.startswith(":")
            )
            if "data" in lines:
                found.append((int(lines["id"]), json.loads(lines["data"])))
        return found

    def close(self):
        self.connection.close()


def test_pieces_of_the_feed(http, sql, ticket):
    for _ in range(5):
        ticket()
    assert {event["position"] for event in http.get("/events").json} == {None}
    seen, query = [], "after=0&limit=2"
    while True:
        answer = http.get(f"/events?{query}")
        if not answer.json:
            break
        seen += answer.json
        query = answer.next
    assert [event["position"] for event in seen] == [1, 2, 3, 4, 5]
    assert list(seen[0]) == [
        "event_id", "at", "actor", "source", "ticket_id", "kind", "comment_id", "changes", "position",
        "change", "undoes", "digest",
    ]  # fmt: skip
    assert answer.next == "after=5&limit=2"
    assert {event["position"] for event in http.get("/events").json} == {1, 2, 3, 4, 5}
    rows = sql("SELECT position, event_id FROM events_after(2, 2)")
    assert [(row["position"], row["event_id"]) for row in rows] == [(3, 3), (4, 4)]


@pytest.mark.parametrize(
    ("query", "status"),
    [("after=-1", 422), ("after=x", 422), ("after=0&wait=61", 422), ("wait=1", 400), ("after=0&kind=created", 400),
     ("after=0&limit=1001", 422), ("after=0&cursor=x", 400), ("after=99999999", 200)],
)  # fmt: skip
def test_bad_questions(http, query, status):
    assert http.get(f"/events?{query}").status == status


def test_waiting_for_something(live, http, ticket):
    began = time.monotonic()
    status, _, body = live.send("GET", "/events?after=0&wait=1")
    assert (status, json.loads(body)) == (200, [])
    assert 0.9 < time.monotonic() - began < 10
    answers = []
    waiting = threading.Thread(
        target=lambda: answers.append(
            (live.send("GET", "/events?after=0&wait=30"), time.monotonic())
        )
    )
    waiting.start()
    time.sleep(0.5)
    filed = time.monotonic()
    ticket()
    waiting.join()
    (answer, at) = answers[0]
    assert json.loads(answer[2])[0]["kind"] == "created"
    assert at - filed < 0.5


def test_a_stream_gives_what_was_and_what_comes(live, http, ticket):
    ticket()
    reader = Reader(live)
    assert [place for place, _ in reader.until(lambda events: events)] == [1]
    http.put("/tickets/1", title="x")
    filed = time.monotonic()
    (_, (place, event)) = reader.until(lambda events: len(events) == 2)
    assert time.monotonic() - filed < 0.5
    assert (place, event["position"], event["changes"]) == (
        2,
        2,
        {"title": ["Printer on fire", "x"]},
    )
    head = reader.data.partition(b"\r\n\r\n")[0].decode().lower()
    assert "content-type: text/event-stream" in head
    assert "cache-control: no-store" in head
    assert "x-accel-buffering: no" in head
    assert reader.text.startswith("retry: 1000\n: Iris\nid: 1\ndata: {")
    reader.close()
    again = Reader(live, position=1)
    assert [place for place, _ in again.until(lambda events: events)] == [2]
    again.close()
    assert (
        live.send("GET", "/events", headers=["Accept: text/event-stream", "Last-Event-ID: x"])[0]
        == 400
    )


def test_a_reader_who_was_told_nothing_yet_begins_where_the_address_says(live, http):
    """A browser sends Last-Event-ID empty where an event had none."""
    for title in ("one", "two"):
        http.put("/tickets", title=title)
    told = {}
    for path in ("/events", "/events?after=1"):
        reader = Reader(live, position="", path=path)
        told[path] = [
            place for place, _ in reader.until(lambda events: events and events[-1][0] == 2)
        ]
        assert reader.data.startswith(b"HTTP/1.1 200 ")
        reader.close()
    assert told == {"/events": [1, 2], "/events?after=1": [2]}


def test_a_quiet_stream_shows_that_it_lives(server, clean, monkeypatch):
    monkeypatch.setattr(feed, "HEARTBEAT", 0.2)
    stream = feed.stream(0)
    assert [next(stream) for _ in range(3)] == [feed.HELLO, feed.BEAT, feed.BEAT]
    stream.close()
    assert feed.FEED.listeners == 0


def test_a_slow_reader_reads_again_and_misses_nothing(server, clean, sql, monkeypatch):
    monkeypatch.setattr(feed, "RECENT", 1000)
    sql("INSERT INTO tickets (title) VALUES ('first')")
    stream = feed.stream(0)
    seen = [next(stream), next(stream)]
    gevent.sleep(0.3)
    for _ in range(5):
        sql("INSERT INTO tickets (title) SELECT 'x' FROM generate_series(1, 20)")
        gevent.sleep(0.15)
    while len(seen) < 102:
        seen.append(next(stream))
    positions = [int(framed.split(b"\n")[0][4:]) for framed in seen[1:]]
    assert positions == list(range(1, 102))
    stream.close()


def test_a_worker_keeps_so_much_of_the_feed_and_no_more(server, clean, sql, monkeypatch):
    """However large the events, and once for all readers."""
    monkeypatch.setattr(feed, "RECENT", 50_000)
    readers = [feed.stream(0) for _ in range(20)]
    assert {next(reader) for reader in readers} == {feed.HELLO}
    sql(
        "INSERT INTO tickets (title, description) SELECT 'x', repeat('x', 5000) FROM generate_series(1, 300)"
    )
    places = [0] * len(readers)
    while min(places) < 300:
        for place, reader in enumerate(readers):
            if places[place] < 300 and random.random() < 0.5:
                framed = next(reader)
                places[place] += 1
                assert framed.startswith(b"id: %d\n" % places[place])
        assert feed.FEED.size <= 50_000
        assert feed.FEED.size == sum(len(framed) for _, framed in feed.FEED.recent.values())
    for reader in readers:
        reader.close()


def test_who_is_behind_reads_little_at_once(server, clean, sql):
    sql(
        "INSERT INTO tickets (title, description) SELECT 'x', repeat('x', 50000) FROM generate_series(1, 30)"
    )
    assert len(events.after(0, 100)) == 30
    assert len(events.after(0, 100, feed.PIECE_BYTES)) == 2
    assert [place for place, _ in events.after(7, 100, 1)] == [8]


def test_a_stream_says_goodbye(server, clean, http, ticket):
    made = Live(server.url(), IRIS_WORKERS="1")
    ticket()
    readers = [Reader(made) for _ in range(20)]
    for reader in readers:
        reader.until(lambda events: events)
    began = time.monotonic()
    log = made.stop(signal.SIGTERM)
    assert time.monotonic() - began < 5
    for reader in readers:
        reader.until(lambda events: False, seconds=2)
        assert reader.text.endswith(feed.BYE.decode())
        assert reader.data.endswith(b"0\r\n\r\n")
        reader.close()
    assert "Traceback" not in log


def test_streams_hold_no_connection(server, clean, owner, http, ticket):
    made = Live(server.url(), IRIS_WORKERS="1", IRIS_POOL="2")
    try:
        ticket()
        readers = [Reader(made) for _ in range(30)]
        for reader in readers:
            assert reader.until(lambda events: events)
        assert made.send("GET", "/tickets")[0] == 200
        with owner.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in%'")
            assert cursor.fetchone() == (0,)
        for reader in readers:
            reader.close()
    finally:
        made.stop(signal.SIGQUIT)


def test_the_feed_shows_how_far_it_is_behind(http, sql, ticket):
    ticket()
    assert http.get("/db-check").json["feed"]["waiting"] == 1
    http.get("/events?after=0")
    read = http.get("/db-check").json["feed"]
    assert len(read.pop("digest")) == 64
    assert read == {"position": 1, "waiting": 0, "seconds": 0.0}


# Exactly once, in one order -----------------------------------------------------------------------


def test_each_event_once_whatever_overlaps(server, live, clean, sql):
    """Eight who write by HTTP, four whose transactions commit late and out of order, one reader that
    is killed and resumes at random, and one psql that stays open."""
    dice = random.Random(7)
    done = threading.Event()
    sql("INSERT INTO tickets (title) SELECT 'Ticket ' || n FROM generate_series(1, 20) AS n")

    def by_http(place):
        while not done.is_set():
            assert live.send("PUT", f"/tickets?title=By+{place}")[0] == 201
            # More of them would not overlap more.
            time.sleep(0.03)

    def by_sql(place):
        mine = random.Random(place)
        connection = psycopg2.connect(server.url(), application_name="psql")
        while not done.is_set():
            with connection.cursor() as cursor:
                for _ in range(mine.randint(1, 3)):
                    cursor.execute("INSERT INTO tickets (title) VALUES ('late')")
                    time.sleep(mine.random() * 0.05)
            if mine.random() < 0.2:
                connection.rollback()
            else:
                connection.commit()
        connection.close()

    left_open = psycopg2.connect(server.url())
    left_open.cursor().execute("INSERT INTO tickets (title) VALUES ('left open')")

    writers = [threading.Thread(target=by_http, args=(place,)) for place in range(8)]
    writers += [threading.Thread(target=by_sql, args=(place,)) for place in range(4)]
    for writer in writers:
        writer.start()

    seen = []
    ends = time.monotonic() + 4
    while time.monotonic() < ends:
        reader = Reader(live, position=seen[-1][0] if seen else None)
        fresh = reader.until(lambda events: False, seconds=dice.random())
        reader.close()
        seen += fresh
    done.set()
    for writer in writers:
        writer.join()
    left_open.commit()
    left_open.close()
    total = sql.one("SELECT count(*) FROM events")["count"]
    reader = Reader(live, position=seen[-1][0])
    seen += reader.until(lambda events: len(seen) + len(events) >= total)
    reader.close()

    positions = [place for place, _ in seen]
    assert positions == list(range(1, total + 1))
    identities = [event["event_id"] for _, event in seen]
    assert len(set(identities)) == total
    # It was no easy ride: some ids came out of their order.
    assert identities != sorted(identities)
    # Whoever reads it all again reads the same.
    again = [row["event_id"] for row in sql("SELECT event_id FROM events_after(0, 1000000)")]
    assert again == identities


def test_an_open_transaction_holds_nothing_back(server, live, clean, sql):
    """Neither one that writes nor one that reads the feed."""
    sql("INSERT INTO tickets (title) VALUES ('x')")
    writer, reader_ = psycopg2.connect(server.url()), psycopg2.connect(server.url())
    writer.cursor().execute("INSERT INTO tickets (title) VALUES ('left open')")
    with reader_.cursor() as cursor:
        cursor.execute("INSERT INTO tickets (title) VALUES ('mine') RETURNING ticket_id")
        (mine,) = cursor.fetchone()
        cursor.execute("SELECT ticket_id FROM events_after(0, 100)")
        assert (mine,) not in cursor.fetchall()
    assert "outside of transaction blocks" in reader_.notices[-1]
    reader = Reader(live)
    assert len(reader.until(lambda events: events, seconds=2)) == 1
    sql("INSERT INTO tickets (title) VALUES ('y')")
    assert len(reader.until(lambda events: len(events) == 2, seconds=2)) == 2
    committed = time.monotonic()
    writer.commit()
    assert len(reader.until(lambda events: len(events) == 3, seconds=2)) == 3
    assert time.monotonic() - committed < 0.5
    for connection in (writer, reader_, reader):
        connection.close()


def test_four_readers_see_one_order(server, live, clean, sql):
    """All of them give positions, at the same time."""
    orders = [[] for _ in range(4)]

    def read(order):
        connection = psycopg2.connect(server.url())
        connection.autocommit = True
        with connection.cursor() as cursor:
            last = 0
            while len(order) < 400:
                cursor.execute("SELECT position, event_id FROM events_after(%s, 50)", (last,))
                for last, event in cursor.fetchall():
                    order.append((last, event))
                time.sleep(0.005)
        connection.close()

    readers = [threading.Thread(target=read, args=(order,)) for order in orders]
    for reader in readers:
        reader.start()

    def write():
        for _ in range(100):
            live.send("PUT", "/tickets?title=x")

    writers = [threading.Thread(target=write) for _ in range(4)]
    for writer in writers:
        writer.start()
    for thread in writers + readers:
        thread.join(timeout=60)
    assert sql("SELECT * FROM verify_events()") == []
    assert [place for place, _ in orders[0]] == list(range(1, 401))
    assert orders[0] == orders[1] == orders[2] == orders[3]


def test_many_streams_on_one_worker(server, clean, http, ticket):
    made = Live(server.url(), IRIS_WORKERS="1")
    streams, events = 500, 5
    head = b"GET /events?after=0 HTTP/1.1\r\nHost: iris\r\nAccept: text/event-stream\r\n\r\n"
    selector = selectors.DefaultSelector()
    connections, came = [], [[] for _ in range(streams)]
    try:
        for place in range(streams):
            connection = made.connect()
            connection.sendall(head)
            connections.append(connection)
            selector.register(connection, selectors.EVENT_READ, place)

        def read(seconds):
            ends = time.monotonic() + seconds
            while time.monotonic() < ends:
                for key, _ in selector.select(0.05):
                    data = key.fileobj.recv(65536)
                    came[key.data] += [time.monotonic()] * data.count(b"data: {")

        read(2)
        filed, asked = [], []
        for _ in range(events):
            filed.append(time.monotonic())
            assert made.send("PUT", "/tickets?title=x")[0] == 201
            asked.append(time.monotonic() - filed[-1])
            read(0.6)
        assert {len(times) for times in came} == {events}
        slowest = max(times[place] - filed[place] for times in came for place in range(events))
        assert slowest < 0.5, slowest
        assert max(asked) < 0.5
    finally:
        for connection in connections:
            connection.close()
        made.stop(signal.SIGQUIT)


def test_positions_outlive_dump_and_restore(server, clean, sql, ticket, tmp_path):
    """In a new cluster, whose transaction ids start all over."""
    for _ in range(3):
        ticket()
    before = sql("SELECT * FROM events_after(0)")
    sql("UPDATE tickets SET title = 'not yet read'")
    dump = subprocess.run(
        [embedded.binaries() / "pg_dump", "-d", server.url("postgres")],
        capture_output=True, text=True, check=True, env=embedded.environment(),
    ).stdout  # fmt: skip
    (tmp_path / "dump.sql").write_text(dump)
    (tmp_path / "dump.sql").chmod(0o644)
    other = embedded.Server(tmp_path / "other", options={"fsync": "off"})
    other.start()
    try:
        # A dump has what roles may do, not the roles: schema/roles.sql makes them.
        other._psql("postgres", "-c", "CREATE DATABASE iris")
        other._psql("iris", "-f", str(schema.FOLDER / "roles.sql"))
        other._psql("iris", "-f", str(tmp_path / "dump.sql"))
        connection = psycopg2.connect(other.url())
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT position, event_id FROM events_after(0)")
            rows = cursor.fetchall()
            assert rows[:3] == [(row["position"], row["event_id"]) for row in before]
            assert [place for place, _ in rows] == [1, 2, 3, 4, 5, 6]
            # Digests come along, and those of the next ones go on from there.
            cursor.execute("SELECT digest FROM events ORDER BY position LIMIT 3")
            assert [bytes(digest) for (digest,) in cursor.fetchall()] == [
                bytes(row["digest"]) for row in before
            ]
            cursor.execute("SELECT * FROM verify_events()")
            assert cursor.fetchall() == []
            cursor.execute("INSERT INTO tickets (title) VALUES ('on we go')")
            cursor.execute("SELECT position, kind FROM events_after(6)")
            assert cursor.fetchall() == [(7, "created")]
            # The numbers of changes go on, too, though transactions are counted anew.
            cursor.execute("SELECT change FROM events ORDER BY event_id")
            changes = [change for (change,) in cursor.fetchall()]
            assert changes[:3] == [row["change"] for row in before]
            assert len(set(changes[3:6])) == 1 and len(set(changes)) == 5
            assert changes[-1] == max(changes)
        connection.close()
    finally:
        other.stop()
