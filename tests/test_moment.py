"""Words for times: one function, at both doors."""

import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

DAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
HINT = "Times are like 2026-12-01, 2026-12-01T17:00+01:00, tomorrow, monday, friday 17:00, 7 days ago, -2h, in 3 days, 2026-W48."


@pytest.fixture
def ask(sql):
    """Return a function that asks moment(), and when: ask("monday", True) → (it, now)."""

    def ask(*given):
        places = ", ".join(["%s"] * len(given))
        return tuple(sql.one(f"SELECT moment({places}) AS it, now()", *given).values())

    return ask


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Auckland", "America/St_Johns"])
def test_a_days_name_is_the_last_one_or_the_next_one(ask, zone):
    for place, day in enumerate(DAYS):
        for words in (day, day[:3].upper(), f" {day}  17:30", f"{day[:3]}, 5pm", f"{day} at 9:00"):
            clock = {"17": (17, 30), "5p": (17, 0), "9:": (9, 0)}
            hour, minute = next((at for key, at in clock.items() if key in words), (0, 0))
            for past in (True, False):
                it, now = ask(words, past, zone)
                here = it.astimezone(ZoneInfo(zone))
                assert (here.weekday(), here.hour, here.minute, here.second) == (
                    place,
                    hour,
                    minute,
                    0,
                )
                near = now - timedelta(days=7, hours=1) <= it <= now + timedelta(days=7, hours=1)
                assert near, (words, it)
                assert it <= now if past else it > now
        assert ask(f"next {day}", True, zone)[0] == ask(day, False, zone)[0]
        assert ask(f"last {day}", False, zone)[0] == ask(day, True, zone)[0]


@pytest.mark.parametrize(
    ("words", "delta"),
    [
        ("7 days ago", timedelta(days=-7)),
        ("-2h", timedelta(hours=-2)),
        ("+2h", timedelta(hours=2)),
        ("in 3 days", timedelta(days=3)),
        ("In  1 Day 2 hours", timedelta(days=1, hours=2)),
        ("a week ago", timedelta(days=-7)),
        ("30 min ago", timedelta(minutes=-30)),
        ("1.5 hours ago", timedelta(minutes=-90)),
        ("- 90 s", timedelta(seconds=-90)),
        ("2w3d ago", timedelta(days=-17)),
        ("now", timedelta(0)),
    ],
)
def test_times_from_now(ask, words, delta):
    it, now = ask(words)
    assert it - now == delta


@pytest.mark.parametrize(
    ("words", "zone", "expected"),
    [
        ("2026-W48", "UTC", "2026-11-23T00:00:00+00:00"),
        ("2026-w01-7", "Europe/Berlin", "2026-01-03T23:00:00+00:00"),
        ("2026W53", "UTC", "2026-12-28T00:00:00+00:00"),
        ("2026-12-01", "Europe/Berlin", "2026-11-30T23:00:00+00:00"),
        ("2026-07-01 12:00", "Europe/Berlin", "2026-07-01T10:00:00+00:00"),
        ("2026-07-01T12:00:00Z", "Europe/Berlin", "2026-07-01T12:00:00+00:00"),
        ("Fri, 27 Nov 2026 17:00:00 +0100", "Asia/Tokyo", "2026-11-27T16:00:00+00:00"),
    ],
)
def test_times_by_the_calendar(ask, words, zone, expected):
    assert ask(words, True, zone)[0] == datetime.fromisoformat(expected)


def test_beginnings(ask, sql):
    for unit in ("week", "month", "quarter", "year"):
        last, this, following = (ask(f"{which} {unit}")[0] for which in ("last", "this", "next"))
        assert last < this <= datetime.now(UTC) < following
        assert this == sql.one(f"SELECT date_trunc('{unit}', now()) AS it")["it"]


def test_the_sessions_zone_is_taken_and_left_alone(sql):
    sql("SET timezone = 'Asia/Tokyo'")
    row = sql.one(
        "SELECT moment('2026-12-01') = '2026-11-30 15:00+00' AS fits, moment('2026-12-01', zone => 'UTC') = '2026-12-01+00' AS named"
    )
    assert row == {"fits": True, "named": True}
    assert sql.one("SHOW timezone") == {"TimeZone": "Asia/Tokyo"}
    sql.refusal("SELECT moment('someday')")
    assert sql.one("SHOW timezone") == {"TimeZone": "Asia/Tokyo"}


