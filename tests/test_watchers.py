"""Who hears of a ticket: by what they did there, by being called, by joining; until they leave."""

import pytest
from conftest import ALICE, BOB, CHARLIE, Sql
from hypothesis import given
from hypothesis import strategies as st
from test_properties import SOME
from test_tokens import add, guarded, people  # noqa: F401 (fixtures)


@pytest.fixture
def watchers(http, sql):
    """Return a function that says who hears of a ticket, as both doors have it: {who: whether they left}."""

    def look(number):
        there = {row["who"]: row["muted"] for row in http.get(f"/tickets/{number}/watchers").json}
        rows = sql("SELECT who, muted FROM watchers WHERE ticket_id = %s", number)
        assert {row["who"]: row["muted"] for row in rows} == there
        for name, has_left in there.items():
            here = {row["watched"] for row in sql("SELECT watched(%s)", name)}
            assert (number in here) is not has_left, name
            for moment in ("", "&as_of=now"):
                asked = f"/tickets?watched_by={name}&columns=ticket_id&limit=1000{moment}"
                found = [row["ticket_id"] for row in http.get(asked).json]
                assert (number in found) is not has_left, (name, moment)
        return there

    return look


def test_they_come_in_by_what_they_do_at_both_doors(http, sql, ticket, watchers):
    number = ticket(
        assignee=BOB, reporter=ALICE, description="@dora, @erin-b. and mail to x@fritz.org"
    )
    assert watchers(number) == dict.fromkeys([ALICE, BOB, "dora", "erin-b"], False)
    http.put(f"/tickets/{number}/comments", body="@gina look", author=CHARLIE)
    sql("INSERT INTO comments (ticket_id, author, body) VALUES (%s, 'heidi', 'x')", number)
    sql("UPDATE tickets SET title = 'for @ivan' WHERE ticket_id = %s", number)
    assert watchers(number).keys() == {ALICE, BOB, "dora", "erin-b", "gina", CHARLIE, "heidi", "ivan"}  # fmt: skip
    # Whose it was, is no more of it.
    http.put(f"/tickets/{number}", assignee="judy", description=None)
    assert watchers(number).keys() == {ALICE, "judy", "gina", CHARLIE, "heidi", "ivan"}


def test_they_join_and_leave_at_both_doors(http, sql, ticket, watchers):
    number = ticket(reporter=ALICE)
    assert http.put(f"/tickets/{number}/watchers/{BOB}").status == 204
    assert http.put(f"/tickets/{number}/watchers/me", actor="zoe").status == 204
    sql("INSERT INTO watchers VALUES (%s, %s)", number, CHARLIE)
    assert watchers(number) == dict.fromkeys([ALICE, BOB, CHARLIE, "zoe"], False)
    # Twice is once.
    assert http.put(f"/tickets/{number}/watchers/{BOB}").status == 204
    assert http.delete(f"/tickets/{number}/watchers/{BOB}").status == 204
    assert http.delete(f"/tickets/{number}/watchers/{BOB}").status == 204
    sql("DELETE FROM watchers WHERE ticket_id = %s AND who = %s", number, ALICE)
    sql("UPDATE watchers SET muted = true WHERE ticket_id = %s AND who = %s", number, CHARLIE)
    assert watchers(number) == {ALICE: True, BOB: True, CHARLIE: True, "zoe": False}
    # Whoever calls them.
    http.put(f"/tickets/{number}", assignee=ALICE, description="@bob")
    http.put(f"/tickets/{number}/comments", body="x", author=CHARLIE)
    assert watchers(number) == {ALICE: True, BOB: True, CHARLIE: True, "zoe": False}
    http.put(f"/tickets/{number}/watchers/{ALICE}")
    sql("UPDATE watchers SET muted = false WHERE ticket_id = %s AND who = %s", number, BOB)
    assert watchers(number) == {ALICE: False, BOB: False, CHARLIE: True, "zoe": False}


CODE = """look, @alice
```
@bob: ls
   ```
~~~ sh
@charlie
~~~
`@dora` and ``@erin`` and ` @fritz
@gina `
```
@heidi to the end"""


def test_code_calls_nobody(http, sql, ticket, watchers):
    number = ticket(reporter="ivan", description=CODE)
    assert watchers(number).keys() == {"ivan", ALICE, "fritz", "gina"}
    for moment in ("", "&as_of=now"):
        assert http.get(f"/tickets?mentions=bob,dora,erin,charlie,heidi{moment}").json == []
        assert len(http.get(f"/tickets?mentions=fritz{moment}").json) == 1


