"""One history for both doors: events, versions, safe repeats."""

import json
import threading

import pytest

FIRST = ["title", "status", "reporter", "priority", "labels", "fields"]


@pytest.fixture
def kept(owner):
    """Return a function that gives the keys whose answers are kept; only the owner sees them."""

    def look():
        with owner.cursor() as cursor:
            cursor.execute("SELECT key FROM replays ORDER BY key")
            return [key for (key,) in cursor.fetchall()]

    return look


@pytest.fixture
def history(http):
    """Return a function that gives a ticket's history, oldest first."""

    def look(number):
        return http.get(f"/tickets/{number}/history?limit=1000").json[::-1]

    return look


def test_every_kind_of_change_at_both_doors(http, sql, history):
    number = http.put("/tickets", title="One", actor="alice").json["ticket_id"]
    other = http.put("/tickets", title="Other", actor="alice").json["ticket_id"]
    http.put(f"/tickets/{number}", title="Two", labels=["a"], actor="bob")
    http.put(f"/tickets/{number}/comments", body="hello", actor="charlie")
    http.put("/comments/1", body="hi", actor="charlie")
    http.put(f"/tickets/{number}/links/blocks/{other}", actor="bob")
    sql("SET iris.actor = 'dora'")
    sql("UPDATE tickets SET status = 'closed' WHERE ticket_id = %s", number)
    sql("DELETE FROM links")
    sql("DELETE FROM comments")
    sql("DELETE FROM tickets WHERE ticket_id = %s", number)
    seen = [
        (event["actor"], event["source"], event["kind"], event["comment_id"], event["changes"])
        for event in history(number)
    ]
    created = {
        "title": [None, "One"],
        "status": [None, "open"],
        "reporter": [None, "alice"],
        "priority": [None, "normal"],
        "labels": [None, []],
        "fields": [None, {}],
    }
    gone = {**{name: [value, None] for name, (_, value) in created.items()}}
    gone |= {"title": ["Two", None], "labels": [["a"], None], "status": ["closed", None]}
    assert seen == [
        ("alice", "http", "created", None, created),
        ("bob", "http", "changed", None, {"title": ["One", "Two"], "labels": [[], ["a"]]}),
        ("charlie", "http", "commented", 1, {"body": [None, "hello"]}),
        ("charlie", "http", "comment_changed", 1, {"body": ["hello", "hi"]}),
        ("bob", "http", "linked", None, {"kind": [None, "blocks"], "other_id": [None, other]}),
        ("dora", "psql", "changed", None, {"status": ["open", "closed"]}),
        ("dora", "psql", "unlinked", None, {"kind": ["blocks", None], "other_id": [other, None]}),
        ("dora", "psql", "comment_deleted", 1, {"body": ["hi", None]}),
        ("dora", "psql", "deleted", None, gone),
    ]
    assert [event["event_id"] for event in history(number)] == sorted(
        e["event_id"] for e in history(number)
    )


def test_what_changes_nothing_adds_nothing(http, sql, ticket, history):
    number = ticket(labels=["a"])
    http.put(f"/tickets/{number}", title="Printer on fire", labels=["a", "a"])
    http.put(f"/tickets/{number}/comments", body="x")
    http.put("/comments/1", body="x")
    sql("UPDATE tickets SET version = 7, updated = now(), title = title")
    sql("UPDATE comments SET body = body")
    sql("DELETE FROM links")
    assert [event["kind"] for event in history(number)] == ["created", "commented"]


def test_a_statement_writes_a_row_for_each_change(sql, history, http):
    sql("INSERT INTO tickets (title) SELECT 'Ticket ' || n FROM generate_series(1, 100) AS n")
    sql("UPDATE tickets SET priority = 'high' WHERE ticket_id <= 50")
    sql("DELETE FROM tickets WHERE ticket_id <= 10")
    rows = sql("SELECT kind, count(*) FROM events GROUP BY kind ORDER BY kind")
    assert [(row["kind"], row["count"]) for row in rows] == [
        ("created", 100),
        ("changed", 50),
        ("deleted", 10),
    ]


