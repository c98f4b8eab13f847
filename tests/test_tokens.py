"""Tokens: who may come in, and who acts then."""

import base64
import hashlib
import html
import ipaddress
import json
import os
import re
import time

import psycopg2
import pytest
from conftest import seeds, since
from sqlalchemy import exc, text

from iris import cli, feed, meters, rights
from iris.api import API
from iris.cli import common
from iris.database import callers, engine, writing
from iris.database import statements as databases
from iris.intake import auth, client

ADD = "SELECT add_token(%s, %s)"


@pytest.fixture
def add(sql):
    """Return a function: make a token in psql, and return what is shown of it, once."""

    def make(name, role="writer", **more):
        names = "".join(f", {each} => %s" for each in more)
        text = f"SELECT add_token(%s, %s{names}) AS made"
        return sql.one(text, name, role, *more.values())["made"]

    return make


# In the database ----------------------------------------------------------------------------------


def test_a_token_is_shown_once_and_kept_as_a_hash(sql, owner, add):
    made = add("alice", "writer")
    assert made.keys() == {"name", "role", "actor", "created", "expires", "token"}
    assert len(made["token"]) == 69
    assert made["token"].startswith("iris_")
    assert made["token"] != add("bob")["token"]
    with owner.cursor() as cursor:
        cursor.execute("SELECT * FROM tokens WHERE name = 'alice'")
        row = dict(zip([each.name for each in cursor.description], cursor.fetchone(), strict=True))
    assert bytes(row.pop("digest")) == hashlib.sha256(made["token"].encode()).digest()
    assert made["token"] not in str(row)
    assert (row["actor"], row["used"], row["is_login"]) == ("alice", None, False)


def test_the_service_finds_it_by_its_hash(sql, add):
    made = add("alice", "reader", actor="al", expires="tomorrow")
    found = sql.one("SELECT * FROM token_of(sha256(%s))", made["token"].encode())
    assert (found["name"], found["role"], found["actor"]) == ("alice", "reader", "al")
    assert 0 < found["seconds"] <= 86400
    assert sql("SELECT * FROM token_of(sha256('x'))") == []
    used = sql.one("SELECT used, used = date_trunc('hour', used) AS whole FROM tokens")
    assert used["used"] is not None
    assert used["whole"]
    sql("DELETE FROM tokens WHERE name = 'alice'")
    assert sql("SELECT * FROM token_of(sha256(%s))", made["token"].encode()) == []


def test_when_it_was_used_is_shown_as_the_hour_that_is_known(http, sql, add):
    made = add("alice")
    sql("SELECT * FROM token_of(sha256(%s))", made["token"].encode())
    shown = http.get("/tokens?format=text&width=200").text.splitlines()[1]
    assert re.search(r"\(just now\) +\d{4}-\d\d-\d\d \d\d:00$", shown), shown


def test_whoever_a_token_speaks_for_is_called_without_blanks_around_it(sql, add):
    add("alice-phone", actor="\u00a0alice\u3000")
    assert sql.one("SELECT actor FROM tokens") == {"actor": "alice"}


def test_one_that_has_ended_lets_nobody_in(sql, owner, add):
    made = add("alice", expires="tomorrow")
    with owner.cursor() as cursor:
        cursor.execute("UPDATE tokens SET expires = now() - interval '1 second'")
    assert sql("SELECT * FROM token_of(sha256(%s))", made["token"].encode()) == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"name": ""},
            "a token's name has 1 to 60 characters, no slash and no blank at either end",
        ),
        ({"name": "a/b"}, "a token's name has 1 to 60 characters, no slash"),
        (
            {"name": "a\u00a0"},
            "a token's name has 1 to 60 characters, no slash and no blank at either end",
        ),
        ({"name": "me"}, 'and is not "me"'),
        ({"name": ".."}, "a token's name has 1 to 60 characters, no slash"),
        ({"name": "x" * 61}, "a token's name has 1 to 60 characters, no slash"),
        ({"name": None}, "name is required"),
        ({"role": None}, "role is required"),
        ({"role": "king"}, 'invalid input value for enum token_role: "king"'),
        ({"actor": "x" * 101}, "actor must have 1 to 100 characters, not only blanks"),
        ({"actor": "a\nb"}, "actor must have 1 to 100 characters, not only blanks"),
        ({"expires": "yesterday"}, "expires must be a time to come"),
        ({"expires": "infinity"}, "expires must be a time before the year 10000"),
        ({"digest": b"short"}, "digest must be a SHA-256, 32 bytes"),
    ],
)
def test_it_refuses_what_is_no_token(sql, given, words):
    given = {
        "name": "alice",
        "role": "reader",
        "actor": None,
        "expires": None,
        "digest": None,
        **given,
    }
    refusal = sql.refusal("SELECT add_token(%s, %s, %s, %s, %s)", *given.values())
    assert words in refusal.diag.message_primary
    assert sql("SELECT name FROM tokens") == []


