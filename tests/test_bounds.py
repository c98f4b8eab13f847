"""Nothing that the limits allow keeps others waiting for more than a second; iris/bounds.py says how."""

import contextlib
import json
import signal
import socket
import threading
import time
from concurrent import futures

import psutil
import pytest
import wcwidth
from conftest import Live
from hypothesis import given, settings
from hypothesis import strategies as st

from iris import bounds
from iris.formats import fitting, letters, terminal
from iris.intake import bodies, rows
from iris.visible import safe

# Drawing ------------------------------------------------------------------------------------------

WORDS = (
    "a", "I'm", "...", "well-known", "foo--bar", "-", "---", "--option=5", "é", "👩‍👩‍👧", "  ", "\t",
    "x" * 30, "y" * 150, "z-" * 60, "漢字" * 20, "日本語" * 40, "http://x.example/" + "ab-1" * 30,
)  # fmt: skip
LONG = {
    "flags": "\U0001f1e9\U0001f1ea" * 2500,
    "Chinese": "漢" * 100_000,
    "Chinese and hyphens": "漢-" * 50_000,
    "Korean in its parts": "\u1100\u1161" * 50_000,
    "tabs": "\t" * 20_000,
    "tabs and letters": "\tx" * 50_000,
    "blanks": " " * 100_000,
    "line ends": "\n" * 100_000,
    "marks on one letter": "e" + "\u0301" * 99_999,
    "one family": "👩\u200d" * 50_000,
    "marks, joiners, pictures": "\u0300\u200d😀" * 33_000,
    "nothing that is seen": "\u200b" * 100_000,
    "one word": "x" * 100_000,
    "one hyphen": "-" * 100_000,
    "words of a letter": "a " * 50_000,
    "words": "hello world " * 8_000,
}


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=40), st.sampled_from([20, 91, 100]))
def test_lines_break_where_they_always_did(words, width):
    line = " ".join(["It", *words])
    assert fitting.broken(line, width) == wcwidth.wrap(safe(line.expandtabs()), width)


@pytest.mark.parametrize("name", LONG)
def test_any_text_is_drawn_in_no_time(name):
    began = time.process_time()
    lines = fitting.wrapped(LONG[name]).split("\n")
    row = json.dumps({"title": LONG[name], "status": "open"})
    table = terminal.table([row] * 10, ("title", "status")).splitlines()
    assert time.process_time() - began < 5
    assert all(wcwidth.width(line) <= fitting.WIDTH for line in lines + table)
    assert all(len(line) < fitting.CELL + fitting.WIDTH for line in table)


def letter(**more):
    ticket = {
        "ticket_id": 1, "title": "x", "description": None, "status": "open", "assignee": None,
        "reporter": "alice", "priority": "low", "labels": [], "fields": {}, "due": None,
        "created": "2026-11-20T18:25:11", "updated": "2026-11-20T18:25:11", "closed": None, "version": 1,
        "comments": [], "links": [], **more,
    }  # fmt: skip
    return json.dumps(ticket, separators=(",", ":"), ensure_ascii=False)


def test_a_letter_says_what_it_leaves_out():
    comment = {"author": "bob", "created": "2026-11-20T18:25:11", "body": "word " * 20_000}
    links = [{"ticket_id": 1, "kind": "relates", "other_id": n} for n in range(2, 10_000)]
    drawn = letters.letter(letter(comments=[comment] * 7, links=links))
    assert drawn.count("-- bob") == 2
    assert drawn.endswith("\n\n… 5 more comments; format=json shows all\n")
    assert drawn.count("more characters; format=json shows all") == 1
    drawn = letters.letter(letter(description="x" * 99_000, comments=[comment, comment]))
    assert drawn.endswith("… 99,000 more characters; format=json shows all\n")
    few = letters.letter(letter(comments=[{**comment, "body": ',"comments":[{"links":[\\'}]))
    assert few.endswith('-\n,"comments":[{"links":[\\\n')


def test_numbers_are_shown_as_they_are_kept(http, sql, ticket):
    """Also those that Python can't read or would write in another way."""
    ticket()
    number = "1" + "0" * 5000
    sql("""UPDATE tickets SET fields = '{"n": 1e5000, "small": [1e-7, 5.10], "list": [[1e400]]}'""")
    assert "n: 10000" in http.get("/tickets?format=text&columns=fields").text
    letter = "".join(http.get("/tickets/1?format=text").text.split())
    assert f"n:{number};list:[[1{'0' * 400}]];small:0.0000001→5.10" in letter
    for name in ("json", "csv", "tsv", "ndjson"):
        answer = http.client.simulate_get("/tickets", query_string=f"format={name}")
        assert number in answer.text
    stale = http.client.simulate_put(
        "/tickets/1", query_string="title=y", headers={"If-Match": '"1"'}
    )
    assert (stale.status_code, stale.text.count(number)) == (412, 1)


