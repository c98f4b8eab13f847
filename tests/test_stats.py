"""Statistics, at both doors: by hand what they must say of a history that is known."""

import itertools
import json
import re
from xml.etree import ElementTree

import psycopg2
import pytest

DAY = 24


@pytest.fixture
def past(owner, sql):
    """Return a function: say when a ticket was filed and moved, as if all of it had been then.

    moves:    [(days ago, status)], the first one its filing.
    """

    def tell(title, *moves, **given):
        names = "".join(f", {name}" for name in given)
        values = "".join(", %s" for _ in given)
        (row,) = sql(
            f"INSERT INTO tickets (title, status{names}) VALUES (%s, %s{values}) RETURNING ticket_id",
            title, moves[0][1], *given.values(),
        )  # fmt: skip
        number = row["ticket_id"]
        for _, status in moves[1:]:
            sql("UPDATE tickets SET status = %s WHERE ticket_id = %s", status, number)
        with owner.cursor() as cursor:
            cursor.execute("SET session_replication_role = replica")
            cursor.execute(
                "SELECT event_id FROM events WHERE ticket_id = %s ORDER BY event_id", [number]
            )
            numbers = [event_id for (event_id,) in cursor.fetchall()]
            closed = None
            for event_id, (days, status) in zip(numbers, moves, strict=True):
                cursor.execute(
                    "UPDATE stored_events SET at = date_trunc('second', now()) - %s * interval '1 day',"
                    " kept_closed = CASE kind WHEN 'changed' THEN date_trunc('second', now()) - %s * interval '1 day' END"
                    " WHERE event_id = %s",
                    [days, closed, event_id],
                )
                is_open = status in ("open", "active", "blocked")
                closed = None if is_open else days if closed is None else closed
            cursor.execute(
                "UPDATE tickets SET created = date_trunc('second', now()) - %s * interval '1 day', updated ="
                " date_trunc('second', now()) - %s * interval '1 day', closed = date_trunc('second', now()) - %s * interval '1 day'"
                " WHERE ticket_id = %s",
                [moves[0][0], moves[-1][0], closed, number],
            )
            cursor.execute("SET session_replication_role = origin")
        return number

    return tell


def by(rows, name):
    return {row[name]: row for row in rows}


def told(http, sql, query="", call="stats()"):
    """Return what both doors say, which is the same."""
    there = http.get(f"/stats{query}")
    assert there.status == 200, there.text
    (here,) = sql.one(f"SELECT {call} AS it").values()
    for each in (there.json, here):
        del each["as_of"]
        for row in each["hours_open"]:
            for name in ("median", "p85", "oldest"):
                row[name] = round(row[name], 1)
    assert there.json == here
    return here


def test_without_tickets_there_is_nothing_to_count(http, sql):
    found = told(http, sql)
    assert (found["tickets"], found["open"], found["overdue"]) == (0, 0, 0)
    assert len(found["weeks"]) == 26
    assert {row["status"]: row["tickets"] for row in found["status"]} == dict.fromkeys(
        ("open", "active", "blocked", "resolved", "closed"), 0
    )
    assert found["hours_to_close"] == {"tickets": 0, "median": None, "p85": None}
    assert found["assignee"] == found["label"] == found["hours_in_status"] == []
    assert "0 tickets" in http.get("/stats?format=text").text


def test_each_kind_is_counted(http, sql, ticket):
    ticket(assignee="alice", labels=["fire", "hardware"], priority="urgent", due="yesterday")
    ticket(assignee="alice", labels=["fire"], status="closed", due="yesterday")
    ticket()
    found = told(http, sql)
    assert (found["tickets"], found["open"], found["overdue"]) == (3, 2, 1)
    assert found["assignee"] == [
        {"assignee": "alice", "tickets": 2, "open": 1},
        {"assignee": None, "tickets": 1, "open": 1},
    ]
    assert found["label"] == [
        {"label": "fire", "tickets": 2, "open": 1},
        {"label": "hardware", "tickets": 1, "open": 1},
    ]
    assert found["priority"] == [
        {"priority": "urgent", "tickets": 1, "open": 1},
        {"priority": "normal", "tickets": 2, "open": 1},
    ]
    assert by(found["status"], "status")["closed"] == {
        "status": "closed", "is_open": False, "tickets": 1,
    }  # fmt: skip
    assert found["weeks"][-1] == {
        "week": found["weeks"][-1]["week"], "filed": 3, "closed": 1,
        "status": {"open": 2, "active": 0, "blocked": 0, "resolved": 0, "closed": 1},
    }  # fmt: skip


