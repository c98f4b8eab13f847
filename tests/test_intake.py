"""What comes in: strictly read, clearly refused, never a 5xx."""

import base64
import contextlib
import json
import random
import socket
import time
import unicodedata

import pytest
from conftest import parsed, read_all

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
PATCH = {"Content-Type": "application/merge-patch+json"}

BODIES = [
    # body, headers, status, code
    (b"{", JSON, 400, "malformed_json"),
    (b"", JSON, 422, "invalid_value"),
    (b"nonsense", JSON, 400, "malformed_json"),
    (b'{"title": "x",}', JSON, 400, "malformed_json"),
    (b'{"title": "\xff"}', JSON, 400, "malformed_body"),
    (b'\xef\xbb\xbf{"title": "x"}', JSON, 400, "malformed_json"),
    (b'{"title": "x", "fields": {"n": ' + b"9" * 5000 + b"}}", JSON, 400, "malformed_json"),
    (b'{"title": "x", "fields": ' + b'{"a":' * 33 + b"1" + b"}" * 34, JSON, 400, "malformed_json"),
    (b'{"title": "x", "fields": ' + b"[" * 100_000, JSON, 400, "malformed_json"),
    (b'{"title": "x", "title": "y"}', JSON, 400, "malformed_json"),
    (b'{"title": "x", "fields": {"a": 1, "a": 2}}', JSON, 400, "malformed_json"),
    (b'{"title": "x", "fields": {"n": NaN}}', JSON, 400, "malformed_json"),
    (b'{"title": "x", "fields": {"n": Infinity}}', JSON, 400, "malformed_json"),
    (b'{"title": "x", "fields": {"n": 1e999}}', JSON, 400, "malformed_json"),
    (b'{"title": "x", "fields": {"n": 0e9999999999999999999999}}', JSON, 400, "malformed_json"),
    (b'{"title": "x", "fields": {"n": 1e-9999999999999999999999}}', JSON, 400, "malformed_json"),
    (b'{"title": "x", "format": []}', JSON, 400, "unknown_parameter"),
    (b'{"' + b"title" * 200_000 + b'": 1}', JSON, 400, "unknown_parameter"),
    (b"null", JSON, 400, "malformed_body"),
    (b'"title"', JSON, 400, "malformed_body"),
    (b"[1]", JSON, 422, "invalid_value"),
    (b"[[]]", JSON, 422, "invalid_value"),
    (b"5", JSON, 400, "malformed_body"),
    (b'{"title": "a\\u0000b"}', JSON, 422, "invalid_value"),
    (b'{"title": "a\\ud800b"}', JSON, 422, "invalid_value"),
    (b'{"title": "x", "fields": {"a\\u0000": 1}}', JSON, 422, "invalid_value"),
    (b'{"title": "x", "fields": {"a": ["\\udfff"]}}', JSON, 422, "invalid_value"),
    (b'{"title": "x", "labels": ["\\u0000"]}', JSON, 422, "invalid_value"),
    (b'{"a\\u0000\\ud800": 1}', JSON, 400, "unknown_parameter"),
    (b'{"title": 5}', JSON, 422, "invalid_value"),
    (b'{"title": true}', JSON, 422, "invalid_value"),
    (b'{"title": {}}', JSON, 422, "invalid_value"),
    (b'{"title": ["x"]}', JSON, 422, "invalid_value"),
    (b'{"title": "x", "labels": "a"}', JSON, 422, "invalid_value"),
    (b'{"title": "x", "labels": [1]}', JSON, 422, "invalid_value"),
    (b'{"title": "x", "labels": {"a": 1}}', JSON, 422, "invalid_value"),
    (b'{"title": "x", "due": 5}', JSON, 422, "invalid_value"),
    (b'{"title": "x", "due": ""}', JSON, 422, "invalid_value"),
    (b'{"title": "x", "due": "2026-02-30"}', JSON, 422, "invalid_value"),
    (b'{"title": "x", "due": "999999999-01-01"}', JSON, 422, "invalid_value"),
    (b'{"title": "x", "priority": 1}', JSON, 422, "invalid_value"),
    (b'{"title": "x", "ticket_id": "5.7"}', JSON, 422, "invalid_value"),
    (b'{"title": "x", "ticket_id": "5"}', JSON, 422, "invalid_value"),
    (b'{"title": "x", "ticket_id": true}', JSON, 422, "invalid_value"),
    (b'{"title": "x", "ticket_id": 5.0}', JSON, 422, "invalid_value"),
    (b'{"title": "x", "ticket_id": null}', JSON, 422, "invalid_value"),
    (b'{"title": "x", "ticket_id": 99999999999999999999}', JSON, 422, "invalid_value"),
    (b'{"comments": []}', JSON, 422, "invalid_value"),
    (b'{"body": "x"}', JSON, 400, "unknown_parameter"),
    (b'{"request": 1}', JSON, 400, "unknown_parameter"),
    (b'{"title": "x"}', {"Content-Type": "application/json; charset=latin-1"}, 415, "unsupported_media_type"),
    (b"x", {"Content-Type": "text/html"}, 415, "unsupported_media_type"),
    (b"x", {"Content-Type": "text/plain; charset=latin-1"}, 415, "unsupported_media_type"),
    (b"\xff", {"Content-Type": "text/plain"}, 400, "malformed_body"),
    (b"a\0b", {"Content-Type": "text/plain"}, 422, "invalid_value"),
    (b"\n \nx", {"Content-Type": "text/plain"}, 422, "invalid_value"),
    (b"\n", {"Content-Type": "text/plain"}, 422, "invalid_value"),
    (b"[x] is no list", {}, 400, "malformed_json"),
    (b"title=100%", FORM, 400, "malformed_form"),
    (b"title=salt & pepper", FORM, 400, "unknown_parameter"),
    (b"title=C++ and C", FORM, 422, "invalid_value"),
    (b"title=x&labels=C++, C", FORM, 422, "invalid_value"),
    (b'title=x&fields={"a": "1 + 1"}', FORM, 422, "invalid_value"),
    (b"--x\r\n", {"Content-Type": "multipart/form-data; boundary=x"}, 415, "unsupported_media_type"),
    (b"title=%ff", FORM, 400, "malformed_form"),
    (b"title=\xff", FORM, 400, "malformed_body"),
    (b"title=a%00b", FORM, 422, "invalid_value"),
    (b"title=a&title=b", FORM, 400, "given_twice"),
    (b"&".join(b"a%d=1" % n for n in range(2000)), FORM, 400, "malformed_form"),
    (b"title=x&ticket_id=%D9%A3", FORM, 422, "invalid_value"),
    (b"title=x&ticket_id=1_000", FORM, 422, "invalid_value"),
    (b"title=x&ticket_id=+1", FORM, 422, "invalid_value"),
    (b"title=x&fields={", FORM, 422, "invalid_value"),
    (b"{'title': 'x'}", FORM, 400, "malformed_json"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "headers", "status", "code"), BODIES)
