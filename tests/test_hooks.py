"""Hooks: who is told, by the rules of both doors. Who tells them is in test_delivery.py."""

import json
from urllib.parse import quote

import psycopg2
import pytest

from iris import hooks
from iris.intake import types
from iris.lists import search, tickets

URL = "https://ci.example.org/iris?key=sesame"


@pytest.fixture
def hook(http):
    """Return a factory of hooks: the number of each."""

    def make(url=URL, **given):
        answer = http.put("/hooks", {"url": url, **given})
        assert answer.status == 201, answer.text
        return answer.json["hook_id"]

    return make


def test_a_hook_is_made_and_its_secret_is_shown_once(http):
    answer = http.put("/hooks", url=URL, kind=["created"], status="open", on_failure="stop")
    made = answer.json
    assert (answer.status, answer.headers["location"]) == (201, f"hooks/{made['hook_id']}")
    assert made["secret"].startswith("whsec_")
    assert made["filter"] == {"status": "open"}
    assert (made["kind"], made["state"], made["on_failure"]) == (["created"], "active", "stop")
    assert made["position"] is None
    del made["secret"]
    assert http.get(f"/hooks/{made['hook_id']}").json == made
    assert http.get("/hooks").json == [made]


def test_in_sql_likewise(http, sql):
    sql(
        "INSERT INTO hooks (url, kind, filter) VALUES (%s, '{created}', '{\"open\": \"true\"}')",
        URL,
    )
    (made,) = http.get("/hooks").json
    assert (made["url"], made["kind"], made["filter"]) == (URL, ["created"], {"open": "true"})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "url is required"),
        ({"url": "ftp://example.org"}, "url must be https://"),
        ({"url": "https://alice:sesame@example.org/"}, "with no name or password before the host"),
        ({"url": "https://alice@example.org/"}, "with no name or password before the host"),
        ({"url": "https://"}, "url must be"),
        ({"url": "https://exa mple.org"}, "url must be"),
        ({"url": "https://example.org\\@127.0.0.1/"}, "url must be"),
        ({"url": "https://example.org/\r\nX: 1"}, "url must be"),
        ({"url": "https://example.org/" + "x" * 2000}, "url must be"),
        ({"url": "mailto:nobody"}, "url must be"),
        ({"url": URL, "position": 5}, "position must be one that the feed has given: at most 0"),
        ({"url": URL, "kind": ["exploded"]}, 'invalid input value for enum event_kind: "exploded"'),
        ({"url": URL, "state": "asleep"}, 'invalid input value for enum hook_state: "asleep"'),
    ],
)
def test_what_is_no_hook_is_refused_at_both_doors(http, sql, given, said):
    answer = http.put("/hooks", given)
    assert (answer.status, said in answer.json["detail"]) == (422, True), answer.text
    names = ", ".join(given) or "state"
    values = list(given.values()) or ["active"]
    places = ", ".join("%s::event_kind[]" if name == "kind" else "%s" for name in given) or "%s"
    refusal = sql.refusal(f"INSERT INTO hooks ({names}) VALUES ({places})", *values)
    assert said in str(refusal)
    assert http.get("/hooks").json == []


@pytest.mark.parametrize(
    "secret", ["sesame", "whsec_", "whsec_c2hvcnQ=", "whsec_!!!!", "whsec_" + "QUJD" * 30]
)
def test_a_secret_is_one_of_standard_webhooks(http, sql, hook, secret):
    said = "secret must be whsec_ and the base64 of 24 to 64 bytes"
    assert http.put("/hooks", url=URL, secret=secret).json["detail"] == said
    assert http.put(f"/hooks/{hook()}", secret=secret).json["detail"] == said
    assert said in str(sql.refusal("UPDATE hooks SET secrets = ARRAY[%s]", secret))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"status": "asleep"}, 'there is no status "asleep"'),
        ({"priority": "huge"}, 'invalid input value for enum priority: "huge"'),
        ({"created_after": "yesterdy"}, 'timestamp with time zone: "yesterdy"'),
        ({"open": "perhaps"}, "open must be true or false"),
        ({"colour": "red"}, "colour is unknown here"),
    ],
)
def test_a_filter_is_one_of_tickets(http, given, said):
    answer = http.put("/hooks", url=URL, **given)
    assert (answer.status in (400, 422), said in answer.json["detail"]) == (True, True), answer.text
    if answer.status == 422:
        assert list(answer.json["errors"]) == list(given)


