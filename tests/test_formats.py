"""Lists and tickets in every format."""

import csv
import io
import json
import re
import unicodedata

import psycopg2
import pytest
import wcwidth
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

MEDIA = {
    "json": "application/json",
    "ndjson": "application/x-ndjson",
    "csv": "text/csv",
    "tsv": "text/tab-separated-values",
    "text": "text/plain",
}
CHARACTERS = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
# Of one line.
LINE = st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"])


@pytest.fixture
def tracker(http, ticket):
    ticket("Plain", assignee="alice", priority="high", due="2026-12-01")
    ticket(
        'With "quotes", commas', description="two\nlines\tand a tab \\ and\r\n", labels=["b", "a,c"]
    )
    ticket("=1+1", fields={"os": "plan9", "n": [1, None]}, description="")
    http.put("/tickets/1/comments", body="hello\nworld")


def untab(line):
    """Read a line of TSV as COPY writes it."""
    marks = {"t": "\t", "n": "\n", "r": "\r", "\\": "\\"}
    cells = []
    for cell in line.split("\t"):
        if cell == "\\N":
            cells.append(None)
            continue
        parts = cell.split("\\")
        text = parts[0]
        place = 1
        while place < len(parts):
            if parts[place] == "":
                text += "\\" + (parts[place + 1] if place + 1 < len(parts) else "")
                place += 2
            else:
                text += marks[parts[place][0]] + parts[place][1:]
                place += 1
        cells.append(text)
    return cells


@pytest.mark.parametrize(
    "path", ["/tickets", "/comments", "/tickets/1/comments", "/events", "/tickets/1/history"]
)
@pytest.mark.parametrize("name", MEDIA)
def test_every_list_comes_in_every_format(http, tracker, path, name):
    rows = http.get(path).json
    by_accept = http.get(path, headers={"Accept": MEDIA[name]})
    by_name = http.get(f"{path}?format={name}", headers={"Accept": "text/html"})
    for answer in (by_accept, by_name):
        assert answer.status == 200
        assert answer.headers["content-type"].split(";")[0] == MEDIA[name]
    assert by_accept.text == by_name.text
    if name in ("ndjson", "csv", "tsv"):
        assert by_name.headers["content-disposition"].endswith(f'.{name}"')
    if name == "ndjson":
        assert [json.loads(line) for line in by_name.text.splitlines()] == rows
    if name == "csv":
        header, *lines = csv.reader(io.StringIO(by_name.text, newline=""))
        assert header == list(rows[0])
        texts = [
            [
                "" if v is None else v if isinstance(v, str) else json.dumps(v, ensure_ascii=False)
                for v in row.values()
            ]
            for row in rows
        ]
        assert lines == texts
    if name == "tsv":
        header, *lines = by_name.text.removesuffix("\n").split("\n")
        assert header.split("\t") == list(rows[0])
        texts = [
            [
                v if v is None or isinstance(v, str) else json.dumps(v, ensure_ascii=False)
                for v in row.values()
            ]
            for row in rows
        ]
        assert [untab(line) for line in lines] == texts


@pytest.mark.parametrize(
    ("path", "accept", "status", "kind"),
    [
        ("/tickets", "*/*", 200, "application/json"),
        ("/tickets", "text/*", 200, "text/plain"),
        ("/tickets", "text/csv;q=0.2, text/plain;q=0.9", 200, "text/plain"),
        ("/tickets", "image/png", 406, "application/problem+json"),
        ("/tickets?format=xml", None, 406, "application/problem+json"),
        ("/tickets/1", "text/plain", 200, "text/plain"),
        ("/tickets/1?format=text", None, 200, "text/plain"),
        ("/tickets/1?format=csv", None, 406, "application/problem+json"),
        ("/tickets/1", "text/csv", 406, "application/problem+json"),
        ("/workflow?format=json", None, 200, "application/json"),
        ("/workflow?format=csv", None, 406, "application/problem+json"),
        ("/events?after=0&format=csv", None, 406, "application/problem+json"),
    ],
)
def test_what_is_asked_for_and_what_is_not_there(http, tracker, path, accept, status, kind):
    answer = http.get(path, headers={"Accept": accept} if accept else {})
    assert (answer.status, answer.headers["content-type"].split(";")[0]) == (status, kind)


