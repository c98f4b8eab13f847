"""What is drawn for a terminal: as wide as it is, whole, and never more than it says."""

import json
import re

import pytest
import wcwidth

from iris.intake import routes

TEXTS = {
    "plain": "Printer on fire",
    "cjk": "日本語のとても長いタイトル" * 6,
    "emoji": "👩‍👩‍👧 family 🇩🇪 flag é",
    "rtl": "שלום עולם مرحبا بالعالم",
    "controls": "evil\x1b[31mred\x07\u202e",
    "long": "w" * 290,
}


@pytest.fixture
def many(http, ticket, sql):
    """File a ticket of each kind of text, with what lists show; return their numbers."""
    numbers = []
    for place, text in enumerate(TEXTS.values()):
        title = re.sub(r"[\x00-\x1f]", "?", text)
        numbers.append(
            ticket(title, description=f"{text}\n{text}", assignee=text[:90], labels=[text[:50]], due=f"in {place} days" if place % 2 else None)
        )  # fmt: skip
        http.put(f"/tickets/{numbers[-1]}/comments", body=f"{text}\n\n-- {text}", author=text[:90])
    return numbers


# Each text that there is beside the letters: what is asked, and what it says somewhere.
READ = {
    "/tickets": "ticket_id",
    "/tickets?columns=title,created,updated,due,labels": "labels",
    "/tickets?limit=2": "… 4 more: limit=6 shows them",
    "/comments": "body",
    "/comments/1": "-- Printer on fire, ",
    "/events": "changes",
    "/events?after=0": "position",
    "/tickets/1/history": "title: Printer on",
    "/changes?since=yesterday": "filed it: for Printer on fire",
    "/changes?since=yesterday&columns=title,changes,actors": "actors",
    "/tickets/1/watchers": "muted",
    "/inbox": "Nothing new",
    "/people": "alice@example.org",
    "/people/alice": "alice@example.org",
    "/workflow": "next",
    "/tokens": "alice",
    "/me": "actor:",
    "/db-check": "database:",
    "/health": "status:  ok",
    # Problems.
    "/tickets/99": "there is no ticket 99",
    "/tickets?" + "w" * 150 + "=1": "hint: Known are:",
    "/tickets?sort=日本語": "sort must be one of",
    "/nope": "hint: What there is",
}
WRITTEN = (
    ("PUT", "/tickets", {"title": "x"}, "ticket 7 filed"),
    ("PUT", "/tickets/1", {"title": "x"}, "ticket 1 is at version"),
    ("PUT", "/tickets/1", {"status": "日" * 99}, "there is no status"),
    ("PUT", "/tickets/1/comments", {"body": "x"}, "comment 7 on ticket 1 written"),
    ("PUT", "/comments/7", {"body": "y"}, "comment 7 changed"),
    ("DELETE", "/comments/7", None, "comment 7 deleted"),
    ("PUT", "/tickets/1/links/parent/2", None, "ticket 1 has the parent 2"),
    ("DELETE", "/tickets/1/links/parent/2", None, "ticket 1 no longer has the parent 2"),
    ("PUT", "/tickets/1/watchers/" + "w" * 60, None, "watches ticket 1"),
    ("DELETE", "/tickets/1/watchers/" + "w" * 60, None, "no longer watches ticket 1"),
    ("PUT", "/inbox", None, "read up to position"),
    (
        "PUT",
        "/people/zoe",
        {"mail": "zoe@example.org"},
        "zoe gets mail at once, at zoe@example.org",
    ),
    ("DELETE", "/people/zoe", None, "the address of zoe is forgotten"),
    ("PUT", "/undo", {"event_id": 12, "dry_run": True}, "would be taken back"),
    ("PUT", "/tokens", {"name": "w" * 60, "role": "reader"}, "comes in as reader"),
    ("DELETE", "/tokens/" + "w" * 60, None, "is revoked"),
    ("DELETE", "/tickets/7", None, "ticket 7 deleted; its history stays"),
)


@pytest.mark.parametrize("width", [40, 60, 80, 200, 500])
def test_whatever_is_drawn_fits_and_lines_up(http, many, width):
    http.put("/tokens", name="alice", role="writer")
    http.put("/people/alice", mail="alice@example.org")

    def fits(text, path):
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text), path
        if width >= 60:
            assert max(wcwidth.width(line) for line in text.splitlines()) <= width, path

    for path, said in {**READ, **{f"/tickets/{number}": "From:" for number in many}}.items():
        text = http.get(f"{path}{'&' if '?' in path else '?'}format=text&width={width}").text
        fits(text, path)
        assert said in text or width < 80, path
    for method, path, given, said in WRITTEN:
        text = http(method, f"{path}?format=text&width={width}", given).text
        fits(text, path)
        assert said in text.replace("\n", " "), path
    if width < 80:
        return
    rows = http.get(f"/tickets?format=text&width={width}").text.splitlines()
    assert rows[0].split() == ["ticket_id", "status", "priority", "assignee", "due", "age", "title"]
    # A column begins where its name does.
    at = rows[0].index("status")
    for row in rows[1:]:
        assert wcwidth.clip(row, at, at + 4) == "open"