MANY = ",".join(["a"] * 1001)


@pytest.mark.parametrize(
    ("filter_", "said"),
    [
        ({"colour": "red"}, "filter has colour, which is no filter of tickets"),
        ({"x" * 500: "red"}, f"filter has {'x' * 100}, which is no filter of tickets"),
        ({"title": "red"}, "filter has title, which is no filter of tickets"),
        ({"mine": "true"}, "filter has mine, which is no filter of tickets"),
        ({"fields": "x"}, "filter has fields, which is no filter of tickets"),
        ({"": "x"}, "filter has , which is no filter of tickets"),
        ({"open": True}, "filter must have texts, as GET /tickets takes them"),
        ({"open": None}, "filter must have texts, as GET /tickets takes them"),
        ({"label": ["a"]}, "filter must have texts, as GET /tickets takes them"),
        ({"open": "perhaps"}, "filter has open, which must be true or false"),
        ({"linked": "one"}, "filter has linked, which must be a whole number"),
        ({"linked": "0"}, "filter has linked, which must be from 1 to 9223372036854775807"),
        ({"linked": "9" * 19}, "filter has linked, which must be from 1 to 9223372036854775807"),
        ({"age_over": "30"}, "filter has age_over, which must be a number and m, h, d or w, such as 30d"),
        ({"idle_over": ""}, "filter has idle_over, which must not be empty"),
        ({"created_after": "yesterdy"}, 'timestamp with time zone: "yesterdy"'),
        ({"due_before": "2026-02-30"}, 'out of range: "2026-02-30"'),
        ({"created_before": ""}, "filter has created_before, which must not be empty"),
        ({"priority": "low,huge"}, 'invalid input value for enum priority: "huge"'),
        ({"status": "!open,asleep"}, 'there is no status "asleep"'),
        ({"label": ""}, "filter has label, which must not be empty"),
        ({"label": "a,,b"}, "filter has label, which must be values separated by commas, none of them empty"),
        ({"reporter": "!"}, "filter has reporter, which must be values separated by commas, none of them empty"),
        ({"assignee": '"a" b'}, 'filter has assignee, which must end each "…" before the next comma'),
        ({"assignee": '"a'}, 'filter has assignee, which must end each "…" before the next comma'),
        ({"mentions": MANY}, "filter has mentions, which must be at most 1,000 values"),
        ({"q": " or OR "}, "filter has q, which must have a word to look for"),
        ({"q": "a " * 33}, "filter has q, which must have at most 32 words"),
        ({"fields.n": ""}, "filter has fields.n, which must not be empty"),
        ({f"fields.{n}": "x" for n in range(33)}, "filter has more than 32 of fields.NAME"),
        ([], "filter must be a JSON object of at most 4 KiB"),
        ("open", "filter must be a JSON object of at most 4 KiB"),
        ({"q": "x" * 5000}, "filter must be a JSON object of at most 4 KiB"),
    ],
    ids=lambda value: str(value)[:30],
)  # fmt: skip
def test_a_filter_that_means_nothing_is_refused_at_both_doors(http, sql, hook, filter_, said):
    hook(status="open")
    for method, path in (("PUT", "/hooks"), ("PUT", "/hooks/1")):
        answer = http(method, path, {"url": URL, "filter": filter_})
        assert (answer.status, said in answer.json["detail"]) == (422, True), answer.text
    text = json.dumps(filter_)
    assert said in str(sql.refusal("INSERT INTO hooks (url, filter) VALUES (%s, %s)", URL, text))
    assert said in str(sql.refusal("UPDATE hooks SET filter = %s", text))
    assert [each["filter"] for each in http.get("/hooks").json] == [{"status": "open"}]


