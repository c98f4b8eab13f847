"""Forms that are refused, races that are lost, and who may send one: as browsers send them, without script."""

import re
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode, urljoin, urlsplit

import pytest
from browsing import ACCEPT, Browser, fields
from conftest import Live
from test_pages import PLACES
from test_tokens import add, guarded, people, ticket_there  # noqa: F401 (fixtures)

from iris import rights
from iris.api import API
from iris.intake import auth

FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": ACCEPT}


@pytest.fixture
def browser(http):
    """Return somebody with a browser."""
    return Browser(http)


def wrong(page):
    """Return {field: what is wrong with it} of a form that came back."""
    found = {}
    for each in page.all():
        if each.get("aria-invalid") == "true":
            found[each["name"]] = page.one(id=each["aria-describedby"]).text
    return found


# Refused ------------------------------------------------------------------------------------------


def test_a_refused_form_comes_back_filled_in_with_the_databases_words_at_the_field(
    browser, http, sql
):
    browser.go("/new")
    long = "x" * 301
    page = browser.send(
        browser.form("/tickets"),
        422,
        title=long,
        description="Typed for an hour\n\nby hand",
        labels="a, b",
    )
    refusal = sql.refusal("INSERT INTO tickets (title) VALUES (%s)", long)
    assert wrong(page) == {"title": refusal.diag.message_primary}
    assert page.one(role="alert")["data-code"] == "invalid_value"
    given = fields(browser.form("/tickets"))
    assert (given["title"], given["description"], given["labels"]) == (
        long,
        "Typed for an hour\n\nby hand",
        "a, b",
    )
    # One is where one has to go on.
    assert [each["name"] for each in page.all() if "autofocus" in each.attributes] == ["title"]
    browser.send(browser.form("/tickets"), title="Short")
    (row,) = http.get("/tickets").json
    assert row["description"] == "Typed for an hour\n\nby hand"


def test_several_fields_are_told_at_once_where_their_types_are_wrong(browser, ticket):
    ticket()
    browser.go("/tickets/1")
    page = browser.send(
        browser.form("/tickets/1", kind=None, title="Printer on fire"),
        422,
        fields="{",
        due="GMT+0100",
    )
    assert wrong(page).keys() == {"fields", "due"}
    assert fields(browser.form("/tickets/1"))["fields"] == "{"


def test_where_the_workflow_has_no_such_way_those_that_it_has_can_be_chosen(browser, http, ticket):
    ticket()
    browser.go("/tickets?view=board")
    form = browser.form("/tickets/1")
    http.put("/tickets/1", status="closed")
    page = browser.send(form, 412, status="active")
    assert browser.answer.status == 412
    page = browser.send(browser.form("/tickets/1"), 409)
    assert wrong(page)["status"] == http.put("/tickets/1", status="active").json["detail"]
    select = next(each for each in page.all("select") if each["name"] == "status")
    options = [each["value"] for each in select.all("option")]
    assert options == ["active", "open"]
    assert "tickets?view=board" in next(
        each["href"] for each in page.all("a") if "Back" in each.text
    )


def test_a_link_that_leads_in_a_circle_or_nowhere_is_told_at_its_field(browser, http, ticket):
    ticket(), ticket()
    http.put("/tickets/1/links/blocks/2")
    browser.go("/tickets/2")
    page = browser.send(browser.form("/tickets/2/links"), 409, kind="blocks", other_id="1")
    assert wrong(page)["other_id"] == page.one("article").one("p").text
    page = browser.send(browser.form("/tickets/2/links"), 404, other_id="99")
    assert "99" in wrong(page)["other_id"]
    browser.send(browser.form("/tickets/2/links"), 422, other_id="one")
    browser.send(browser.form("/tickets/2/links"), kind="relates", other_id="1")
    assert len(http.get("/tickets/2").json["links"]) == 2