def test_a_name_is_taken_once(sql, add):
    add("alice")
    refusal = sql.refusal(ADD, "alice", "admin")
    assert refusal.pgcode == "23505"
    assert refusal.diag.message_primary == 'there is a token "alice" already'
    add("alice2", actor="alice")


def test_the_history_tells_of_tokens_without_their_secrets(sql, add):
    made = add("alice", "admin", expires="2100-01-01")
    sql("DELETE FROM tokens")
    rows = sql("SELECT kind, ticket_id, actor, changes FROM events ORDER BY event_id")
    said = {
        "token": [None, "alice"],
        "role": [None, "admin"],
        "actor": [None, "alice"],
        "expires": [None, "2100-01-01T00:00:00+00:00"],
    }
    assert [dict(row) for row in rows] == [
        {"kind": "token_added", "ticket_id": None, "actor": "iris", "changes": said},
        {
            "kind": "token_revoked",
            "ticket_id": None,
            "actor": "iris",
            "changes": {name: pair[::-1] for name, pair in said.items()},
        },
    ]
    assert made["token"] not in str(rows)


def test_the_workflow_of_before_is_none_of_the_tokens(sql, add):
    sql("INSERT INTO statuses VALUES ('late', 99, true)")
    add("alice")
    then = sql.one("SELECT workflow_as_of('yesterday') AS it")["it"]
    assert then.keys() == {"statuses", "transitions"}
    assert "late" not in str(then)


# Who speaks for whom ------------------------------------------------------------------------------


@pytest.fixture
def login(server, owner):
    """Return the URL of a login of carol's, who is a writer."""
    with owner.cursor() as cursor:
        cursor.execute("CREATE ROLE carol LOGIN IN ROLE iris_writer")
        yield server.url("carol")
        cursor.execute("DROP ROLE carol")


def test_a_login_of_ones_own_speaks_for_nobody_else(sql, login):
    carol = type(sql)(login)
    carol("SET iris.actor = 'alice'")
    carol("INSERT INTO tickets (title) VALUES ('mine')")
    carol("INSERT INTO comments (ticket_id, body) VALUES (1, 'mine, too')")
    assert {row["actor"] for row in sql("SELECT actor FROM events")} == {"carol"}
    assert sql.one("SELECT reporter FROM tickets") == {"reporter": "carol"}
    carol.connection.close()
    # Who may: iris, the service, and the owner.
    sql("SET iris.actor = 'alice'")
    assert sql.one("SELECT actor()") == {"actor": "alice"}


def test_the_owner_and_the_service_speak_for_others(sql, server):
    for user in ("postgres", "iris_service"):
        session = type(sql)(server.url(user))
        session("SET iris.actor = 'alice'")
        assert session.one("SELECT actor()") == {"actor": "alice"}
        session.connection.close()


# Over HTTP ----------------------------------------------------------------------------------------


@pytest.fixture
def guarded(http, monkeypatch):
    """Return the HTTP door of an Iris that wants tokens, in this process."""
    monkeypatch.setenv("IRIS_AUTH", "token")
    monkeypatch.setattr(auth, "WANTED", True)
    monkeypatch.setattr(meters, "FAILURES", meters.Meter())
    monkeypatch.setattr(meters, "REQUESTS", meters.Meter())
    engine.POOL.forget()
    yield http
    engine.POOL.forget()