def test_what_is_nested_deeply_is_shown_up_to_a_depth(http, sql, ticket):
    ticket()
    sql(f"""UPDATE tickets SET fields = '{{"a": {"[" * 2000}"]{{"{"]" * 2000}, "b": 1}}'""")
    for path in (
        "/tickets/1?format=text",
        "/tickets?format=text&columns=fields",
        "/events?format=text",
    ):
        answer = http.get(path)
        assert (answer.status, "a: [[[" in answer.text or "fields" in answer.text) == (200, True)
    assert "; b: 1" in http.get("/tickets/1?format=text").text


# Lists, item by item ------------------------------------------------------------------------------

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
)
DECODE = json.JSONDecoder().raw_decode


@given(st.lists(VALUES), st.sampled_from([", ", ",", " ,\n\t "]), st.integers(8, 40))
def test_a_list_is_read_item_by_item_through_any_window(monkeypatch_module, values, comma, window):
    monkeypatch_module.setattr(bounds, "ITEM", window)
    texts = [json.dumps(value) for value in values]
    whole = f" {comma.join(texts)} ]"
    if max(map(len, texts), default=0) > window:
        with pytest.raises(bounds.TooLarge):
            list(bounds.items(whole, 0, DECODE))
        return
    found = list(bounds.items(whole, 0, DECODE))
    assert [value for value, _, _ in found] == values
    assert [whole[start:end] for _, start, end in found] == texts


@pytest.mark.parametrize(
    "broken", ["", "1", "1,", "1 2]", '1, "', "[1", "1}", "tru]", "-]", '"\\u12"]']
)
def test_a_list_that_is_broken_is_no_list(broken):
    with pytest.raises(ValueError, match="at character"):
        list(bounds.items(broken, 0, DECODE))


@pytest.fixture(scope="module")
def monkeypatch_module():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


# A worker, asked for the worst ----------------------------------------------------------------------


class Health:
    """Asks a service of one worker for its health, again and again, and tells how long it was kept waiting.

    That is how long the worker computed meanwhile: what else the machine has to do is not its fault.
    """

    def __init__(self, live):
        self.live, self.worst, self.asked, self.ends = live, 0, 0, False
        self.asking = threading.Thread(target=self._ask)

    def _ask(self):
        process = worker(self.live)
        while not self.ends or not self.asked:
            began, spent = time.monotonic(), sum(process.cpu_times()[:2])
            assert self.live.send("GET", "/health")[0] == 200
            took, spent = time.monotonic() - began, sum(process.cpu_times()[:2]) - spent
            self.worst, self.asked = max(self.worst, min(took, spent)), self.asked + 1
            time.sleep(0.02)

    def __enter__(self):
        self.asking.start()
        return self

    def __exit__(self, *error):
        self.ends = True
        self.asking.join()
        print(f"{self.worst:.3f} s")
        assert self.asked
        assert self.worst < bounds.LONGEST_WAIT


def worker(live):
    (made,) = psutil.Process(live.process.pid).children()
    return made