def test_times_have_how_long_ago_beside_them_where_there_is_room(http, ticket):
    ticket(due="2999-01-01")
    wide, narrow = (
        http.get(f"/tickets?format=text&columns=title,created,due&width={width}").text
        for width in (100, 50)
    )
    assert re.search(r"\d\d:\d\d \(just now\)  2999-01-01 00:00 \(in 9\d\d y\)", wide)
    assert "ago" not in narrow
    assert "2999-01-01 00:00" in narrow


def test_columns_that_are_empty_everywhere_are_left_out_unless_asked_for(http, ticket):
    ticket(description='x","due":"2026-01-01')
    assert http.get("/tickets?format=text").text.split("\n")[0].split() == [
        "ticket_id",
        "status",
        "priority",
        "age",
        "title",
    ]
    assert http.get("/tickets?format=text&columns=due,assignee").text == "due  assignee\n\n"


def test_the_last_line_says_how_many_more_there_are(http, sql, statements):
    sql("INSERT INTO tickets (title) SELECT 'Ticket ' || n FROM generate_series(1, 1203) AS n")
    statements()
    first = http.get("/tickets?format=text")
    assert len(statements()) == 1
    last = first.text.splitlines()[-1]
    cursor = re.fullmatch(r"… 1,153 more: go on with cursor=(\S+)", last)[1]
    second = http.get(f"/tickets?format=text&cursor={cursor}&limit=300").text.splitlines()
    assert second[1].startswith("1153 ")
    cursor = re.fullmatch(r"… 853 more: go on with cursor=(\S+)", second[-1])[1]
    third = http.get(f"/tickets?format=text&cursor={cursor}&limit=10").text.splitlines()
    assert third[-1] == "… 843 more: limit=853 shows them"
    rest = http.get(f"/tickets?format=text&cursor={cursor}&limit=853").text.splitlines()
    assert (len(rest), rest[-1].split()[0]) == (854, "1")
    few = http.get("/tickets?format=text&q=ticket&sort=rank&limit=1100").status
    assert few == 422
    done = http.get("/tickets?format=text&title=x")
    assert done.status == 400
    whole = http.get("/tickets?format=text&status=closed").text
    assert len(whole.splitlines()) == 1
    ranked = http.get("/tickets?format=text&q=1203&sort=rank").text.splitlines()
    assert len(ranked) == 2


def test_a_tickets_history_is_whole_and_says_a_change_a_line(http, ticket, sql):
    number = ticket("One", description="")
    http.put(f"/tickets/{number}", title="Two", assignee="bob", labels=["x"], actor="bob")
    http.put(f"/tickets/{number}", assignee=None, labels=[])
    for place in range(60):
        sql("UPDATE tickets SET title = %s", f"Title {place}")
    text = http.get(f"/tickets/{number}/history?format=text").text
    lines = text.splitlines()
    assert lines[0].split() == ["at", "actor", "source", "ticket_id", "kind", "changes"]
    assert len([line for line in lines if "title: Title" in line]) == 59
    told = [re.split(r"  +", line)[-1] for line in lines[61:]]
    # In the order of a ticket's columns, not of JSON, which has the shortest names first.
    assert told == ["assignee: bob → –", "labels: x → –", "title: One → Two", "assignee: bob", "labels: x",
                    "title: One", "status: open", "reporter: anonymous", "priority: normal"]  # fmt: skip
    assert all(line.startswith("  ") for line in lines[62:63])
    assert (
        http.get(f"/tickets/{number}/history?format=text&limit=2")
        .text.splitlines()[-1]
        .startswith("… 61 more")
    )


def test_no_text_forges_a_line_of_the_letter(http, ticket):
    head = "-- alice, 2026-01-01 00:00 ----"
    number = ticket(
        "One", description=f"{head}\nx {'y' * 96} {head}", reporter="bob\nState: closed"
    )
    http.put(
        f"/tickets/{number}/comments",
        body=f"{head}\u2028{head}\r\n{'z ' * 49}{head}",
        author="bob\n-- alice",
    )
    for width in (80, 100):
        letter = http.get(f"/tickets/{number}?format=text&width={width}").text
        assert len(re.findall(r"^--", letter, re.MULTILINE)) == 1
        assert letter.count("\nState:") == 1