def test_what_is_no_text_is_refused_by_postgresql_or_before(http, sql):
    for nul, state in (
        ('{"q": "a\\u0000b"}', "22P05"),
        ('{"q": "\\ud83d"}', "22P02"),
        ('{"q', "22P02"),
    ):
        answer = http("PUT", "/hooks", raw=f'{{"url": "{URL}", "filter": {nul}}}')
        assert answer.status in (400, 422), answer.text
        assert sql.refusal("INSERT INTO hooks (url, filter) VALUES (%s, %s)", URL, nul).pgcode == state  # fmt: skip


# What kind of value the database takes a filter's for, by what lists take it for.
KINDS = {types.Flag: "flag", types.Number: "number", types.Span: "span", types.Time: "time", search.Query: "words"}  # fmt: skip


def test_the_database_knows_the_filters_that_lists_have(sql):
    def kind(name, its):
        if isinstance(its, types.Several):
            return "status" if name == "status" else "people" if its.people else "several"
        return KINDS[type(its)]

    lists = {
        name: kind(name, filter_.kind)
        for name, filter_ in tickets.LIST.filters.items()
        if not isinstance(filter_.kind, types.Mine | types.Pairs)
    }
    assert {each["name"]: each["kind"] for each in sql("SELECT * FROM ticket_filters()")} == lists


# Of each kind, what may be one and what may not; each is tried for each filter.
SAID = (
    "", "true", "false", "True", "1", "0", "-5", "+5", "9223372036854775807", "9223372036854775808", "1.5", "30d", "5m",
    "1234567h", "30 d", "yesterday", "2020-01-01", "2020-01-01T10:00:00+01:00", "friday 17:00", "-2h", "GMT+0100", "soon",
    "open", "!open", "open,active", "open,", "!", "!!open", "low", "low, urgent", "lowest", "me", "!me,bob", '"me"', "a,b",
    '"a, b",c', '"a""b"', '"a"b', '"a', 'a"b', '"",x', ",", " , ", "a , b", '"a" , b', "or", "a or b", "-a", '-"a b" c', '"a b', "a" * 300,
    "a " * 32, "a " * 33, '"a"bc ' * 17, "ä,日本", "\n", "a\nb", "net*", "-", "&", "'", "\\", "%",
)  # fmt: skip


def test_a_hook_takes_what_a_list_takes(http, sql):
    """Each text for each filter: the list's answer by HTTP, and the database's in SQL."""
    names = [each["name"] for each in sql("SELECT name FROM ticket_filters()")] + ["fields.n"]
    taken = 0
    for name in names:
        for said in SAID:
            answer = http.get(f"/tickets?{name}={quote(said)}&limit=1")
            assert answer.status in (200, 422), answer.text
            try:
                sql("SELECT filter_fits(%s, %s)", name, said)
                is_taken = True
                hooks.meant({name: said})
            except psycopg2.Error:
                is_taken = False
            assert is_taken == (answer.status == 200), (name, said, answer.text)
            taken += is_taken
    assert len(names) * 10 < taken < len(names) * len(SAID) / 2


def test_me_is_who_acts_at_both_doors(http, sql):
    sql("SELECT set_config('iris.actor', 'O\"Neil, Al', false)")
    sql(
        "INSERT INTO hooks (url, filter) VALUES (%s, %s)",
        URL,
        json.dumps(
            {
                "assignee": '!me,"me", bob',
                "watched_by": "me",
                "label": "me",
                "q": "me",
                "fields.me": "me",
            }
        ),
    )
    him = '"O""Neil, Al"'
    assert sql.one("SELECT filter FROM hooks")["filter"] == {
        "assignee": f'!{him},"me",bob', "watched_by": him, "label": "me", "q": "me", "fields.me": "me",
    }  # fmt: skip


