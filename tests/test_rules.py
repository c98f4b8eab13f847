"""Every rule of the database, at both doors: refused by HTTP, refused by SQL, in the same words."""

import json
from typing import NamedTuple

import pytest


class Rule(NamedTuple):
    name: str
    http: tuple  # method, path, given
    sql: str
    status: int
    code: str
    words: str
    state: str


def tickets(given):
    return "PUT", "/tickets", given


def change(given):
    return "PUT", "/tickets/1", given


TITLE = "title must have 1 to 300 characters, not only blanks"
LINE = "title must be one line, without control characters"
LABELS = "labels must be a list of at most 50 texts of at most 50 characters"
FIELDS = "fields must be a JSON object of at most 16 KiB"
BODY = "body must have 1 to 100,000 characters, not only blanks"
NO_STATUS = 'there is no status "nowhere"'
BAD_PRIORITY = 'invalid input value for enum priority: "huge"'
BAD_TIME = 'invalid input syntax for type timestamp with time zone: "someday"'

PRIORITIES = ["low", "normal", "high", "urgent"]
STATUSES = ["open", "active", "blocked", "resolved", "closed"]
INVALID = (422, "invalid_value")
# Tickets 1 to 4 are there: 1 blocks 2, 2 blocks 3; 1 has the parent 2, 2 has the parent 3.
RULES = [
    Rule("empty title", tickets({"title": ""}), "INSERT INTO tickets (title) VALUES ('')", *INVALID, TITLE, "23514"),
    Rule("blank title", tickets({"title": " \t\n"}), "INSERT INTO tickets (title) VALUES (E' \\t\\n')", *INVALID, TITLE, "23514"),
    Rule("invisible title", tickets({"title": "\u3000\u200b"}), "INSERT INTO tickets (title) VALUES (U&'\\3000\\200b')", *INVALID, TITLE, "23514"),
    Rule("long title", tickets({"title": "x" * 301}), "INSERT INTO tickets (title) VALUES (repeat('x', 301))", *INVALID, TITLE, "23514"),
    Rule("title of two lines", tickets({"title": "a\nState: closed"}), "INSERT INTO tickets (title) VALUES (E'a\\nState: closed')", *INVALID, LINE, "23514"),
    Rule("title of Unicode's lines", change({"title": "a\u2028b"}), "UPDATE tickets SET title = U&'a\\2028b'", *INVALID, LINE, "23514"),
    Rule("title with an escape", change({"title": "a\x1b[2Jb"}), "UPDATE tickets SET title = E'a\\x1b[2Jb'", *INVALID, LINE, "23514"),
    Rule("title with C1", change({"title": "a\x9bb"}), "UPDATE tickets SET title = U&'a\\009bb'", *INVALID, LINE, "23514"),
    Rule("title with a tab", change({"title": "a\tb"}), "UPDATE tickets SET title = E'a\\tb'", *INVALID, LINE, "23514"),
    Rule("no title", tickets({"assignee": "bob"}), "INSERT INTO tickets (assignee) VALUES ('bob')", *INVALID, "title is required", "23502"),
    Rule("null title", change({"title": None}), "UPDATE tickets SET title = NULL", *INVALID, "title is required", "23502"),
    Rule("null status", change({"status": None}), "UPDATE tickets SET status = NULL", *INVALID, "status is required", "23502"),
    Rule("null reporter", change({"reporter": None}), "UPDATE tickets SET reporter = NULL", *INVALID, "reporter is required", "23502"),
    Rule("null priority", change({"priority": None}), "UPDATE tickets SET priority = NULL", *INVALID, "priority is required", "23502"),
    Rule("null labels", change({"labels": None}), "UPDATE tickets SET labels = NULL", *INVALID, "labels is required", "23502"),
    Rule("null fields", change({"fields": None}), "UPDATE tickets SET fields = NULL", *INVALID, "fields is required", "23502"),
    Rule("long description", change({"description": "x" * 100_001}), "UPDATE tickets SET description = repeat('x', 100001)", *INVALID, "description must have at most 100,000 characters", "23514"),
    Rule("long assignee", change({"assignee": "x" * 101}), "UPDATE tickets SET assignee = repeat('x', 101)", *INVALID, "assignee must have at most 100 characters", "23514"),
    Rule("blank reporter", change({"reporter": " "}), "UPDATE tickets SET reporter = ' '", *INVALID, "reporter must have 1 to 100 characters, not only blanks", "23514"),
    Rule("unknown priority", change({"priority": "huge"}), "UPDATE tickets SET priority = 'huge'", *INVALID, BAD_PRIORITY, "22P02"),
    Rule("51 labels", change({"labels": [str(n) for n in range(51)]}), "UPDATE tickets SET labels = (SELECT array_agg(n::text) FROM generate_series(1, 51) AS n)", *INVALID, LABELS, "23514"),
    Rule("long label", change({"labels": ["x" * 51]}), "UPDATE tickets SET labels = ARRAY[repeat('x', 51)]", *INVALID, LABELS, "23514"),
    Rule("fields that are a list", change({"fields": [1]}), "UPDATE tickets SET fields = '[1]'", *INVALID, FIELDS, "23514"),
    Rule("large fields", change({"fields": {"a": "x" * 16384}}), "UPDATE tickets SET fields = jsonb_build_object('a', repeat('x', 16384))", *INVALID, FIELDS, "23514"),
    Rule("infinite due", change({"due": "infinity"}), "UPDATE tickets SET due = 'infinity'", *INVALID, "due must be a finite time", "23514"),
    Rule("due never", change({"due": "someday"}), "UPDATE tickets SET due = moment('someday')", *INVALID, BAD_TIME, "22007"),
    Rule("unknown status", change({"status": "nowhere"}), "UPDATE tickets SET status = 'nowhere'", *INVALID, NO_STATUS, "23503"),
    Rule("unknown first status", tickets({"title": "x", "status": "nowhere"}), "INSERT INTO tickets (title, status) VALUES ('x', 'nowhere')", *INVALID, NO_STATUS, "23503"),
    Rule("forbidden transition", change({"status": "blocked"}), "UPDATE tickets SET status = 'blocked' WHERE ticket_id = 1", 409, "transition_not_allowed", 'ticket 1 can\'t go from "open" to "blocked"', "IR001"),
    Rule("no comment", ("PUT", "/tickets/1/comments", {}), "INSERT INTO comments (ticket_id) VALUES (1)", *INVALID, "body is required", "23502"),
    Rule("blank comment", ("PUT", "/tickets/1/comments", {"body": " "}), "INSERT INTO comments (ticket_id, body) VALUES (1, ' ')", *INVALID, BODY, "23514"),
    Rule("long comment", ("PUT", "/comments", {"ticket_id": 1, "body": "x" * 100_001}), "INSERT INTO comments (ticket_id, body) VALUES (1, repeat('x', 100001))", *INVALID, BODY, "23514"),
    Rule("blank author", ("PUT", "/tickets/1/comments", {"body": "x", "author": ""}), "INSERT INTO comments (ticket_id, body, author) VALUES (1, 'x', '')", *INVALID, "author must have 1 to 100 characters, not only blanks", "23514"),
    Rule("comment on nothing", ("PUT", "/tickets/77/comments", {"body": "x"}), "INSERT INTO comments (ticket_id, body) VALUES (77, 'x')", 404, "no_such_ticket", "there is no ticket 77", "23503"),
    Rule("link to itself", ("PUT", "/tickets/1/links/relates/1", {}), "INSERT INTO links VALUES (1, 'relates', 1)", *INVALID, "a ticket can't be linked to itself", "23514"),
    Rule("link to nothing", ("PUT", "/tickets/1/links/relates/77", {}), "INSERT INTO links VALUES (1, 'relates', 77)", 404, "no_such_ticket", "there is no ticket 77", "23503"),
    Rule("link from nothing", ("PUT", "/tickets/77/links/relates/1", {}), "INSERT INTO links VALUES (77, 'relates', 1)", 404, "no_such_ticket", "there is no ticket 77", "23503"),
    Rule("unknown kind", ("PUT", "/tickets/1/links/likes/2", {}), "INSERT INTO links VALUES (1, 'likes', 2)", *INVALID, 'invalid input value for enum link_kind: "likes"', "22P02"),
    Rule("two block each other", ("PUT", "/tickets/2/links/blocks/1", {}), "INSERT INTO links VALUES (2, 'blocks', 1)", 409, "link_cycle", "ticket 2 can't block ticket 1: it would be blocked by itself in the end", "IR002"),
    Rule("three block each other", ("PUT", "/tickets/3/links/blocks/1", {}), "INSERT INTO links VALUES (3, 'blocks', 1)", 409, "link_cycle", "ticket 3 can't block ticket 1: it would be blocked by itself in the end", "IR002"),
    Rule("its own grandparent", ("PUT", "/tickets/3/links/parent/1", {}), "INSERT INTO links VALUES (3, 'parent', 1)", 409, "link_cycle", "ticket 3 can't have the parent 1: it would be its own parent in the end", "IR002"),
    Rule("second parent", ("PUT", "/tickets/1/links/parent/4", {}), "INSERT INTO links VALUES (1, 'parent', 4)", 409, "second_parent", "ticket 1 already has a parent, ticket 2", "IR003"),
    Rule("status in use", ("PUT", "/workflow", {"statuses": [{"status": "new", "is_open": True}], "transitions": {}}), "DELETE FROM statuses WHERE status = 'open'", 409, "status_in_use", 'tickets are in the status "open"', "IR004"),
]  # fmt: skip


