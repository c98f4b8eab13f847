"""OpenAPI: what Iris says of itself is whole and true, for its own tests and for programs of others.

That no answer in the tests is one which the document lacks, conftest.Http sees to.
"""

import gzip
import hashlib
import json
import re
from urllib.parse import urlencode

import pytest
import strangers
from chromium import WIDTHS, Browsing
from conftest import ROOT, Live

from iris import __version__, problems
from iris.intake import types

JSON = "application/json"
SWAGGER = ROOT / "iris" / "described" / "swagger"
STRANGERS = pytest.mark.skipif(not strangers.are_here(), reason="needs make .venv-described/ready")


@pytest.fixture
def document(http):
    answer = http.get("/openapi.json")
    assert answer.status == 200
    return answer.json


def operations(document):
    return {
        (method.upper(), path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def test_it_has_every_route_and_parameter(document):
    from iris.api import API  # noqa: PLC0415

    found = operations(document)
    for path, methods in API.http.routes[""].items():
        for method, versions in methods.items():
            operation = found.pop((method, path))
            named = {each["name"] for each in operation["parameters"]}
            for media, body in operation.get("requestBody", {}).get("content", {}).items():
                if media == "application/x-www-form-urlencoded":
                    named |= body["schema"]["properties"].keys()
            # fields.NAME= has any number of names.
            wanted = versions[None].input_transformations
            pairs = {name for name, kind in wanted.items() if isinstance(kind, types.Pairs)}
            assert wanted.keys() - pairs <= named, (method, path, wanted.keys() - named)
            assert operation["summary"].endswith("."), (method, path)
            assert {"400", "500"} <= operation["responses"].keys()
    assert found == {}
    assert document["info"]["version"] == __version__


def test_every_parameter_says_what_it_is(document):
    for name, operation in operations(document).items():
        for parameter in operation["parameters"]:
            assert parameter.get("description"), (name, parameter)


def test_every_property_of_an_answer_says_what_it_is(document):
    named, seen, bare = document["components"], set(), set()

    def look(schema, place):
        if "$ref" in schema:
            *_, kind, name = schema["$ref"].split("/")
            if name not in seen:
                seen.add(name)
                look(named[kind][name], name)
        for name, each in schema.get("properties", {}).items():
            # What narrows a shape down is told there.
            if "description" not in each and not place.startswith("only "):
                bare.add(f"{place}.{name}")
            look(each, f"{place}.{name}")
        shapes = schema.get("allOf", ())
        for each in (*schema.get("anyOf", ()), *shapes):
            look(each, f"only {place}" if shapes and "$ref" not in each else place)
        for inner in ("items", "additionalProperties"):
            if isinstance(schema.get(inner), dict):
                look(schema[inner], place)

    for name, operation in operations(document).items():
        for status, answer in operation["responses"].items():
            there = (
                named["responses"][answer["$ref"].rpartition("/")[2]]
                if "$ref" in answer
                else answer
            )
            for each in there.get("content", {}).values():
                look(each.get("schema", {}), f"{' '.join(name)} {status}")
    assert bare == set()
    assert {"TicketListed", "Problem", "StatsOfWeek"} <= seen


def test_every_code_occurs_and_is_explained(document):
    responses = document["components"]["responses"].values()
    told = "\n".join(each["description"] for each in responses)
    # What is answered where no operation is, what only an Iris with tokens says, and what one of many trackers does.
    nowhere = {"method_not_allowed", "no_such_tracker", *problems.OF_TOKENS}
    for code, (_, title) in problems.CODES.items():
        assert f"`{code}`: {title}" in told or code in nowhere, code


# Examples of what is not there yet, or is not what it was, and what is said of it.
ELSEWHERE = {
    # Of yesterday.
    "GET /tickets/{ticket_id}": {"no_such_ticket"},
    "PUT /unsubscribe/{person_id}/{seal}": {"no_such_person"},
    "POST /unsubscribe/{person_id}/{seal}": {"no_such_person"},
}
# What is sent there is what it gave; any other would throw that away.
ITS_OWN = "/workflow"


def test_every_example_is_taken(document, http, ticket, owner):
    """Each as it stands, in JSON and as a form, reads first and what takes away last."""
    order = ("get", "put", "post", "patch", "delete")
    found = sorted(
        # A ticket's links before the ticket.
        (order.index(method), -path.count("/") * (method == "delete"), path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    )
    # The feed has a position 17, and change 12 is one that nobody touches: its number is by the server's transactions.
    for _ in range(17):
        ticket()
    with owner.cursor() as cursor:
        cursor.execute(
            "SET session_replication_role = replica; UPDATE stored_events SET change = 12 WHERE ticket_id = 12;"
            " SET session_replication_role = origin"
        )
    http.put("/comments", ticket_id=1, body="x")
    http.put("/hooks", url="https://ci.example.org/iris")
    http.put("/people/alice", mail="alice@example.org", actor="alice")
    http.put("/tokens", name="anna", role="writer")
    sent = 0
    for _, _, path, lower, operation in found:
        method = lower.upper()
        shown = {
            place: {
                each["name"]: each["example"]
                for each in operation["parameters"]
                if each["in"] == place and "example" in each
            }
            for place in ("path", "query")
        }
        there = path.format(**shown["path"])
        query = f"?{urlencode(shown['query'])}" if shown["query"] else ""
        bodies = operation.get("requestBody", {}).get("content", {})
        examples = {kind: each["example"] for kind, each in bodies.items() if "example" in each}
        needed = operation.get("requestBody", {}).get("required") and path != ITS_OWN
        assert examples or not needed, (method, path)
        if path == ITS_OWN and method != "GET":
            examples = {JSON: http.get(path).json}
        for kind, example in examples.items() or [("", None)]:
            raw = json.dumps(example) if kind == JSON else urlencode(example or {}, doseq=True)
            headers = {"Content-Type": kind} if kind else {}
            if path == "/tokens" and method != "GET":
                # Each name once.
                http.delete("/tokens/alice")
            answer = http(method, there + query, raw=raw, headers=headers, actor="alice")
            code = answer.json["code"] if answer.status >= 400 else None
            known = {None, *ELSEWHERE.get(f"{method} {path}", ())}
            assert code in known, (method, path, kind, answer.text)
            if path == "/undo":
                # So that it can be taken back once more.
                http.put(path, change=answer.json[0]["change"])
            sent += 1
    assert sent > 90


def test_columns_are_explained_by_the_database(document, sql):
    comments = {
        row["attname"]: row["said"]
        for row in sql(
            "SELECT attname, col_description(attrelid, attnum) AS said FROM pg_attribute"
            " WHERE attrelid = 'tickets'::regclass AND attnum > 0"
        )
    }
    shown = document["components"]["schemas"]["Ticket"]["properties"]
    assert {name: each["description"] for name, each in shown.items()} == comments
    given = document["components"]["schemas"]["TicketGiven"]["properties"]
    assert given["title"]["description"] == comments["title"]


def test_the_rules_are_the_databases(document):
    given = document["components"]["schemas"]["TicketGiven"]["properties"]
    assert given["title"]["maxLength"] == 300
    assert given["description"]["maxLength"] == 100_000
    assert given["labels"]["maxItems"] == 50
    assert given["labels"]["items"]["maxLength"] == 50
    assert given["fields"]["type"] == "object"
    assert given["priority"]["enum"] == ["low", "normal", "high", "urgent"]
    for title, fits in (("x", True), (" ", False), ("a\nb", False), ("a\0b", False)):
        assert bool(re.search(given["title"]["pattern"], title)) == fits, title
    schemas = document["components"]["schemas"]
    name = schemas["WorkflowStatus"]["properties"]["status"]
    assert (name["minLength"], name["maxLength"]) == (1, 50)


def test_it_follows_the_workflow(http, sql):
    def statuses():
        answer = http.get("/openapi.json")
        given = answer.json["components"]["schemas"]["TicketGiven"]["properties"]
        return given["status"]["enum"], answer.headers["etag"]

    before, tag = statuses()
    assert before == ["open", "active", "blocked", "resolved", "closed"]
    seen = http.get("/openapi.json", headers={"If-None-Match": tag})
    assert (seen.status, seen.text) == (304, "")
    sql("INSERT INTO statuses VALUES ('late', 99, true)")
    after, other = statuses()
    assert after == [*before, "late"]
    assert other != tag
    assert http.get("/openapi.json", headers={"If-None-Match": tag}).status == 200


def test_it_is_made_once_and_asks_for_the_statuses_only(http, statements):
    http.get("/openapi.json")
    statements()
    http.get("/openapi.json")
    (asked,) = statements()
    assert "statuses" in asked


def test_it_comes_packed_to_who_takes_that(live):
    status, head, body = live.send("GET", "/openapi.json", headers=["Accept-Encoding: gzip"])
    assert (status, "content-encoding: gzip" in head.lower()) == (200, True)
    assert gzip.decompress(body) == live.send("GET", "/openapi.json")[2]
    status, head, body = live.send("HEAD", "/openapi.json")
    assert (status, body) == (200, b"")


def test_with_tokens_it_wants_one_and_says_so(server, sql):
    (token,) = sql.one("SELECT add_token('rita', 'reader') ->> 'token'").values()
    guarded = Live(server.url(), IRIS_AUTH="token")
    try:
        for path in ("/openapi.json", "/docs", "/docs/page.js"):
            assert guarded.send("GET", path)[0] == 401
        status, _, body = guarded.send(
            "GET", "/openapi.json", headers=[f"Authorization: Bearer {token}"]
        )
        assert status == 200
        document = json.loads(body)
        assert document["security"] == [{"token": []}, {"password": []}]
        assert document["paths"]["/health"]["get"]["security"] == []
        assert "401" not in document["paths"]["/health"]["get"]["responses"]
        assert "403" in document["paths"]["/tickets"]["put"]["responses"]
        asked = [each["name"] for each in document["paths"]["/tickets"]["put"]["parameters"]]
        assert "Iris-Actor" not in asked
        assert "role admin" in document["paths"]["/workflow"]["put"]["description"]
    finally:
        guarded.stop()


# The page ------------------------------------------------------------------------------------------


def test_the_page_loads_only_what_is_here(http):
    page = http.get("/docs", headers={"Accept": "text/html"})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for address in re.findall(r'(?:src|href)="(?!data:)([^"]+)"', page.text):
        file = http.get(f"/{address}")
        assert file.status == 200, address
        tag = file.headers["etag"]
        assert http.get(f"/{address}", headers={"If-None-Match": tag}).status == 304
    # Under whatever prefix, and with a slash at its end.
    assert 'href="../openapi.json"' in http.get("/docs/").text
    for name in ("nope", "SHA256SUMS", "..%2F__init__.py"):
        assert http.get(f"/docs/{name}").status == 404


def test_its_files_are_npms(server):
    sums = (SWAGGER / "SHA256SUMS").read_text()
    known = dict(reversed(line.split()) for line in sums.splitlines())
    own = {"SHA256SUMS", "page.css", "page.html", "page.js"}
    assert known.keys() | own == {path.name for path in SWAGGER.iterdir()}
    for name, digest in known.items():
        assert hashlib.sha256((SWAGGER / name).read_bytes()).hexdigest() == digest, name
    assert "Apache License" in (SWAGGER / "LICENSE").read_text()


# Where one files a ticket.
FILE = "#operations-tickets-put_tickets"


def tried(browse, scheme, width, token=None):
    """Open the page as somebody has it, and file a ticket by it; return what went wrong, a list of words."""
    page, wrong = browse.context(scheme, width, token=token).new_page(), []
    page.on("requestfailed", lambda request: wrong.append(f"{request.url} failed"))
    page.goto("/docs")
    page.wait_for_selector(FILE)
    red, green, blue = page.evaluate(
        "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"
    )[:3]
    if (red + green + blue < 3 * 128) != (scheme == "dark"):
        wrong.append(f"where the reader is {scheme}, the page is not")
    if page.evaluate("document.documentElement.scrollWidth") > WIDTHS[width]:
        wrong.append(f"the page is wider than {WIDTHS[width]}")
    if token:
        page.click(".authorize")
        page.fill("#auth-bearer-value", token)
        page.click(".auth-btn-wrapper .authorize")
        page.click(".btn-done")
    page.click(f"{FILE} .opblock-summary-control")
    page.click(f"{FILE} .execute")
    shown = page.wait_for_selector(f"{FILE} .live-responses-table tbody .response-col_status")
    if not shown.inner_text().startswith("201"):
        wrong.append(f"to file a ticket gave {shown.inner_text()}")
    page.context.close()
    return wrong + browse.wrong


def test_the_page_works_in_a_browser(browse, sql):
    assert tried(browse, "dark", "telephone") == []
    assert sql("SELECT title FROM tickets") == [{"title": "A new ticket"}]


@pytest.mark.slow
def test_the_page_works_in_a_browser_with_a_token(chromium, server, sql):
    (token,) = sql.one("SELECT add_token('wendy', 'writer') ->> 'token'").values()
    guarded = Live(server.url(), IRIS_AUTH="token")
    try:
        browse = Browsing(chromium, f"http://127.0.0.1:{guarded.port}")
        assert tried(browse, "light", "wide", token) == []
        assert sql.one("SELECT reporter FROM tickets LIMIT 1") == {"reporter": "wendy"}
    finally:
        guarded.stop()


# Strangers ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def url(live):
    return f"http://127.0.0.1:{live.port}"


@STRANGERS
def test_it_is_openapi(url, document, tmp_path):
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(document))
    assert ": OK" in strangers.run("openapi-spec-validator", path)


@STRANGERS
def test_a_typed_client_is_made_of_it(url, clean, tmp_path):
    made = ["--url", f"{url}/openapi.json", "--output-path", tmp_path / "iris_client"]
    command = ["generate", "--meta", "none", "--config", "client.yml"]
    said = strangers.run("openapi-python-client", *command, *made)
    # Bodies that are neither JSON nor forms are not for it, nor are pictures; it lacks nothing else.
    left_out = re.findall(r"Unsupported content[ _]type ([^\s)]+)", said)
    pictures = {"image/svg+xml"}
    assert set(left_out) == {"text/plain", "application/x-ndjson", "application/x-none"} | pictures
    assert said.count("WARNING") == len(left_out), said
    strangers.run("python", "client.py", tmp_path, url)


@STRANGERS
def test_schemathesis_finds_no_answer_that_it_lacks(url, sql):
    """For twenty seconds; `make described` takes longer."""
    sql(strangers.TICKETS)
    said = strangers.search(url, 20, ("examples", "fuzzing", "stateful"), 1)
    assert re.search(r"\d+ generated", said), said


def test_get_of_the_first_address_says_what_there_is(http):
    answer = http.get("/", headers={"Accept": "application/json"})
    assert '<openapi.json>; rel="service-desc"' in answer.headers["link"]
    for address in answer.json["links"].values():
        # Some want a parameter, and say so.
        # Some want to know more: from when on, or who asks.
        assert http.get(f"/{address}").status in (200, 401, 422), address