def test_streams_have_no_pages_unless_asked(http, sql):
    sql("INSERT INTO tickets (title) SELECT 'Ticket ' || n FROM generate_series(1, 250) AS n")
    lines = http.get("/tickets?format=ndjson&columns=ticket_id&sort=ticket_id").text.splitlines()
    assert [json.loads(line)["ticket_id"] for line in lines] == list(range(1, 251))
    assert len(http.get("/tickets?format=csv&limit=7").text.splitlines()) == 8
    assert len(http.get("/tickets?format=tsv&status=closed").text.splitlines()) == 1
    answer = http.get("/tickets?format=ndjson&q=ticket&as_of=tomorrow&label=!x&sort=-priority")
    assert len(answer.text.splitlines()) == 250
    text = http.get("/tickets?format=text")
    *lines, last = text.text.splitlines()
    assert (len(lines), last) == (51, "… 200 more: limit=250 shows them")
    assert "format=text" in text.next


def test_a_stream_is_refused_as_anything_is(http):
    assert http.get("/tickets?format=csv&created_after=someday").status == 422
    assert http.get("/tickets/77/history?format=csv").status == 404
    assert http("HEAD", "/tickets?format=csv").status == 200


def test_no_cell_is_a_formula_where_csv_is_to_be_safe(http, ticket):
    titles = ["=1+1", "+1", "-1", "@SUM(A1)", "a=1", "'=1", '=HYPERLINK("x","y")', "1"]
    for title in titles:
        ticket(title, description=f"\t{title}", assignee=f"{title}\r", labels=["=1"])
    query = "/tickets?format=csv&sort=ticket_id&columns=title,description,assignee,labels"
    plain, safe = (
        list(csv.reader(io.StringIO(http.get(f"{query}{more}").text, newline="")))
        for more in ("", "&csv=safe")
    )
    assert [row[0] for row in plain] == ["title", *titles]
    assert safe[0] == plain[0]
    for before, after in zip(plain[1:], safe[1:], strict=True):
        assert after == [f"'{cell}" if cell[0] in "=+-@\t\r" else cell for cell in before]
    for query in ("/tickets?csv=safe", "/tickets?format=tsv&csv=safe", "/events?after=0&csv=safe"):
        assert http.get(query).json["code"] == "unknown_parameter"
    assert http.get("/tickets?format=csv&csv=no").status == 422
    assert http.get("/comments?format=csv&csv=safe").status == 200


def test_a_stream_is_of_one_moment(server, clean, sql):
    from iris.lists import tickets as ticket_list  # noqa: PLC0415

    sql("INSERT INTO tickets (title) SELECT 'before' FROM generate_series(1, 5000)")
    stream = iter(ticket_list.page({"columns": ("title",)}, "csv"))
    seen = next(stream) + next(stream)
    sql("UPDATE tickets SET title = 'after'")
    sql("DELETE FROM tickets WHERE ticket_id < 100")
    seen += b"".join(stream)
    assert seen.decode().split() == ["title"] + ["before"] * 5000


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    title=st.text(LINE, max_size=290),
    description=st.none() | st.text(CHARACTERS, max_size=100),
)
def test_any_text_goes_out_as_csv_and_in_again(temporary, http, sql, server, title, description):
    # As the database keeps texts, however they were composed.
    title = unicodedata.normalize("NFC", f"{title}.")
    description = description and unicodedata.normalize("NFC", description)
    number = http.put("/tickets", title=title, description=description).json["ticket_id"]
    fields = http.get("/tickets?format=csv&columns=title,description&sort=-ticket_id&limit=1").text
    _, row = csv.reader(io.StringIO(fields, newline=""))
    assert row == [title, description or ""]
    # PostgreSQL's own COPY tells nothing from null, too.
    connection = psycopg2.connect(server.url())
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE again (title text, description text)")
        cursor.copy_expert(
            "COPY again FROM STDIN (FORMAT csv, HEADER)", io.StringIO(fields, newline="")
        )
        cursor.execute("SELECT * FROM again")
        assert cursor.fetchall() == [(title, description)]
        tsv = http.get("/tickets?format=tsv&columns=title,description&sort=-ticket_id&limit=1").text
        cursor.copy_expert(
            "COPY again FROM STDIN (FORMAT text, HEADER)", io.StringIO(tsv, newline="")
        )
        cursor.execute("SELECT * FROM again")
        assert cursor.fetchall() == [(title, description)] * 2
    connection.close()
    assert number