@pytest.fixture
def rows(sql):
    sql("INSERT INTO tickets (title) SELECT 'Ticket ' || n FROM generate_series(1, 4) AS n")
    sql(
        "INSERT INTO links VALUES (1, 'blocks', 2), (2, 'blocks', 3), (1, 'parent', 2), (2, 'parent', 3)"
    )


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_both_doors_refuse_in_the_same_words(http, sql, rows, rule):
    before = sql("SELECT * FROM tickets ORDER BY ticket_id")

    answer = http(*rule.http)
    assert (answer.status, answer.json["code"]) == (rule.status, rule.code), answer.text
    assert answer.json["detail"] == rule.words

    error = sql.refusal(rule.sql)
    assert (error.pgcode, error.diag.message_primary) == (rule.state, rule.words)
    assert error.diag.message_hint == answer.json.get("hint")
    assert answer.json["sqlstate"] == rule.state

    assert sql("SELECT * FROM tickets ORDER BY ticket_id") == before
    assert len(sql("TABLE links")) == 4


@pytest.mark.parametrize(
    "rule", [rule for rule in RULES if rule.status == 422], ids=lambda rule: rule.name
)
def test_it_names_the_field(http, rows, rule):
    answer = http(*rule.http)
    known = {*(rule.http[2] or {}), "title", "body", "other_id", "kind"}
    assert len(answer.json["errors"]) == 1
    assert set(answer.json["errors"]) <= known