WRONG = ["someday", "3 days", "in 3 days ago", "2026-W54", "2025-W53", "monday 25:00", "2026-02-30", "", "last", "last 17:00", "days ago",
         "monsday", "999999999 years ago", "in 999999999 years", "2026-12-01 Europe/Nowhere", "x" * 5000, "1" * 5000 + " days ago"]  # fmt: skip


@pytest.mark.parametrize("words", WRONG)
def test_what_is_not_understood_gets_examples_at_both_doors(http, sql, ticket, words):
    error = sql.refusal("SELECT moment(%s)", words)
    assert error.diag.message_hint == HINT
    assert error.diag.message_primary.endswith(f'"{words}"')
    number = ticket()
    said = [
        http.put("/tickets", title="x", due=words),
        http.put(f"/tickets/{number}", due=words),
        http.put("/tickets?dry_run=true", title="x", due=words),
        http("PUT", "/tickets", raw=json.dumps([{"title": "x", "due": words}]), headers={"Content-Type": "application/json"}),
    ]  # fmt: skip
    for answer in said:
        assert (answer.status, answer.json["code"]) == (422, "invalid_value")
    if words:
        assert [answer.json["hint"] for answer in said[:2]] == [HINT] * 2
        assert [answer.json["errors"][0]["hint"] for answer in said[2:]] == [HINT] * 2
        assert said[0].json["errors"] == {"due": error.diag.message_primary}
    assert sql.one("SELECT count(*) FROM tickets") == {"count": 1}


@pytest.mark.parametrize(
    "zone",
    [
        "Nowhere",
        "FOO5",
        "UTC+2",
        "../etc/passwd",
        "Europe/Berlin5",
        "",
        "a\nb",
        "+02:00",
        "localtime/x",
    ],
)
def test_a_zone_is_one_that_there_is(http, sql, zone):
    error = sql.refusal("SELECT moment('today', zone => %s)", zone)
    assert error.diag.message_primary == f'there is no time zone "{zone}"'
    answer = http.put("/tickets", title="x", due="today", tz=zone)
    assert (answer.status, list(answer.json["errors"])) == (422, ["tz"])
    assert "iris-timezone" not in answer.headers


def test_every_door_takes_words(http, sql, ticket, statements):
    """Each request in one statement, and in the zone that it names."""
    number = ticket("Old")
    sql("SET timezone = 'America/New_York'")
    expected = sql.one(
        "SELECT to_jsonb(moment('friday 17:00', false, 'America/New_York') AT TIME ZONE 'UTC') AS it"
    )["it"]
    where = {"due": "friday 17:00", "tz": "America/New_York"}
    statements()
    made = [
        http.put("/tickets", {"title": "a", **where}),
        http.put(f"/tickets/{number}", where),
        http("PUT", "/tickets?tz=America/New_York", raw='[{"title": "b", "due": "friday 17:00"}]'),
        http("PUT", "/tickets", raw="title=c&due=friday 17:00&tz=America/New_York", headers={"Content-Type": "application/x-www-form-urlencoded"}),
    ]  # fmt: skip
    assert len(statements()) == 4
    for answer in made:
        row = answer.json[0] if isinstance(answer.json, list) else answer.json
        assert row["due"] == expected + "+00:00"
    assert [answer.headers.get("iris-timezone") for answer in made] == [
        "America/New_York",
        "America/New_York",
        None,
        "America/New_York",
    ]
    for path, many in {
        "/tickets?due_before=-1h": 0,
        "/tickets?due_after=now": 4,
        "/tickets?created_after=-1h&count=true&sort=-due&q=a": 1,
        "/tickets?created_before=last%20week&format=csv": 1,
        "/tickets?as_of=in%202%20h&status=open": 4,
        "/tickets?as_of=+2h": 4,
        "/tickets?as_of=a%20year%20ago": 0,
        "/events?at_after=-1h&kind=created": 4,
        "/comments?created_after=monday": 0,
    }.items():
        answer = http.get(path)
        assert answer.status == 200, answer.text
        rows = answer.json if answer.json is not None else answer.text.splitlines()
        assert len(rows) == many, path
    answer = http.get(f"/tickets/{number}?as_of=in%201%20h")
    assert answer.status == 200, answer.text
    assert answer.json["title"] == "Old"
    assert http.get(f"/tickets/{number}?as_of=last%20year").status == 404
    assert (
        http.get("/workflow?as_of=last%20monday&tz=Asia/Tokyo").headers["iris-timezone"]
        == "Asia/Tokyo"
    )
    assert "iris-timezone" not in http.get("/tickets?created_after=2026-01-01T00:00:00Z").headers
    assert http.get("/tickets?created_after=2026-01-01").headers["iris-timezone"] == "UTC"