def test_time_in_each_status_is_that_of_history(http, sql, past):
    past("One", (10, "open"), (8, "active"), (5, "blocked"), (4, "active"), (2, "resolved"))
    past("Two", (9, "open"), (3, "active"))
    found = told(http, sql)
    stays = by(found["hours_in_status"], "status")
    assert (stays["open"]["stays"], stays["open"]["median"]) == (2, 4 * DAY)
    assert stays["open"]["p85"] == pytest.approx(5.4 * DAY)
    assert (stays["active"]["stays"], stays["active"]["median"]) == (2, 2.5 * DAY)
    assert stays["active"]["p85"] == pytest.approx(2.85 * DAY)
    assert stays["blocked"]["median"] == DAY
    assert found["hours_to_close"] == {"tickets": 1, "median": 8 * DAY, "p85": 8 * DAY}
    (age,) = found["hours_open"]
    assert (age["status"], age["tickets"], round(age["oldest"])) == ("active", 1, 9 * DAY)


def test_who_was_opened_again_counts_once_and_by_what_it_was_open(http, sql, past):
    # Closed for ten days, declared resolved in between, opened, and closed for good.
    again = past(
        "Again", (30, "open"), (20, "resolved"), (15, "open"), (12, "resolved"), (11, "closed"),
        (8, "open"), (6, "closed"),
    )  # fmt: skip
    past("Still", (30, "open"), (20, "closed"), (10, "open"))
    rows = sql("SELECT ticket_id, reopened, hours(open_for) / 24 AS days FROM cycle_times()")
    # 10 days, 3, and 2: it lay closed from 20 to 15 and from 12 to 8.
    assert rows == [{"ticket_id": again, "reopened": 2, "days": pytest.approx(15)}]
    found = told(http, sql)
    assert found["hours_to_close"] == {"tickets": 1, "median": 15 * DAY, "p85": 15 * DAY}
    assert sum(week["closed"] for week in found["weeks"]) == 1
    assert sum(week["filed"] for week in found["weeks"]) == 2


def test_a_status_that_is_declared_open_opens_what_is_in_it(http, sql, past):
    number = past("Declared", (30, "open"), (20, "resolved"))
    sql("UPDATE statuses SET is_open = true WHERE status = 'resolved'")
    assert sql("SELECT ticket_id FROM cycle_times()") == []
    sql("UPDATE statuses SET is_open = false WHERE status = 'resolved'")
    row = sql.one("SELECT ticket_id, reopened, hours(open_for) / 24 AS days FROM cycle_times()")
    assert (row["ticket_id"], row["reopened"]) == (number, 1)
    assert row["days"] == pytest.approx(10, abs=0.01)
    told(http, sql)


def test_weeks_end_with_what_stood_there(http, sql, past):
    past("A", (30, "open"), (20, "active"), (3, "closed"))
    past("B", (30, "open"))
    past("C", (400, "open"), (390, "active"))
    deleted = past("D", (30, "open"), (20, "active"))
    sql("DELETE FROM tickets WHERE ticket_id = %s", deleted)
    found = told(http, sql, "?weeks=8", "stats(weeks => 8)")
    assert len(found["weeks"]) == 8
    for week in found["weeks"][:-1]:
        # By the past itself, but for what has been deleted since.
        stood = sql(
            "SELECT status, count(*) FROM tickets_as_of(%s::date + 7 - interval '1 microsecond')"
            " WHERE ticket_id <> %s GROUP BY status", week["week"], deleted,
        )  # fmt: skip
        there = {status: many for status, many in week["status"].items() if many}
        assert there == {row["status"]: row["count"] for row in stood}, week
    assert found["weeks"][-1]["status"] == {
        "open": 1, "active": 1, "blocked": 0, "resolved": 0, "closed": 1,
    }  # fmt: skip


