"""What one transaction did is one change: numbered, told, and taken back."""

import random
import re

import psycopg2
import pytest
from test_time_travel import Life

# The numbers of changes --------------------------------------------------------------------------


def numbers(sql, where="true"):
    """Return {event_id: its change}."""
    rows = sql(f"SELECT event_id, change FROM events WHERE {where} ORDER BY event_id")
    return {row["event_id"]: row["change"] for row in rows}


def test_what_one_transaction_did_has_one_number(http, sql, ticket):
    for _ in range(3):
        ticket()
    assert len(set(numbers(sql).values())) == 3
    sql("UPDATE tickets SET assignee = 'bob'")
    http.put("/tickets", raw='[{"title": "a"}, {"title": "b"}, {"ticket_id": 1, "priority": "high"}]',
             headers={"Content-Type": "application/json"})  # fmt: skip
    sql("DELETE FROM tickets WHERE ticket_id = 1")
    found = numbers(sql)
    assert [len([each for each in found.values() if each == one]) for one in sorted(set(found.values()))] \
        == [1, 1, 1, 3, 3, 1]  # fmt: skip
    # Later ones have higher numbers.
    assert list(found.values()) == sorted(found.values())
    listed = http.get(f"/events?change={found[5]}").json
    assert [event["event_id"] for event in listed] == [6, 5, 4]
    assert {event["change"] for event in listed} == {found[5]}
    assert http.get(f"/tickets/1/history?change={found[5]}").json[0]["event_id"] == 4
    assert http.get("/events?after=0").json[4]["change"] == found[5]
    for wrong in ("0", "x", "1,2", "5.7", ""):
        assert http.get(f"/events?change={wrong}").status == 422


def test_nobody_splits_a_transaction_or_joins_two(sql, server):
    """Not by taking a part of it back, by forgetting or by setting whatever a session may."""
    sql("BEGIN")
    sql("INSERT INTO tickets (title) VALUES ('first')")
    sql("SAVEPOINT here")
    sql("INSERT INTO tickets (title) VALUES ('taken back')")
    sql("ROLLBACK TO here")
    sql("SAVEPOINT there")
    sql("INSERT INTO tickets (title) VALUES ('in a subtransaction')")
    sql("RELEASE there")
    sql("DISCARD SEQUENCES; DISCARD PLANS")
    sql("SET iris.change = '7'")
    sql("INSERT INTO tickets (title) VALUES ('last')")
    sql("COMMIT")
    assert len(numbers(sql)) == 3 and len(set(numbers(sql).values())) == 1
    sql("INSERT INTO tickets (title) VALUES ('another')")
    assert len(set(numbers(sql).values())) == 2
    for statement in (
        "SELECT setval('change_base', 1)", "SELECT nextval('change_base')", "SELECT * FROM change_base",
        "REFRESH MATERIALIZED VIEW change_base_set", "UPDATE events SET change = 1",
    ):  # fmt: skip
        assert isinstance(sql.refusal(statement), psycopg2.errors.InsufficientPrivilege)


# What changed --------------------------------------------------------------------------------------


def now(sql):
    return sql.one("SELECT to_jsonb(clock_timestamp()) #>> '{}' AS now")["now"].replace(
        "+00:00", "Z"
    )


def test_what_changed_is_told(http, sql, ticket):
    one, other, gone = ticket("Login fails", assignee="alice"), ticket("Printer"), ticket("Old one")
    since = now(sql)
    http.put(f"/tickets/{one}", status="active", assignee="bob", fields={"n": 1}, actor="bob")
    http.put(f"/tickets/{one}/comments", body="hello", actor="charlie")
    http.put(f"/tickets/{one}/links/blocks/{other}", actor="bob")
    sql("UPDATE tickets SET priority = 'high' WHERE ticket_id = %s", other)
    sql("UPDATE tickets SET priority = 'normal' WHERE ticket_id = %s", other)
    http.delete(f"/tickets/{gone}", actor="alice")
    new = ticket("New", labels=["x"])
    link = {"ticket_id": one, "kind": "blocks", "other_id": other}
    rows = http.get(f"/changes?since={since}").json
    assert [row.pop("last") for row in rows] == sorted(
        (row["last"] for row in http.get(f"/changes?since={since}").json), reverse=True
    )
    assert [(row["ticket_id"], row["title"], row["kind"]) for row in rows] == [
        (new, "New", "created"), (gone, "Old one", "deleted"), (other, "Printer", "changed"), (one, "Login fails", "changed")]  # fmt: skip
    assert rows[0]["changes"]["labels"] == [None, ["x"]] and rows[1]["changes"]["title"] == [
        "Old one",
        None,
    ]
    assert rows[2] == {"ticket_id": other, "title": "Printer", "kind": "changed", "changes": {}, "comments": 0,
                       "links": {"added": [link], "removed": []}, "actors": ["bob", "iris"]}  # fmt: skip
    assert rows[3] == {"ticket_id": one, "title": "Login fails", "kind": "changed", "comments": 1,
                       "changes": {"status": ["open", "active"], "assignee": ["alice", "bob"], "fields": [{}, {"n": 1}]},
                       "links": {"added": [link], "removed": []}, "actors": ["bob", "charlie"]}  # fmt: skip
    assert len(sql("SELECT * FROM changes_between(%s)", since)) == 4
    assert sql("SELECT * FROM changes_between(moment('-1h'), moment('-30min'))") == []

    def found(query):
        answer = http.get(f"/changes?since={since}&{query}")
        assert answer.status == 200, answer.text
        return [row["ticket_id"] for row in answer.json]

    # A ticket counts that meets the filters at either moment, all of them at the same one.
    assert (
        found("assignee=alice")
        == found("assignee=bob")
        == found("assignee=bob&status=active")
        == [one]
    )
    assert found("assignee=alice&status=active") == []
    assert found("blocked=true") == [other] and found("commented_by=charlie") == [one]
    assert found("q=old") == [gone] and found("label=x&open=true") == [new]
    assert found("sort=ticket_id") == [one, other, gone, new]
    assert http.get(f"/changes?since={since}&count=true&limit=1").headers["total-count"] == "4"
    assert (
        http.get(f"/changes?since={since}&format=csv&columns=ticket_id,kind").text.splitlines()[0]
        == "ticket_id,kind"
    )
    for wrong in (
        "",
        "since=nonsense",
        f"since={since}&until=never",
        f"since={since}&sort=rank",
        f"since={since}&as_of=today",
    ):
        assert http.get(f"/changes?{wrong}").status in (400, 422), wrong