def test_malformed_input_is_refused(http, sql, body, headers, status, code):
    answer = http("PUT", "/tickets", raw=body, headers=headers)
    assert (answer.status, answer.json["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert sql("TABLE tickets") == []


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b'{"title": "x"}', {"Content-Type": "Application/JSON; charset=UTF-8"}),
        (b'{"title": "x"}', {"Content-Type": "application/json; body=x"}),
        (b' \n{"title": "x"}\n', JSON),
        (b'{"title": "x", "description": null}', JSON),
        (b'{"title": "x"}', PATCH),
        (b'{"title": "x"}', {}),
        ("title=Größe".encode(), FORM),
        (b"title=x&assignee=&labels=", FORM),
        (b"title=Two words&description=one+more", FORM),
        (b"title=Two words&due=2026-12-01 12:00+01", FORM),
    ],
)
def test_what_is_well_formed_is_taken(http, body, headers):
    assert http("PUT", "/tickets", raw=body, headers=headers).status == 201


@pytest.mark.parametrize(
    ("text", "title", "description"),
    [
        ("Only a line", "Only a line", None),
        ("Title\n\nBody\n  indented\n", "Title", "Body\n  indented"),
        ("\ufeffTitle\r\nBody\r\n", "Title", "Body"),
        ("\n\n  Title  \nC++ at 100% & more", "Title", "C++ at 100% & more"),
        ('{"title": "x"}', '{"title": "x"}', None),
    ],
)
def test_text_files_a_ticket(http, text, title, description):
    plain = {"Content-Type": "text/plain; charset=UTF-8"}
    answer = http("PUT", "/tickets?assignee=bob", raw=text.encode(), headers=plain)
    assert answer.status == 201, answer.text
    told = {name: answer.json[name] for name in ("title", "description", "assignee")}
    assert told == {"title": title, "description": description, "assignee": "bob"}
    # As `curl -T` sends it: of no type.
    if not text.startswith("{"):
        assert http("PUT", "/tickets", raw=text.encode()).json["title"] == title
    twice = http("PUT", "/tickets?title=x", raw=b"y", headers=plain)
    assert (twice.status, twice.json["code"]) == (400, "given_twice")


