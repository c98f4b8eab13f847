"""What real clients and proxies send, and what they make of the answers."""

import http.client
import json
import signal
import time
import unicodedata
from urllib.parse import urljoin

import pytest
from conftest import Live

JSON = {"Content-Type": "application/json"}


# Addresses ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "/iris", "/a/b"])
def test_addresses_lead_there_under_any_prefix(http, ticket, prefix):
    """As a client resolves them that knows the proxy's address only."""
    base = f"http://example.org{prefix}"
    number = ticket()
    for path, given, leads in (
        ("/tickets", {"title": "x"}, f"/tickets/{number + 1}"),
        ("/tickets/", {"title": "x"}, f"/tickets/{number + 2}"),
        (f"/tickets/{number}/comments", {"body": "x"}, "/comments/1"),
        ("/comments", {"body": "x", "ticket_id": number}, "/comments/2"),
    ):
        answer = http.put(path, given)
        assert answer.status == 201
        assert urljoin(base + path, answer.headers["location"]) == base + leads
        assert http.get(leads).status == 200
    for path in (
        "/tickets?limit=1",
        f"/tickets/{number}/history?limit=1",
        "/events?after=0&limit=1",
    ):
        answer = http.get(path)
        link = answer.headers["link"].partition(">")[0].removeprefix("<")
        there = urljoin(base + path, link)
        assert there.startswith(base + path.partition("?")[0] + "?")
        assert http.get(there.removeprefix(base)).status == 200


# Tags ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tag", ['"5f3e-2"', '"2-gzip"', '"v2"', "x2", '"2', '2"', 'W/"a2"', '""', '"a,2"', "2.0"]
)
def test_a_tag_that_is_not_ours_matches_nothing(http, ticket, tag):
    number = ticket()
    assert http.put(f"/tickets/{number}", title="second").json["version"] == 2
    answer = http.put(f"/tickets/{number}", {"title": "z"}, headers={"If-Match": tag})
    assert (answer.status, answer.json["code"]) == (412, "version_moved_on")
    assert http.get(f"/tickets/{number}", headers={"If-None-Match": tag}).status == 200


@pytest.mark.parametrize("tag", ['"2"', 'W/"2"', "2", '"1", "2"', '"x,2", W/"2"', ' "2" '])
def test_a_tag_of_ours_does(http, ticket, tag):
    number = ticket()
    http.put(f"/tickets/{number}", title="second")
    assert http.get(f"/tickets/{number}", headers={"If-None-Match": tag}).status == 304
    assert http.put(f"/tickets/{number}", {"title": "z"}, headers={"If-Match": tag}).status == 200


# Times --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "time_", ["2026-12-01T12:00+01", "2026-12-01T12:00:00.123456+00:00", "2026-12-01 12:00:00+0530"]
)
def test_a_plus_that_came_as_a_blank_is_meant(http, time_):
    meant = http.put("/tickets", {"title": "x", "due": time_}).json["due"]
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = http("PUT", "/tickets", raw=f"title=x&due={time_}", headers=form)
    assert answer.json["due"] == meant
    assert http.get(f"/tickets?due_before={time_}").status == 200
    created = answer.json["created"]
    assert http.get(f"/tickets?created_after={created}&limit=5").status == 200
    # In JSON, nothing is mended.
    assert (
        http.put("/tickets", {"title": "x", "due": time_.replace("+", " ")}).json.get("due")
        != meant
    )


def test_a_zone_that_is_read_the_other_way_round_is_refused(http, sql):
    javascript = "Mon Dec 01 2025 09:00:00 GMT+0100"
    for given in (
        {"due": javascript},
        {"due": "2026-12-01 12:00 UTC-5"},
        {"due": "2026-12-01 12:00 utc+2"},
    ):
        answer = http.put("/tickets", {"title": "x", **given})
        assert (answer.status, [*answer.json["errors"]]) == (422, ["due"])
        assert "2026-12-01T09:00:00+01:00" in answer.json["detail"]
        row = http("PUT", "/tickets", raw=json.dumps([{"title": "x", **given}]), headers=JSON)
        assert row.json["errors"][0]["errors"] == answer.json["errors"]
    for due in ("Mon, 01 Dec 2025 09:00:00 GMT", "2025-12-01 09:00 UTC", "2025-12-01T09:00:00Z"):
        assert (
            http.put("/tickets", {"title": "x", "due": due}).json["due"]
            == "2025-12-01T09:00:00+00:00"
        )


@pytest.mark.parametrize("due", ["10000-01-01", "0044-03-15 BC", "294276-12-31", "0001-12-31 BC"])
def test_a_year_has_four_digits_at_both_doors(http, sql, due):
    answer = http.put("/tickets", {"title": "x", "due": due})
    assert (answer.status, answer.json["errors"]) == (
        422,
        {"due": "due must be in a year from 1 to 9999"},
    )
    error = sql.refusal("INSERT INTO tickets (title, due) VALUES ('x', %s)", due)
    assert error.diag.message_primary == answer.json["detail"]
    for fine in ("9999-12-31", "0001-01-01"):
        assert http.put("/tickets", {"title": "x", "due": fine}).status == 201