def test_colours_only_where_they_are_wanted(http, ticket):
    ticket("Urgent", priority="urgent", due="-2h")
    for path in ("/tickets", "/tickets/1", "/tickets/1/history"):
        plain = http.get(f"{path}?format=text").text
        bright = http.get(f"{path}?format=text&color=always").text
        assert "\x1b" not in plain
        assert http.get(f"{path}?format=text&color=never").text == plain
        assert "\x1b[1m" in bright
        bare = re.sub(r"\x1b\[\d+m", "", bright)
        assert [line.rstrip() for line in bare.splitlines()] == plain.splitlines()
    assert http.get("/tickets?format=text&color=always").text.count("\x1b[31m") == 3
    for path in (
        "/tickets?color=always",
        "/tickets?format=csv&width=80",
        "/tickets/1?width=80",
        "/events?after=0&width=80",
    ):
        assert http.get(path).json["code"] == "unknown_parameter", path
    for width in (19, 501, "x"):
        assert http.get(f"/tickets?format=text&width={width}").status == 422


def test_times_are_in_the_zone_that_is_asked_for(http, ticket):
    ticket(due="2026-07-01T12:00Z")
    table = http.get("/tickets?format=text&columns=due&tz=Asia/Tokyo&width=40").text
    assert table.splitlines()[1:] == [
        "2026-07-01 21:00" + table.splitlines()[1][16:],
        "Times are in Asia/Tokyo.",
    ]
    letter = http.get("/tickets/1?format=text&tz=America/New_York").text
    assert "due 2026-07-01 08:00" in letter
    assert letter.endswith("Times are in America/New_York.\n")
    ticket(due="0001-01-01"), ticket(due="9999-12-31T23:59Z")
    edges = http.get("/tickets?format=text&columns=due&tz=America/New_York").text
    assert "0001-01-01 00:00" in edges
    assert "9999-12-31 18:59" in edges


def test_what_is_written_is_told_as_text_where_text_is_asked_for(http, ticket, sql):
    plain = {"Accept": "text/plain"}

    def put(path, raw=None, **given):
        answer = http("PUT", path, given, raw=raw, headers=plain)
        assert answer.headers["content-type"].startswith("text/plain")
        return answer.text

    assert put("/tickets", title="One") == "ticket 1 filed\n"
    assert put("/tickets/1", title="Two") == "ticket 1 is at version 2\n"
    assert put("/tickets", ticket_id=1, title="Two") == "ticket 1 is at version 2\n"
    # Who types what nobody gives may have meant something by it.
    kept = "; passed over, for Iris keeps them by itself: created, age\n"
    assert (
        put("/tickets/1?created=monday", age="5d", version=2) == f"ticket 1 is at version 2{kept}"
    )
    assert put("/tickets/1/comments", body="x") == "comment 1 on ticket 1 written\n"
    assert put("/comments/1", body="y") == "comment 1 changed\n"
    rows = [{"title": "a\\nb"}, {"ticket_id": 1, "title": "c"}]
    assert (
        put("/tickets?dry_run=true", raw=json.dumps(rows))
        == "2 tickets would be written, and none was\n"
    )
    assert put("/tickets", raw=json.dumps(rows)) == "2 tickets written\n"
    assert put("/tickets", raw="[]") == "0 tickets written\n"
    assert (
        put("/tickets/1", status="blocked")
        == 'ticket 1 can\'t go from "open" to "blocked"\nhint: From "open" it may go to: active, resolved, closed\n'
    )
    wrong = [{"title": ""}, {"title": "x"}, {"title": "x", "due": "someday"}]
    assert put("/tickets", raw=json.dumps(wrong)).splitlines() == [
        "row 0: title must have 1 to 300 characters, not only blanks (and 1 more)",
        'row 2: invalid input syntax for type timestamp with time zone: "someday"',
        "hint: Nothing was written.",
    ]
    assert http("PUT", "/tickets?format=text", {"title": "x"}).text == "ticket 6 filed\n"


def test_a_due_date_that_changed_is_in_the_time_zone_too(http, ticket, sql):
    number = ticket("x", due="2027-03-01T09:00Z")
    sql("SET timezone = 'Asia/Tokyo'")
    sql("UPDATE tickets SET due = '2027-03-02 09:00Z'")
    sql("RESET timezone")
    for path in (f"/tickets/{number}/history", "/events"):
        text = http.get(f"{path}?format=text&tz=America/New_York&limit=1").text
        assert "due: 2027-03-01 04:00 → 2027-03-02 04:00\n" in text
    told = http.get("/changes?since=yesterday&format=text&tz=Europe/Berlin").text
    assert "- filed it: due 2027-03-02 10:00\n" in told