@pytest.fixture
def people(add):
    """Return {role: the headers of somebody who has it}."""
    names = {"reader": "rita", "writer": "wendy", "admin": "ada"}
    return {role: bearer(add(name, role)["token"]) for role, name in names.items()}


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def basic(user, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def test_without_a_token_nothing_is_told(guarded, ticket_there):
    for path in (
        "/",
        "/tickets",
        "/tickets/1",
        "/nothing",
        "/me",
        "/tokens",
        "/db-check",
        "/metrics",
    ):
        answer = guarded.get(path)
        assert (answer.status, answer.json["code"]) == (401, "unauthorized"), path
        assert answer.headers["www-authenticate"] == 'Bearer realm="Iris"'
        assert "iris token add" in answer.json["hint"]
    assert guarded.put("/tickets", title="x").status == 401
    assert guarded.get("/health").status == 200
    page = guarded.get("/tickets", headers={"Accept": "text/html"})
    assert page.headers["www-authenticate"] == 'Basic realm="Iris", charset="UTF-8"'
    assert "give a token as the password" in page.text


@pytest.fixture
def ticket_there(sql):
    sql("INSERT INTO tickets (title) VALUES ('Printer on fire'), ('Paper is out')")
    sql("INSERT INTO comments (ticket_id, body) VALUES (1, 'Smoke')")


def test_bearer_or_basic(guarded, add):
    token = add("alice", "reader", expires="2100-01-01")["token"]
    told = {
        "actor": "alice",
        "role": "reader",
        "token": "alice",
        "expires": "2100-01-01T00:00:00+00:00",
    }
    for headers in (
        bearer(token),
        {"Authorization": f"bearer   {token} "},
        basic("", token),
        basic("whoever", token),
    ):
        assert guarded.get("/me", headers=headers).json == told


@pytest.mark.parametrize(
    "headers",
    [
        bearer("iris_nobodys"),
        bearer(""),
        bearer("x" * 5000),
        bearer("\xff\xfe"),
        {"Authorization": "Bearer"},
        {"Authorization": ""},
        {"Authorization": "Basic !!!"},
        {"Authorization": "Basic " + base64.b64encode(b"\xff:\xff").decode()},
        basic("alice", ""),
        {"Authorization": "Digest iris_x"},
    ],
)
def test_what_is_no_token_lets_nobody_in(guarded, headers, people):
    answer = guarded.get("/me", headers=headers)
    assert (answer.status, answer.json["code"]) == (401, "unauthorized")
    assert "nobodys" not in answer.text


def test_one_that_has_been_changed_is_none(guarded, add):
    token = add("alice")["token"]
    for other in (token[:-1], token + "0", token.upper(), token.replace("iris_", "")):
        assert guarded.get("/me", headers=bearer(other)).status == 401
    assert guarded.get("/me", headers=bearer(token)).status == 200


def test_the_token_says_who_acts(guarded, add, sql):
    headers = bearer(add("alice-laptop", actor="alice")["token"])
    assert guarded.put("/tickets", title="x", headers=headers).json["reporter"] == "alice"
    assert sql.one("SELECT actor, source FROM events WHERE ticket_id = 1") == {
        "actor": "alice",
        "source": "http",
    }
    assert len(guarded.get("/tickets?reporter=me", headers=headers).json) == 1
    refused = guarded.put("/tickets", title="x", headers=headers, actor="bob")
    assert (refused.status, refused.json["code"]) == (400, "invalid_actor")
    assert refused.json["detail"].endswith("by yours, you are alice")


def test_in_an_open_iris_everybody_is_an_admin(http):
    assert http.get("/me", actor="bob").json == {
        "actor": "bob",
        "role": "admin",
        "token": None,
        "expires": None,
    }
    assert http.get("/tokens").json == []


def test_lines_to_type_name_the_token(guarded, people):
    for path in ("/tickets", "/new"):
        told = guarded.get(path, headers={**people["writer"], "Accept": "text/html"}).text
        assert 'curl -s -u ":$IRIS_TOKEN" \'http' in html.unescape(told)


# What a request needs, by its route, to do what it says. {n} is a ticket, {c} a comment of its.
BODIES = {
    "PUT /tickets": {"title": "x"},
    "PUT /tickets/{ticket_id}": {"title": "y"},
    "PUT /comments": {"ticket_id": 1, "body": "x"},
    "PUT /tickets/{ticket_id}/comments": {"body": "x"},
    "PUT /comments/{comment_id}": {"body": "y"},
    "PUT /tickets/{ticket_id}/links": {"kind": "relates", "other_id": 2},
    "PUT /workflow": {
        "statuses": [{"status": "open", "is_open": True}],
        "transitions": {"open": []},
    },
    "PUT /tokens": {"name": "zoe", "role": "reader"},
    "PUT /inbox": {"position": 0},
    "PUT /hooks": {"url": "https://example.org/"},
    "PUT /hooks/{hook_id}": {"state": "stopped"},
    "PUT /people/{name}": {"mail": "rita@example.org"},
    "PUT /undo": {"event_id": 1000},
}
QUERIES = {"/ticket": "?tid=1", "/changes": "?since=yesterday"}
PATHS = {
    "ticket_id": 1,
    "comment_id": 1,
    "kind": "blocks",
    "other_id": 2,
    "name": "rita",
    "who": "me",
    "hook_id": 1,
    "file": "page.js",
    "version": "now",
    "asset": "iris.css",
}


def requests():
    """Yield (method, path as routes have it, path, body) of every route there is, what writes last."""
    for path, methods in sorted(API.http.routes[""].items()):
        if path.startswith("/unsubscribe/"):
            # Whoever was mailed it may, without any token.
            continue
        for method in sorted(methods):
            same = method if method in ("GET", "DELETE") else "PUT"
            body = BODIES.get(f"{same} {path}")
            if same == "PUT":
                assert body or "links" in path or "watchers" in path, (
                    f"what does {method} {path} take?"
                )
            # Whoever it is, it is about themselves.
            asked = path.replace("/people/{name}", "/people/me").format(**PATHS)
            yield method, path, asked + QUERIES.get(path, ""), body


def asked(door, method, path, body, headers):
    """Send a request in an Iris where what it is about is there; return the answer."""
    return door(method, path, body, headers=headers)


@pytest.mark.parametrize("role", rights.ROLES)
def test_on_every_route_each_role_may_do_what_the_table_says(guarded, sql, owner, people, role):
    for method, route, path, body in requests():
        right = rights.of(method, route)
        with owner.cursor() as cursor:
            # Whatever the last one did is undone.
            cursor.execute(AGAIN)
        answer = asked(guarded, method, path, body, people[role])
        if rights.suffices(role, right.role):
            assert answer.status in (200, 201, 204, 303), (method, path, answer.text)
        else:
            assert (answer.status, answer.json["code"]) == (403, "forbidden"), (method, path)
            assert answer.json["sqlstate"] == "42501"
            assert answer.json["detail"].startswith("permission denied for ")
            assert f"The role {right.role} may " in answer.json["hint"]
        if method == "GET":
            continue
        # With a key it is the same: done, or refused in the same words. Who may comes second, and gets what the first got.
        keyed = {**people[role], "Idempotency-Key": f"{method} {route}"}
        with owner.cursor() as cursor:
            cursor.execute(AGAIN)
        for replayed in (None, "true"):
            again = asked(guarded, method, path, body, keyed)
            assert again.status == answer.status, (method, path, again.text)
            if rights.suffices(role, right.role):
                assert again.headers.get("Idempotent-Replayed") == replayed, (method, path)
            else:
                assert again.json["detail"] == answer.json["detail"]


BEYOND = [
    ("reader", "PUT", "/tickets/1/watchers/zoe", None, "writer may have others watch"),
    ("reader", "DELETE", "/tickets/1/watchers/zoe", None, "writer may have others watch"),
    ("reader", "GET", "/people/zoe", None, "admin may see and say how others get mail"),
    ("writer", "PUT", "/people/zoe", {"mail": "z@example.org"}, "admin may see and say how others"),
    ("writer", "DELETE", "/people/zoe", None, "admin may see and say how others get mail"),
    ("writer", "PUT", "/undo", {"event_id": 1001}, "admin may delete tickets"),
    ("reader", "PUT", "/undo", {"event_id": 1001}, "writer may file and change tickets"),
]


@pytest.mark.parametrize(("role", "method", "path", "body", "words"), BEYOND)
def test_who_may_some_of_what_a_route_does_is_told_who_may_the_rest(
    guarded, owner, people, role, method, path, body, words
):
    with owner.cursor() as cursor:
        cursor.execute(AGAIN)
        # The filing of a ticket, which an undo deletes.
        cursor.execute(
            "SET session_replication_role = replica; DELETE FROM stored_events WHERE event_id = 1001;"
            " INSERT INTO stored_events (event_id, at, actor, source, ticket_id, kind, changes) OVERRIDING SYSTEM VALUE"
            """ VALUES (1001, now(), 'x', 'x', 2, 'created', '{"title": [null, "y"]}');"""
            " SET session_replication_role = origin"
        )
    answer = asked(guarded, method, path, body, people[role])
    assert (answer.status, answer.json["code"]) == (403, "forbidden"), answer.text
    assert f"The role {words}" in answer.json["hint"]


AGAIN = f"""
    SET session_replication_role = replica;
    DELETE FROM links; DELETE FROM comments; DELETE FROM searches; DELETE FROM tickets;
    DELETE FROM transitions; DELETE FROM statuses;
    DELETE FROM tokens WHERE name = 'zoe';
    DELETE FROM hooks; DELETE FROM people; DELETE FROM replays;
    INSERT INTO tokens (name, role, actor, digest, created) VALUES ('rita', 'reader', 'rita', sha256('rita'), now()) ON CONFLICT DO NOTHING;
    INSERT INTO hooks (hook_id, url, created) OVERRIDING SYSTEM VALUE VALUES (1, 'https://example.org/', now());
    INSERT INTO people (name, mail, created, position)
        SELECT name, 'x@example.org', now(), 0 FROM unnest('{{rita,wendy,ada}}'::text[]) AS name;
    DELETE FROM stored_events WHERE event_id = 1000;
    {seeds().replace("INSERT INTO workflow_recorded", "-- ")}
    INSERT INTO tickets (ticket_id, title, created, updated, version) OVERRIDING SYSTEM VALUE
        VALUES (1, 'x', now(), now(), 1), (2, 'y', now(), now(), 1);
    INSERT INTO comments (comment_id, ticket_id, body, created, updated) OVERRIDING SYSTEM VALUE
        VALUES (1, 1, 'x', now(), now());
    INSERT INTO links VALUES (1, 'blocks', 2);
    INSERT INTO stored_events (at, actor, source, ticket_id, kind, changes)
        VALUES (now(), 'x', 'x', 1, 'created', '{{"title": [null, "x"]}}');
    INSERT INTO stored_events (event_id, at, actor, source, ticket_id, kind, changes) OVERRIDING SYSTEM VALUE
        VALUES (1000, now(), 'x', 'x', 1, 'changed', '{{"title": ["y", "x"]}}');
    SELECT setval('tickets_ticket_id_seq', 2), setval('comments_comment_id_seq', 1), setval('hooks_hook_id_seq', 1);
    SET session_replication_role = origin
"""


WRITES = [
    (
        "PUT",
        "/tickets",
        {"raw": '[{"title": "x"}]', "headers": {"Content-Type": "application/json"}},
    ),
    ("PUT", "/tickets?dry_run=true", {"given": {"title": "x"}}),
    ("PUT", "/tickets", {"raw": "x", "headers": {"Content-Type": "text/plain"}}),
    ("PUT", "/tickets", {"given": {"title": "x"}, "headers": {"Idempotency-Key": "k"}}),
    ("PUT", "/tickets", {"given": {"ticket_id": 1, "title": "y"}}),
    ("PUT", "/tickets/1", {"given": {}}),
    ("PUT", "/tickets/1", {"given": {"title": "y"}, "headers": {"If-Match": '"1"'}}),
    ("PUT", "/tickets/99", {"given": {"title": "y"}}),
    ("PUT", "/comments/1", {"given": {"author": "mallory"}}),
    ("DELETE", "/tickets/1", {"headers": {"If-Match": '"7"'}}),
    ("DELETE", "/tickets/99", {}),
]


@pytest.mark.parametrize(("method", "path", "more"), WRITES)
def test_no_way_of_writing_is_a_readers(guarded, people, ticket_there, sql, method, path, more):
    before = sql("SELECT tickets, (SELECT count(*) FROM events) FROM tickets")
    headers = {**people["reader"], **more.get("headers", {})}
    answer = guarded(method, path, more.get("given"), raw=more.get("raw"), headers=headers)
    assert (answer.status, answer.json["code"]) == (403, "forbidden")
    assert sql("SELECT tickets, (SELECT count(*) FROM events) FROM tickets") == before


def test_nothing_in_python_is_asked(guarded, people, ticket_there, monkeypatch):
    """With the table of rights gone, with a writer who forgets their role: PostgreSQL refuses all the same."""
    readers = [right.routes for right in rights.RIGHTS if right.role == "reader"]
    monkeypatch.setattr(rights, "of", lambda method, path: None)
    monkeypatch.setattr(rights, "suffices", lambda role, needed: True)
    monkeypatch.setattr(writing, "UNDER", dict.fromkeys(writing.UNDER, writing.ACTOR))
    for method, route, path, body in requests():
        same = method if method in ("GET", "DELETE") else "PUT"
        if not any(f"{same} {route}" in routes for routes in readers):
            answer = asked(guarded, method, path, body, people["reader"])
            assert (answer.status, answer.json["code"]) == (403, "forbidden"), (method, route)


def test_a_statement_that_says_nothing_is_a_readers(guarded, people):
    guarded.get("/me", headers=people["reader"])
    assert databases.run("SELECT current_user, session_user", {}) == ("iris_reader", "iris")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        databases.run("INSERT INTO tickets (title) VALUES ('x') RETURNING 1", {})
    with (
        pytest.raises(exc.ProgrammingError, match="permission denied for table tickets"),
        engine.POOL.session() as session,
    ):
        session.execute(text("DELETE FROM tickets"))


def test_one_role_does_not_leak_into_the_next_ones_statement(guarded, people):
    for _ in range(3):
        assert guarded.put("/tickets", title="x", headers=people["admin"]).status == 201
        assert guarded.put("/tickets", title="x", headers=people["reader"]).status == 403
        assert guarded.put("/tickets", title="", headers=people["writer"]).status == 422
        assert guarded.put("/tickets", title="x", headers=people["reader"]).status == 403


def test_with_a_pooler_that_drops_what_is_said_each_statement_says_it(guarded, people, monkeypatch):
    connect, role = engine.libpq.connect, " -c role=iris_reader"

    def dropping(*where, options, **given):
        assert role in options
        return connect(*where, options=options.replace(role, ""), **given)

    monkeypatch.setattr(engine.libpq, "connect", dropping)
    engine.POOL.forget()
    session, _connection, before = engine.serving(autocommit=True)
    session.invalidate()
    assert "iris_reader" in before
    assert databases.run("SELECT current_user", {}) == ("iris_reader",)
    assert guarded.put("/tickets", title="x", headers=people["reader"]).status == 403
    assert guarded.put("/tickets", title="x", headers=people["writer"]).status == 201
    lines = guarded.get("/tickets?format=ndjson", headers=people["reader"])
    assert (lines.status, lines.text.count("\n")) == (200, 1)


# Tokens for admins, over HTTP ---------------------------------------------------------------------


def test_admins_make_list_and_revoke_them(guarded, people, sql):
    given = {"name": "zoe", "role": "reader", "actor": "Zoë", "expires": "2100-01-01"}
    made = guarded.put("/tokens", given, headers=people["admin"])
    assert made.status == 201
    token = made.json.pop("token")
    assert made.json["actor"] == "Zoë"
    assert guarded.get("/me", headers=bearer(token)).json["actor"] == "Zoë"
    listed = guarded.get("/tokens", headers=people["admin"])
    assert [row["name"] for row in listed.json] == ["ada", "rita", "wendy", "zoe"]
    assert token not in listed.text
    assert "digest" not in listed.text
    for form in ("text", "csv", "ndjson"):
        assert "Zoë" in guarded.get(f"/tokens?format={form}", headers=people["admin"]).text
        assert guarded.get(f"/tokens?format={form}", headers=people["writer"]).status == 403
    taken = guarded.put("/tokens", name="zoe", role="admin", headers=people["admin"])
    assert (taken.status, taken.json["detail"]) == (409, 'there is a token "zoe" already')
    assert guarded.delete("/tokens/zoe", headers=people["admin"]).status == 204
    assert guarded.delete("/tokens/zoe", headers=people["admin"]).json["code"] == "no_such_token"
    assert [
        row["actor"] for row in sql("SELECT actor FROM events WHERE kind = 'token_revoked'")
    ] == ["ada"]


def test_an_answer_that_is_given_again_has_no_token(guarded, people, owner):
    headers = {**people["admin"], "Idempotency-Key": "k"}
    first = guarded.put("/tokens", name="zoe", role="reader", headers=headers)
    again = guarded.put("/tokens", name="zoe", role="reader", headers=headers)
    assert (first.status, again.status) == (201, 201)
    token = first.json.pop("token")
    assert again.json == first.json
    assert again.headers["idempotent-replayed"] == "true"
    with owner.cursor() as cursor:
        cursor.execute("SELECT replays::text FROM replays")
        assert token not in str(cursor.fetchall())


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "name"),
        ({"name": "a/b", "role": "reader"}, "name"),
        ({"name": "a", "role": "king"}, "role"),
        ({"name": "a", "role": 5}, "role"),
        ({"name": "a\0", "role": "reader"}, "name"),
        ({"name": "a", "role": "reader", "expires": "yesterday"}, "expires"),
    ],
)
def test_what_is_no_token_is_refused_by_its_field(guarded, people, given, field):
    answer = guarded.put("/tokens", given, headers=people["admin"])
    assert (answer.status, list(answer.json["errors"])) == (422, [field])