def test_what_is_refused_or_rolled_back_leaves_no_trace(http, sql, ticket, history):
    number = ticket()
    http.put(f"/tickets/{number}", status="blocked")
    sql("BEGIN")
    sql("UPDATE tickets SET title = 'x'")
    sql("ROLLBACK")
    assert len(history(number)) == 1


def test_a_declared_closing_is_history(sql, ticket, history):
    number = ticket()
    sql("UPDATE statuses SET is_open = false WHERE status = 'open'")
    event = history(number)[-1]
    assert (event["kind"], event["changes"]["closed"][0]) == ("changed", None)


def test_filters_of_events(http, sql, ticket):
    ticket(), ticket()
    http.put("/tickets/1", title="x", actor="bob")
    sql("UPDATE tickets SET title = 'y' WHERE ticket_id = 2")

    def found(query):
        answer = http.get(f"/events?{query}")
        assert answer.status == 200, answer.text
        return [event["event_id"] for event in answer.json]

    assert found("") == [4, 3, 2, 1]
    assert found("sort=event_id") == [1, 2, 3, 4]
    assert found("actor=bob") == [3]
    assert found("actor=!bob,anonymous") == [4]
    assert found("kind=changed") == [4, 3]
    assert found("kind=changed,created&source=psql") == [4]
    assert found("source=http") == [3, 2, 1]
    assert found("ticket_id=2") == [4, 2]
    assert found("at_after=yesterday&at_before=tomorrow") == [4, 3, 2, 1]
    assert found("at_after=tomorrow") == []
    assert http.get("/events?kind=nothing").json["allowed"][0] == "created"
    answer = http.get("/tickets/2/history?limit=1&count=true&columns=kind")
    assert (answer.json, answer.headers["total-count"]) == ([{"kind": "changed"}], "2")
    assert http.get(f"/tickets/2/history?{answer.next}").json == [{"kind": "created"}]


def test_history_of_what_is_gone_and_of_what_never_was(http, ticket):
    number = ticket()
    http.delete(f"/tickets/{number}")
    assert http.get(f"/tickets/{number}").status == 404
    assert [event["kind"] for event in http.get(f"/tickets/{number}/history").json] == [
        "deleted",
        "created",
    ]
    assert http.get("/tickets/77/history").status == 404


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET actor = 'nobody'",
        "DELETE FROM events",
        "INSERT INTO events (at, actor, source, ticket_id, kind) VALUES (now(), 'x', 'x', 1, 'changed')",
        "UPDATE stored_events SET actor = 'nobody'",
        "DELETE FROM stored_events",
        "TRUNCATE stored_events",
        "DELETE FROM places",
        "UPDATE places_reached SET change = 0",
        "INSERT INTO stored_events (at, actor, source, ticket_id, kind, changes) VALUES (now(), 'x', 'x', 1, 'changed', '{}')",
        "ALTER TABLE stored_events DISABLE TRIGGER ALL",
        "ALTER TABLE tickets DISABLE TRIGGER tickets_updated",
        "DROP VIEW events",
        "DROP TABLE stored_events",
        "SET session_replication_role = replica",
        "SELECT setval('stored_events_event_id_seq', 1)",
        "CREATE TEMP TABLE t (LIKE tickets); CREATE TRIGGER t AFTER INSERT ON t REFERENCING NEW TABLE AS new_rows"
        " FOR EACH STATEMENT EXECUTE FUNCTION tickets_after()",
    ],
)
def test_history_is_append_only(sql, ticket, statement):
    ticket()
    before = sql("SELECT * FROM events")
    assert sql.refusal(statement).pgcode == "42501"
    assert sql("SELECT * FROM events") == before


LONG = "A zebra crossing"


