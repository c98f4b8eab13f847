"""What one transaction did is one change: numbered, told, and taken back."""

import random
import re
from concurrent.futures import ThreadPoolExecutor

import psycopg2
import pytest
import replay
from test_time_travel import Life
from test_tokens import add, guarded, people  # noqa: F401 (fixtures)

from iris import rights

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
        "SELECT setval('change_base', 1)", "SELECT nextval('change_base')",
        "REFRESH MATERIALIZED VIEW change_base_set", "UPDATE stored_events SET change = 1",
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


# Undo ----------------------------------------------------------------------------------------------


def last(sql):
    return sql.one("SELECT event_id, change FROM events ORDER BY event_id DESC LIMIT 1")


def rows(sql):
    """Return what there is to see, but for what tells that something happened."""
    return (
        sql(
            "SELECT to_jsonb(tickets) - '{updated,version}'::text[] AS row FROM tickets ORDER BY ticket_id"
        ),
        sql("SELECT to_jsonb(comments) - 'updated' AS row FROM comments ORDER BY comment_id"),
        sql("SELECT * FROM links AS l ORDER BY l"),
    )


def test_a_mass_update_gone_wrong_is_taken_back(http, sql, ticket):
    for status in ("open", "active", "resolved"):
        ticket(status=status, assignee="alice")
    before = rows(sql)
    sql("UPDATE tickets SET status = 'closed', assignee = NULL")
    change = last(sql)["change"]
    assert len(http.get(f"/events?change={change}").json) == 3
    dry = http.put("/undo", change=change, dry_run=True)
    assert dry.status == 200 and len(dry.json) == 3 and "event_id" not in dry.json[0]
    assert last(sql)["change"] == change
    done = http.put("/undo", change=change, actor="bob").json
    assert rows(sql) == before
    assert [(event["kind"], event["actor"]) for event in done] == [("changed", "bob")] * 3
    assert {event["undoes"] for event in done} == {
        event["event_id"] for event in http.get(f"/events?change={change}").json
    }
    # An undo can be undone, and so on.
    (again,) = {event["change"] for event in done}
    sql("SELECT undo(change => %s)", again)
    assert {row["status"] for row in sql("SELECT status FROM tickets")} == {"closed"}
    answer = http.put("/undo", change=again)
    assert (answer.status, answer.json["code"]) == (409, "changed_since")
    assert http.put("/undo", change=last(sql)["change"]).status == 200
    assert rows(sql) == before


def test_each_kind_of_event_is_taken_back(http, sql, ticket):
    one, other = (
        ticket("One", description="text", labels=["a"], due="2026-12-01", status="closed"),
        ticket("Other"),
    )
    http.put(f"/tickets/{one}/comments", body="first", author="carol")
    http.put(f"/tickets/{one}/links/blocks/{other}")
    http.put(f"/tickets/{other}/links/relates/{one}")
    for statement in (
        "UPDATE tickets SET title = 'Two', description = NULL, fields = '{\"n\": 1}', due = NULL, status = 'open' WHERE ticket_id = 1",
        "UPDATE comments SET body = 'second'", "DELETE FROM comments", "INSERT INTO comments (ticket_id, body) VALUES (1, 'x')",
        "DELETE FROM links WHERE kind = 'blocks'", "INSERT INTO links VALUES (1, 'duplicates', 2)",
        "INSERT INTO tickets (title) VALUES ('New')", "DELETE FROM tickets WHERE ticket_id = 1", "DELETE FROM tickets",
        "INSERT INTO transitions VALUES ('resolved', 'active')",
        "UPDATE statuses SET is_open = true WHERE status = 'closed'",
    ):  # fmt: skip
        before, workflow = rows(sql), sql("SELECT workflow()::text AS w")
        moment = now(sql)
        sql(statement)
        told = len(sql("SELECT 1 FROM changes_between(%s)", moment))
        assert told or "transitions" in statement
        event = sql.one("SELECT max(change) AS change FROM events")
        gone = now(sql)
        there = sql("SELECT * FROM tickets_as_of(%s) ORDER BY ticket_id", gone)
        sql("SELECT undo(change => %s)", event["change"])
        assert rows(sql) == before, statement
        assert sql("SELECT workflow()::text AS w") == workflow
        # And the past is what it was, at each moment.
        assert sql("SELECT * FROM changes_between(%s)", moment) == []
        assert sql("SELECT * FROM tickets_as_of(%s) ORDER BY ticket_id", gone) == there
    assert len(sql("SELECT * FROM tickets_as_of(%s)", moment)) == 2
    assert sql("SELECT * FROM searches_as_of(now()) AS s ORDER BY s.ticket_id, s.comment_id") == sql(
        "SELECT * FROM searches AS s ORDER BY s.ticket_id, s.comment_id")  # fmt: skip