# What ends ----------------------------------------------------------------------------------------


def test_what_is_revoked_lets_nobody_in(guarded, people, sql, monkeypatch):
    assert guarded.get("/me", headers=people["reader"]).status == 200
    sql("DELETE FROM tokens WHERE name = 'rita'")
    # Known for some seconds, and no longer.
    assert callers.SECONDS + callers.MEANWHILE < 5
    assert guarded.get("/me", headers=people["reader"]).status == 200
    monkeypatch.setattr(callers, "SECONDS", -1)
    assert guarded.get("/me", headers=people["reader"]).status == 401
    assert guarded.get("/me", headers=people["writer"]).status == 200


def test_a_stream_ends_with_its_token(guarded, add, sql, monkeypatch):
    monkeypatch.setattr(callers, "SECONDS", -1)
    sql("INSERT INTO tickets (title) VALUES ('x')")
    caller = callers.find(hashlib.sha256(add("rita")["token"].encode()).digest())
    stream = feed.stream(0, lambda: callers.is_still(caller))
    assert b"retry" in next(stream)
    assert b'"created"' in next(stream)
    sql("DELETE FROM tokens")
    # What happens then, nobody is told of.
    sql("INSERT INTO tickets (title) VALUES ('secret')")
    assert b"secret" not in b"".join(stream)
    assert feed.wait(10, 1, 60, lambda: callers.is_still(caller)) == []