def test_text_is_a_comment(http, ticket):
    text, plain = "  I smell\nsmoke & 100% C++\n", {"Content-Type": "text/plain"}
    number = ticket()
    made = http("POST", f"/tickets/{number}/comments", raw=text.encode(), headers=plain)
    assert (made.status, made.json["body"]) == (201, text[:-1])
    path = f"/comments/{made.json['comment_id']}"
    assert http("PUT", path, raw=b"Gone", headers=plain).json["body"] == "Gone"
    assert http("PUT", path, raw=b"\n", headers=plain).status == 422
    # What is of no use where it is sent says what would be.
    change = http("PUT", f"/tickets/{number}", raw=b"x", headers=plain)
    assert (change.status, "text/plain" in change.json["hint"]) == (415, False)


def test_a_text_that_a_form_has_torn_is_told_from_a_typo(http):
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for text in ("title=salt & pepper", "title=Q&A?", "title=C++ at 100%", "title=a + b"):
        answer = http("PUT", "/tickets", raw=text.encode(), headers=form)
        assert "--data-urlencode" in answer.text, answer.text
    typo = http("PUT", "/tickets", raw=b"titel=x", headers=form)
    assert "did you mean title?" in typo.text
    assert "--data-urlencode" not in typo.text
    assert http.get("/tickets").json == []


def test_every_mistake_is_named(http):
    answer = http.put("/tickets", title=5, labels="x", due=[])
    assert answer.json["errors"] == {
        "title": "must be text",
        "labels": "must be a list of texts",
        "due": "must be a time as text, such as 2026-12-01 or tomorrow",
    }


@pytest.mark.parametrize(
    "name",
    ["request", "response", "body", "exception", "api_version", "hug_cli", "interface", "given"],
)
def test_words_that_hug_knows_are_unknown(http, ticket, name):
    ticket()
    for path in ("/tickets", "/tickets/1", "/health", "/workflow"):
        assert http.get(f"{path}?{name}=x").json["code"] == "unknown_parameter"


def test_a_name_is_given_once(http):
    answer = http.put("/tickets?title=x", title="y")
    assert (answer.status, answer.json["code"]) == (400, "given_twice")


@pytest.mark.parametrize(
    "path", ["/nothing", "/v1/tickets", "/vabc/health", "/v/tickets", "/tickets/1/nothing"]
)
def test_an_unknown_address_is_a_short_404(http, path):
    answer = http.get(path)
    assert (answer.status, answer.json["code"]) == (404, "no_such_route")
    assert len(answer.text) < 400


