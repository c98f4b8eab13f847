"""The workflow."""

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