def test_one_that_ends_by_itself_is_not_believed_any_longer(guarded, add, monkeypatch):
    headers = bearer(add("rita", expires="tomorrow")["token"])
    assert guarded.get("/me", headers=headers).status == 200
    (digest,) = (
        each for each, known in callers._KNOWN.items() if known.name == "rita" and known.expires
    )
    ended = callers._KNOWN[digest]._replace(until=time.monotonic() - 1)
    monkeypatch.setitem(callers._KNOWN, digest, ended)
    assert callers.remembered(digest) is None


def test_when_it_ends_the_database_says_whatever_this_machines_clock_does(
    guarded, add, owner, monkeypatch
):
    token = add("rita", expires="tomorrow")["token"]
    with owner.cursor() as cursor:
        cursor.execute("UPDATE tokens SET expires = clock_timestamp() + interval '0.3 seconds'")
    monkeypatch.setattr(time, "time", lambda: 4e9)
    digest = hashlib.sha256(token.encode()).digest()
    assert callers.find(digest).name == "rita"
    time.sleep(0.3)
    assert callers.remembered(digest) is None
    assert callers.find(digest) is None


def test_when_the_database_is_away_nobody_new_comes_in(guarded, people, monkeypatch):
    def away(*_, **__):
        raise psycopg2.OperationalError("gone")

    monkeypatch.setattr(callers.statements, "run", away)
    answer = guarded.get("/me", headers=people["reader"])
    assert (answer.status, answer.json["code"]) == (503, "database_unavailable")


