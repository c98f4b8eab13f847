"""What calendars and feed readers subscribe to: format=ics and format=atom of tickets, as others' programs read it."""

import base64
import urllib.error
import urllib.request
from datetime import UTC, date, datetime

import feedparser
import icalendar
import pytest
from conftest import BOB, Live
from hypothesis import given, settings
from hypothesis import strategies as st

from iris import meters
from iris.formats import entries, ics
from iris.intake import auth

# What a text may have in it that these formats have a meaning for.
ODD = 'a,b;c\\d "e" <f> & \\n g\r\n\tzwei\x07\x1b[2J ä火😀 ' + "x" * 100


def calendar(http, query="", **more):
    """Return the events of a calendar, by their summary."""
    answer = http.get(f"/tickets?format=ics&{query}", **more)
    assert (answer.status, answer.headers["content-type"]) == (200, "text/calendar; charset=utf-8")
    assert all(len(line) <= 75 for line in answer.text.encode().split(b"\r\n"))
    assert "\n" not in answer.text.replace("\r\n", "")
    read = icalendar.Calendar.from_ical(answer.text)
    assert not read.errors
    return {str(event["SUMMARY"]): event for event in read.walk("VEVENT")}


def feed(http, query="", **more):
    answer = http.get(f"/tickets?format=atom&{query}", **more)
    assert (answer.status, answer.headers["content-type"]) == (
        200,
        "application/atom+xml; charset=utf-8",
    )
    read = feedparser.parse(
        answer.text.encode(),
        response_headers={"content-type": answer.headers["content-type"], "content-location": "http://iris.example/of/tickets?x"},
    )  # fmt: skip
    assert (read.bozo, read.version) == (False, "atom10")
    return read


def test_a_calendar_has_what_is_due(http, ticket):
    ticket("No day")
    ticket("A day", due="2026-12-01", labels=["a, b", "c"], priority="urgent", assignee=BOB)
    ticket("A time", due="2026-12-01T17:00:30+01:00", description=ODD)
    found = calendar(http)
    assert list(found) == ["#3 A time", "#2 A day"]
    day, hour = found["#2 A day"], found["#3 A time"]
    assert day["DTSTART"].dt == date(2026, 12, 1)
    assert hour["DTSTART"].dt == datetime(2026, 12, 1, 16, 0, 30, tzinfo=UTC)
    assert [str(label) for label in day["CATEGORIES"].cats] == ["a, b", "c"]
    assert (day["PRIORITY"], day["TRANSP"]) == (1, "TRANSPARENT")
    assert str(day["DESCRIPTION"]) == "open, urgent, for bob"
    assert str(hour["DESCRIPTION"]).partition("\n\n")[2] == (
        ODD.replace("\r", "").replace("\x07", "\ufffd").replace("\x1b", "\ufffd").strip()
    )
    # A midnight is one somewhere.
    there = calendar(http, "tz=Europe/Berlin")["#2 A day"]
    assert there["DTSTART"].dt == datetime(2026, 12, 1, tzinfo=UTC)
    assert list(calendar(http, "assignee=bob&open=true")) == ["#2 A day"]
    assert calendar(http, "assignee=nobody") == {}
    assert list(calendar(http, "due_before=2026-12-01T01:00")) == ["#2 A day"]
    assert list(calendar(http, "sort=due&limit=1")) == ["#2 A day"]


def test_an_event_stays_the_same_one_and_tells_that_it_changed(http, ticket):
    ticket("One", due="2026-12-01")
    before = calendar(http)["#1 One"]
    http.put("/tickets/1", title="Other", due="9999-12-31T23:59")
    http.put("/tickets/1", status="closed")
    after = calendar(http)["✓ #1 Other"]
    assert (before["UID"], before["SEQUENCE"], before["CREATED"].dt) == (
        after["UID"],
        after["SEQUENCE"] - 2,
        after["CREATED"].dt,
    )
    assert before["DTSTAMP"].dt <= after["DTSTAMP"].dt == after["LAST-MODIFIED"].dt
    # Deleted and brought back.
    http.delete("/tickets/1")
    assert calendar(http) == {}
    http.put("/undo", event_id=http.get("/events?limit=1").json[0]["event_id"])
    assert calendar(http)["✓ #1 Other"]["UID"] == after["UID"]
    ticket("Two", due="tomorrow")
    assert len({str(event["UID"]) for event in calendar(http).values()}) == 2


def test_a_calendar_gets_all_and_not_a_page(http):
    rows = ",".join(f'{{"title": "t", "due": "2026-12-01T00:00:{n % 60:02}Z"}}' for n in range(120))
    http.put("/tickets", raw=f"[{rows}]", headers={"Content-Type": "application/json"})
    assert len(calendar(http)) == 120


def test_a_feed_has_what_is_new(http, ticket):
    ticket("Old <b>&amp;", description=ODD, labels=['a "b"'], reporter="Änne")
    ticket("New", assignee=BOB)
    read = feed(http)
    assert [entry.title for entry in read.entries] == ["New", "Old <b>&amp;"]
    new, old = read.entries
    assert (old.author, old.tags[0].term, old.link) == (
        "Änne",
        'a "b"',
        "http://iris.example/of/tickets/1",
    )
    assert new.summary == "open, normal, for bob"
    assert (old.content[0].type, old.content[0].value) == ("text/plain", entries.clean(ODD))
    assert read.feed.updated == max(entry.updated for entry in read.entries)
    ids = [entry.id for entry in read.entries]
    http.put("/tickets/1", title="Other")
    again = feed(http, "sort=-updated")
    assert [entry.id for entry in again.entries] == ids[::-1]
    assert again.entries[0].updated > old.updated
    empty = feed(http, "q=nothing")
    assert (empty.entries, empty.feed.updated) == ([], "1970-01-01T00:00:00Z")