def test_a_time_in_words_is_asked_for_once_and_known_to_the_plan(sql):
    """Not for every row; and an index is walked."""
    plan = sql(
        "EXPLAIN SELECT * FROM tickets_as_of(moment_once('monday', true, 'UTC')) AS t WHERE t.created > moment_once('-2h', true, 'UTC')"
    )
    assert "moment" not in str(plan)


# Read, edited, sent back --------------------------------------------------------------------------


def test_what_was_read_may_be_sent_back(http, ticket, sql):
    number, other = ticket("One", labels=["a"], fields={"n": 1}, due="tomorrow"), ticket("Two")
    http.put(f"/tickets/{number}/comments", body="x")
    http.put(f"/tickets/{number}/links/blocks/{other}")
    read = http.get(f"/tickets/{number}").json
    # As it is, it changes nothing; at either address.
    assert http.put(f"/tickets/{number}", read).json["version"] == read["version"]
    assert http.put("/tickets", read).json["version"] == read["version"]
    changed = http.put(f"/tickets/{number}", read | {"title": "Uno"})
    assert (changed.status, changed.json["title"]) == (200, "Uno")
    # Whoever has read an older one is told.
    stale = http.put(f"/tickets/{number}", read | {"title": "Eins"})
    assert (stale.status, stale.json["code"], stale.json["current"]["title"]) == (
        412,
        "version_moved_on",
        "Uno",
    )
    # A header knows better, and without a version it is written in any case.
    assert http.put(f"/tickets/{number}", read, headers={"If-Match": "*"}).status == 200
    without = {name: value for name, value in read.items() if name != "version"}
    assert http.put(f"/tickets/{number}", without).status == 200
    for version in ("x", -1, 1.5, True, [1]):
        assert http.put(f"/tickets/{number}", version=version).json["errors"].keys() == {"version"}
    comment = http.get("/comments").json[0]
    assert (
        http.put(f"/comments/{comment['comment_id']}", comment | {"body": "y"}).json["body"] == "y"
    )


def test_a_list_that_was_read_may_be_sent_back(http, ticket, sql):
    for title in ("One", "Two", "Three"):
        ticket(title, due="tomorrow")
    rows = http.get("/tickets?sort=ticket_id").json

    def put(rows):
        return http("PUT", "/tickets", raw=json.dumps(rows))

    assert [row["version"] for row in put(rows).json] == [1, 1, 1]
    rows[1] |= {"title": "Dos", "comments": 3, "next": ["x"], "created": "whenever"}
    assert [row["version"] for row in put(rows).json] == [1, 2, 1]
    sql("UPDATE tickets SET assignee = 'bob' WHERE ticket_id = 3")
    rows = [{**row, "title": f"{row['title']}!"} for row in rows]
    answer = put(rows)
    assert (answer.status, answer.json["code"]) == (412, "version_moved_on")
    assert [(wrong["index"], wrong["detail"]) for wrong in answer.json["errors"]] == [
        (1, "ticket 2 is at version 2 by now"),
        (2, "ticket 3 is at version 2 by now"),
    ]
    assert sql.one("SELECT count(*) FROM tickets WHERE title LIKE '%!'") == {"count": 0}
    error = sql.refusal("SELECT put_tickets(%s)", json.dumps(rows))
    assert error.diag.message_primary == answer.json["detail"]
    for row in rows:
        del row["version"]
    assert put(rows).status == 200


def test_what_an_answer_tells_is_known_at_both_doors(sql):
    from iris import tickets  # noqa: PLC0415

    assert sql.one("SELECT told() AS it")["it"] == list(tickets.TOLD)


@pytest.mark.parametrize("blank", ["\u00a0", "\u3000", " \u200b\t"])
def test_a_blank_is_what_it_is_in_any_text(ask, sql, http, blank):
    """Whatever the server's locale makes of it."""
    for words in (
        "7 days ago",
        "friday 17:00",
        "last week",
        "2026-12-01 17:00",
        "tomorrow at 9:00",
    ):
        spaced = f"{blank}{words.replace(' ', blank)}{blank}"
        assert sql.one("SELECT moment(%s) = moment(%s) AS it", spaced, words)["it"], words
        first, second = (http.put("/tickets", title="x", due=each).json for each in (spaced, words))
        # What counts from now on is some milliseconds later.
        assert first["due"][:16] == second["due"][:16], words
    error = sql.refusal("SELECT moment(%s)", f"some{blank}day")
    assert error.diag.message_primary.endswith(f'"some{blank}day"')