# How often ----------------------------------------------------------------------------------------


def test_guessing_is_slowed_and_who_is_known_goes_on(guarded, people, caplog):
    assert guarded.get("/me", headers=people["reader"]).status == 200
    answers = [guarded.get("/me", headers=bearer(f"iris_{n}")) for n in range(auth.ATTEMPTS + 2)]
    assert [each.status for each in answers] == [401] * auth.ATTEMPTS + [429] * 2
    assert answers[-1].json["code"] == "too_many_attempts"
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 6
    # Not even looked at: it might be a good one.
    assert guarded.get("/me", headers=people["writer"]).status == 429
    assert guarded.get("/me", headers=people["reader"]).status == 200
    assert "no such token" in caplog.text
    assert "iris_3" not in caplog.text


def test_behind_a_proxy_that_is_trusted_each_client_has_its_own_attempts(
    guarded, people, monkeypatch
):
    def guess(address):
        headers = {**bearer("iris_x"), "X-Forwarded-For": address}
        return [guarded.get("/me", headers=headers).status for _ in range(auth.ATTEMPTS + 1)][-1]

    monkeypatch.setattr(client, "PROXIES", [ipaddress.ip_network("127.0.0.1")])
    assert guess("192.0.2.1") == 429
    assert (
        guarded.get("/me", headers={**people["reader"], "X-Forwarded-For": "192.0.2.2"}).status
        == 200
    )
    # Of IPv6, a household has 2**64.
    assert guess("2001:db8::1") == 429
    assert (
        guarded.get("/me", headers={**bearer("x"), "X-Forwarded-For": "2001:db8::2"}).status == 429
    )
    assert (
        guarded.get("/me", headers={**bearer("x"), "X-Forwarded-For": "2001:db8:0:1::"}).status
        == 401
    )
    # Nobody else is believed.
    monkeypatch.setattr(client, "PROXIES", [])
    assert guess("192.0.2.3") == 429
    assert guarded.get("/me", headers={**bearer("x"), "X-Forwarded-For": "192.0.2.9"}).status == 429


