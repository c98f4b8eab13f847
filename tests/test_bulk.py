"""Many tickets in one PUT: all or nothing, every mistake by its index."""

import json

import pytest
from conftest import spent

JSON = {"Content-Type": "application/json"}
NDJSON = {"Content-Type": "application/x-ndjson"}


@pytest.fixture
def put(http):
    """Return a function that puts rows."""

    def send(rows, query="", **more):
        return http(
            "PUT",
            f"/tickets{query}",
            raw=json.dumps(rows),
            headers={**JSON, **more.pop("headers", {})},
            **more,
        )

    return send


def test_creates_and_changes_mixed(put, http, ticket, sql):
    number = ticket(labels=["old"], description="stays")
    answer = put(
        [
            {
                "title": "One",
                "priority": "high",
                "labels": ["b", "a"],
                "fields": {"n": [1, None]},
                "due": "2030-01-01",
            },
            {"ticket_id": number, "status": "active", "labels": [], "assignee": "bob"},
            {"title": "Two", "reporter": "charlie", "status": "closed"},
        ],
        actor="alice",
    )
    assert answer.status == 200
    one, changed, two = answer.json
    assert (one["ticket_id"], changed["ticket_id"], two["ticket_id"]) == (2, 1, 3)
    assert (one["reporter"], one["labels"], one["fields"], one["priority"]) == (
        "alice",
        ["a", "b"],
        {"n": [1, None]},
        "high",
    )
    assert (changed["status"], changed["labels"], changed["description"], changed["version"]) == (
        "active",
        [],
        "stays",
        2,
    )
    assert (two["reporter"], two["status"], two["closed"] is None) == ("charlie", "closed", False)
    for row in answer.json:
        seen = http.get(f"/tickets/{row['ticket_id']}").json
        assert {name: seen[name] for name in row} == row
    events = [
        (event["actor"], event["kind"], event["ticket_id"])
        for event in http.get("/events?sort=event_id").json
    ]
    assert sorted(events[1:]) == [
        ("alice", "changed", 1),
        ("alice", "created", 2),
        ("alice", "created", 3),
    ]
    assert [row["ticket_id"] for row in http.get("/tickets?q=two").json] == [3]


def test_ndjson_and_query_and_post(http):
    raw = '{"title": "One"}\n\n{"title": "Two"}\n'
    assert [row["title"] for row in http("POST", "/tickets", raw=raw, headers=NDJSON).json] == [
        "One",
        "Two",
    ]
    answer = http("PUT", "/tickets", raw='{"title": "x"}\nnonsense\n', headers=NDJSON)
    assert (answer.status, answer.json["code"], answer.json["index"]) == (400, "malformed_json", 1)
    assert len(http.get("/tickets").json) == 2


def test_what_the_query_says_is_said_of_each_row(put, http, ticket, sql):
    for _ in range(3):
        ticket(labels=["a"])
    query = "?status=active&add_label=b&fields={%22n%22:1}&due=2031-12-01&assignee="
    answer = put([{"ticket_id": 1}, {"ticket_id": 3, "title": "third"}], query)
    assert [row["ticket_id"] for row in answer.json] == [1, 3]
    for row in http.get("/tickets?status=active").json:
        assert (row["labels"], row["fields"], row["assignee"]) == (["a", "b"], {"n": 1}, None)
        assert row["due"].startswith("2031-12-01")
    assert sql.one("SELECT count(DISTINCT change) FROM events WHERE kind = 'changed'") == {
        "count": 1
    }
    assert [row["title"] for row in put([{}, {}], "?title=same").json] == ["same", "same"]
    assert put([{"ticket_id": 2}], "?status=blocked").json["code"] == "transition_not_allowed"
    assert put([5], "?title=x").status == 422
    assert put([], "?title=x").json == []


def test_what_is_said_twice_of_a_row_is_refused(put, ticket, sql):
    ticket()
    answer = put([{"title": "new"}, {"ticket_id": 1, "title": "a"}], "?title=b")
    assert (answer.status, answer.json["code"], answer.json["index"]) == (400, "given_twice", 0)
    assert sql.one("SELECT count(*) FROM tickets") == {"count": 1}


def test_what_is_said_of_each_row_has_an_end(put, monkeypatch):
    monkeypatch.setattr("iris.intake.rows.MOST_TOGETHER", 1000)
    assert put([{}] * 100, "?title=0123456789").json["code"] == "body_too_large"


def test_nulls_empty_and_are_refused(put, ticket):
    ticket(assignee="bob")
    assert put([{"ticket_id": 1, "assignee": None}]).json[0]["assignee"] is None
    assert put([{"ticket_id": None, "title": "new"}]).json[0]["ticket_id"] == 2
    for name in ("title", "status", "priority", "labels", "fields", "reporter"):
        answer = put([{"title": "x", name: None}])
        assert (answer.status, answer.json["errors"][0]["errors"]) == (
            422,
            {name: f"{name} is required"},
        )


