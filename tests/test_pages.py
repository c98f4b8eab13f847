"""Pages: what a browser gets at the addresses where curl gets JSON, without its script."""

import re

import pytest
from browsing import ACCEPT, Browser, fields
from conftest import ALICE
from test_tokens import PATHS, QUERIES

from iris.api import API
from iris.web import assets

# Each page there is to be walked, and what stands on it.
PLACES = (
    "/tickets", "/tickets?view=board", "/tickets?view=board&by=assignee", "/tickets?view=board&by=priority",
    "/tickets/1", "/tickets/1?as_of=now", "/ticket?tid=1", "/tickets?columns=title,due", "/new", "/comments", "/comments/1",
    "/tickets/1/history", "/tickets/1/comments", "/events", "/changes?since=monday", "/stats", "/workflow",
    "/changes", "/hooks", "/hooks/1", "/hooks/1/deliveries", "/inbox?after=0", "/people", "/people/me", "/people/zoe", "/tickets/1/watchers",
    "/", "/help", "/tokens", "/me", "/health", "/db-check", "/nothing", "/tickets/77", "/tickets?limit=0", "/tickets?nothing=1",
)  # fmt: skip


@pytest.fixture
def browser(http):
    """Return somebody with a browser."""
    return Browser(http)


def test_who_asks_for_a_page_gets_one_and_curl_gets_json(http, ticket):
    ticket()
    for path in ("/tickets", "/tickets/1"):
        json = http.get(path)
        page = http.get(path, headers={"Accept": ACCEPT})
        assert json.headers["content-type"] == "application/json"
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert json.headers["vary"] == page.headers["vary"] == "Accept"
        assert page.headers["etag"] != json.headers.get("etag")
        # A parameter is stronger than a header.
        assert http.get(f"{path}?format=html").headers["content-type"] == "text/html; charset=utf-8"
        asked = http.get(f"{path}?format=json", headers={"Accept": ACCEPT})
        assert asked.headers["content-type"] == "application/json"


def test_every_page_is_well_formed_loads_only_its_own_and_runs_nothing_inline(
    browser, http, ticket
):
    ticket(description="x", labels=["a"], due="tomorrow"), ticket()
    http.put("/tickets/1/comments", body="y")
    http.put("/tickets/1/links/blocks/2")
    for place in PLACES:
        answer = http.get(place, headers={"Accept": ACCEPT})
        browser.go(place, answer.status)
        page, policy = browser.page, browser.answer.headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy, place
        assert "frame-ancestors 'none'" in policy
        assert "require-trusted-types-for 'script'" in policy
        assert browser.answer.headers["referrer-policy"] == "same-origin"
        assert page.one("html")["lang"] == "en"
        assert page.one("title").text.endswith("Iris")
        assert len(list(page.all("h1"))) == len(list(page.all("main"))) == 1, place
        numbers = [each["id"] for each in page.all() if each.get("id")]
        assert len(set(numbers)) == len(numbers), place
        for each in page.all():
            assert not [
                name for name in each.attributes if name.startswith("on") or name == "style"
            ]
            assert each.name != "style" and not (each.name == "script" and each.text)
            for name in ("href", "src", "action"):
                # Nothing of another host, and nothing absolute, for a proxy may have put Iris under a prefix.
                assert not re.match("/|[a-z]+:", each.get(name) or ""), (place, each.attributes)
        labelled = {each["for"] for each in page.all("label") if each.get("for")}
        for each in page.all():
            shown = each.name in ("input", "select", "textarea") and each.get("type") not in (
                "hidden",
                "radio",
            )
            assert not shown or each.get("aria-label") or each.get("id") in labelled, (
                place,
                each.attributes,
            )


def test_whatever_comes_as_json_comes_as_a_page(http, ticket):
    ticket(), ticket()
    http.put("/tickets/1/comments", body="x")
    http.put("/tickets/1/links/blocks/2")
    looked = set()
    for route, methods in API.http.routes[""].items():
        path = re.sub(r"{(\w+)}", lambda name: str(PATHS.get(name[1], 1)), route)
        path += QUERIES.get(route, "")
        known = methods["GET"][None].interface.spec.__dict__ if "GET" in methods else {"serves": ()}
        if "serves" not in known and http.get(path).status == 200:
            page = http.get(path, headers={"Accept": ACCEPT})
            assert page.status == 200, (route, page.text)
            assert page.headers["content-type"] == "text/html; charset=utf-8", route
            looked.add(route)
    assert looked >= {"/tickets", "/tickets/{ticket_id}", "/events", "/comments/{comment_id}"}