def test_filters_and_the_past_hold(http, sql, ticket):
    mine = ticket(assignee="alice", labels=["fire"])
    ticket(assignee="bob")
    before = sql.one("SELECT clock_timestamp()::text AS at")["at"].replace("+", "%2B")
    http.put(f"/tickets/{mine}", status="closed")
    ticket(assignee="alice")
    found = http.get("/stats?assignee=alice").json
    assert (found["tickets"], found["open"]) == (2, 1)
    assert http.get("/stats?assignee=me", actor="bob").json["tickets"] == 1
    assert http.get("/stats?label=fire&open=true").json["tickets"] == 0
    then = http.get(f"/stats?as_of={before}").json
    assert (then["tickets"], then["open"], then["hours_to_close"]["tickets"]) == (2, 2, 0)
    assert http.get(f"/stats?as_of={before}&assignee=alice").json["open"] == 1
    assert then == sql.one("SELECT stats(%s::timestamptz) AS it", before.replace("%2B", "+"))["it"]
    whose = "SELECT stats(of => ARRAY(SELECT ticket_id FROM tickets WHERE assignee = 'alice')) -> 'tickets' AS it"
    assert sql.one(whose)["it"] == 2
    sql("UPDATE tickets SET status = 'active' WHERE assignee = 'bob'")
    assert by(http.get("/stats").json["status"], "status")["active"]["tickets"] == 1


def test_weeks_begin_on_mondays_where_one_is(http):
    (week,) = http.get("/stats?weeks=1&tz=Pacific/Auckland&as_of=2026-03-01T12:00:00Z").json[
        "weeks"
    ]
    assert week["week"] == "2026-03-02"
    (week,) = http.get("/stats?weeks=1&as_of=2026-03-01T12:00:00Z").json["weeks"]
    assert week["week"] == "2026-02-23"


@pytest.mark.parametrize("weeks", ["0", "521", "x", ""])
def test_it_rejects_odd_weeks(http, sql, weeks):
    answer = http.get(f"/stats?weeks={weeks}")
    assert (answer.status, list(answer.json["errors"])) == (422, ["weeks"])
    if weeks.isdigit():
        refusal = sql.refusal(f"SELECT stats(weeks => {weeks})")
        assert refusal.diag.message_primary == "weeks must be from 1 to 520"
        assert sql.refusal(f"SELECT spread(weeks => {weeks})").diag.column_name == "weeks"


@pytest.mark.parametrize(
    "moment", ["0044-03-15 BC", "0010-12-31", "10000-01-01T00:00:01Z", "infinity", "-infinity"]
)
def test_it_rejects_years_that_nobody_can_read(http, sql, moment):
    words = "statistics are of a moment in a year from 11 to 9999"
    for path in ("/stats", "/stats.svg", "/stats?format=text"):
        answer = http.get(f"{path}{'&' if '?' in path else '?'}as_of={moment.replace(' ', '%20')}")
        assert answer.status == 422
        assert "format" in path or list(answer.json["errors"]) == ["as_of"]
    for call in ("stats", "spread"):
        refusal = sql.refusal(f"SELECT {call}('{moment}')")
        assert refusal.diag.message_primary == words


def test_it_asks_once(http, ticket, statements):
    ticket()
    for path in ("/stats?assignee=!alice", "/stats.svg?chart=age", "/stats.svg?chart=flow"):
        statements()
        assert http.get(path).status == 200
        assert len(statements()) == 1


# Drawn --------------------------------------------------------------------------------------------


def test_as_text_it_has_bars_and_sparklines(http, past):
    past("One", (10, "open"), (8, "active"), (5, "closed"), assignee="alice")
    past("Two\u0301", (9, "open"), labels=["b\u00e4d \u202e label"])
    page = http.get("/stats?format=text&width=60").text
    assert page.startswith("2 tickets, 1 of them open, 0 overdue;")
    assert "█" in page
    assert re.search(r"^filed +2  ·+", page, re.MULTILINE)
    assert "Closed in these weeks: 1; half were open for 5.0 d at most," in page
    assert "\u202e" not in page
    assert max(map(len, page.splitlines())) <= 60
    assert "\x1b[1m" in http.get("/stats?format=text&color=always").text
    assert http.get("/stats?color=always").status == 400


CHARTS = ("flow", "age", "cycle", "throughput")