def test_long_texts_are_stored_once_and_told_as_they_were_first(http, sql):
    """Of a filing and a comment: in the row, or in the event that changed it; the history says them all the same."""
    number = http.put("/tickets", title=LONG, description=LONG, fields={"a": LONG}).json[
        "ticket_id"
    ]
    http.put(f"/tickets/{number}/comments", body=LONG)
    sql("INSERT INTO comments (ticket_id, body) VALUES (1, %s)", LONG)
    filed = {"title": [None, LONG], "description": [None, LONG], "fields": [None, {"a": LONG}]}

    def stored():
        return [str(row) for row in sql("SELECT changes FROM stored_events ORDER BY event_id")]

    def told():
        events = http.get(f"/tickets/{number}/history?sort=event_id").json
        assert [row["changes"] for row in sql("SELECT changes FROM events ORDER BY event_id")][
            : len(events)
        ] == [event["changes"] for event in events]
        created, first, second = (event["changes"] for event in events[:3])
        assert {name: created[name] for name in filed} == filed
        assert first == second == {"body": [None, LONG]}
        return events

    assert not any(LONG in text for text in stored())
    told()
    # Of what changes later, the change says what it was; a second one doesn't count.
    for description, body in (("y", "y"), (LONG, LONG), (None, "z")):
        http.put(f"/tickets/{number}", description=description)
        sql("UPDATE comments SET body = %s WHERE comment_id = 1", body)
        told()
    sql("DELETE FROM comments WHERE comment_id = 2")
    told()
    http.delete(f"/tickets/{number}")
    deleted = told()[-1]
    # What comes back is filed once more, and has been twice.
    http.put("/undo", change=deleted["change"])
    events = told()
    (again,) = [event for event in events[1:] if event["kind"] == "created"]
    assert again["changes"]["title"] == [None, LONG] and "description" not in again["changes"]
    http.put(f"/tickets/{number}", title="other", fields={})
    assert [event["changes"] for event in told()[: len(events)]] == [
        event["changes"] for event in events
    ]
    assert sql("SELECT * FROM verify_events()") == []


def test_what_was_written_with_the_rules_off_is_told_as_it_stands(owner, http, ticket):
    """An event that has its texts in it says those, whatever the row says."""
    number = ticket()
    with owner.cursor() as cursor:
        cursor.execute(
            "INSERT INTO stored_events (at, actor, source, ticket_id, kind, changes) VALUES"
            """ (now(), 'x', 'x', 1, 'created', '{"title": [null, "mine"]}')"""
        )
    assert http.get(f"/tickets/{number}/history").json[0]["changes"] == {"title": [None, "mine"]}


def test_history_is_written_inside_of_somebody_elses_trigger(temporary, sql, ticket, history):
    """Depth is no excuse: a trigger of one's own on a table of one's own changes nothing."""
    number = ticket()
    sql(
        "CREATE TEMP TABLE bait (n int);"
        "CREATE FUNCTION pg_temp.bite() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN UPDATE tickets SET title = 'bitten', version = 99; RETURN NULL; END $$;"
        "CREATE TRIGGER bite AFTER INSERT ON bait FOR EACH ROW EXECUTE FUNCTION pg_temp.bite();"
        "INSERT INTO bait VALUES (1)"
    )
    assert history(number)[-1]["changes"] == {"title": ["Printer on fire", "bitten"]}
    assert sql.one("SELECT version FROM tickets")["version"] == 2


# Versions -----------------------------------------------------------------------------------------


def test_etags_and_who_has_it_already(http, sql, ticket, statements):
    number = ticket()
    path = f"/tickets/{number}"
    assert http.get(path).headers["etag"] == '"1"'
    statements()
    for header in ('"1"', 'W/"1"', "1", '"7", "1"', "*"):
        answer = http.get(path, headers={"If-None-Match": header})
        assert (answer.status, answer.text, answer.headers["etag"]) == (304, "", '"1"'), header
    assert len(statements()) == 5
    assert http.get(f"/ticket?tid={number}", headers={"If-None-Match": '"1"'}).status == 304
    for header in ('"2"', '"11"', "x", ""):
        assert http.get(path, headers={"If-None-Match": header}).status == 200
    sql("UPDATE tickets SET title = 'y'")
    answer = http.get(path, headers={"If-None-Match": '"1"'})
    assert (answer.status, answer.headers["etag"]) == (200, '"2"')
    http.put(f"{path}/comments", body="x")
    assert http.get(path, headers={"If-None-Match": '"2"'}).status == 200
    assert http.get("/tickets/77", headers={"If-None-Match": "*"}).status == 404