def test_a_status_that_goes_leaves_the_hook_changeable(http, sql, hook):
    """Its deliverer says what is wrong; who changes something else need not mend it first."""
    workflow = http.get("/workflow").json
    more = {**workflow, "statuses": [*workflow["statuses"], {"status": "asleep", "is_open": True}]}
    assert http.put("/workflow", more).status == 200
    number = hook(status="asleep")
    assert http.put("/workflow", workflow).status == 200
    assert http.put(f"/hooks/{number}", state="stopped").status == 200
    sql("UPDATE hooks SET position = 0")
    said = str(sql.refusal('UPDATE hooks SET filter = filter || \'{"open": "true"}\''))
    assert 'there is no status "asleep"' in said


def test_filters_are_kept_as_a_query_has_them(http):
    made = http.put(
        "/hooks",
        {"url": URL, "assignee": 'me,"a, b"', "reporter": "!bob", "open": True, "linked": 7, "fields.os": "x",
         "age_over": "30d", "q": '"on fire" or smoke', "created_after": "2020-01-01"},
        actor="alice",
    ).json  # fmt: skip
    assert made["filter"] == {
        "assignee": 'alice,"a, b"', "reporter": "!bob", "open": "true", "linked": "7", "fields.os": "x",
        "age_over": "30d", "q": '"on fire" or smoke', "created_after": "2020-01-01",
    }  # fmt: skip
    path = f"/hooks/{made['hook_id']}"
    changed = http.put(path, {"open": None, "linked": None, "status": "open"}).json["filter"]
    assert changed == {
        **{k: v for k, v in made["filter"].items() if k not in ("open", "linked")},
        "status": "open",
    }
    assert http.put(path, filter={"assignee": "me"}, actor="bob").json["filter"] == {
        "assignee": "bob"
    }
    assert http.put(path, filter={}).json["filter"] == {}


def test_what_was_read_may_be_sent_back(http, hook):
    path = f"/hooks/{hook(status='open')}"
    read = http.get(path).json
    assert http.put(path, read).json == read


def test_a_hook_that_is_not_there(http):
    for method in ("GET", "PUT", "DELETE"):
        answer = http(method, "/hooks/99", {"state": "active"} if method == "PUT" else None)
        assert (answer.status, answer.json["code"]) == (404, "no_such_hook")
    assert http.get("/hooks/99/deliveries").json["code"] == "no_such_hook"


def test_what_the_database_keeps_of_it_nobody_writes(http, sql, hook):
    number = hook()
    before = http.get(f"/hooks/{number}").json
    http.put(
        f"/hooks/{number}",
        tried=5,
        next_try="tomorrow",
        created="2020-01-01",
        reason="x",
        rotated="now",
    )
    assert http.get(f"/hooks/{number}").json == before
    for column in (
        "hook_id",
        "tried",
        "next_try",
        "holder",
        "until",
        "epoch",
        "begins",
        "created",
        "rotated",
    ):
        assert sql.refusal(f"UPDATE hooks SET {column} = NULL").pgcode in ("42501", "428C9")


def test_its_changes_are_events_without_anything_secret(http, sql, hook):
    number = hook(label="ops")
    http.put(
        f"/hooks/{number}",
        url="https://ci.example.org/other?key=sesame",
        state="stopped",
        secret="new",
    )
    http.get("/events?after=0")
    sql("UPDATE hooks SET position = 1")
    sql("UPDATE hooks SET position = position")
    http.delete(f"/hooks/{number}")
    events = http.get("/events?after=0").json
    assert [each["kind"] for each in events] == [
        "hook_added",
        "hook_changed",
        "hook_changed",
        "hook_removed",
    ]
    added, changed, back, removed = (each["changes"] for each in events)
    assert added["filter"] == [None, {"label": "ops"}]
    assert added["hook"] == [None, number]
    assert changed == {
        "hook": [number, number], "state": ["active", "stopped"], "secret": ["…", "…"],
        "url": ["https://ci.example.org/…", "https://ci.example.org/…"],
    }  # fmt: skip
    assert back == {"hook": [number, number], "position": [None, 1]}
    assert removed["hook"] == [number, None]
    assert "sesame" not in json.dumps(events) and "whsec" not in json.dumps(events)
    assert all(each["ticket_id"] is None for each in events)