def test_an_undo_that_others_are_in_the_way_of_says_what_is(browser, http, ticket):
    ticket()
    http.put("/tickets/1", priority="high")
    browser.go("/tickets/1")
    form = browser.form("/undo", event_id="2")
    http.put("/tickets/1", priority="low")
    page = browser.send(form, 409)
    assert page.one("article")["data-code"] == "changed_since"
    assert "priority" in next(page.of("conflict")).text
    # A button that was refused is no form to fill in.
    assert not [each for each in page.all("button") if each.text == "Send again"]


def test_nothing_that_was_typed_is_lost_when_the_database_is_gone(server):
    live = Live(
        server.url().replace("dbname=iris", "dbname=nowhere").replace("/iris?", "/nowhere?")
    )
    try:
        body = b"title=A+ticket&description=Typed+for+an+hour&_key=abc&_back=tickets"
        status, head, page = live.send(
            "POST", "/tickets", body, [f"{name}: {value}" for name, value in FORM.items()]
        )
        assert status == 503 and "retry-after" in head.lower()
        assert b">\nTyped for an hour</textarea>" in page
        assert live.send("GET", "/tickets/1", headers=[f"Accept: {ACCEPT}"])[0] == 503
    finally:
        live.stop()


# Races --------------------------------------------------------------------------------------------


def test_who_loses_a_race_sees_both_versions_and_chooses(browser, http, ticket):
    ticket(description="as it was", assignee="alice")
    browser.go("/tickets/1")
    form = browser.form("/tickets/1", title="Printer on fire")
    http.put("/tickets/1", title="Theirs", description="their text", priority="high", actor="bob")
    page = browser.send(form, 412, title="Mine", assignee="me")
    assert "version 2" in page.one(role="alert").text
    rows = {
        each.one("th").text: [cell.words for cell in each.all("td")]
        for each in page.one("tbody").all("tr")
    }
    # What only they have changed stays as it is by now; what only I have, or both, is to be chosen.
    assert rows == {"title": ["Theirs", "Mine"], "assignee": ["alice", "me"]}
    browser.send(browser.form("/tickets/1"), title="Theirs")
    row = http.get("/tickets/1").json
    assert (row["title"], row["assignee"]) == ("Theirs", "me")
    assert (row["description"], row["priority"], row["version"]) == ("their text", "high", 3)


def test_the_race_may_be_lost_once_more(browser, http, ticket):
    ticket()
    browser.go("/tickets/1")
    form = browser.form("/tickets/1", title="Printer on fire")
    http.put("/tickets/1", title="Theirs")
    browser.send(form, 412, title="Mine")
    http.put("/tickets/1", title="Theirs again")
    page = browser.send(browser.form("/tickets/1"), 412)
    assert "Theirs again" in page.words
    browser.send(browser.form("/tickets/1"))
    assert http.get("/tickets/1").json["title"] == "Mine"


def test_a_ticket_that_has_changed_is_not_deleted_by_a_page_from_before(browser, http, ticket):
    ticket()
    browser.go("/tickets/1")
    form = browser.form("/tickets/1", _method="DELETE")
    http.put("/tickets/1", title="Theirs")
    assert browser.send(form, 412).one("article")["data-code"] == "version_moved_on"
    assert http.get("/tickets/1").status == 200


def test_forms_say_which_version_was_seen_where_one_has_to(browser, http, ticket, monkeypatch):
    ticket()
    monkeypatch.setattr(auth, "REQUIRE_IF_MATCH", True)
    browser.go("/tickets?view=board")
    browser.send(browser.form("/tickets/1"), status="active")
    browser.go("/tickets/1")
    browser.send(browser.form("/tickets/1", title="Printer on fire"), title="Changed")
    assert http.get("/tickets/1").json["version"] == 3
    browser.send(browser.form("/tickets/1", _method="DELETE"))
    assert http.get("/tickets/1").status == 404