def test_a_rate_is_told_and_held(guarded, people, monkeypatch):
    monkeypatch.setattr(auth, "RATE", 3)
    answers = [guarded.get("/me", headers=people["reader"]) for _ in range(4)]
    assert [each.status for each in answers] == [200, 200, 200, 429]
    assert [each.headers["ratelimit"].split(";")[1] for each in answers] == [
        "r=2",
        "r=1",
        "r=0",
        "r=0",
    ]
    assert answers[0].headers["ratelimit-policy"] == '"token";q=3;w=60'
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 20
    assert answers[-1].json["detail"] == "rita has sent more than 3 requests a minute"
    # Everybody has their own.
    assert guarded.get("/me", headers=people["writer"]).status == 200


def test_meters_count_over_all_workers_and_forget():
    meter = meters.Meter()
    child = os.fork()
    if not child:
        meter.take("alice", 2, 60)
        os._exit(0)
    os.waitpid(child, 0)
    assert meter.take("alice", 2, 60)[:2] == (0, 0)
    wait, left, _ = meter.take("alice", 2, 60)
    assert 29 < wait <= 30
    assert left == 0
    # Asking takes nothing.
    assert meter.take("bob", 1, 60, cost=0)[0] == 0
    assert meter.take("bob", 1, 60)[0] == 0
    assert meter.take("bob", 1, 60, cost=0)[0] > 0
    # More than there is room for: nobody is let off, and nothing fails.
    for number in range(3 * meters.SLOTS):
        meter.take(f"many {number}", 1, 1e-9)
    assert meter.take("alice", 2, 60)[0] > 0


# At a terminal ------------------------------------------------------------------------------------


def test_iris_token_makes_lists_and_revokes(server, clean, sql, capsys, monkeypatch):
    def iris(*typed):
        monkeypatch.setattr("sys.argv", ["iris", "token", *typed])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code, *capsys.readouterr()

    status, token, said = iris(
        "add", "alice-laptop", "--as", "alice", "--role", "admin", "--expires", "2100-01-01"
    )
    assert status == 0
    assert (
        said
        == "iris: alice comes in as admin until 2100-01-01T00:00:00+00:00; this is shown once:\n"
    )
    found = sql.one("SELECT name, role FROM token_of(sha256(%s))", token.strip().encode())
    assert found == {"name": "alice-laptop", "role": "admin"}
    assert iris("add", "alice-laptop")[0].startswith(
        'iris: the database said: there is a token "alice-laptop" already\nhint: '
    )
    assert iris("add", "bob")[0] == 0
    assert sql.one("SELECT role FROM tokens WHERE name = 'bob'") == {"role": "writer"}
    status, table, _ = iris("list")
    assert [line.split()[:3] for line in table.splitlines()[1:]] == [
        ["alice-laptop", "admin", "alice"],
        ["bob", "writer", "bob"],
    ]
    assert [row["name"] for row in json.loads(iris("list", "--json")[1])] == ["alice-laptop", "bob"]
    assert iris("revoke", "bob") == (0, "", "iris: bob is revoked\n")
    assert iris("revoke", "bob") == (3, "", "iris: there is no token 'bob'\n")


def test_the_first_start_says_how_to_make_one(server, clean, sql, capsys):
    common.tokens(server.url())
    assert "iris token add NAME --role admin" in capsys.readouterr().err
    common.tokens(server.url(), make=True)
    token = capsys.readouterr().out.strip()
    assert sql.one("SELECT name, role FROM token_of(sha256(%s))", token.encode()) == {
        "name": "admin",
        "role": "admin",
    }
    common.tokens(server.url(), make=True)
    assert capsys.readouterr() == ("", "")


# Logins for psql ----------------------------------------------------------------------------------