def test_an_empty_list_is_nothing(put):
    assert (put([]).status, put([]).json) == (200, [])


def test_every_mistake_is_named(put, ticket, sql):
    ticket(), ticket()
    rows = [
        {"title": "fine"},
        {"title": ""},
        {"ticket_id": 1, "status": "blocked"},
        {"ticket_id": 77, "title": "x"},
        {"ticket_id": 2, "title": "x"},
        {"ticket_id": 2, "title": "y"},
        {"title": "x", "priority": "huge"},
        {"title": "x", "due": "someday"},
        {"title": "x", "status": "nowhere"},
        {"title": "x" * 301, "labels": ["y" * 51]},
    ]
    answer = put(rows)
    assert (answer.status, answer.json["index"]) == (422, 1)
    assert [
        (error["index"], error["code"], error["detail"]) for error in answer.json["errors"]
    ] == [
        (1, "invalid_value", "title must have 1 to 300 characters, not only blanks"),
        (2, "transition_not_allowed", 'ticket 1 can\'t go from "open" to "blocked"'),
        (3, "no_such_ticket", "there is no ticket 77"),
        (5, "given_twice", "ticket 2 is in row 4 already"),
        (6, "invalid_value", 'invalid input value for enum priority: "huge"'),
        (7, "invalid_value", 'invalid input syntax for type timestamp with time zone: "someday"'),
        (8, "invalid_value", 'there is no status "nowhere"'),
        (9, "invalid_value", "title must have 1 to 300 characters, not only blanks"),
    ]
    assert answer.json["errors"][1]["allowed"] == ["active", "resolved", "closed"]
    assert len(sql("TABLE tickets")) == 2
    error = sql.refusal("SELECT put_tickets(%s)", json.dumps(rows))
    assert (
        error.diag.message_primary
        == "row 1: title must have 1 to 300 characters, not only blanks (and 7 more)"
    )
    assert error.diag.message_detail.splitlines() == [
        f"row {each['index']}: {each['detail']}" for each in answer.json["errors"]
    ]
    assert answer.json["detail"] == error.diag.message_primary
    assert (answer.json["sqlstate"], answer.json["hint"]) == (error.pgcode, error.diag.message_hint)
    assert [(error["sqlstate"], error.get("errors")) for error in answer.json["errors"]][5:7] == [
        ("22007", {"due": answer.json["errors"][5]["detail"]}),
        ("23503", {"status": 'there is no status "nowhere"'}),
    ]
    assert answer.json["errors"][4]["allowed"] == ["low", "normal", "high", "urgent"]


SHAPES = [
    {"title": "x"},
    {"title": 5, "labels": "a"},
    "x",
    {"titel": "x", "zzz": 1},
    {
        "ticket_id": "1",
        "labels": ["a", 1],
        "due": 5,
        "priority": {},
        "fields": [],
        "version": "any",
    },
    {"ticket_id": 1.5},
    {"ticket_id": 0},
    {"ticket_id": 1e300},
    {"ticket_id": True},
]
WRONG = [
    (1, {"title": "must be text", "labels": "must be a list of texts"}),
    (2, {"": "must be a JSON object"}),
    (3, {"titel": "is unknown here; did you mean title?", "zzz": "is unknown here"}),
    (
        4,
        {
            "ticket_id": "must be a whole number",
            "labels": "must be a list of texts",
            "due": "must be a time as text, such as 2026-12-01 or tomorrow",
            "priority": "must be text",
        },
    ),
    (5, {"ticket_id": "must be a whole number"}),
    (6, {"ticket_id": "must be from 1 to 9223372036854775807"}),
    (7, {"ticket_id": "must be from 1 to 9223372036854775807"}),
    (8, {"ticket_id": "must be a whole number"}),
]


def test_types_are_checked_like_a_single_ones_at_both_doors(put, http, sql):
    answer = put(SHAPES)
    assert (answer.status, answer.json["index"], answer.json["code"]) == (422, 1, "invalid_value")
    assert [(error["index"], error["errors"]) for error in answer.json["errors"]] == WRONG
    error = sql.refusal("SELECT put_tickets(%s)", json.dumps(SHAPES))
    assert (error.pgcode, error.diag.message_primary) == ("IR006", answer.json["detail"])
    for row in SHAPES[1:2]:
        single = http.put("/tickets", row).json["errors"]
        assert single == WRONG[0][1]
    assert sql("TABLE tickets") == []