def test_files_that_pages_load_are_kept_for_ever_until_they_change(browser, http):
    page = browser.go("/tickets")
    for each in (page.one("link", rel="stylesheet")["href"], page.one("script")["src"]):
        assert assets.digest() in each
        answer = http.get(f"/{each}")
        assert "immutable" in answer.headers["cache-control"]
        again = http.get(f"/{each}", headers={"If-None-Match": answer.headers["etag"]})
        assert again.status == 304
    # A page of another version asks for what this one has by now.
    other = http.get("/assets/0123456789ab/iris.css")
    assert (other.status, other.headers["cache-control"]) == (200, "no-cache")
    assert http.get("/assets/now/../../../setup.py").status == 404
    assert http.get("/assets/now/nothing.css").status == 404


def test_a_page_is_not_sent_again_that_somebody_has(http, ticket):
    ticket()
    answer = http.get("/tickets/1", headers={"Accept": ACCEPT})
    known = {"Accept": ACCEPT, "If-None-Match": answer.headers["etag"]}
    assert http.get("/tickets/1", headers=known).status == 304
    http.put("/tickets/1", status="active")
    assert http.get("/tickets/1", headers=known).status == 200
    # A form that files, each time with a key of its own, is not: it would file what it filed before.
    forms = [http.get("/new", headers=known) for _ in range(2)]
    assert [(each.status, each.headers["cache-control"]) for each in forms] == [
        (200, "no-store")
    ] * 2
    assert "etag" not in forms[0].headers and forms[0].text != forms[1].text
    # Nor is JSON's tag a page's.
    tag = http.get("/tickets/1").headers["etag"]
    assert http.get("/tickets/1", headers={"Accept": ACCEPT, "If-None-Match": tag}).status == 200


def test_each_page_shows_the_curl_line_that_gives_the_same(browser, http, ticket):
    ticket(title='It\'s "here"', assignee=ALICE), ticket()
    browser.go("/tickets?view=board&assignee=alice&q=it's&status=")
    (line,) = (each.text for each in browser.page.of("curl"))
    # By what a browser leaves open, a board asks for no less and no more than this.
    assert line.startswith("curl -s 'http://iris.example:8000/tickets?") and line.count("'") == 2
    query = line.removesuffix("'").partition("?")[2]
    assert [each["ticket_id"] for each in http.get(f"/tickets?{query}").json] == [1]
    browser.go("/tickets/1")
    assert next(browser.page.of("curl")).text == "curl -s 'http://iris.example:8000/tickets/1'"


# Lists --------------------------------------------------------------------------------------------


def test_a_form_of_filters_narrows_the_list_and_what_it_leaves_open_is_no_filter(browser, ticket):
    (
        ticket(title="One", assignee=ALICE),
        ticket(title="Two", priority="urgent"),
        ticket(title="Three"),
    )
    browser.go("/tickets")
    browser.send(browser.form(kind="filters"), 200, priority="urgent")
    assert [
        each.words for each in browser.page.one("main").all("bdi") if each.parent.name == "a"
    ] == ["Two"]
    assert fields(browser.form(kind="filters"))["priority"] == "urgent"
    # Several values, which no choice of one has, stay.
    browser.go("/tickets?priority=urgent,high&status=open,active")
    given = fields(browser.form(kind="filters"))
    assert (given["priority"], given["status"]) == ("urgent,high", "open,active")
    # What is unknown is refused all the same, empty or not.
    assert browser.go("/tickets?stauts=", 400).one("article")["data-code"] == "unknown_parameter"


def test_a_list_goes_on_page_by_page(browser, ticket):
    for number in range(7):
        ticket(title=f"Number {number}")
    browser.go("/tickets?limit=3&sort=ticket_id")
    seen = []
    while True:
        seen += [
            int(row["data-ticket"])
            for row in browser.page.all("tr")
            if "data-ticket" in row.attributes
        ]
        links = list(browser.page.all("a", rel="next"))
        if not links:
            break
        browser.go(links[0]["href"])
    assert seen == [1, 2, 3, 4, 5, 6, 7]