def test_a_feed_goes_on(http, ticket):
    for number in range(5):
        ticket(f"t{number}")
    query, titles, ids = "limit=2", [], set()
    while query:
        read = feed(http, query)
        titles += [entry.title for entry in read.entries]
        ids.add(read.feed.id)
        links = {link.rel: link.href for link in read.feed.links}
        assert links["self"].startswith("http://iris.example/of/tickets?format=atom")
        _, _, query = links.get("next", "").partition("?format=atom&")
    assert titles == ["t4", "t3", "t2", "t1", "t0"]
    assert len(ids) == 1
    assert feed(http, "limit=3").feed.id not in ids


def test_both_are_chosen_by_accept_and_are_of_tickets_alone(http, ticket):
    ticket()
    assert http.get("/tickets", headers={"Accept": "text/calendar"}).text.startswith("BEGIN:VCAL")
    assert "<feed" in http.get("/tickets", headers={"Accept": "application/atom+xml"}).text
    assert http.get("/tickets", headers={"Accept": "application/*"}).json
    for path in (
        "/tickets/1",
        "/events",
        "/comments",
        "/changes?since=monday",
        "/tickets/1/history",
    ):
        for form in ("ics", "atom"):
            sign = "&" if "?" in path else "?"
            assert http.get(f"{path}{sign}format={form}").status == 406
    for query in ("columns=title", "width=80", "csv=safe"):
        assert http.get(f"/tickets?format=ics&{query}").status == 400
    assert calendar(http, "as_of=tomorrow") == {}
    assert len(feed(http, "as_of=tomorrow").entries) == 1


def test_calendars_come_in_by_basic(http, sql, monkeypatch):
    monkeypatch.setattr(auth, "WANTED", True)
    monkeypatch.setattr(meters, "FAILURES", meters.Meter())
    token = sql.one("SELECT add_token('alice', 'reader') ->> 'token' AS it")["it"]
    sql("INSERT INTO tickets (title, due, assignee) VALUES ('Mine', '2026-12-01', 'alice')")
    for form in ("ics", "atom"):
        refused = http.get(f"/tickets?format={form}")
        # Else they would not ask who comes.
        assert (refused.status, refused.headers["www-authenticate"].split()[0]) == (401, "Basic")
    assert http.get("/tickets").headers["www-authenticate"].split()[0] == "Bearer"
    way = {"Authorization": "Basic " + base64.b64encode(f":{token}".encode()).decode()}
    assert list(calendar(http, "assignee=me&open=true", headers=way)) == ["#1 Mine"]


def test_a_calendar_that_is_subscribed_to_has_what_psql_changes(server, sql):
    """As a calendar's program asks: over HTTP, by name and password once it is told to, again and again."""
    sql("INSERT INTO tickets (title, assignee, due) VALUES ('Mine', 'bob', '2026-12-01'), ('Not mine', 'eve', '2026-12-02')")  # fmt: skip
    token = sql.one("SELECT add_token('calendar', 'reader', 'bob') ->> 'token' AS it")["it"]
    made = Live(server.url(), IRIS_AUTH="token")
    try:
        here = f"http://127.0.0.1:{made.port}/tickets"
        known = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        known.add_password(None, here, "me", token)
        ask = urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(known)).open
        address = f"{here}?assignee=me&open=true&format=ics"

        def seen():
            with ask(address) as answer:
                assert answer.headers["Content-Type"] == "text/calendar; charset=utf-8"
                read = icalendar.Calendar.from_ical(answer.read())
            return [
                (str(each["UID"]), str(each["SUMMARY"]), each["DTSTART"].dt)
                for each in read.walk("VEVENT")
            ]

        ((uid, summary, day),) = seen()
        assert (summary, day) == ("#1 Mine", date(2026, 12, 1))
        sql("UPDATE tickets SET due = '2026-12-24', title = 'Still mine' WHERE ticket_id = 1")
        assert seen() == [(uid, "#1 Still mine", date(2026, 12, 24))]
        sql("UPDATE tickets SET status = 'closed' WHERE ticket_id = 1")
        assert seen() == []
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(address)
    finally:
        made.stop()


def test_long_descriptions_are_told_in_part(http, ticket):
    ticket("x", description="y" * 100_000, due="tomorrow")
    assert len(calendar(http)["#1 x"]["DESCRIPTION"]) < 1.1 * entries.LONGEST
    assert len(feed(http).entries[0].content[0].value) == entries.LONGEST + 1


@pytest.mark.parametrize("limit", [74, 75, 76, 148, 149, 150, 1000])
def test_lines_are_folded_between_characters(limit):
    for char in ("x", "ä", "火", "😀"):
        line = f"A:{char * limit}"
        made = ics.folded(line)
        assert all(len(each) <= 75 for each in made.split(b"\r\n"))
        assert all(each.decode() for each in made.split(b"\r\n")[:-1])
        assert made.replace(b"\r\n ", b"") == f"{line}\r\n".encode()


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=300))
def test_any_text_comes_back_from_a_calendar(text):
    made = ics.folded(f"SUMMARY:{ics.escaped(text)}").decode()
    read = icalendar.Event.from_ical(f"BEGIN:VEVENT\r\nUID:1\r\n{made}END:VEVENT\r\n")
    assert str(read["SUMMARY"]) == entries.clean(text)