def test_a_deleted_ticket_comes_back_by_its_event(http, sql, ticket):
    one, other = ticket("One"), ticket("Other")
    for body in ("first", "second"):
        http.put(f"/tickets/{one}/comments", body=body)
    http.put(f"/tickets/{one}/links/blocks/{other}")
    before, moment = rows(sql), now(sql)
    http.delete(f"/tickets/{one}")
    between = now(sql)
    deleted = sql.one("SELECT event_id FROM events WHERE kind = 'deleted'")["event_id"]
    answer = http.put("/undo", event_id=deleted)
    assert answer.status == 200, answer.text
    assert answer.json[0]["kind"] == "created"
    assert rows(sql) == before
    assert http.get(f"/tickets/{one}?as_of={between}").status == 404
    assert len(http.get(f"/tickets/{one}?as_of={moment}").json["comments"]) == 2
    assert http.get(f"/tickets?as_of={moment}&count=true").headers["total-count"] == "2"
    row = http.get(f"/tickets/{one}").json
    # Its filing, two comments, a link, the deletion, and all that came back.
    assert row["version"] == 1 + 2 + 1 + 1 + 1 + 2 + 1
    assert ticket("Next") == 3


def test_one_conflict_changes_none(http, sql, ticket):
    for number in range(3):
        ticket(f"Ticket {number}")
    sql("UPDATE tickets SET assignee = 'bob', priority = 'high'")
    change = last(sql)["change"]
    http.put("/tickets/2", priority="urgent", actor="carol")
    http.put("/tickets/3", title="Of another column")
    before = rows(sql)
    answer = http.put("/undo", change=change)
    assert (answer.status, answer.json["code"], answer.json["sqlstate"]) == (
        409,
        "changed_since",
        "IR022",
    )
    (conflict,) = answer.json["conflicts"]
    assert conflict == {
        "ticket_id": 2,
        "column": "priority",
        "event_id": 7,
        "kind": "changed",
        "actor": "carol",
    }
    assert answer.json["detail"] == "ticket 2 was changed again since, by carol in event 7"
    assert (
        str(sql.refusal("SELECT undo(change => %s)", change)).splitlines()[0]
        == answer.json["detail"]
    )
    assert rows(sql) == before
    # Once that is taken back, nothing is in the way.
    assert http.put("/undo", event_id=7).status == 200
    assert http.put("/undo", change=change).status == 200
    assert {row["assignee"] for row in sql("SELECT assignee FROM tickets")} == {None}


def test_undo_is_for_who_may(http, sql, ticket):
    ticket()
    filed = last(sql)["event_id"]
    sql("UPDATE tickets SET assignee = 'bob'")
    changed = last(sql)["event_id"]
    sql("SET ROLE iris_reader")
    assert isinstance(
        sql.refusal("SELECT undo(event_id => %s)", changed), psycopg2.errors.InsufficientPrivilege
    )
    sql("RESET ROLE")
    sql("SET ROLE iris_writer")
    sql("SELECT undo(event_id => %s)", changed)
    error = sql.refusal("SELECT undo(event_id => %s)", filed)
    assert isinstance(error, psycopg2.errors.InsufficientPrivilege)
    sql("RESET ROLE")
    for call in ("undo_event(NULL)", "changed_since('{}', 1)"):
        assert isinstance(sql.refusal(f"SELECT {call}"), psycopg2.errors.InsufficientPrivilege)
    for given, status in (({}, 422), ({"event_id": 1, "change": 1}, 422), ({"event_id": 99}, 404), ({"change": 1}, 404),
                          ({"change": "x"}, 422), ({"changed": 1}, 400)):  # fmt: skip
        assert http.put("/undo", given).status == status, given


# What takes back one event of this kind is this role's at least: that of who may do the contrary.
TAKES = {
    "created": "admin",
    "changed": "writer",
    "deleted": "writer",
    "commented": "writer",
    "comment_changed": "writer",
    "comment_deleted": "writer",
    "linked": "writer",
    "unlinked": "writer",
    "workflow_changed": "admin",
}