def test_writes_say_which_version_they_made(http, ticket):
    assert http.put("/tickets", title="x").headers["etag"] == '"1"'
    assert http.put("/tickets/1", title="y").headers["etag"] == '"2"'
    assert http.put("/tickets", ticket_id=1, title="z").headers["etag"] == '"3"'


def test_if_match(http, sql, ticket, statements):
    number = ticket()
    path = f"/tickets/{number}"
    statements()
    assert http.put(path, title="y", headers={"If-Match": '"1"'}).status == 200
    assert len(statements()) == 1
    answer = http.put(path, title="z", headers={"If-Match": '"1"'})
    assert (answer.status, answer.json["code"], answer.headers["etag"]) == (
        412,
        "version_moved_on",
        '"2"',
    )
    assert (answer.json["current"]["version"], answer.json["current"]["title"]) == (2, "y")
    assert (
        http.put("/tickets", ticket_id=number, title="z", headers={"If-Match": '"1"'}).status == 412
    )
    assert http.delete(path, headers={"If-Match": '"1"'}).status == 412
    assert http.put(path, title="z", headers={"If-Match": "nonsense"}).status == 412
    assert http.put(path, title="z", headers={"If-Match": '"9", "2"'}).status == 200
    assert http.put(path, title="a", headers={"If-Match": "*"}).status == 200
    sql("UPDATE tickets SET title = 'by hand'")
    assert http.put(path, title="b", headers={"If-Match": '"4"'}).status == 412
    assert http.put("/tickets/77", title="b", headers={"If-Match": '"1"'}).status == 404
    assert http.delete(path, headers={"If-Match": '"5"'}).status == 204


def test_a_condition_that_nobody_heeds_is_refused(http, ticket):
    ticket()
    for path, given in (
        ("/tickets", {"title": "x"}),
        ("/tickets/1/comments", {"body": "x"}),
        ("/tickets/1/links/blocks/2", {}),
    ):
        answer = http.put(path, given, headers={"If-Match": '"1"'})
        assert (answer.status, answer.json["code"]) == (400, "no_such_condition")