def test_two_who_send_the_same_form_at_once_file_one(live, http):
    raw = b"title=Once&_key=the-same-key"
    head = [*(f"{name}: {value}" for name, value in FORM.items()), "Origin: http://iris"]
    with ThreadPoolExecutor(8) as pool:
        sent = [pool.submit(live.send, "POST", "/tickets", raw, head) for _ in range(8)]
    places = {re.search("(?i)location: ([^?\r]*)", each.result()[1])[1] for each in sent}
    assert places == {"tickets/1"}
    assert len(http.get("/tickets").json) == 1


# What goes with a form ----------------------------------------------------------------------------


def test_what_is_a_forms_own_is_unknown_to_others(http, ticket):
    ticket()
    plain = {"Content-Type": FORM["Content-Type"]}
    for given in ("_method=DELETE", "_key=x", "_back=tickets", "_version=1", "title=x&_done=1"):
        answer = http("POST", "/tickets/1", raw=given, headers=plain)
        assert (answer.status, answer.json["code"]) == (400, "unknown_parameter"), given
    assert http.get("/tickets?_done=1").status == 400
    # To a page it is what it is, if it is that.
    for given in ("_method=GET", "_method=", "_key=", "_version=x", "_nothing=1", "nothing=1"):
        assert http("POST", "/tickets/1", raw=given, headers=FORM).status == 400, given


@pytest.mark.parametrize(
    "back",
    ["//evil.example", "https://evil.example", "/tickets", "javascript:alert(1)", "\\\\evil.example", "tickets\r\nX: y",
     "tickets?a b", " //evil.example", "\t//evil.example", "http:evil.example", "tickets#//evil"],
)  # fmt: skip
def test_a_form_leads_nowhere_else(http, back):
    answer = http("POST", "/tickets", raw=urlencode({"title": "x", "_back": back}), headers=FORM)
    assert answer.status == 400, answer.headers
    assert http.get("/tickets").json == []


def test_a_form_that_is_garbled_is_refused_as_a_page(http, ticket):
    ticket()
    for raw in (
        b"\xff",
        b"title=%ff",
        b"title=%zz",
        b"title=a&title=b",
        b"title=%00",
        b"=&=",
        b"&" * 2000,
    ):
        answer = http("POST", "/tickets/1", raw=raw, headers=FORM)
        assert answer.status in (400, 422), raw
        assert answer.headers["content-type"].startswith("text/html")
    assert http("POST", "/tickets/1", raw=b"title=" + b"x" * (1 << 20), headers=FORM).status == 413
    assert http.get("/tickets/1").json["version"] == 1


def test_a_long_text_comes_through_a_form(browser, http, ticket):
    ticket()
    browser.go("/tickets/1")
    text = "é + & = %\n" * 9_999
    browser.send(browser.form("/tickets/1", title="Printer on fire"), description=text)
    assert http.get("/tickets/1").json["description"] == text
    browser.send(browser.form("/tickets/1", title="Printer on fire"))
    assert http.get("/tickets/1").json["version"] == 2


# Who may ------------------------------------------------------------------------------------------