def test_what_takes_back_each_kind_is_for_who_may_do_it(guarded, people, sql):  # noqa: F811
    for statement in (
        "INSERT INTO tickets (title) VALUES ('One'), ('Other'), ('Third')",
        "UPDATE tickets SET assignee = 'bob' WHERE ticket_id = 2",
        "INSERT INTO comments (ticket_id, body) VALUES (1, 'x'), (1, 'y'), (2, 'z')",
        "UPDATE comments SET body = 'xx' WHERE comment_id = 1",
        "DELETE FROM comments WHERE comment_id = 2",
        "INSERT INTO links VALUES (2, 'relates', 1)",
        "DELETE FROM links",
        "INSERT INTO links VALUES (1, 'relates', 2)",
        "DELETE FROM tickets WHERE ticket_id = 3",
        "INSERT INTO transitions VALUES ('resolved', 'active')",
    ):
        sql(statement)
    found = {
        row["kind"]: row["event_id"]
        for row in sql("SELECT kind, event_id FROM events ORDER BY event_id")
        if row["kind"] != "token_added"
    }
    sql("INSERT INTO tickets (title) VALUES ('Fourth')")
    found["created"] = last(sql)["event_id"]
    assert set(found) == set(TAKES)
    for kind, event_id in found.items():
        for role, headers in people.items():
            may = rights.suffices(role, TAKES[kind])
            answer = guarded.put("/undo", event_id=event_id, dry_run=True, headers=headers)
            assert answer.status == (200 if may else 403), (kind, role, answer.text)
            sql(f"SET ROLE iris_{role}")
            if may:
                sql("SELECT undo(event_id => %s, dry_run => true)", event_id)
            else:
                error = sql.refusal("SELECT undo(event_id => %s, dry_run => true)", event_id)
                assert error.pgcode == "42501"
            sql("RESET ROLE")


def test_of_two_who_take_back_the_same_at_once_one_does(live, ticket, sql):
    for _ in range(20):
        ticket()
    sql("UPDATE tickets SET assignee = 'bob'")
    body = f"change={last(sql)['change']}".encode()
    form = "Content-Type: application/x-www-form-urlencoded"

    def both(*headers):
        with ThreadPoolExecutor() as pool:
            sent = [pool.submit(live.send, "PUT", "/undo", body, (form, *more)) for more in headers]
        return sorted(one.result()[0] for one in sent)

    assert both((), ()) == [200, 409]
    assert len(sql("SELECT * FROM events WHERE undoes IS NOT NULL")) == 20
    sql("UPDATE tickets SET assignee = 'carol'")
    body = f"change={last(sql)['change']}".encode()
    # With one key they are one.
    key = ("Idempotency-Key: both",)
    assert both(key, key) == [200, 200]
    assert len(sql("SELECT * FROM events WHERE undoes IS NOT NULL")) == 40
    assert both(("Idempotency-Key: other",)) == [409]


def test_many_deleted_tickets_come_back_without_looking_through_all_of_them(sql, owner):
    """For each one that came back, all that was deleted was looked through; the planner knew of none."""
    sql("INSERT INTO tickets (title) SELECT 'x' FROM generate_series(1, 300)")
    sql(
        "INSERT INTO comments (ticket_id, body) SELECT ticket_id, 'y' FROM tickets WHERE ticket_id < 100"
    )
    with owner.cursor() as cursor:
        cursor.execute("ANALYZE stored_events, tickets, comments")
    sql("DELETE FROM tickets")
    many = sql.one("SELECT count(*) FROM events")["count"]
    sql("BEGIN")
    sql("SELECT undo(change => (SELECT max(change) FROM events))")
    read = sql.one(
        "SELECT seq_tup_read + idx_tup_fetch AS read FROM pg_stat_xact_user_tables WHERE relname = 'stored_events'"
    )
    sql("COMMIT")
    assert sql.one("SELECT count(*) FROM tickets")["count"] == 300
    assert read["read"] < 30 * many


def test_tokens_are_not_undone(http, sql):
    sql("SELECT add_token('carol', 'reader')")
    event = last(sql)
    for given in ({"event_id": event["event_id"]}, {"change": event["change"]}):
        answer = http.put("/undo", given)
        assert (answer.status, answer.json["code"]) == (422, "invalid_value")
        assert "tokens" in answer.json["detail"] and "Revoke" in answer.json["hint"]
    sql("DELETE FROM tokens WHERE name = 'carol'")


def test_what_is_undone_is_told_in_a_sentence(http, sql, ticket):
    ticket()
    sql("UPDATE tickets SET assignee = 'bob', title = 'y'")
    change = last(sql)["change"]
    tried = http.put("/undo?format=text", change=change, dry_run=True)
    assert tried.text == "1 event would be taken back, and none was\n"
    assert http.put("/undo?format=text", change=change).text == "1 event taken back\n"


