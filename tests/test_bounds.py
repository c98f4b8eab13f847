"""Nothing that the limits allow keeps others waiting for more than a second; iris/bounds.py says how."""

import json
import socket
import threading
import time

import psutil
import pytest
import wcwidth
from hypothesis import given, settings
from hypothesis import strategies as st

from iris import bounds
from iris.formats import terminal

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
    assert terminal._lines(line, width) == wcwidth.wrap(terminal.safe(line.expandtabs()), width)


@pytest.mark.parametrize("name", LONG)
def test_any_text_is_drawn_in_no_time(name):
    began = time.monotonic()
    lines = terminal.wrapped(LONG[name]).split("\n")
    row = json.dumps({"title": LONG[name], "status": "open"})
    table = terminal.table([row] * 10, ("title", "status")).splitlines()
    assert time.monotonic() - began < 1
    assert all(wcwidth.width(line) <= terminal.WIDTH for line in lines + table)
    assert all(len(line) < terminal.CELL + terminal.WIDTH for line in table)


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
    drawn = terminal.letter(letter(comments=[comment] * 7, links=links))
    assert drawn.count("-- bob") == 2
    assert drawn.endswith("\n\n… 5 more comments; format=json shows all\n")
    assert drawn.count("more characters; format=json shows all") == 1
    drawn = terminal.letter(letter(description="x" * 99_000, comments=[comment, comment]))
    assert drawn.endswith("… 99,000 more characters; format=json shows all\n")
    few = terminal.letter(letter(comments=[{**comment, "body": ',"comments":[{"links":[\\'}]))
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
    """Asks a service of one worker for its health, again and again, and tells how long it took at worst."""

    def __init__(self, live):
        self.live, self.worst, self.ends = live, 0, False
        self.asking = threading.Thread(target=self._ask)

    def _ask(self):
        while not self.ends:
            began = time.monotonic()
            assert self.live.send("GET", "/health")[0] == 200
            self.worst = max(self.worst, time.monotonic() - began)
            time.sleep(0.02)

    def __enter__(self):
        self.asking.start()
        return self

    def __exit__(self, *error):
        self.ends = True
        self.asking.join()
        assert self.worst < bounds.LONGEST_WAIT


def worker(live):
    (made,) = psutil.Process(live.process.pid).children()
    return made


def stalled(live, path, *headers):
    """Ask for something, and don't read it."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(40)
    connection.connect(("127.0.0.1", live.port))
    lines = [f"GET {path} HTTP/1.1", "Host: iris", *headers]
    connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
    return connection


def test_streams_that_nobody_reads_are_given_up(hasty, http, sql):
    sql(
        "INSERT INTO tickets (title, description) SELECT 'x', repeat('x', 50000) FROM generate_series(1, 400)"
    )
    with Health(hasty):
        readers = [stalled(hasty, "/tickets?format=ndjson") for _ in range(4)]
        time.sleep(0.3)
        assert hasty.send("GET", "/tickets?format=csv")[0] == 503
        time.sleep(1.5)
        assert hasty.send("GET", "/tickets?format=csv")[0] == 200
    for reader in readers:
        reader.close()


def test_readers_of_the_feed_who_stall_cost_little_and_are_given_up(hasty, http, sql):
    file = "INSERT INTO tickets (title, description) SELECT 'x', repeat('x', 5000) FROM generate_series(1, 2000)"
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
        time.sleep(2)
        assert len(process.net_connections("tcp")) < 20
    for reader in readers:
        reader.close()