def test_what_was_done_to_hooks_is_not_undone(http, hook):
    hook()
    (event,) = http.get("/events?after=0").json
    answer = http.put("/undo", event_id=event["event_id"])
    assert (answer.status, answer.json["detail"]) == (
        422,
        "what was done to hooks is not taken back by undo()",
    )


def test_a_secret_that_is_rotated_leaves_the_one_before_good(http, sql, owner, hook):
    def secrets():
        with owner.cursor() as cursor:
            cursor.execute("SELECT secrets FROM hooks")
            return cursor.fetchone()[0]

    number, (first,) = hook(), secrets()
    second = http.put(f"/hooks/{number}", secret="new").json["secret"]
    assert secrets() == [second, first]
    sql("UPDATE hooks SET secrets = ARRAY[new_secret()]")
    third, before = secrets()
    assert (before, third not in (first, second)) == (second, True)
    mine = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    assert "secret" not in http.put(f"/hooks/{number}", secret=mine).json
    assert secrets() == [mine, third]


def test_the_same_key_makes_one_hook_and_shows_its_secret_once(http):
    key = {"Idempotency-Key": "once"}
    first, again = (http.put("/hooks", url=URL, headers=key) for _ in range(2))
    assert "secret" in first.json and "secret" not in again.json
    assert again.headers["idempotent-replayed"] == "true"
    assert len(http.get("/hooks").json) == 1


def test_they_are_drawn(http, hook):
    hook(status="open")
    text = http.get("/hooks?format=text&width=200").text
    assert "https://ci.example.org/iris?key=sesame" in text and "status: open" in text
    assert http.get("/hooks?format=csv").text.startswith("hook_id,url,kind,filter")
    assert "hook 2 is told from now on" in http.put("/hooks?format=text", url=URL).text
    assert http.delete("/hooks/2?format=text").text == "hook 2 deleted\n"
    assert http.get("/hooks/1/deliveries").json == []


def test_who_had_a_hook_before_writes_nothing_of_it_any_more(http, sql, hook):
    """Also where it says so together with who has it now."""
    number = hook(position=0, url="http://example.org/")
    ((_, before),) = _due(sql, "a")
    http.put(f"/hooks/{number}", state="active")
    ((_, now),) = _due(sql, "a")
    told = [
        {"hook_id": number, "epoch": epoch, "position": place, "tried": place, "wait": None, "ends": False,
         "tries": [{"position": place, "ago": 0, "tried": 1, "outcome": "failed", "took": 1}]}
        for epoch, place in ((before, 7), (now, 1))
    ]  # fmt: skip
    found = sql("SELECT * FROM settle_hooks('a', %s) ORDER BY epoch", json.dumps(told))
    assert [(each["epoch"], each["is_held"]) for each in found] == [(before, False), (now, True)]
    assert sql.one("SELECT position, tried FROM hooks") == {"position": 1, "tried": 1}
    assert [each["position"] for each in sql("SELECT position FROM deliveries")] == [1]
    (other,) = sql("SELECT * FROM settle_hooks('b', %s)", json.dumps(told[1:]))
    assert not other["is_held"]


def _due(sql, holder):
    (row,) = sql("SELECT due FROM hooks_due(%s)", holder)
    return [(each["hook_id"], each["epoch"]) for each in row["due"]]