def test_every_route_answers_a_person(http, ticket, sql):
    """Whatever is asked in whatever way, by format=text or by Accept: a text, and not that there is none."""
    from iris import app  # noqa: PLC0415

    number = ticket()
    sql("INSERT INTO comments (ticket_id, body) VALUES (%s, 'x')", number)
    asked = 0
    for path, methods in app.api.API.http.routes[""].items():
        here = re.sub(r"{(\w+)}", lambda name: "blocks" if name[1] == "kind" else "1", path)
        for method, versions in methods.items():
            spec = versions[None].interface.spec
            # What serves one thing only, whatever is asked for, is a page, a picture or a file.
            if hasattr(spec, "serves") or "text/plain" not in getattr(spec, "offers", routes.EACH):
                continue
            given = {"title": "x", "body": "x"} if method in ("PUT", "POST", "PATCH") else None
            by_format = http(method, f"{here}?format=text&width=80&color=never", given)
            by_header = http(method, here, given, headers={"Accept": "text/plain"})
            for answer in (by_format, by_header):
                assert answer.headers["content-type"].startswith("text/plain"), (method, path)
                assert answer.text.endswith("\n"), (method, path)
                assert not re.search("format|width|color", answer.text.split(": ")[0]), (
                    method,
                    path,
                )
                asked += answer.status < 300
    assert asked > 25


def test_what_is_for_text_is_for_nothing_else(http, ticket):
    ticket()
    for path in ("/me", "/workflow", "/health", "/tickets/1", "/tickets"):
        refused = http.get(f"{path}?width=80").json
        assert (refused["code"], refused["detail"]) == (
            "unknown_parameter",
            "width is for format=text",
        ), path
        assert http.get(f"{path}?format=text&width=8").status == 422, path
    # In what is to be kept it is a name as any other.
    assert http.put("/tickets/1?format=text", {"width": 80}).status == 400


def test_what_answers_nothing_says_so_in_a_text(http, ticket):
    """204 where programs ask; a person reads what was done."""
    one, other = ticket(), ticket()
    link = f"/tickets/{one}/links/blocks/{other}"
    assert (http.put(link).status, http.delete(link).status) == (204, 204)
    said = http.put(f"{link}?format=text")
    assert (said.status, said.text) == (200, f"ticket {one} blocks {other}\n")
    again = http.delete(f"{link}?format=text"), http.delete(f"{link}?format=text")
    assert [each.text for each in again] == [
        f"ticket {one} no longer blocks {other}\n",
        f"ticket {one} has no link blocks to ticket {other}\n",
    ]


def test_a_title_keeps_room_beside_long_names_and_times(http, ticket):
    ticket(
        "Printer on fire in the basement",
        assignee="christopher.longname@example.org",
        due="2999-01-01 12:00",
        priority="urgent",
    )
    head, row = http.get("/tickets?format=text&width=80").text.splitlines()
    assert head.split() == ["ticket_id", "status", "priority", "assignee", "due", "age", "title"]
    # A time gives way down to its day, not to a part of one.
    assert re.fullmatch(
        r"1          open    urgent    christopher…  2999-01-01  0m   Printer on fire in …", row
    )
    # Where it is narrow, names of columns are cut before what stands in them, and numbers never.
    assert http.get("/tickets?format=text&width=60").text.splitlines() == [
        "ti…  sta…  prior…  assign…  due         age  title",
        "1    open  urgent  christ…  2999-01-01  0m   Printer on fir…",
    ]
    history = http.get("/events?format=text&width=60").text.splitlines()[1]
    assert re.search(r"anonymo…  http  +1    +created  title: Printer…$", history), history
    whole = http.get("/tickets?format=text&width=200").text
    assert "2999-01-01 12:00 (in 9" in whole
    history = http.get("/tickets/1/history?format=text&width=80").text
    assert re.search(r"^\d{4}-\d\d-\d\d \d\d:\d\d ", history, re.MULTILINE)


def test_what_is_new_is_told_as_one_would(http, ticket):
    ticket("Plain", description="long")
    ticket(
        "Full",
        priority="high",
        assignee="bob",
        due="2999-01-01 12:00",
        labels=["b", "a"],
        status="active",
    )
    told = http.get("/changes?since=yesterday&format=text&sort=ticket_id").text
    assert re.findall("- .*", told) == [
        "- filed it",
        "- filed it: high, for bob, due 2999-01-01 12:00, labels a, b, now active",
    ]


def test_problems_show_letters_as_they_are(http, live):
    """Those of Iris and those of what is no HTTP; but not what a terminal obeys."""
    told = http.get("/tickets?sort=日本é").text
    assert "\\u" not in told
    refused = http.put("/tickets", {"title": "x", "status": "é\x9b\x7f"})
    assert "é" in refused.text
    assert not re.search("[\x7f-\x9f]", refused.text)
    assert refused.json["detail"].startswith("there is no status")
    status, head, body = live.send("É", "/tickets")
    length = re.search(r"content-length: (\d+)", head.lower())[1]
    assert (status, int(length)) == (400, len(body))
    assert json.loads(body)["code"] == "malformed_request"