def test_a_board_has_a_column_for_each_status_in_their_order_and_says_where_cards_may_go(
    browser, http, ticket
):
    ticket(), ticket(status="active"), ticket(status="closed")
    page = browser.go("/tickets?view=board")
    columns = list(page.of("column"))
    assert [each["data-column"] for each in columns] == [
        "open",
        "active",
        "blocked",
        "resolved",
        "closed",
    ]
    cards = {each["data-ticket"]: each for each in page.of("card")}
    # What is closed is on a board only if one asks for it.
    assert set(cards) == {"1", "2"}
    assert cards["2"]["data-next"] == '["open", "blocked", "resolved", "closed"]'
    assert cards["2"]["data-version"] == "1"
    browser.go("/tickets?view=board&open=")
    assert [each["data-ticket"] for each in browser.page.of("card")] == ["1", "2", "3"]
    browser.go("/tickets?view=board&by=assignee")
    assert [each["data-column"] for each in browser.page.of("column")] == [""]
    # To curl it is the same address, and the same tickets.
    assert len(http.get("/tickets?view=board&by=priority").json) == 3


def test_a_card_is_moved_by_a_plain_form_and_back(browser, http, ticket):
    ticket(), ticket()
    browser.go("/tickets?view=board&priority=normal")
    browser.send(browser.form("/tickets/1"), status="active")
    # Back where one was, and told what was done.
    assert browser.address.startswith(
        "/tickets?view=board&priority=normal&open=true&limit=1000&_done="
    )
    assert http.get("/tickets/1").json["status"] == "active"
    done = next(browser.page.of("done"))
    assert "1: status: open → active" in done.words
    browser.send(browser.form("/undo"))
    assert http.get("/tickets/1").json["status"] == "open"
    assert "status: active → open" in next(browser.page.of("done")).words


def test_who_moves_a_card_twice_moves_it_once(browser, http, ticket):
    ticket()
    browser.go("/tickets?view=board")
    form, address = browser.form("/tickets/1"), browser.address
    browser.send(form, status="active")
    browser.address = address
    # The second click of two, with the version that was seen.
    sent = {**fields(form), "status": "active"}
    assert sent["version"] == "1"
    browser.send(form, 303, status="active")
    assert http.get("/tickets/1").json["version"] == 2


# A ticket -----------------------------------------------------------------------------------------


def test_a_ticket_has_one_timeline_of_what_was_said_and_done(browser, http, ticket):
    ticket(), ticket(title="The other")
    http.put("/tickets/1", status="active", actor="bob")
    http.put("/tickets/1/comments", body="It **burns**", actor="alice")
    http.put("/tickets/1/links/blocks/2", actor="bob")
    page = browser.go("/tickets/1")
    told = [each.words for each in next(page.of("timeline")).all("li")]
    assert [text.split()[0] for text in told] == ["anonymous", "bob", "alice", "bob"]
    assert "filed it" in told[0] and "status: open → active" in told[1] and "It burns" in told[2]
    assert "blocks 2" in told[3]
    assert next(page.of("links")).one("li").words.startswith("blocks 2 The other")
    browser.go("/tickets/2")
    assert "is blocked by 1" in next(browser.page.of("links")).words


