"""Tickets one at a time: file, read, change, delete."""

import json
import signal
from datetime import UTC, datetime

import pytest
from conftest import Live

from iris.database import engine

FIRST = '{"title": "A new ticket", "assignee": "jchittum", "description": "Get this done ASAP"}'


def test_the_first_command_that_anyone_tries(http):
    answer = http("PUT", "/tickets", raw=FIRST, headers={"Content-Type": "application/json"})
    assert (answer.status, answer.headers["location"]) == (201, "tickets/1")
    created = datetime.fromisoformat(answer.json["created"])
    assert abs((datetime.now(UTC) - created).total_seconds()) < 5
    assert answer.json == {
        "ticket_id": 1,
        "title": "A new ticket",
        "description": "Get this done ASAP",
        "status": "open",
        "assignee": "jchittum",
        "reporter": "anonymous",
        "priority": "normal",
        "labels": [],
        "fields": {},
        "due": None,
        "created": answer.json["created"],
        "updated": answer.json["created"],
        "closed": None,
        "version": 1,
    }


def test_a_form_and_a_query_do_as_well(http):
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    by_form = http(
        "PUT", "/tickets", raw="title=Caf%C3%A9&labels=b,+a&due=2026-12-01", headers=form
    ).json
    assert (by_form["title"], by_form["labels"]) == ("Café", ["a", "b"])
    assert by_form["due"] == "2026-12-01T00:00:00+00:00"
    by_query = http.put('/tickets?title=Caf%C3%A9&priority=high&fields={"a":[1,null]}').json
    assert (by_query["title"], by_query["priority"]) == ("Café", "high")
    assert by_query["fields"] == {"a": [1, None]}