def test_an_unknown_name_is_refused_as_a_single_ones(put, http):
    rows = [{"title": "x"}, {"titel": "x"}]
    answer, one = put(rows), http.put("/tickets", rows[1])
    assert (answer.status, answer.json["code"]) == (one.status, one.json["code"])
    assert one.status == 400
    assert answer.json["errors"][0]["errors"] == one.json["errors"]


def test_text_that_cannot_be_kept_names_its_row(put):
    for bad in ("a\0", "\ud800"):
        for row in ({"title": bad}, {"title": "x", "fields": {"a": [bad]}}, {bad: 1}, bad):
            answer = put([{"title": "\\u0000 is fine"}, row])
            assert (answer.status, answer.json["index"]) == (422, 1), answer.text


def test_numbers_are_the_same_however_they_are_written(put, ticket):
    ticket()
    answer = put([{"ticket_id": 1, "title": "a"}, {"ticket_id": 1.0, "title": "b"}])
    assert answer.status == 422
    assert put([{"ticket_id": "1"}, {"ticket_id": "01"}]).status == 422


def test_a_bad_row_at_the_end_costs_no_second_round(put, owner):
    """However many rows went well before it, they are not tried again one by one."""
    rows = [{"title": f"Ticket {n}"} for n in range(2000)] + [{"title": " "}]
    assert put(rows).json["index"] == 2000
    with owner.cursor() as cursor:
        cursor.execute("SELECT last_value FROM tickets_ticket_id_seq")
        assert cursor.fetchone()[0] <= 2501


def test_up_to_a_hundred_mistakes(put):
    assert len(put([{"title": ""}] * 150).json["errors"]) == 100
    assert len(put([{"title": 5}] * 150).json["errors"]) == 100


def test_a_dry_run_shows_before_and_after_and_changes_nothing(put, http, ticket, sql):
    number = ticket()
    before = http.get("/tickets").json[0]
    answer = put([{"ticket_id": number, "status": "closed"}, {"title": "new"}], "?dry_run=true")
    first, second = answer.json
    assert (
        first["index"],
        first["before"],
        first["after"]["status"],
        first["after"]["version"],
    ) == (0, before, "closed", 2)
    assert (second["before"], second["after"]["title"]) == (None, "new")
    assert http.get("/tickets").json == [before]
    assert len(http.get("/events").json) == 1
    assert put([{"title": ""}], "?dry_run=true").json["index"] == 0
    one = http.put("/tickets?dry_run=true", {"title": "x", "fields": {"a": 1}}).json
    assert one[0]["after"]["fields"] == {"a": 1}
    assert http.put(f"/tickets?dry_run=true&ticket_id={number}&title=x").json[0]["before"] == before
    assert http.get("/tickets").json == [before]


def test_a_key_covers_the_whole(put, sql):
    headers = {"Idempotency-Key": "k"}
    first = put([{"title": "One"}, {"title": "Two"}], headers=headers)
    again = put([{"title": "One"}, {"title": "Two"}], headers=headers)
    assert (again.json, again.headers["idempotent-replayed"]) == (first.json, "true")
    assert put([{"title": "One"}], headers=headers).json["code"] == "key_reused"
    assert len(sql("TABLE tickets")) == 2


def test_many_are_one_statement(put, statements):
    statements()
    put([{"title": f"Ticket {n}"} for n in range(500)])
    assert len(statements()) == 1


def test_ten_thousand(live, server, http, sql):
    rows = [
        {"title": f"Ticket {n}", "description": "word " * 20, "labels": ["a", "b"]}
        for n in range(10_000)
    ]

    def filed(some):
        """Return the answer to some rows, and the CPU seconds that it took."""
        before = spent(live.process.pid, server.pid())
        asked = json.dumps(some).encode(), ["Content-Type: application/json"]
        status, _, body = live.send("PUT", "/tickets", *asked)
        return status, body, spent(live.process.pid, server.pid()) - before

    *_, few = filed(rows[:1000])
    status, body, many = filed(rows)
    # As many times as dear as there are more of them, and not that squared, however slow a machine is.
    assert many < 30 * few
    assert status == 200, body
    assert [row["title"] for row in json.loads(body)] == [row["title"] for row in rows]
    rows[9_999]["title"] = " "
    status, body, _ = filed(rows)
    assert (status, json.loads(body)["index"], len(json.loads(body)["errors"])) == (422, 9_999, 1)
    assert sql.one("SELECT count(*) FROM tickets")["count"] == 11_000


def test_a_list_is_for_tickets_only(http, ticket):
    ticket()
    for path in ("/tickets/1", "/comments", "/workflow"):
        assert http("PUT", path, raw="[]", headers=JSON).json["code"] == "malformed_body"