def test_a_ticket_is_filed_changed_commented_linked_and_deleted_by_forms(browser, http):
    browser.go("/new?labels=bug&title=From%20a%20link")
    form = browser.form("/tickets")
    assert fields(form)["labels"] == "bug"
    browser.send(
        form, description="One\n\n  two+two & 100%\n", assignee="", due="2026-12-01T12:00+01:00"
    )
    assert browser.address.startswith("/tickets/1?_done=")
    row = http.get("/tickets/1").json
    assert (row["title"], row["assignee"], row["labels"]) == ("From a link", None, ["bug"])
    assert row["description"] == "One\n\n  two+two & 100%\n"
    assert row["due"] == "2026-12-01T11:00:00+00:00"

    # Sent as it came, a form changes nothing.
    browser.send(browser.form("/tickets/1", kind=None, title="From a link"))
    assert http.get("/tickets/1").json["version"] == 1
    labels = 'a, "b, c", "quoted ""x"""'
    browser.send(
        browser.form("/tickets/1", title="From a link"), title="Changed", labels=labels, fields='{"n": 1.50}', due="",
    )  # fmt: skip
    row = http.get("/tickets/1").json
    assert (row["title"], row["labels"], row["fields"]) == (
        "Changed",
        ["a", "b, c", 'quoted "x"'],
        {"n": 1.5},
    )
    assert row["due"] is None
    browser.send(browser.form("/tickets/1", title="Changed"))
    assert http.get("/tickets/1").json["labels"] == row["labels"]

    browser.send(browser.form("/tickets/1/comments"), body="Said\nso")
    assert http.get("/tickets/1/comments").json[0]["body"] == "Said\nso"
    browser.send(browser.form("/comments/1"), body="Said otherwise")
    assert http.get("/comments/1").json["body"] == "Said otherwise"
    http.put("/tickets", title="Other")
    browser.go("/tickets/1")
    browser.send(browser.form("/tickets/1/links"), kind="blocks", other_id="2")
    assert http.get("/tickets/1").json["links"] == [
        {"ticket_id": 1, "kind": "blocks", "other_id": 2}
    ]
    browser.send(browser.form("/tickets/1/links/blocks/2"))
    assert http.get("/tickets/1").json["links"] == []
    browser.send(browser.form("/comments/1", _method="DELETE"))
    assert http.get("/tickets/1/comments").json == []

    browser.send(browser.form("/tickets/1", _method="DELETE"))
    assert http.get("/tickets/1").status == 404
    assert browser.address.startswith("/tickets?_done=")
    # What was deleted comes back.
    browser.send(browser.form("/undo"))
    assert http.get("/tickets/1").json["title"] == "Changed"


def test_no_text_is_taken_for_what_iris_puts_into_a_page(browser, http, ticket):
    text = "iris-form-key \\0key {{ KEY }} {% raw %}"
    ticket(title=text, description=text)
    browser.go("/tickets/1")
    keys = {fields(form)["_key"] for form in browser.page.all("form", method="post")}
    assert len(keys) == len(list(browser.page.all("form", method="post")))
    assert all(re.fullmatch(r"[\w-]{16}-[\w]+", key) for key in keys)
    browser.send(browser.form("/tickets/1", title=text))
    assert http.get("/tickets/1").json["version"] == 1


def test_each_event_of_a_ticket_can_be_taken_back(browser, http, ticket):
    ticket()
    http.put("/tickets/1", priority="high")
    http.put("/tickets/1", assignee="alice")
    browser.go("/tickets/1")
    browser.send(browser.form("/undo", event_id="2"))
    row = http.get("/tickets/1").json
    assert (row["priority"], row["assignee"]) == ("normal", "alice")


def test_who_clicks_twice_files_once(browser, http):
    browser.go("/new")
    form = browser.form("/tickets")
    browser.send(form, title="Once")
    browser.address = "/new"
    browser.send(form, title="Once")
    assert [each["title"] for each in http.get("/tickets").json] == ["Once"]


def test_what_one_page_costs(browser, http, ticket, statements):
    """In statements: what a list needs beside its rows is asked once; a ticket has more parts."""
    for _ in range(3):
        ticket()
    http.put("/tickets/1/links/blocks/2")
    statements()
    for path, most in (("/tickets", 2), ("/tickets?view=board", 2), ("/tickets/1", 5), ("/new", 1)):
        browser.go(path)
        assert len(statements()) == most, path


# The past -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/tickets", "/tickets?view=board", "/tickets/1"])
def test_a_past_is_shown_and_nothing_can_be_done_to_it(browser, http, ticket, sql, path):
    ticket(title="Before")
    http.put("/tickets/1/comments", body="x")
    then = sql.one("SELECT now()::text AS at")["at"].replace(" ", "T").replace("+00", "Z")
    http.put("/tickets/1", title="After")
    page = browser.go(f"{path}{'&' if '?' in path else '?'}as_of={then}")
    assert "Before" in page.words and "After" not in page.one("main").words
    assert next(page.of("past")).words.startswith("This is how it was at")
    assert not list(page.all("form", method="post"))
    assert "data-live" not in page.one("body").attributes
    assert page.one("body")["data-as-of"] == then
    browser.go(next(page.of("past")).one("a")["href"])
    assert "After" in browser.page.words