def test_the_address_of_no_address(live, http):
    """`OPTIONS *` asks of the server, which has nothing to say of itself."""
    status, _, body = live.send("OPTIONS", "*")
    assert (status, json.loads(body)["code"]) == (404, "no_such_route")


def test_a_slash_at_the_end_is_no_other_address(http):
    assert http.get("/tickets/").status == 200


def test_other_methods(http, ticket):
    ticket()
    answer = http.delete("/workflow")
    assert (answer.status, answer.json["code"]) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, HEAD, POST, PUT, OPTIONS"
    for method in ("QUERY", "BREW", "TRACE", "CONNECT"):
        answer = http(method, "/workflow")
        assert (answer.status, answer.json["code"]) == (405, "method_not_allowed")
        assert answer.headers["allow"] == "GET, HEAD, POST, PUT, OPTIONS"
    assert http("BREW", "/nothing").status == 404
    assert http("OPTIONS", "/tickets").headers["allow"] == "GET, HEAD, POST, PUT"
    head, get = http("HEAD", "/tickets/1"), http.get("/tickets/1")
    assert (head.status, head.text) == (200, "")
    assert head.headers["content-length"] == str(len(get.text))


def test_a_request_id_is_kept_or_made(http):
    assert (
        http.get("/health", headers={"X-Request-Id": "abc-123"}).headers["x-request-id"]
        == "abc-123"
    )
    made = http.get("/nothing", headers={"X-Request-Id": "no good\u00e9"})
    assert made.json["request_id"] == made.headers["x-request-id"] != "no good\u00e9"


@pytest.mark.parametrize(
    ("accept", "status"),
    [(None, 200), ("*/*", 200), ("application/*", 200), ("application/json;q=0.5", 200),
     ("text/html", 200), ("image/png, text/csv", 406), ("q=abc", 406)],
)  # fmt: skip
def test_only_what_there_is_is_served(http, accept, status):
    assert http.get("/health", headers={"Accept": accept} if accept else {}).status == status


def test_pages_of_other_sites_may_not_write(http):
    headers = {"Origin": "http://elsewhere.example", "Host": "127.0.0.1:8000"}
    answer = http("POST", "/tickets", raw="title=x", headers={**FORM, **headers})
    assert (answer.status, answer.json["code"]) == (403, "cross_origin")
    for origin in ("null", "http://[", "http://[::1", "//\u2100", "http://[v1.x]"):
        answer = http("POST", "/tickets", raw="title=x", headers={**FORM, "Origin": origin})
        assert (answer.status, answer.json["code"]) == (403, "cross_origin")
    own = {"Origin": "http://127.0.0.1:8000", "Host": "127.0.0.1:8000"}
    assert http("POST", "/tickets", raw="title=x", headers={**FORM, **own}).status == 201


@pytest.mark.parametrize("name", ["", " ", "x" * 101, "a\tb"])
def test_an_actor_has_a_decent_name(http, name):
    answer = http.put("/tickets", title="x", headers={"Iris-Actor": name})
    assert (answer.status, answer.json["code"]) == (400, "invalid_actor")


@pytest.mark.parametrize(
    "name", ["\u00a0alice\u3000", "\u200b alice\ufeff", " alice\t", "ali\u00e7e"]
)
def test_an_actor_is_called_alike_at_both_doors(live, sql, http, name):
    """Without blanks around it, and composed: so somebody finds their own, however they typed it."""
    plain = "ali\u00e7e" if "\u00e7" in name else "alice"
    for typed in (name, unicodedata.normalize("NFD", name)):
        sql("SELECT set_config('iris.actor', %s, false)", typed)
        assert sql.one("INSERT INTO tickets (title) VALUES ('x') RETURNING reporter") == {
            "reporter": plain
        }
        status, _, body = live.send("PUT", "/tickets?title=x", headers=[f"Iris-Actor: {typed}"])
        assert (status, json.loads(body)["reporter"]) == (201, plain)
        basic = base64.b64encode(f"{typed}:".encode()).decode()
        headers = [f"Authorization: Basic {basic}"]
        assert json.loads(live.send("GET", "/me", headers=headers)[2])["actor"] == plain
        mine = live.send("GET", "/tickets?mine=true&count=true", headers=[f"Iris-Actor: {typed}"])
        assert len(json.loads(mine[2])) == sql.one("SELECT count(*) FROM tickets")["count"]
    assert {each["actor"] for each in sql("SELECT actor FROM events")} == {plain}
    # One that is nothing but blanks is none.
    sql("SELECT set_config('iris.actor', %s, false)", "\u00a0\u3000")
    assert sql.one("SELECT actor()") == {"actor": "iris"}
    assert live.send("GET", "/me", headers=["Iris-Actor: \u00a0"])[0] == 400