def at_once(count, work):
    results = []
    ready = threading.Barrier(count)

    def run(place):
        ready.wait()
        results.append(work(place))

    threads = [threading.Thread(target=run, args=(place,)) for place in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_fifty_who_expect_the_same_version(live, http, ticket):
    number = ticket()
    statuses = at_once(
        50,
        lambda n: live.send("PUT", f"/tickets/{number}?title=Mine{n}", headers=['If-Match: "1"'])[
            0
        ],
    )
    assert sorted(statuses) == [200] + [412] * 49
    assert http.get(f"/tickets/{number}").json["version"] == 2


# Safe to repeat -----------------------------------------------------------------------------------


def test_a_repeated_write_happens_once(http, ticket, sql, statements):
    number = ticket()
    writes = [
        lambda **more: http.put("/tickets", title="x", **more),
        lambda **more: http.put(f"/tickets/{number}", title="y", **more),
        lambda **more: http.put(f"/tickets/{number}/comments", body="x", **more),
        lambda **more: http.put("/comments/1", body="y", **more),
        lambda **more: http.put(f"/tickets/{number}/links/relates/2", **more),
        lambda **more: http.delete(f"/tickets/{number}/links/relates/2", **more),
        lambda **more: http.delete("/comments/1", **more),
        lambda **more: http.put("/workflow", http.get("/workflow").json, **more),
        lambda **more: http.delete(f"/tickets/{number}", **more),
    ]
    for place, write in enumerate(writes):
        headers = {"Idempotency-Key": f"key {place}"}
        first = write(headers=headers)
        assert first.status in (200, 201, 204), first.text
        assert "idempotent-replayed" not in first.headers
        events = sql("SELECT * FROM events")
        statements()
        again = write(headers=headers)
        assert again.headers["idempotent-replayed"] == "true"
        if place != 7:
            assert len(statements()) == 1
        assert (again.status, again.text) == (first.status, first.text)
        for name in ("location", "etag"):
            assert again.headers.get(name) == first.headers.get(name)
        assert sql("SELECT * FROM events") == events


def test_a_key_is_for_one_request_and_one_actor(http):
    headers = {"Idempotency-Key": "k"}
    first = http.put("/tickets", title="x", headers=headers)
    for other in (
        http.put("/tickets", title="y", headers=headers),
        http.put("/tickets/1", title="x", headers=headers),
        http("POST", "/tickets", {"title": "x"}, headers=headers),
    ):
        assert (other.status, other.json["code"]) == (422, "key_reused")
    assert (
        http.put("/tickets", title="x", actor="alice", headers=headers).json["ticket_id"]
        != first.json["ticket_id"]
    )
    assert http.put("/tickets", title="x", headers=headers).json == first.json


def test_a_refused_write_leaves_its_key_free(http, ticket, kept):
    headers = {"Idempotency-Key": "k"}
    assert http.put("/tickets", title="", headers=headers).status == 422
    assert http.put("/tickets/77", title="x", headers=headers).status == 404
    assert kept() == []
    assert http.put("/tickets", title="x", headers=headers).status == 201


@pytest.mark.parametrize("key", ["", "x" * 201, "a\tb"])
def test_a_key_has_a_form(http, key):
    answer = http.put("/tickets", title="x", headers={"Idempotency-Key": key})
    assert (answer.status, answer.json["code"]) == (400, "invalid_key")


def test_any_text_goes_through_once(http, sql):
    title = "100% O'Neill \\ %s %(x)s ; -- $$ é"
    answer = http.put("/tickets", title=title, headers={"Idempotency-Key": "'%s"})
    assert answer.json["title"] == sql.one("SELECT title FROM tickets")["title"] == title
    assert http.put("/tickets", title=title, headers={"Idempotency-Key": "'%s"}).json == answer.json


def test_fifty_with_the_same_key(live, http, sql):
    answers = at_once(
        50, lambda n: live.send("PUT", "/tickets?title=Once", headers=["Idempotency-Key: k"])
    )
    assert {status for status, _, _ in answers} == {201}
    assert len({body for _, _, body in answers}) == 1
    assert sum("idempotent-replayed: true" in head.lower() for _, head, _ in answers) == 49
    assert len(sql("TABLE tickets")) == 1


def test_old_keys_are_swept(http, owner, kept):
    http.put("/tickets", title="x", headers={"Idempotency-Key": "old"})
    http.put("/tickets", title="x", headers={"Idempotency-Key": "young"})
    with owner.cursor() as cursor:
        for key, hours in (("old", 26), ("young", 24)):
            cursor.execute(
                "UPDATE replays SET created = now() - make_interval(hours => %s) WHERE key = %s",
                (hours, key),
            )
    http.put("/tickets", title="x", headers={"Idempotency-Key": "new"})
    assert kept() == ["new", "young"]


def test_nobody_reads_what_others_were_answered(http, sql, kept):
    """Neither the table nor, by its key, the answer."""
    http.put("/tickets", title="x", actor="alice", headers={"Idempotency-Key": "k"})
    for statement in ("TABLE replays", "DELETE FROM replays", "UPDATE replays SET answer = NULL"):
        assert sql.refusal(statement).pgcode == "42501"
    sql("SET iris.actor = 'bob'")
    assert sql("SELECT * FROM kept_answer('k', 'r')") == []
    sql("SELECT keep_answer('k', NULL)")
    assert kept() == ["k"]


def test_a_crash_leaves_both_or_neither(server, sql, kept):
    """A transaction that dies between the write and its end takes the key along."""
    import psycopg2  # noqa: PLC0415

    connection = psycopg2.connect(server.url())
    with connection.cursor() as cursor:
        write = "INSERT INTO tickets (title) VALUES ('x') RETURNING ticket_id"
        cursor.execute("SELECT * FROM once('k', 'r', %s)", (write,))
        assert cursor.fetchone()[1] is False
        cursor.execute("SELECT pg_backend_pid()")
        pid = cursor.fetchone()[0]
    killer = psycopg2.connect(server.url("postgres"))
    killer.autocommit = True
    killer.cursor().execute("SELECT pg_terminate_backend(%s)", (pid,))
    killer.close()
    assert kept() == sql("TABLE tickets") == []
    assert json.dumps(sql("SELECT * FROM once('k', 'r', %s)", write)[0]["answer"]).startswith(
        '{"ticket_id"'
    )