@SOME
@given(
    text=st.text("@ab.-`~\n ", max_size=30), name=st.sampled_from(["a", "b", "ab", "a.b", "a-b"])
)
def test_who_is_called_is_who_is_found(sql, text, name):
    found = sql.one(
        "SELECT is_mentioned(%s, ARRAY[%s]) AS is_it, EXISTS (SELECT FROM mentioned(%s) AS who WHERE who = %s) AS named",
        text, name, text, name,
    )  # fmt: skip
    assert found["is_it"] == found["named"]


def test_they_go_and_come_back_with_their_ticket(http, sql, ticket, watchers):
    number = ticket(reporter=ALICE)
    http.put(f"/tickets/{number}/comments", body="@dora", author=CHARLIE)
    http.put(f"/tickets/{number}/watchers/{BOB}")
    http.delete(f"/tickets/{number}/watchers/{ALICE}")
    before = watchers(number)
    http.delete(f"/tickets/{number}")
    assert http.get(f"/tickets/{number}/watchers").status == 404
    assert sql("SELECT who FROM watchers") == []
    change = sql.one("SELECT change FROM events WHERE kind = 'deleted'")["change"]
    assert http.put("/undo", change=change).status == 200
    assert watchers(number) == before


@pytest.mark.parametrize(
    ("who", "status", "code"),
    [
        ("%20%20", 422, "invalid_value"),
        ("x" * 101, 422, "invalid_value"),
        ("a%00b", 422, "invalid_value"),
        ("a%1bb", 422, "invalid_value"),
    ],
)
def test_what_is_no_name(http, ticket, who, status, code):
    number = ticket()
    for method in ("PUT", "DELETE"):
        answer = http(method, f"/tickets/{number}/watchers/{who}")
        assert (answer.status, answer.json["code"]) == (status, code)
    assert http.get(f"/tickets/{number}/watchers?columns=who").json == [{"who": "anonymous"}]


def test_a_name_is_one_however_it_was_typed(http, ticket, watchers):
    number = ticket(reporter="J\u00f6rg")
    http.delete(f"/tickets/{number}/watchers/Jo%CC%88rg")
    assert watchers(number) == {"J\u00f6rg": True}


def test_of_no_ticket(http, sql):
    for method in ("PUT", "DELETE"):
        answer = http(method, "/tickets/99/watchers/alice")
        assert (answer.status, answer.json["code"]) == (404, "no_such_ticket")
        assert answer.json["detail"] == "there is no ticket 99"
    refusal = sql.refusal("INSERT INTO watchers VALUES (99, 'alice')")
    assert refusal.diag.message_primary == "there is no ticket 99"
    assert "who is required" in str(sql.refusal("INSERT INTO watchers (ticket_id) VALUES (99)"))


def test_a_reader_speaks_for_nobody_else(guarded, people, sql, server):  # noqa: F811
    sql("INSERT INTO tickets (title, reporter) VALUES ('x', 'alice')")
    reader = people["reader"]
    me = guarded.get("/me", headers=reader).json["actor"]
    assert guarded.put("/tickets/1/watchers/me", headers=reader).status == 204
    assert guarded.put(f"/tickets/1/watchers/{me}", headers=reader).status == 204
    for method in ("PUT", "DELETE"):
        answer = guarded(method, "/tickets/1/watchers/alice", headers=reader)
        assert (answer.status, answer.json["code"]) == (403, "forbidden")
        assert answer.json["detail"] == "permission denied for watchers other than oneself"
    assert guarded.delete("/tickets/1/watchers/alice", headers=people["writer"]).status == 204
    with pytest.raises(Exception, match="permission denied for watchers other than oneself"):
        asked = Sql(server.url())
        asked("SET ROLE iris_reader")
        asked("UPDATE watches SET muted = false")


def test_mine_is_what_is_assigned_to_me_watched_by_me_or_calls_me(http, ticket):
    assigned, filed, called, joined, left = (
        ticket(assignee=ALICE),
        ticket(reporter=ALICE),
        ticket(description="@alice"),
        ticket(),
        ticket(assignee=ALICE),
    )
    ticket(assignee=BOB)
    http.put(f"/tickets/{joined}/watchers/alice")
    for number in (filed, left, called):
        http.delete(f"/tickets/{number}/watchers/alice")

    def found(query):
        return [
            row["ticket_id"]
            for row in http.get(f"/tickets?sort=ticket_id&{query}", actor=ALICE).json
        ]

    for moment in ("", "&as_of=now"):
        assert found(f"mine=true{moment}") == [assigned, called, joined, left]
        assert found(f"mine=false{moment}") == [filed, left + 1]
        assert found(f"watched_by=me{moment}") == [assigned, joined]
        assert found(f"watched_by=!me{moment}") == [filed, called, left, left + 1]
        assert found(f"watched_by=bob,alice{moment}") == [assigned, joined, left + 1]
    assert http.get("/tickets?mine=yes").json["errors"] == {"mine": "must be true or false"}