FOREIGN = (
    {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, {"Origin": "http://iris.example"},
)  # fmt: skip


@pytest.mark.parametrize("foreign", FOREIGN)
def test_no_page_of_another_site_writes_whatever_it_sends(browser, http, ticket, foreign):
    ticket()
    headers = {**FORM, "Host": "iris.example:8000", **foreign}
    for method, path, raw in (
        ("POST", "/tickets", "title=x"), ("POST", "/tickets/1", "_method=DELETE"), ("POST", "/undo", "event_id=1"),
        ("DELETE", "/tickets/1", None), ("PUT", "/tickets/1", "title=x"), ("POST", "/tickets/1/comments", "body=x"),
    ):  # fmt: skip
        answer = http(method, path, raw=raw, headers=headers)
        assert answer.status == 403, (method, path)
        assert "may not write here" in answer.text
        # Nor does what it would have filed come back.
        assert 'class="refused"' not in answer.text
        as_json = http(method, path, raw=raw, headers={**headers, "Accept": "*/*"})
        assert as_json.json["code"] == "cross_origin"
    assert [each["version"] for each in http.get("/tickets").json] == [1]


def test_behind_a_proxy_that_has_its_own_host_the_browser_says_whose_page_it_is(http):
    own = {
        "Origin": "https://iris.example",
        "Sec-Fetch-Site": "same-origin",
        "Host": "127.0.0.1:8000",
    }
    assert http("POST", "/tickets", raw="title=x", headers={**FORM, **own}).status == 303
    del own["Sec-Fetch-Site"]
    answer = http(
        "POST", "/tickets", raw="title=x", headers={"Content-Type": FORM["Content-Type"], **own}
    )
    assert "has to pass Host on" in answer.json["hint"]


def test_curl_and_iriss_own_pages_write(http):
    for own in (
        {},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Origin": "http://iris.example:8000"},
    ):
        answer = http(
            "POST", "/tickets", raw="title=x", headers={"Host": "iris.example:8000", **FORM, **own}
        )
        assert answer.status == 303, own


@pytest.mark.parametrize("role", rights.ROLES)
def test_each_form_on_any_page_is_one_that_its_reader_may_send(guarded, people, ticket_there, role):  # noqa: F811
    guarded.put("/hooks", url="https://ci.example.org", headers=people["admin"])
    browser, seen = Browser(guarded, people[role]), set()
    for place in PLACES:
        answer = guarded.get(place, headers={**people[role], "Accept": ACCEPT})
        for form in browser.go(place, answer.status).all("form", method="post"):
            path = urlsplit(urljoin(browser.address, form["action"])).path
            route = API.http.falcon._router.find(path)[3]
            right = rights.of(fields(form).get("_method", "POST"), route)
            assert rights.suffices(role, right.role), (place, route)
            seen.add(right.role)
    assert seen == set(rights.ROLES[: rights.ROLES.index(role) + 1])


def test_readers_see_no_form_that_writes_and_are_refused_all_the_same(
    guarded,  # noqa: F811
    people,  # noqa: F811
    ticket_there,  # noqa: F811
):
    reader = Browser(guarded, people["reader"])
    for path in ("/tickets", "/tickets?view=board", "/workflow", "/events"):
        assert not list(reader.go(path).all("form", method="post")), path
    # Who reads may watch, which is theirs alone.
    (form,) = reader.go("/tickets/1").all("form", method="post")
    reader.send(form)
    assert "new" not in [each.get("class") for each in reader.page.all("a")]
    assert [each.text for each in reader.page.of("who")] == ["rita reader"]
    headers = {**people["reader"], **FORM}
    answer = guarded("POST", "/tickets/1", raw="title=x", headers=headers)
    assert answer.status == 403 and "permission denied for" in answer.text

    writer = Browser(guarded, people["writer"])
    writer.go("/tickets/1")
    assert {
        form["action"].rpartition("/")[2] for form in writer.page.all("form", method="post")
    } >= {"1", "comments", "links"}
    assert "Delete ticket 1" not in writer.page.words
    admin = Browser(guarded, people["admin"])
    admin.go("/tickets/1")
    admin.send(admin.form("/tickets/1", _method="DELETE"))


def test_who_has_no_token_is_asked_for_it_as_browsers_ask(guarded, people):  # noqa: F811
    answer = guarded.get("/tickets", headers={"Accept": ACCEPT})
    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith("Basic ")
    assert answer.headers["content-type"].startswith("text/html")
    assert 'data-code="unauthorized"' in answer.text and "<nav" in answer.text
    # What the page is drawn with is no secret.
    assert guarded.get("/assets/now/iris.css").status == 200


def test_what_was_done_is_told_by_history_not_by_the_address(browser, http, ticket):
    ticket()
    for done in ("0", "99999", "-1", "x", "1" * 30, "<script>"):
        answer = http.get(f"/tickets?_done={done}", headers={"Accept": ACCEPT})
        assert answer.status in (200, 400)
        assert 'class="done"' not in answer.text and "<script>" not in answer.text