def test_an_actor_may_have_any_letters(live, http):
    status, _, body = live.send("PUT", "/tickets?title=x", headers=["Iris-Actor: José"])
    assert (status, json.loads(body)["reporter"]) == (201, "José")


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"format": []}, 406), ({"format": {}}, 406), ({"sort": []}, 422), ({"columns": ["title"]}, 422),
        ({"limit": [1]}, 422), ({"q": {}}, 422), ({"fields.n": 5}, 422), ({"fields.": "x"}, 200),
        ({f"fields.{n}": "x" for n in range(40_000)}, 422), ({"q": "a " * 500_000}, 422),
        ({"q": "or " * 300_000}, 422), ({"fields.n": "0e99999999999999999999"}, 200),
        ({"fields.n": "[" * 100_000}, 200), ({"assignee": "a," * 999 + "a"}, 200), ({"status": "a," * 1000 + "a"}, 422), ({"status": ["a"]}, 422),
        ({"cursor": 5}, 422), ({"count": "true"}, 422), ({"as_of": 0}, 422), ({"columns": "a" * 1_000_000}, 422),
    ],
)  # fmt: skip
def test_what_a_list_is_asked_for_may_be_anything(http, given, status):
    """GET with a body, for in an address there is no room for it."""
    answer = http("GET", "/tickets", given)
    assert answer.status == status, answer.text[:1000]
    assert len(answer.text) < 2000


@pytest.mark.parametrize(
    "keys",
    [[], ["2026-01-01"], ["2026-01-01", "1", "2"], ["x", "1"], ["2026-01-01", "x"], [[], {}], [None, None],
     ["2026-01-01", True], ["2026-01-01", 10**30], ["2026-01-01", 1e300], ["\0", "1"], ["\ud800", "1"], ["", ""]],
)  # fmt: skip
def test_a_cursor_that_is_made_up_is_refused(http, keys):
    cursor = base64.urlsafe_b64encode(json.dumps(["-created", *keys]).encode()).decode()
    answer = http.get(f"/tickets?cursor={cursor}")
    assert (answer.status, answer.json["code"]) == (422, "invalid_value"), answer.text


# Over real sockets --------------------------------------------------------------------------------


def put(body, *headers, path="/tickets"):
    lines = [
        f"PUT {path} HTTP/1.1",
        "Host: iris",
        "Content-Type: application/json",
        "Connection: close",
    ]
    return "\r\n".join([*lines, *headers]).encode() + b"\r\n\r\n" + body


WHOLE = b'{"title": "chunked"}'
CHUNKED = "Transfer-Encoding: chunked"