@pytest.mark.parametrize("chart", CHARTS)
def test_pictures_say_what_they_show(http, sql, past, chart):
    sql("INSERT INTO statuses VALUES ('<later> & \"so\"', 9, true)")
    assert http.get(f"/stats.svg?chart={chart}").status == 200
    past("One", (10, "open"), (8, "active"), (5, "closed"))
    past("Two", (9, "open"))
    past("Three", (9, '<later> & "so"'))
    answer = http.get(f"/stats.svg?chart={chart}")
    assert (answer.status, answer.headers["content-type"]) == (200, "image/svg+xml")
    picture = ElementTree.fromstring(answer.text)
    names = {child.tag.partition("}")[2]: child.text for child in picture}
    assert names["title"]
    assert re.search(r"\d", names["desc"])
    assert picture.get("role") == "img"
    assert "prefers-color-scheme:dark" in names["style"]
    assert "nan" not in answer.text.lower().replace("open", "")
    # No style but that of the policy, nothing that runs, nothing from elsewhere.
    assert not re.search(r'style="|<script|href|url\(', answer.text)
    assert re.search(r"style-src 'sha256-[\w+/=]+'", answer.headers["content-security-policy"])


def test_no_two_words_touch_where_a_picture_is_small(http, past):
    """Its letters are 21 of its units high there, where they are 13 elsewhere."""
    past("One", (10, "open"), (5, "closed"))
    for status in ("open", "active", "blocked"):
        past(status, (9, status))
    picture = ElementTree.fromstring(http.get("/stats.svg?chart=flow").text)
    texts = [each for each in picture.iter() if each.tag.endswith("}text")]
    beside = sorted(float(each.get("y")) for each in texts if (each.text or "").endswith(" 1"))
    assert len(beside) == 4
    assert min(after - before for before, after in itertools.pairwise(beside)) >= 22
    zero = next(float(each.get("y")) for each in texts if each.text == "0")
    day = next(
        float(each.get("y")) for each in texts if re.match(r"\d+ \w+ \d\d$", each.text or "")
    )
    assert day - zero >= 20


def test_a_scale_has_two_marks_however_alike_the_ages_are(http, past):
    for title in ("One", "Two"):
        past(title, (0.02, "open"))
    picture = ElementTree.fromstring(http.get("/stats.svg?chart=age").text)
    shown = [each.text for each in picture.iter() if each.tag.endswith("}text")]
    assert {"1 h", "8 h"} <= set(shown)


def test_scales_are_round():
    from iris.formats import charts  # noqa: PLC0415

    for most in (0, 1, 2, 3, 5, 7, 19, 31, 99, 100, 388, 1999, 20_001, 123_456_789):
        marks = charts.steps(most)
        assert marks[0] == 0
        assert marks[-1] >= most
        assert len(marks) <= 7, most
    assert [charts.short(number) for number in (9_500, 20_000, 2_500_000)] == [
        "9,500",
        "20k",
        "2,500k",
    ]


def test_a_picture_is_a_picture(http):
    assert http.get("/stats.svg").status == 200
    assert http.get("/stats.svg?chart=pie").status == 422
    asked = http.get("/stats.svg", headers={"Accept": "application/json"})
    assert (asked.status, asked.headers["content-type"]) == (200, "image/svg+xml")


def test_who_only_reads_may_count(sql, server):
    sql("SET ROLE iris_reader")
    assert sql.one("SELECT stats() AS it")["it"]["tickets"] == 0
    assert sql("SELECT ticket_id FROM cycle_times()") == []


def test_time_limits_hold(sql):
    sql("SET statement_timeout = '1ms'")
    with pytest.raises(psycopg2.errors.QueryCanceled):
        sql("SELECT stats() FROM generate_series(1, 1000)")


def test_spread_says_where_dots_are(sql, past):
    past("One", (10, "open"), (5, "closed"))
    past("Two", (9, "open"))
    found = sql.one("SELECT spread(weeks => 3) AS it")["it"]
    ((place, height, many),) = found["closed"]
    assert 1 <= place <= 120
    # 120 hours are 10 ** 2.08.
    assert (height, many) == (24, 1)
    assert by(found["open"], "status")["open"]["ages"] == [[28, 1]]
    assert json.dumps(found)