def test_what_changed_is_read_out(http, sql, ticket):
    """Grouped by ticket, the newest last; who, what, from what to what, how many comments."""
    one, gone = ticket("Login fails", assignee="alice"), ticket("Old one")
    since = now(sql)
    http.put(f"/tickets/{one}", status="active", assignee="bob", actor="bob")
    for _ in range(2):
        http.put(f"/tickets/{one}/comments", body="hello", actor="charlie")
    http.put(f"/tickets/{one}/links/relates/{gone}", actor="bob")
    http.delete(f"/tickets/{gone}", actor="alice")
    text = http.get(f"/changes?since={since}&format=text").text
    assert (
        re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "T", text)
        == f"""Ticket {one}: Login fails
    alice, bob and charlie, T
    - status: open → active
    - assignee: alice → bob
    - 2 more comments

Ticket {gone}: Old one
    alice and bob, T
    - deleted it
"""
    )
    since = now(sql)
    sql("UPDATE comments SET body = 'rewritten'")
    assert "    - comments were rewritten\n" in http.get(f"/changes?since={since}&format=text").text


def test_pages_are_of_the_same_moments(http, sql, ticket):
    for number in range(5):
        ticket(f"Ticket {number}")
    answer = http.get("/changes?since=-1h&limit=2")
    seen = [row["ticket_id"] for row in answer.json]
    while answer.next:
        # What is changed meanwhile neither shows twice nor hides anything.
        sql("UPDATE tickets SET assignee = coalesce(assignee, '') || 'x'")
        ticket("meanwhile")
        answer = http.get(f"/changes?{answer.next}")
        seen += [row["ticket_id"] for row in answer.json]
    assert seen == [5, 4, 3, 2, 1]


def expected(then, now):
    """Return {ticket_id: (kind, changes, how many more comments)} of what differs between two moments of a Life."""
    kept = {"ticket_id", "created", "updated", "closed", "version"}
    (_, old, old_rows, old_comments), (_, new, new_rows, new_comments) = then, now
    found = {}
    olds = {row["ticket_id"]: row for row in old_rows}
    news = {row["ticket_id"]: row for row in new_rows}
    for number in olds.keys() | news.keys():
        was, is_ = olds.get(number), news.get(number)
        columns = {
            name: [was and was[name], is_ and is_[name]]
            for name in (was or is_).keys() - kept
            if (was and was[name]) != (is_ and is_[name])
        }
        texts = [
            {each["comment_id"]: each["body"] for each in rows if each["ticket_id"] == number}
            for rows in (old_comments, new_comments)
        ]
        links = [
            {link for link in model.links if number in (link[0], link[2])} for model in (old, new)
        ]
        if columns or texts[0] != texts[1] or links[0] != links[1]:
            kind = "created" if was is None else "deleted" if is_ is None else "changed"
            found[number] = (
                kind,
                columns,
                len(texts[1]) - len(texts[0]),
                (len(links[1] - links[0]), len(links[0] - links[1])),
            )
    return found


@pytest.mark.parametrize("seed", range(2))
def test_a_random_life_changed_as_it_did(http, sql, seed):
    life = Life(seed, http, sql)
    life.run(150)
    pick = random.Random(seed)
    for _ in range(25):
        then, until = sorted(pick.sample(life.moments, 2), key=life.moments.index)
        rows = sql("SELECT * FROM changes_between(%s, %s)", then[0], until[0])
        told = {
            row["ticket_id"]: (row["kind"], row["changes"], row["comments"], tuple(len(row["links"][way]) for way in ("added", "removed")))
            for row in rows
        }  # fmt: skip
        wanted = expected(then, until)
        assert told.keys() == wanted.keys()
        for number, (kind, columns, more, links) in wanted.items():
            assert (told[number][0], *told[number][2:]) == (kind, more, links)
            assert told[number][1].keys() == columns.keys()
            for name, pair in columns.items():
                assert [str(each) for each in told[number][1][name]] == [
                    str(each) for each in pair
                ] or name == "due"