@pytest.mark.parametrize(
    ("given", "field", "allowed"),
    [
        ({"title": "a bad day", "due": "a"}, "due", None),
        ({"title": "huge", "assignee": "huge", "priority": "huge"}, "priority", PRIORITIES),
        ({"title": "tomorrow", "description": "32", "due": "2026-02-32"}, "due", None),
        ({"title": 'someday"', "assignee": 'x: "some', "due": 'some"'}, "due", None),
        ({"title": "nowhere", "status": "nowhere"}, "status", STATUSES),
    ],
)
def test_the_field_is_not_guessed_from_words(http, given, field, allowed):
    answer = http.put("/tickets", given)
    assert (answer.status, [*answer.json["errors"]]) == (422, [field])
    assert answer.json.get("allowed") == allowed


@pytest.mark.parametrize("name", ["x to: y", 'with "quotes"', "a; b", "läuft", "{}", "%s"])
def test_what_is_allowed_travels_as_data(http, sql, rows, name):
    sql("INSERT INTO statuses VALUES (%s, 9, true)", name)
    sql("INSERT INTO transitions VALUES (%s, 'closed'), ('open', %s)", name, name)
    answer = http.put("/tickets/1", status="blocked")
    assert answer.json["allowed"] == ["active", "resolved", "closed", name]
    http.put("/tickets/1", status=name)
    assert http.put("/tickets/1", status="open").json["allowed"] == ["closed"]
    error = sql.refusal("UPDATE tickets SET status = 'open' WHERE ticket_id = 1")
    assert "allowed" not in str(error)


def test_a_list_names_the_filter_that_is_wrong(http):
    for query, field in (
        ("kind=created,nothing&actor=nothing", "kind"),
        ("at_before=then&actor=then", "at_before"),
    ):
        answer = http.get(f"/events?{query}")
        assert (answer.status, [*answer.json["errors"]]) == (422, [field])


