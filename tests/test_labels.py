"""Labels: put on and taken off, whatever others there are."""

import json
import threading
from urllib.parse import urlencode

import pytest

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
def labels(http):
    """Return a function that changes ticket 1 and gives its labels."""

    def change(path="/tickets/1", **given):
        answer = http.put(path, given)
        assert answer.status == 200, answer.text
        return answer.json["labels"]

    return change


def test_labels_are_put_on_and_taken_off(http, ticket, labels):
    ticket(labels=["b", "a,b"])
    assert labels(add_label="c") == ["a,b", "b", "c"]
    assert labels(add_label=["c", "d", "cafe\u0301"]) == ["a,b", "b", "c", "café", "d"]
    assert labels(remove_label="cafe\u0301") == ["a,b", "b", "c", "d"]
    assert labels(add_label="e", remove_label=["b", "never"]) == ["a,b", "c", "d", "e"]
    assert labels(labels=["x"], add_label="y", remove_label="x") == ["y"]
    assert labels("/tickets", ticket_id=1, add_label="z", title="Other") == ["y", "z"]
    raw = urlencode({"add_label": '"p, q",r', "remove_label": "y"})
    assert http.put("/tickets/1", raw=raw, headers=FORM).json["labels"] == ["p, q", "r", "z"]
    before = http.get("/tickets/1").json["version"]
    assert labels(add_label="z", remove_label="y") == ["p, q", "r", "z"]
    assert http.get("/tickets/1").json["version"] == before
    event = http.get("/tickets/1/history").json[0]
    assert event["changes"] == {"labels": [["y", "z"], ["p, q", "r", "z"]]}


def test_a_new_ticket_takes_them_too(http):
    assert http.put("/tickets", title="x", add_label="a").json["labels"] == ["a"]
    assert http.put("/tickets", title="x", labels=["a", "b"], remove_label="a").json["labels"] == [
        "b"
    ]


def test_so_does_a_row_of_many(http, sql, ticket):
    ticket(labels=["a", "b"]), ticket(labels=["c"])
    rows = [
        {"ticket_id": 2, "add_label": "x"},
        {"title": "new", "add_label": ["y"]},
        {"ticket_id": 1, "remove_label": ["a"], "add_label": "cafe\u0301", "title": "Changed"},
    ]
    answer = http.put(
        "/tickets?dry_run=true", raw=json.dumps(rows), headers={"Content-Type": "application/json"}
    )
    assert [row["after"]["labels"] for row in answer.json] == [["c", "x"], ["y"], ["b", "café"]]
    found = sql.one("SELECT put_tickets(%s) AS made", json.dumps(rows))["made"]
    assert [row["labels"] for row in found] == [["c", "x"], ["y"], ["b", "café"]]
    assert http.put("/tickets/1?dry_run=true", add_label="x").status == 400
    one = http.put("/tickets?dry_run=true", ticket_id=1, add_label="x").json
    assert one[0]["after"]["labels"] == ["b", "café", "x"]


@pytest.mark.parametrize("wrong", [5, {}, [5], [None], True, "x" * 51, [str(n) for n in range(51)]])
def test_what_is_no_label_is_refused(http, sql, ticket, wrong):
    ticket()
    answer = http.put("/tickets/1", add_label=wrong)
    assert answer.status == 422, answer.text
    rows = json.dumps([{"ticket_id": 1, "add_label": wrong}])
    answer = http.put("/tickets", raw=rows, headers={"Content-Type": "application/json"})
    assert answer.status == 422, answer.text
    assert http.get("/tickets/1").json["labels"] == []


def test_two_at_once_both_put_theirs_on(http, live, ticket):
    ticket()

    def label(who):
        for n in range(12):
            status, _, body = live.send("PUT", f"/tickets/1?add_label={who}{n}")
            assert status == 200, body

    threads = [threading.Thread(target=label, args=(who,)) for who in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert http.get("/tickets/1").json["labels"] == sorted(
        f"{who}{n}" for who in "abc" for n in range(12)
    )


def test_in_psql_an_array_is_enough(sql, ticket):
    ticket(labels=["b"])
    sql("UPDATE tickets SET labels = array_remove(labels || '{c,a}', 'b')")
    assert sql.one("SELECT labels FROM tickets")["labels"] == ["a", "c"]