# Texts --------------------------------------------------------------------------------------------

COMPOSED, DECOMPOSED = "café Å", unicodedata.normalize("NFD", "café Å")


@pytest.mark.parametrize("by_sql", [False, True])
def test_what_looks_alike_is_alike(http, sql, by_sql):
    given = dict.fromkeys(("title", "description", "assignee", "reporter"), DECOMPOSED)
    if by_sql:
        sql("INSERT INTO tickets (title, description, assignee, reporter, labels)"
            " VALUES (%s, %s, %s, %s, %s)", *given.values(), [DECOMPOSED, COMPOSED, "b"])  # fmt: skip
        sql(
            "INSERT INTO comments (ticket_id, author, body) VALUES (1, %s, %s)",
            DECOMPOSED,
            DECOMPOSED,
        )
    else:
        http.put("/tickets", {**given, "labels": [DECOMPOSED, COMPOSED, "b"]})
        http.put("/tickets/1/comments", author=DECOMPOSED, body=DECOMPOSED)
    row = http.get("/tickets/1").json
    assert {row[name] for name in given} == {COMPOSED}
    assert row["labels"] == ["b", COMPOSED]
    assert [(each["author"], each["body"]) for each in row["comments"]] == [(COMPOSED, COMPOSED)]
    for typed in (COMPOSED, DECOMPOSED):
        for name in ("assignee", "reporter", "label", "q"):
            assert len(http.get(f"/tickets?{name}={typed.replace(' ', '%20')}").json) == 1, name
        assert len(http.get(f"/comments?author={typed.replace(' ', '%20')}").json) == 1
    # Typed the other way, it is no change.
    assert http.put("/tickets/1", {"title": DECOMPOSED}).json["version"] == row["version"]
    sql("UPDATE tickets SET labels = %s", [DECOMPOSED])
    assert http.get("/tickets/1").json["labels"] == [COMPOSED]


# Bodies, methods, problems ------------------------------------------------------------------------


def test_a_packed_body_is_not_understood(http):
    for coding in ("gzip", "br", "deflate, gzip"):
        answer = http(
            "PUT", "/tickets", raw=b"\x1f\x8b\x08", headers={**JSON, "Content-Encoding": coding}
        )
        assert (answer.status, answer.json["code"]) == (415, "unsupported_media_type")
        assert coding in answer.json["detail"]
    assert (
        http(
            "PUT",
            "/tickets",
            raw=b'{"title": "x"}',
            headers={**JSON, "Content-Encoding": "identity"},
        ).status
        == 201
    )


def test_options_names_head_where_get_is(http):
    for path in ("/tickets", "/tickets/1", "/workflow"):
        assert "GET, HEAD" in http("OPTIONS", path).headers["allow"]


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("&format=text", {}),
        ("", {"Accept": "text/plain"}),
        ("", {"Accept": "text/plain, application/json;q=0.5"}),
    ],
)
def test_a_problem_at_a_terminal_is_a_sentence_and_a_hint(http, ticket, query, headers):
    answer = http.get(f"/tickets?priority=huge{query}", headers=headers)
    assert answer.status == 422
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text == (
        'invalid input value for enum priority: "huge"\nhint: Allowed are: low, normal, high, urgent\n'
    )
    answer = http.get(f"/tickets?titel=x{query}", headers=headers)
    assert (answer.status, answer.text.splitlines()[0]) == (
        400,
        "titel is unknown here; did you mean fields?",
    )
    assert answer.text.splitlines()[1].startswith("hint: Known are: ")
    # Nothing in it can move the cursor.
    answer = http.get(f"/tickets?a%1b[2J=x{query}", headers=headers)
    assert "\x1b" not in answer.text


def test_json_is_what_everybody_else_gets(http):
    for accept in (
        None,
        "*/*",
        "application/json",
        "application/json, text/plain, */*",
    ):
        answer = http.get("/tickets/77", headers={"Accept": accept} if accept else {})
        assert answer.headers["content-type"].startswith("application/problem+json"), accept


# Connections --------------------------------------------------------------------------------------


def test_a_connection_may_rest_and_does_not_hold_up_the_end(server, clean):
    live = Live(server.url())
    resting = http.client.HTTPConnection("127.0.0.1", live.port, timeout=20)
    resting.request("GET", "/health")
    assert resting.getresponse().read()
    time.sleep(4)  # more than the two seconds that there once were
    resting.request("GET", "/health")
    assert resting.getresponse().read()
    began = time.monotonic()
    live.stop(signal.SIGTERM)
    assert time.monotonic() - began < 8
    with pytest.raises((http.client.HTTPException, OSError)):
        resting.request("GET", "/health")
        resting.getresponse()