def test_a_refused_transition_names_the_allowed_ones(http, sql, rows):
    answer = http.put("/tickets/1", status="blocked")
    assert answer.json["allowed"] == ["active", "resolved", "closed"]
    assert answer.json["hint"] == 'From "open" it may go to: active, resolved, closed'
    sql("DELETE FROM transitions WHERE from_status = 'open'")
    answer = http.put("/tickets/1", status="active")
    assert (answer.status, answer.json["allowed"]) == (409, [])
    assert answer.json["hint"] == 'From "open" it may go nowhere'


def test_every_seeded_transition_is_the_contracts(http, sql):
    allowed = {
        "open": {"active", "resolved", "closed"},
        "active": {"open", "blocked", "resolved", "closed"},
        "blocked": {"open", "active", "closed"},
        "resolved": {"open", "closed"},
        "closed": {"open"},
    }
    for start, ends in allowed.items():
        for end in allowed:
            number = http.put("/tickets", title="x", status=start).json["ticket_id"]
            status = http.put(f"/tickets/{number}", status=end).status
            assert status == (200 if end in ends | {start} else 409), (start, end)


def test_what_the_database_keeps_is_kept_whatever_is_written(http, sql):
    kept = {"created": "2001-01-01", "updated": "2001-01-01", "closed": "2001-01-01", "version": 9}
    by_http = http.put("/tickets", {"title": "x", **kept}).json
    sql(
        "INSERT INTO tickets (title, created, updated, closed, version)"
        " VALUES ('x', '2001-01-01', '2001-01-01', '2001-01-01', 9)"
    )
    by_sql = sql.one("SELECT * FROM tickets WHERE ticket_id = 2")
    for row in (by_http, by_sql):
        assert (row["version"], row["closed"]) == (1, None)
        assert str(row["created"])[:4] != "2001"
        assert row["created"] == row["updated"]
    for number in (1, 2):
        before = sql.one("SELECT * FROM tickets WHERE ticket_id = %s", number)
        # A version says which one is to be changed, and no more.
        assert http.put(f"/tickets/{number}", kept).status == 412
        assert http.put(f"/tickets/{number}", kept | {"version": 1}).status == 200
        sql(
            "UPDATE tickets SET created = '2001-01-01', updated = 'infinity', closed = now(), version = 9"
        )
        assert sql.one("SELECT * FROM tickets WHERE ticket_id = %s", number) == before


def test_a_number_is_never_given(http, sql, rows):
    assert sql.refusal("INSERT INTO tickets (ticket_id, title) VALUES (9, 'x')").pgcode == "428C9"
    forced = "INSERT INTO tickets (ticket_id, title) OVERRIDING SYSTEM VALUE VALUES (9, 'x')"
    assert sql.refusal(forced).pgcode == "42501"
    assert sql.refusal("UPDATE tickets SET ticket_id = DEFAULT").pgcode == "42501"
    assert sql.refusal("UPDATE comments SET ticket_id = 2").pgcode == "42501"
    assert http.put("/tickets", ticket_id=9, title="x").status == 404


def test_versions_count_every_change_and_nothing_else(http, sql):
    number = http.put("/tickets", title="x").json["ticket_id"]

    def version():
        return sql.one("SELECT version FROM tickets WHERE ticket_id = %s", number)["version"]

    assert version() == 1
    assert http.put(f"/tickets/{number}", title="x").json["version"] == 1
    assert http.put(f"/tickets/{number}", {}).json["version"] == 1
    assert http.put(f"/tickets/{number}", title="y").json["version"] == 2
    sql("UPDATE tickets SET title = 'y', labels = '{}'")
    assert version() == 2
    sql("UPDATE tickets SET labels = '{b,a,b}'")
    assert version() == 3
    comment = http.put(f"/tickets/{number}/comments", body="hello").json["comment_id"]
    assert version() == 4
    http.put(f"/comments/{comment}", body="hello")
    assert version() == 4
    http.put(f"/comments/{comment}", body="hi")
    assert version() == 5
    sql(
        "INSERT INTO comments (ticket_id, body) SELECT ticket_id, 'x' FROM tickets, generate_series(1, 3)"
    )
    assert version() == 8
    http.delete(f"/comments/{comment}")
    assert version() == 9
    sql("DELETE FROM comments")
    assert version() == 12
    other = http.put("/tickets", title="other").json["ticket_id"]
    http.put(f"/tickets/{other}/links/relates/{number}")
    assert version() == 13
    http.put(f"/tickets/{other}/links/relates/{number}")
    assert version() == 13
    http.delete(f"/tickets/{other}/links/relates/{number}")
    assert version() == 14
    http.put(f"/tickets/{other}/links/relates/{number}")
    http.delete(f"/tickets/{other}")
    assert version() == 16