def test_curl_without_a_content_type_means_json(http):
    """curl -d calls everything a form."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert http("PUT", "/tickets", raw=FIRST, headers=form).status == 201


def test_post_and_patch_do_the_same(http):
    assert http("POST", "/tickets", {"title": "x"}).status == 201
    assert http("PATCH", "/tickets/1", {"title": "y"}).json["title"] == "y"
    assert http("POST", "/tickets/1", {"title": "z"}).json["title"] == "z"
    assert http("POST", "/tickets", {"ticket_id": 1, "title": "a"}).status == 200


def test_put_with_a_number_changes(http, ticket):
    number = ticket(description="old")
    answer = http.put("/tickets", ticket_id=number, description="new")
    assert (answer.status, answer.json["description"]) == (200, "new")
    assert "location" not in answer.headers
    assert answer.json["title"] == "Printer on fire"


def test_the_path_wins(http, ticket):
    first, second = ticket(), ticket()
    assert http.put(f"/tickets/{first}", ticket_id=second, title="x").json["ticket_id"] == first
    assert http.put(f"/tickets/{first}?ticket_id={second}", title="y").json["ticket_id"] == first


def test_null_empties_and_absence_does_not(http, ticket):
    number = ticket(assignee="bob", description="old", due="tomorrow")
    changed = http.put(f"/tickets/{number}", {"assignee": None, "due": None}).json
    assert (changed["assignee"], changed["due"], changed["description"]) == (None, None, "old")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    changed = http("PUT", f"/tickets/{number}", raw="description=", headers=form).json
    assert changed["description"] is None


def test_one_ticket_comes_with_comments_and_links(http, ticket, statements):
    number, other = ticket(), ticket()
    for body in ("first", "second"):
        http.put(f"/tickets/{number}/comments", body=body)
    http.put(f"/tickets/{number}/links/blocks/{other}")
    statements()
    one = http.get(f"/tickets/{number}").json
    assert len(statements()) == 1
    assert [comment["body"] for comment in one["comments"]] == ["first", "second"]
    assert one["links"] == [{"ticket_id": number, "kind": "blocks", "other_id": other}]
    assert http.get(f"/tickets/{other}").json["links"] == one["links"]
    assert http.get(f"/ticket?tid={number}").json == one


def test_a_write_is_one_statement(http, ticket, statements):
    number = ticket()
    statements()
    for write in (
        lambda: http.put("/tickets", title="x"),
        lambda: http.put(f"/tickets/{number}", title="y"),
        lambda: http.put(f"/tickets/{number}/comments", body="x"),
        lambda: http.put(f"/tickets/{number}/links/relates/2"),
        lambda: http.delete(f"/tickets/{number}"),
    ):
        assert write().status in (200, 201, 204)
        (ran,) = statements()
        assert ran.startswith("SELECT set_config('iris.actor', 'anonymous', true); ")


def test_deleting_takes_comments_links_and_words_along(http, ticket, sql):
    number, other = ticket(), ticket()
    http.put(f"/tickets/{number}/comments", body="x")
    http.put(f"/tickets/{other}/links/parent/{number}")
    answer = http.delete(f"/tickets/{number}")
    assert (answer.status, answer.text) == (204, "")
    assert sql("TABLE comments") == sql("TABLE links") == []
    assert [row["ticket_id"] for row in sql("TABLE searches")] == [other]
    assert http.delete(f"/tickets/{number}").status == 404


def test_what_is_not_there_is_404(http):
    for method, path in (
        ("GET", "/tickets/1"),
        ("GET", "/ticket?tid=1"),
        ("PUT", "/tickets/1"),
        ("DELETE", "/tickets/1"),
        ("GET", "/tickets/1/comments"),
        ("GET", "/tickets/abc"),
        ("GET", "/tickets/-1"),
        ("GET", "/tickets/0x1"),
        ("GET", "/tickets/٣"),
        ("GET", "/tickets/99999999999999999999"),
        ("PUT", "/tickets/1/links/blocks/x"),
        ("DELETE", "/tickets/1/links/blocks/2"),
        ("PUT", "/comments/1"),
        ("GET", "/comments/1"),
        ("DELETE", "/comments/1"),
    ):
        answer = http(
            method, path, {"title": "x"} if path == "/tickets/1" and method == "PUT" else None
        )
        assert answer.status == 404, (method, path, answer.text)
        assert answer.json["detail"].startswith(("there is no ", "ticket 1 has no link"))


def test_what_psql_writes_http_shows(http, sql):
    sql("INSERT INTO tickets (title, fields) VALUES ('By hand', '{\"n\": 1.10}')")
    one = http.get("/tickets/1").json
    assert (one["title"], one["reporter"], one["fields"]) == ("By hand", "iris", {"n": 1.1})
    sql("UPDATE tickets SET status = 'active'")
    assert http.get("/tickets").json[0]["status"] == "active"


def test_numbers_in_fields_keep_every_digit(http, sql):
    raw = '{"title": "x", "fields": {"n": 1.10, "big": 123456789012345678901234567890}}'
    http("PUT", "/tickets", raw=raw)
    row = sql.one("SELECT fields ->> 'n' AS n, fields ->> 'big' AS big FROM tickets")
    assert (float(row["n"]), row["big"]) == (1.1, "123456789012345678901234567890")
    lossy = '{"title": "x", "fields": {"n": 0.12345678901234567890123}}'
    answer = http("PUT", "/tickets", raw=lossy)
    assert (answer.status, "would lose digits" in answer.json["detail"]) == (400, True)


def test_a_prepared_statement_that_is_gone_or_there_already(http, sql):
    assert http.put("/tickets", title="first").status == 201
    taken = engine.POOL.take()
    with taken.connection.cursor() as cursor:
        cursor.execute("DEALLOCATE ALL")
    engine.POOL.put(taken)
    assert http.put("/tickets", title="gone").status == 201
    assert http.put("/tickets", title="prepared anew").status == 201
    taken = engine.POOL.take()
    assert taken.prepared
    engine.POOL.put(taken._replace(prepared=set()))
    assert http.put("/tickets", title="there already").status == 201
    assert http.put("/tickets", title="").status == 422
    assert [row["title"] for row in sql("SELECT title FROM tickets ORDER BY ticket_id")] == [
        "first",
        "gone",
        "prepared anew",
        "there already",
    ]


@pytest.fixture(scope="module")
def careful(server):
    """Return a running service that wants to know what one has seen."""
    made = Live(server.url(), IRIS_REQUIRE_IF_MATCH="true")
    yield made
    made.stop(signal.SIGQUIT)


def test_a_change_may_have_to_say_what_one_has_seen(careful, ticket):
    ticket(), ticket()
    rows = b'[{"title": "x"}, {"ticket_id": 2, "title": "y"}]'
    kind = ["Content-Type: application/json"]
    for method, path, body in (
        ("PUT", "/tickets/1?title=x", b""),
        ("PATCH", "/tickets/1?add_label=x", b""),
        ("PUT", "/tickets?ticket_id=1&title=x", b""),
        ("DELETE", "/tickets/1", b""),
        ("PUT", "/tickets", rows),
    ):
        status, _, answer = careful.send(method, path, body, kind if body else ())
        assert (status, json.loads(answer)["code"]) == (428, "condition_required"), path
    for method, path, body, more, status in (
        ("PUT", "/tickets/1?title=x", b"", ['If-Match: "1"'], 200),
        ("PUT", "/tickets/1?title=y", b"", ['If-Match: "1"'], 412),
        ("PUT", "/tickets/1?title=y", b"", ["If-Match: *"], 200),
        ("PUT", "/tickets/1", b'{"title": "z", "version": 3}', kind, 200),
        ("PUT", "/tickets", b'[{"ticket_id": 2, "title": "z", "version": 1}]', kind, 200),
        ("PUT", "/tickets?title=new", b"", [], 201),
        ("PUT", "/tickets", b'[{"title": "new"}]', kind, 200),
        ("PUT", "/tickets?dry_run=true", rows, kind, 200),
        ("PUT", "/tickets/1/comments?body=x", b"", [], 201),
        ("DELETE", "/tickets/1", b"", ['If-Match: "5"'], 204),
    ):
        assert careful.send(method, path, body, more)[0] == status, path