def stalled(live, path, *headers, room=4096):
    """Ask for something, and don't read it."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    connection.settimeout(40)
    connection.connect(("127.0.0.1", live.port))
    lines = [f"GET {path} HTTP/1.1", "Host: iris", *headers]
    connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
    return connection


def until(holds, seconds=60):
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_streams_that_nobody_reads_are_given_up(hasty, http, sql):
    sql(
        "INSERT INTO tickets (title, description) SELECT 'x', repeat('x', 50000) FROM generate_series(1, 400)"
    )
    status = iter(lambda: hasty.send("GET", "/tickets?format=csv&limit=1")[0], None)
    readers = []

    def are_too_many():
        # Where the machine is busy, the first may be given up before the fourth has begun.
        readers.extend(stalled(hasty, "/tickets?format=ndjson") for _ in range(4))
        return next(status) == 503

    with Health(hasty):
        until(are_too_many)
        until(lambda: next(status) == 200)
    for reader in readers:
        reader.close()


def test_who_reads_a_large_answer_slowly_has_not_stalled(hasty, http, sql):
    """It takes more than the second that a piece of it may take."""
    sql(
        "INSERT INTO tickets (title, description) SELECT 'x', repeat('x', 100000) FROM generate_series(1, 50)"
    )
    for path in ("/tickets", "/tickets?format=ndjson"):
        reader = stalled(hasty, path, "Connection: close", room=1 << 16)
        began, came = time.monotonic(), b""
        while more := reader.recv(1 << 16):
            came += more
            if time.monotonic() - began < 2:
                time.sleep(0.1)
        assert len(came) > 5_000_000
        reader.close()


def test_readers_of_the_feed_who_stall_cost_little_and_are_given_up(hasty, http, sql):
    file = "INSERT INTO tickets (title, description) SELECT 'x', repeat('x', 20000) FROM generate_series(1, 500)"
    sql(file)
    process, many = worker(hasty), 200
    before = process.memory_info().rss
    with Health(hasty):
        readers = [
            stalled(hasty, "/events?after=0", "Accept: text/event-stream") for _ in range(many)
        ]
        for _ in range(4):
            time.sleep(0.2)
            sql(file)
            assert process.memory_info().rss - before < (20 << 20) + many * 100_000
        until(lambda: len(process.net_connections("tcp")) < 20)
    for reader in readers:
        reader.close()


@pytest.fixture(scope="module")
def alone(server):
    """Return a running service of one worker."""
    made = Live(server.url(), IRIS_WORKERS="1")
    yield made
    made.stop(signal.SIGQUIT)


MANY = rows.MOST
BULK, BODY = bodies.MAX_BULK, bodies.MAX_BODY
JSON, NDJSON = "Content-Type: application/json", "Content-Type: application/x-ndjson"
FORM = "Content-Type: application/x-www-form-urlencoded"


def filled(size, piece, start=b"[", end=b"]"):
    """Return what makes a body of at most so many bytes, of many pieces; all together have a gigabyte."""
    return lambda: start + piece * ((size - len(start) - len(end)) // len(piece)) + end


# What is sent, as large as the limits allow or larger, and what is answered.
BODIES = {
    "rows without end": ("PUT", JSON, filled(BULK, b"{},", end=b"{}]"), 413, "too_many_rows"),
    "lines without end": ("PUT", NDJSON, filled(BULK, b"{}\n", b"", b""), 413, "too_many_rows"),
    "rows of a wrong name": ("PUT", JSON, filled(300 * MANY, b'{"x":"%s"},' % (b"y" * 291), end=b"{}]"), 400, "unknown_parameter"),
    "rows of a MiB": ("PUT", JSON, filled(BULK, b'{"x":"%s"},' % (b"y" * (BODY - 8)), end=b"{}]"), 400, "unknown_parameter"),
    "rows of numbers": ("PUT", JSON, filled(BULK // 32, b'{"x":[%s1]},' % (b"1.5," * 250_000), end=b"{}]"), 400, "unknown_parameter"),
    "rows of objects": ("PUT", JSON, filled(BULK // 32, b'{"x":[%s1]},' % (b'{"a":{}},' * 110_000), end=b"{}]"), 400, "unknown_parameter"),
    "one row": ("PUT", JSON, filled(BULK, b"x", b'[{"title":"', b'"}]'), 413, "body_too_large"),
    "one line": ("PUT", NDJSON, filled(BULK, b"x", b'{"title":"', b'"}'), 413, "body_too_large"),
    "one array after another": ("PUT", JSON, filled(BULK, b"[", end=b""), 400, "malformed_json"),
    "commas": ("PUT", JSON, filled(BULK, b",", end=b""), 400, "malformed_json"),
    "blanks": ("PUT", JSON, filled(BULK, b" ", end=b""), 400, "malformed_json"),
    "empty lines": ("PUT", NDJSON, filled(BULK, b"\n", b"", b""), 200, None),
    "no rows but blanks": ("PUT", FORM, filled(BULK, b" ", b"", b""), 413, "body_too_large"),
    "a form": ("PUT", FORM, filled(BODY, b"%C3%A4", b"title=", b""), 422, "invalid_value"),
    "a form of too much": ("PUT", FORM, filled(BULK, b"%C3%A4", b"title=", b""), 413, "body_too_large"),
    "fields of numbers": ("PUT", JSON, filled(BODY, b"1.5,", b'{"title":"x","fields":{"n":[', b"1]}}"), 422, "invalid_value"),
    "fields of lists": ("PUT", JSON, filled(BODY, b"[],", b'{"title":"x","fields":{"n":[', b"1]}}"), 422, "invalid_value"),
    "fields of objects": ("PUT", JSON, filled(BODY, b"{},", b'{"title":"x","fields":{"n":[', b"1]}}"), 422, "invalid_value"),
    "names nobody knows": ("PUT", JSON, lambda: b"{" + b",".join(b'"%06d":1' % n for n in range(90_000)) + b"}", 400, "unknown_parameter"),
    "a search": ("GET", JSON, filled(BODY, b"a ", b'{"q":"', b'"}'), 422, "invalid_value"),
    "conditions": ("GET", JSON, lambda: b"{" + b",".join(b'"fields.%d":"x"' % n for n in range(55_000)) + b"}", 422, "invalid_value"),
    "values": ("GET", JSON, filled(BODY, b"a,", b'{"assignee":"', b'a"}'), 422, "invalid_value"),
}  # fmt: skip


def at_once(function, *given):
    """Run something for each of what is given, all at once; return what was returned."""
    with futures.ThreadPoolExecutor() as pool:
        return list(pool.map(function, given))


@pytest.mark.parametrize(
    "names",
    [
        # Two that are next to each other.
        *zip([*BODIES][::2], [*BODIES][1::2], strict=True),
        *(pytest.param((name, name), marks=pytest.mark.slow) for name in BODIES),
    ],
    ids=" and ".join,
)
def test_no_body_holds_up_a_worker(alone, http, sql, names):
    def send(name):
        method, kind, make, _, _ = BODIES[name]
        return alone.send(method, "/tickets", make(), [kind])

    with Health(alone):
        answers = at_once(send, *names)
    for name, (status, _, answer) in zip(names, answers, strict=True):
        *_, expected, code = BODIES[name]
        assert (name, status, json.loads(answer)["code"] if code else None) == (
            name,
            expected,
            code,
        )
        assert len(answer) < 300_000
    assert sql("TABLE tickets") == []


def test_who_sends_without_end_holds_up_nobody(alone, http):
    """Chunks of a byte, requests that nobody waits for, and a body that is refused but goes on."""
    chunked = (
        b"PUT /tickets HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"1\r\n \r\n" * 500_000
    )
    endless = b"PUT /comments HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999\r\n\r\n"
    flood = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" * 100

    def send(start, more):
        with alone.connect() as connection, contextlib.suppress(ConnectionError):
            connection.sendall(start)
            ends = time.monotonic() + 1
            while time.monotonic() < ends:
                connection.sendall(more)
                connection.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    while connection.recv(1 << 20):
                        pass
                connection.settimeout(40)

    with Health(alone), futures.ThreadPoolExecutor() as pool:
        for sent in ((chunked, b"1\r\n \r\n" * 1000), (endless, b"x" * (1 << 20)), (flood, flood)):
            for _ in range(2):
                pool.submit(send, *sent)


@pytest.fixture
def large(alone, clean, owner):
    """Leave a tracker with the longest texts that there may be, made of the worst. Its words nobody looks for."""
    texts = [LONG[name][:100_000] for name in LONG if LONG[name].strip()]
    with owner.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        row = "INSERT INTO tickets (title, description, reporter, created, updated, version) VALUES ('x', %s, 'a', now(), now(), 1)"
        cursor.execute(row, ("x",))
        for text in [*texts * 3, *["😀" * 100_000] * 60]:
            cursor.execute(row, (text,))
        row = "INSERT INTO comments (ticket_id, body, author, created, updated) SELECT %s, %s, 'a', now(), now() FROM generate_series(1, %s)"
        for ticket, text, many in [*((1, f"x{text[1:]}", 2) for text in texts), (2, "x", 20_000)]:
            cursor.execute(row, (ticket, text, many))
        row = """INSERT INTO stored_events (at, kind, actor, source, ticket_id, changes)
            SELECT now(), 'changed', 'a', 'b', 1, jsonb_build_object('description', jsonb_build_array(%s, 'x')) FROM generate_series(1, %s)"""
        for text in texts:
            cursor.execute(row, (text, 5))
        cursor.execute("SET session_replication_role = origin")


ASKED = (
    "/tickets?limit=1000", "/tickets?limit=1000&format=text&columns=description", "/tickets?format=csv", "/tickets?format=ndjson",
    "/tickets/1", "/tickets/1?format=text", "/tickets/2", "/tickets/2?format=text", "/comments?limit=1000&format=text",
    "/events?limit=1000&format=text", "/events?after=0&limit=1000", "/tickets/1/history?limit=1000",
    "/tickets?limit=1000&format=html", "/tickets?limit=1000&format=html&columns=description", "/tickets?view=board&format=html",
    "/tickets/1?format=html", "/tickets/2?format=html", "/tickets/1/history?format=html", "/comments?limit=1000&format=html",
)  # fmt: skip


# Two that are next to each other; the last is so to the first.
BESIDE = tuple(zip(ASKED[::2], [*ASKED[1::2], ASKED[0]], strict=True))


@pytest.mark.parametrize(
    "pairs",
    [
        pytest.param(BESIDE, id="two"),
        pytest.param([(path, path) for path in ASKED], id="twice", marks=pytest.mark.slow),
    ],
)
def test_no_answer_holds_up_a_worker(alone, large, pairs):
    alone.send("GET", "/events?after=0&limit=1")
    for paths in pairs:
        with Health(alone):
            answers = at_once(lambda path: alone.send("GET", path), *paths)
        for path, (status, _, answer) in zip(paths, answers, strict=True):
            assert (status, len(answer) > 10_000) == (200, True), (path, answer[:1000])