def test_updated_moves_with_the_version(http, sql):
    number = http.put("/tickets", title="x").json["ticket_id"]
    seen = [sql.one("SELECT updated FROM tickets")["updated"]]
    for statement in (
        "UPDATE tickets SET title = 'y'",
        "INSERT INTO comments (ticket_id, body) VALUES (1, 'x')",
        "UPDATE comments SET body = 'y'",
        "DELETE FROM comments",
    ):
        sql(statement)
        seen.append(sql.one("SELECT updated FROM tickets WHERE ticket_id = %s", number)["updated"])
    assert seen == sorted(set(seen))


def test_closed_is_set_and_cleared_with_the_status(http, sql):
    number = http.put("/tickets", title="x").json["ticket_id"]
    resolved = http.put(f"/tickets/{number}", status="resolved").json
    assert resolved["closed"] == resolved["updated"]
    closed = http.put(f"/tickets/{number}", status="closed").json
    assert closed["closed"] == resolved["closed"]
    assert http.put(f"/tickets/{number}", status="open").json["closed"] is None
    assert http.put("/tickets", title="x", status="closed").json["closed"]


def test_a_status_that_opens_or_closes_takes_its_tickets_along(http, sql):
    http.put("/tickets", title="x", status="resolved")
    http.put("/tickets", title="y", status="active")
    sql("UPDATE statuses SET is_open = NOT is_open WHERE status IN ('resolved', 'active')")
    first, second = sql("SELECT closed, version FROM tickets ORDER BY ticket_id")
    assert (first["closed"], first["version"]) == (None, 2)
    assert (second["closed"] is not None, second["version"]) == (True, 2)


def test_labels_are_sorted_without_repeats(http, sql):
    labels = ["b", "a", "ä", "B", "a"]
    assert http.put("/tickets", title="x", labels=labels).json["labels"] == ["B", "a", "b", "ä"]
    sql("UPDATE tickets SET labels = %s", labels)
    assert sql.one("SELECT labels FROM tickets")["labels"] == ["B", "a", "b", "ä"]


def test_the_actor_is_the_reporter_and_the_author(http, sql):
    assert http.put("/tickets", title="x").json["reporter"] == "anonymous"
    assert http.put("/tickets", title="x", actor="alice").json["reporter"] == "alice"
    assert http.put("/tickets", title="x", actor="alice", reporter="bob").json["reporter"] == "bob"
    assert http.put("/tickets/1/comments", body="x", actor="charlie").json["author"] == "charlie"
    assert (
        sql.one("INSERT INTO tickets (title) VALUES ('x') RETURNING reporter")["reporter"] == "iris"
    )
    sql("SET iris.actor = 'alice'")
    row = sql.one("INSERT INTO comments (ticket_id, body) VALUES (1, 'x') RETURNING author")
    assert row["author"] == "alice"


def test_an_actor_does_not_leak_into_the_next_request(http):
    http.put("/tickets", title="x", actor="alice")
    for _ in range(10):
        assert http.put("/tickets", title="x").json["reporter"] == "anonymous"


def test_an_author_stays(http, sql):
    http.put("/tickets", title="x")
    http.put("/tickets/1/comments", body="x", actor="alice")
    assert http.put("/comments/1", body="y", author="bob").json["author"] == "alice"
    sql("UPDATE comments SET author = 'bob'")
    assert sql.one("SELECT author FROM comments")["author"] == "alice"


