"""The workflow."""

import pytest

SEEDED = {
    "statuses": [
        {"status": "open", "is_open": True},
        {"status": "active", "is_open": True},
        {"status": "blocked", "is_open": True},
        {"status": "resolved", "is_open": False},
        {"status": "closed", "is_open": False},
    ],
    "transitions": {
        "open": ["active", "resolved", "closed"],
        "active": ["open", "blocked", "resolved", "closed"],
        "blocked": ["open", "active", "closed"],
        "resolved": ["open", "closed"],
        "closed": ["open"],
    },
}


def test_it_shows_the_seeded_workflow(http):
    assert http.get("/workflow").json == SEEDED


def test_what_is_shown_can_be_put_back(http, ticket):
    ticket(status="blocked")
    assert http.put("/workflow", http.get("/workflow").json).json == SEEDED


def test_another_workflow_takes_its_place(http, sql):
    other = {
        "statuses": [{"status": "todo", "is_open": True}, {"status": "done", "is_open": False}],
        "transitions": {"todo": ["done"], "done": []},
    }
    assert http.put("/workflow", other).json == other
    assert http.get("/workflow").json == other
    assert http.put("/tickets", title="x").json["status"] == "todo"
    assert sql.one("INSERT INTO tickets (title) VALUES ('y') RETURNING status")["status"] == "todo"
    assert http.put("/tickets/1", status="done").status == 200
    assert http.put("/tickets/1", status="todo").json["allowed"] == []


def test_the_order_of_statuses_can_change(http):
    swapped = {**SEEDED, "statuses": SEEDED["statuses"][1::-1] + SEEDED["statuses"][2:]}
    assert http.put("/workflow", swapped).status == 200
    assert http.put("/tickets", title="x").json["status"] == "active"


def test_a_status_in_use_stays_and_all_else_with_it(http, ticket):
    ticket(status="blocked")
    without = {
        "statuses": [status for status in SEEDED["statuses"] if status["status"] != "blocked"],
        "transitions": {"open": ["closed"]},
    }
    answer = http.put("/workflow", without)
    assert (answer.status, answer.json["code"]) == (409, "status_in_use")
    assert http.get("/workflow").json == SEEDED


def test_a_status_in_use_is_not_renamed(sql, ticket):
    ticket()
    assert sql.refusal("UPDATE statuses SET status = 'new' WHERE status = 'open'").pgcode == "IR004"
    sql("UPDATE statuses SET status = 'stuck' WHERE status = 'blocked'")
    assert len(sql("SELECT 1 FROM transitions WHERE to_status = 'stuck'")) == 1


def test_psql_has_the_same_document(http, sql):
    row = sql.one("SELECT workflow() AS document")
    assert row["document"] == SEEDED


# Its past ----------------------------------------------------------------------------------------


NEW = {
    "statuses": [{"status": "todo", "is_open": True}, {"status": "done", "is_open": False}],
    "transitions": {"todo": ["done"], "done": []},
}


def test_a_change_is_one_event_of_who_and_from_what_to_what(http, sql):
    before = http.get("/workflow").json
    http.put("/workflow", NEW, actor="alice")
    (event,) = http.get("/events").json
    assert (event["actor"], event["source"], event["kind"]) == ("alice", "http", "workflow_changed")
    assert (event["ticket_id"], event["comment_id"]) == (None, None)
    assert event["changes"] == {
        "statuses": [before["statuses"], NEW["statuses"]],
        "transitions": [before["transitions"], NEW["transitions"]],
    }
    (fed,) = http.get("/events?after=0").json
    assert (fed["event_id"], fed["position"]) == (event["event_id"], 1)


def test_the_same_workflow_again_is_no_event(http):
    http.put("/workflow", http.get("/workflow").json)
    assert http.get("/events").json == []


def test_what_psql_changes_is_one_event_for_a_transaction(http, sql):
    sql("BEGIN")
    sql("INSERT INTO statuses VALUES ('new', 9, true)")
    sql("INSERT INTO transitions VALUES ('open', 'new'), ('new', 'open')")
    sql("UPDATE statuses SET is_open = false WHERE status = 'new'")
    assert http.get("/events").json == []
    sql("COMMIT")
    (event,) = http.get("/events").json
    assert (event["actor"], event["source"]) == ("iris", "psql")
    assert [*event["changes"]] == ["statuses", "transitions"]
    assert event["changes"]["statuses"][1][-1] == {"status": "new", "is_open": False}
    sql("DELETE FROM transitions WHERE to_status = 'new'")
    assert [*http.get("/events").json[0]["changes"]] == ["transitions"]


def test_what_is_undone_before_the_end_is_no_event(http, sql):
    sql(
        "BEGIN; UPDATE statuses SET is_open = false; UPDATE statuses SET is_open = position < 4; COMMIT"
    )
    assert http.get("/events").json == []
    sql("BEGIN; DELETE FROM transitions; ROLLBACK")
    assert http.get("/events").json == []


def test_it_can_be_asked_for_as_of_any_moment(http, sql):
    seen = []
    for document in (NEW, {**NEW, "transitions": {"todo": [], "done": []}}, NEW):
        seen.append((sql.one("SELECT clock_timestamp() AS at")["at"], http.get("/workflow").json))
        http.put("/workflow", document)
    seen.append((sql.one("SELECT clock_timestamp() AS at")["at"], http.get("/workflow").json))
    for at, document in seen:
        moment = at.isoformat().replace("+", "%2B")
        assert http.get(f"/workflow?as_of={moment}").json == document
    assert http.get("/workflow?as_of=2001-01-01").json == seen[0][1]
    assert http.get("/workflow?as_of=someday").status == 422


@pytest.mark.parametrize("document", ["5", "[]", "null", '"x"'])
def test_psql_is_told_what_a_workflow_is(sql, document):
    error = sql.refusal("SELECT set_workflow(%s)", document)
    words = "a workflow must be a JSON object with statuses and transitions"
    assert (error.pgcode, error.diag.message_primary) == ("23514", words)