def test_an_undo_with_a_key_happens_once(http, sql, ticket):
    ticket()
    sql("UPDATE tickets SET assignee = 'bob'")
    key = {"Idempotency-Key": "once"}
    change = last(sql)["change"]
    first, again = (http.put("/undo", change=change, headers=key) for _ in range(2))
    assert first.status == again.status == 200 and first.text == again.text
    assert again.headers["idempotent-replayed"] == "true"
    assert len(sql("SELECT * FROM events WHERE undoes IS NOT NULL")) == 1


@pytest.mark.parametrize("seed", range(2))
def test_in_a_random_life_any_change_is_taken_back_or_refused(http, sql, owner, seed):
    """What is undone twice is as it was; what is refused has changed nothing; the past stays what it was; history replays."""
    life = Life(seed, http, sql)
    life.run(80)
    pick = random.Random(seed)
    moments = list(life.moments)
    undone = 0
    for _ in range(60):
        before, moment = rows(sql), now(sql)
        moments.append(
            (
                moment,
                None,
                sql("SELECT * FROM tickets ORDER BY ticket_id"),
                sql("SELECT * FROM comments ORDER BY comment_id"),
            )
        )
        event = sql.one(
            "SELECT event_id, change FROM events ORDER BY event_id DESC OFFSET %s LIMIT 1",
            pick.randrange(40),
        )
        given = (
            {"change": event["change"]} if pick.random() < 0.7 else {"event_id": event["event_id"]}
        )
        answer = http.put("/undo", given)
        assert answer.status in (200, 404, 409), answer.text
        if answer.status != 200:
            assert rows(sql) == before
            continue
        undone += 1
        if pick.random() < 0.5 and answer.json:
            assert http.put("/undo", change=answer.json[0]["change"]).status == 200
            assert rows(sql) == before
            assert sql("SELECT * FROM changes_between(%s)", moment) == []
    assert undone > 15
    for moment, _, tickets, comments in moments[::4]:
        assert sql("SELECT * FROM tickets_as_of(%s) ORDER BY ticket_id", moment) == tickets
        assert sql("SELECT * FROM comments_as_of(%s) ORDER BY comment_id", moment) == comments
    with owner.cursor() as cursor:
        for text in (replay.TICKETS, replay.COMMENTS, replay.LINKS):
            cursor.execute(text)
            assert cursor.fetchall() == []


def test_what_was_undone_already_says_so(http, sql, ticket):
    """Not that others have changed it: by whom, and how to have it back."""
    number = ticket("One")
    http.put(f"/tickets/{number}", assignee="bob")
    _, changed = sql("SELECT event_id, change FROM events ORDER BY event_id")
    assert http.put("/undo", event_id=changed["event_id"], actor="carol").status == 200
    again = http.put("/undo", event_id=changed["event_id"])
    undone = sql.one("SELECT max(event_id) AS it FROM events")["it"]
    words = f"event {changed['event_id']} was undone already, by carol in event {undone}"
    assert (again.status, again.json["code"], again.json["detail"]) == (409, "changed_since", words)
    assert again.json["hint"] == f"Nothing was undone. To have it back, undo event {undone}."
    refusal = sql.refusal("SELECT undo(change => %s)", changed["change"])
    last = sql.one("SELECT max(change) AS it FROM events")["it"]
    assert refusal.diag.message_primary == (
        f"change {changed['change']} was undone already, by carol in change {last}"
    )
    # What it says works, and then the first can be undone once more; what others did since is told as that.
    assert http.put("/undo", event_id=undone).status == 200
    assert http.put("/undo", event_id=changed["event_id"]).status == 200
    http.put(f"/tickets/{number}", assignee="dana")
    third = http.put("/undo", event_id=changed["event_id"]).json["detail"]
    assert third.startswith(f"ticket {number} was changed again since, by anonymous in event ")


def test_a_comment_that_went_with_its_ticket_does_not_come_back_without_it(http, sql, ticket):
    number = ticket()
    http.put(f"/tickets/{number}/comments", body="x")
    http.delete(f"/tickets/{number}")
    gone = sql.one("SELECT event_id FROM events WHERE kind = 'comment_deleted'")["event_id"]
    answer = http.put("/undo", event_id=gone)
    assert (answer.status, answer.json["code"]) == (404, "no_such_ticket"), answer.text
    refusal = sql.refusal(f"SELECT undo(event_id => {gone})")
    assert refusal.diag.message_primary == answer.json["detail"]