def test_a_table_fits_and_lines_up(http, ticket):
    ticket("Short", assignee="bob")
    ticket("日本語のとても長いタイトル" * 10, assignee="山田太郎", priority="urgent")
    ticket("emoji 👩‍👩‍👧 and é combined", labels=["x"])
    ticket("evil red\u202e", assignee="x" * 80 + "\x1b[31m\x07\n")
    table = http.get("/tickets?format=text").text
    lines = table.splitlines()
    assert lines[0].split() == ["ticket_id", "status", "priority", "assignee", "age", "title"]
    assert len(lines) == 5
    assert all(wcwidth.width(line) <= 100 for line in lines)
    starts = {
        wcwidth.width(line[: line.index(word)])
        for line, word in zip(lines[1:], ("evil", "emoji", "日本", "Short"), strict=True)
    }
    assert len(starts) == 1
    assert "\x1b" not in table
    assert "\u202e" not in table
    chosen = http.get("/tickets?format=text&columns=title,created,labels&sort=ticket_id").text
    assert chosen.splitlines()[0].split() == ["title", "created", "labels"]
    assert http.get("/events?format=text").status == 200


def test_a_ticket_reads_like_a_letter(http, ticket):
    number = ticket("Printer on fire", description="It burns.\n\n" + "word " * 50, assignee="alice", labels=["fire", "hw"],
                    fields={"os": "plan9"}, due="2026-12-01")  # fmt: skip
    other = ticket("Other")
    http.put(f"/tickets/{number}/comments", body="I smell smoke\nreally", actor="bob")
    http.put(f"/tickets/{other}/links/blocks/{number}")
    http.put(f"/tickets/{number}/links/parent/{other}")
    letter = http.get(f"/tickets/{number}?format=text").text
    lines = re.sub(r" \((?:in )?\d+ \w+(?: ago)?\)", "", letter).splitlines()
    assert lines[0] == "Ticket 1: Printer on fire"
    assert lines[1].startswith("From:    anonymous, 20")
    assert lines[2:7] == [
        "To:      alice",
        "State:   open, normal, due 2026-12-01 00:00",
        "Labels:  fire, hw",
        "Fields:  os: plan9",
        "Links:   has the parent 2, is blocked by 2",
    ]
    assert "It burns.\n\nword" in letter
    assert letter.endswith("--\nI smell smoke\nreally\n")
    assert all(wcwidth.width(line) <= 100 for line in lines)
    assert http.get(f"/tickets/{number}?format=text&as_of=tomorrow").text == letter


@pytest.mark.parametrize(
    ("form", "line"), [("csv", ""), ("tsv", "\\N"), ("ndjson", '{"assignee":null}')]
)
def test_a_column_that_is_empty_in_every_row(http, ticket, form, line):
    for _ in range(3):
        ticket()
    answer = http.get(f"/tickets?columns=assignee&format={form}")
    assert answer.text.splitlines()[-3:] == [line] * 3