@pytest.fixture
def logins(server, owner, add, sql):
    """Return a function: make a token with a login, {role: its SQL door}."""
    doors = {}

    def make(role):
        add(f"psql-{role}", role, actor="somebody")
        sql("SELECT add_login(%s, 'x')", f"psql-{role}")
        doors[role] = type(sql)(server.url(f"psql-{role}"))
        return doors[role]

    yield make
    for role, door in doors.items():
        door.connection.close()
        with owner.cursor() as cursor:
            cursor.execute(f'DROP ROLE IF EXISTS "psql-{role}"')


@pytest.mark.parametrize("role", rights.ROLES)
def test_a_login_meets_the_very_refusals_that_its_token_does(
    guarded, logins, people, role, ticket_there
):
    door = logins(role)
    for right in rights.RIGHTS:
        for statement in right.sql:
            door("BEGIN")
            try:
                if rights.suffices(role, right.role):
                    door(statement)
                else:
                    assert door.refusal(statement).pgcode == "42501", statement
            finally:
                door("ROLLBACK")
    if role == "reader":
        said = door.refusal("UPDATE tickets SET title = 'y'").diag.message_primary
        told = guarded.put("/tickets/1", title="y", headers=people["reader"]).json
        assert (told["detail"], told["sqlstate"]) == (said, "42501")


def test_a_login_is_itself_and_no_more(logins, sql):
    door = logins("admin")
    door("SET iris.actor = 'alice'")
    door("INSERT INTO tickets (title) VALUES ('x')")
    assert sql.one("SELECT actor FROM events WHERE ticket_id = 1") == {"actor": "psql-admin"}
    for statement in (
        "SET ROLE iris",
        "SET ROLE postgres",
        "SET SESSION AUTHORIZATION iris",
        "ALTER ROLE iris_reader SUPERUSER",
        'ALTER ROLE "psql-admin" CREATEROLE',
        "CREATE TEMPORARY TABLE mine ()",
        "SELECT drop_login('iris', 'admin')",
        "UPDATE tokens SET is_login = true",
        "DELETE FROM stored_events",
    ):
        assert door.refusal(statement).pgcode == "42501", statement
    assert door.one("SHOW lock_timeout") == {"lock_timeout": "5s"}


def test_it_goes_with_its_token(logins, sql, server):
    door = logins("writer")
    sql("DELETE FROM tokens WHERE name = 'psql-writer'")
    assert sql("SELECT rolname FROM pg_roles WHERE rolname = 'psql-writer'") == []
    with pytest.raises(psycopg2.Error):
        door("SELECT 1")
    with pytest.raises(psycopg2.OperationalError):
        type(sql)(server.url("psql-writer"))


@pytest.mark.parametrize("name", ["postgres", "iris", "iris_admin", "pg_monitor"])
def test_no_role_that_is_there_is_taken_or_dropped(sql, add, name):
    add(name, "reader")
    assert (
        sql.refusal("SELECT add_login(%s, 'x')", name).diag.message_primary
        == f'there is a role "{name}" already'
    )
    sql("DELETE FROM tokens")
    assert len(sql("SELECT rolname FROM pg_roles WHERE rolname = %s", name)) == 1


def test_a_role_of_somebody_elses_stays(sql, add, owner):
    """As on another server, where a dump has been restored."""
    add("carol", "reader")
    with owner.cursor() as cursor:
        cursor.execute("UPDATE tokens SET is_login = true; CREATE ROLE carol LOGIN")
        sql("DELETE FROM tokens")
        cursor.execute("DROP ROLE carol")


def test_what_is_no_login(sql, add):
    assert (
        sql.refusal("SELECT add_login('nobody', 'x')").diag.message_primary
        == 'there is no token "nobody"'
    )
    add("é" * 40)
    assert "at most 63 bytes" in str(sql.refusal("SELECT add_login(%s, 'x')", "é" * 40))
    add("pg_x")
    assert sql.refusal("SELECT add_login('pg_x', 'x')").pgcode == "42939"
    assert (
        sql.refusal("SELECT add_login('pg_x', '')").diag.message_primary
        == "a login needs a password"
    )


def test_iris_token_makes_a_login(server, clean, sql, owner, capsys, monkeypatch):
    logged = since(server.log)
    monkeypatch.setattr("sys.argv", ["iris", "token", "add", "psql-bob", "--psql"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    token = capsys.readouterr().out.strip()
    assert ended.value.code == 0
    with owner.cursor() as cursor:
        cursor.execute("SELECT rolpassword FROM pg_authid WHERE rolname = 'psql-bob'")
        assert cursor.fetchone()[0].startswith("SCRAM-SHA-256$")
        sql("DELETE FROM tokens")
    text = logged()
    assert "psql-bob" in text and token not in text
    # Where there can be no login, there is no token either.
    monkeypatch.setattr("sys.argv", ["iris", "token", "add", "postgres", "--psql"])
    with pytest.raises(SystemExit, match="there is a role"):
        cli.main()
    assert sql("SELECT name FROM tokens") == []