WALLS = [
    "ALTER TABLE tickets DISABLE TRIGGER ALL",
    "ALTER TABLE tickets DROP CONSTRAINT tickets_title_check",
    "DROP TRIGGER tickets_before ON tickets",
    "SET session_replication_role = replica",
    "TRUNCATE tickets CASCADE",
    "UPDATE links SET other_id = 3",
    "DELETE FROM searches",
    "INSERT INTO searches VALUES (1, 9, 'x')",
    "SELECT touch(ARRAY[1])",
    "CREATE TABLE mine (n int)",
    "CREATE FUNCTION mine() RETURNS int LANGUAGE sql RETURN 1",
    "CREATE TEMP TABLE t (ticket_id bigint); CREATE TRIGGER t AFTER INSERT ON t"
    " REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION comments_after()",
    "UPDATE alembic_version SET version_num = 'x'",
    "CREATE OR REPLACE FUNCTION actor() RETURNS text LANGUAGE sql RETURN 'x'",
    "ALTER ROLE iris SUPERUSER",
]


@pytest.mark.parametrize("statement", WALLS)
def test_the_services_role_cannot_get_round_the_rules(sql, rows, statement):
    assert sql.refusal(statement).pgcode in ("42501", "42P17")


@pytest.mark.parametrize(
    "statement",
    ["SELECT lo_create(0)", "SELECT lo_creat(-1)", "SELECT lo_from_bytea(0, 'x')", "SELECT lo_import('/etc/hostname')"],
)  # fmt: skip
def test_nothing_is_kept_outside_of_the_tables(sql, statement):
    assert sql.refusal(statement).pgcode == "42501"


def test_a_temporary_table_deceives_nobody(temporary, sql, rows):
    """What a session calls `statuses` for itself must not be what the rules read."""
    sql(
        "CREATE TEMP TABLE statuses AS SELECT 'mine'::text AS status, 1 AS position, true AS is_open"
    )
    sql(
        "CREATE TEMP TABLE transitions AS SELECT 'open'::text AS from_status, 'mine'::text AS to_status"
    )
    error = sql.refusal("UPDATE public.tickets SET status = 'mine'")
    assert error.diag.message_primary == 'there is no status "mine"'


def test_no_function_is_for_everyone(owner):
    with owner.cursor() as cursor:
        cursor.execute(
            "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
            " AND (proacl IS NULL OR proacl::text ~ '[{,]=')"
        )
        assert cursor.fetchall() == []


def test_links_of_a_circle_need_eyes_that_see_the_latest(sql, rows):
    sql.connection.autocommit = False
    sql.connection.set_session(isolation_level="REPEATABLE READ")
    assert sql.refusal("INSERT INTO links VALUES (4, 'blocks', 1)").pgcode == "0A000"


def test_words_about_a_workflow(http, sql):
    good = {"statuses": [{"status": "new", "is_open": True}], "transitions": {}}
    for change_, words in (
        ({"statuses": []}, "a workflow needs at least one status"),
        ({"statuses": "new"}, 'statuses must be a list like [{"status": "open", "is_open": true}, …]'),
        ({"statuses": [{"status": "new"}]}, 'statuses must be a list like [{"status": "open", "is_open": true}, …]'),
        ({"statuses": good["statuses"] * 2}, "statuses must not name a status twice"),
        ({"statuses": [{"status": "a,b", "is_open": True}]},
         "a status has 1 to 50 characters, no comma, no ! in front and no blank at either end"),
        ({"statuses": [{"status": "new\u00a0", "is_open": True}]},
         "a status has 1 to 50 characters, no comma, no ! in front and no blank at either end"),
        ({"transitions": []}, 'transitions must be like {"open": ["active", …], …}'),
        ({"transitions": {"new": "old"}}, 'transitions must be like {"open": ["active", …], …}'),
        ({"transitions": {"new": [5]}}, 'transitions must be like {"open": ["active", …], …}'),
        ({"transitions": {"new": ["old"]}}, 'transitions name "old", which is none of the statuses'),
        ({"transitions": {"new": ["new"]}}, '"new" needs no transition to itself'),
    ):  # fmt: skip
        document = {**good, **change_}
        answer = http.put("/workflow", document)
        assert (answer.status, answer.json["detail"]) == (422, words)
        error = sql.refusal("SELECT set_workflow(%s)", json.dumps(document))
        assert error.diag.message_primary == words
    assert (
        sql.refusal("DELETE FROM statuses").diag.message_primary
        == "a workflow needs at least one status"
    )