@pytest.mark.parametrize(
    ("request_", "statuses"),
    [
        (put(b'a\r\n{"title": \r\na\r\n"chunked"}\r\n0\r\n\r\n', CHUNKED), {201}),
        (put(b'zz\r\n{"title": "x"}\r\n0\r\n\r\n', CHUNKED), {400}),
        (put(b"ffffffffffffffffff\r\n", CHUNKED), {400}),
        (put(b'5\r\n{"tit', CHUNKED), {400}),
        (put(WHOLE, "Content-Length: 30"), {400}),
        (put(b'{"title": "x"}}}', "Content-Length: 40"), {400}),
        (put(WHOLE, "Content-Length: -1"), {400}),
        (put(WHOLE, "Content-Length: +20"), {400}),
        (put(WHOLE, "Content-Length: 20", "Content-Length: 21"), {400}),
        (put(WHOLE, "Content-Length: 20", CHUNKED), {400}),
        (put(WHOLE, "Transfer-Encoding: gzip"), {400, 501}),
        (put(WHOLE, "Transfer-Encoding: nonsense"), {501}),
        (put(WHOLE, "Content-Length: 20", "Expect: nonsense"), {417}),
        (put(WHOLE, "Content-Length : 20"), {400}),
        (put(WHOLE, "Content-Length: 20", "A: b\r\n c"), {400}),
        (put(WHOLE, "Content-Length: 20", "A: b\x01c"), {400}),
        (put(WHOLE, "Content-Length: \u00b2"), {400}),
        (b"GET /health HTTP/1.1\r\n\r\n", {400}),
        (b"GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", {400}),
        (b"GET /health HTTP/9.1\r\nHost: a\r\n\r\n", {400}),
        (b"get /health HTTP/1.1\r\nHost: a\r\n\r\n", {400}),
        (put(b"x" * 100, "Content-Length: 2000000", path="/comments"), {413}),
        (put(b"x" * 100, "Content-Length: 70000000"), {413}),
        (put(b"{}" + b" " * (1 << 20), f"Content-Length: {2 + (1 << 20)}"), {413}),
        (put(b"", "Content-Length: 99999999999999999999999"), {413, 400}),
        (b"nonsense\r\n\r\n", {400}),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", {414, 400}),
        (b"GET /health HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 20000 + b"\r\n\r\n", {431, 400}),
        (b"GET /tickets/%00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", {404}),
        (b"GET /tickets/%ff%fe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", {404}),
        (b"GET /tickets?q=%zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", {200}),
        (b"GET /health HTTP/1.1\r\nHost: x\r\nSCRIPT_NAME: /a\r\nConnection: close\r\n\r\n", {200}),
    ],
)
def test_nothing_that_is_sent_makes_a_5xx(live, http, sql, request_, statuses):
    status, head, body = parsed(live.raw(request_, half_close=True))
    assert status in statuses
    if status >= 400:
        problem = json.loads(body)
        assert "content-type: application/problem+json" in head.lower()
        assert (
            problem["status"],
            f"X-Request-Id: {problem['request_id']}".lower() in head.lower(),
        ) == (status, True)
    assert len(sql("TABLE tickets")) == (1 if status == 201 else 0)
    if status == 201:
        assert json.loads(body)["title"] == "chunked"


def test_a_chunked_body_has_its_limit_too(live, http, sql):
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    with live.connect() as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(put(chunk * 17 + b"0\r\n\r\n", CHUNKED, path="/comments"))
        assert parsed(read_all(connection))[0] == 413


def test_a_megabyte_less_one_is_fine(live, http):
    body = json.dumps({"title": "x", "description": "y" * 100_000}).encode()
    body += b" " * ((1 << 20) - len(body))
    assert live.send("PUT", "/tickets", body, ["Content-Type: application/json"])[0] == 201


def test_a_client_that_expects_to_continue(live, http):
    with live.connect() as connection:
        connection.sendall(put(b"", f"Content-Length: {len(WHOLE)}", "Expect: 100-continue"))
        assert connection.recv(100).startswith(b"HTTP/1.1 100 Continue")
        connection.sendall(WHOLE)
        assert b" 201 " in read_all(connection)


def test_a_client_that_leaves_in_the_middle_leaves_nothing(live, http, sql):
    for _ in range(20):
        with live.connect() as connection:
            connection.sendall(put(b'{"title": "half', "Content-Length: 100"))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert live.send("GET", "/health")[0] == 200
    assert sql("TABLE tickets") == []


def test_a_slow_body_is_given_up(hasty):
    with hasty.connect() as connection:
        began = time.monotonic()
        connection.sendall(put(b"", "Content-Length: 100"))
        for byte in b'{"title":':
            connection.sendall(bytes([byte]))
            time.sleep(0.2)
            if time.monotonic() - began > 1.2:
                break
        status, _, body = parsed(read_all(connection))
    assert (status, json.loads(body)["code"]) == (408, "body_too_slow")


# What may be sent behind one another on a connection, and the status of each; None: nothing more may follow.
SENT = [
    (b"GET /health HTTP/1.1\r\n", b"", 200),
    (b"HEAD /tickets HTTP/1.1\r\n", b"", 200),
    (b"GET /nothing HTTP/1.1\r\n", b"", 404),
    (b"GET /tickets HTTP/1.1\r\nContent-Length: 17\r\n", b'{"status":"open"}', 200),
    (b"PUT /tickets?title=x HTTP/1.1\r\n", b"", 201),
    (b"PUT /tickets HTTP/1.1\r\nContent-Length: 13\r\n", b'{"title":"x"}', 201),
    (b"PUT /tickets HTTP/1.1\r\nTransfer-Encoding: chunked\r\n", b'd\r\n{"title":"x"}\r\n0\r\n\r\n', 201),
    (b"PUT /tickets HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 31\r\n", b"GET /health HTTP/1.1\r\nHost:x\r\n\r\n"[:31], 400),
    (b"PUT /nothing HTTP/1.1\r\nContent-Length: 30\r\n", b"GET /health HTTP/1.1\r\nHost:x\r\n\r\n"[:30], 404),
    (b"PUT /tickets HTTP/1.1\r\nOrigin: http://a\r\nContent-Length: 13\r\n", b'{"title":"x"}', 403),
    (b"BREW /tickets HTTP/1.1\r\nContent-Length: 13\r\n", b'{"title":"x"}', 405),
    (b"DELETE /workflow HTTP/1.1\r\nTransfer-Encoding: chunked\r\n", b"3\r\nabc\r\n0\r\n\r\n", 405),
    (b"PUT /comments HTTP/1.1\r\nContent-Length: 2000000\r\n", b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", 413),
    (b"PUT /tickets HTTP/1.1\r\nTransfer-Encoding: chunked\r\n", b"zz\r\nGET /health HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    (b"PUT /tickets HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\nGET /health HTTP/1.1\r\nHost: x\r\n\r\n", 400),
]  # fmt: skip


def answers(data, methods):
    """Yield (status, request id) of each answer in what a connection has brought."""
    for method in methods:
        if not data:
            return
        head, _, data = data.partition(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        length = 0 if method == b"HEAD" else int(fields[b"content-length"])
        yield int(head.split()[1]), fields[b"x-request-id"].decode()
        data = data[length:]
    assert data == b""


def test_every_answer_is_that_of_its_own_request(live, http):
    """Whatever was wrong with those before it on the same connection, and however much of them was read."""
    dice, total = random.Random(5), 0
    for turn in range(25):
        chosen = [dice.choice(SENT) for _ in range(8)]
        data = b""
        for place, (head, body, _) in enumerate(chosen):
            number = f"{turn}-{place}".encode()
            data += head + b"Host: a.example\r\nX-Request-Id: " + number + b"\r\n\r\n" + body
        with live.connect() as connection:
            for start in range(0, len(data), step := dice.choice([7, 100, 10_000])):
                with contextlib.suppress(ConnectionError):
                    connection.sendall(data[start : start + step])
            connection.shutdown(socket.SHUT_WR)
            came = read_all(connection)
        got = list(answers(came, [head.split()[0] for head, _, _ in chosen]))
        total += len(got)
        for place, (status, number) in enumerate(got):
            assert status == chosen[place][2], (chosen[place], status)
            # gunicorn has not read the id of what it can't read.
            assert number == f"{turn}-{place}" or status == 400
    assert total > 50
