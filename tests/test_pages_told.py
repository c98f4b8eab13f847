"""Who is told, in a browser without script: hooks, the inbox, who watches, and mail."""

import json
from base64 import b64encode
from urllib.parse import quote

import pytest
from browsing import Browser, fields
from conftest import ALICE, BOB
from test_pages_other import HOSTILE, dead, main

from iris.web import conditions

URL = "https://ci.example.org/iris"


@pytest.fixture
def browser(http):
    return Browser(http)


def hook(browser, **given):
    """Make a hook by its form; return its page."""
    browser.go("/hooks")
    return browser.send(browser.form("/hooks"), 201, **{"url": URL, **given})


# Hooks --------------------------------------------------------------------------------------------


def test_a_hook_is_made_by_a_form_and_its_secret_is_shown_once(http, browser):
    page = hook(browser, kind="created, commented", filter="label=ops&q=printer on fire")
    (secret,) = page.of("secret")
    assert secret.text.startswith("whsec_")
    assert browser.answer.headers["cache-control"] == "no-store"
    (made,) = http.get("/hooks").json
    assert (made["url"], made["kind"]) == (URL, ["created", "commented"])
    assert made["filter"] == {"label": "ops", "q": "printer on fire"}
    for address in ("/hooks", "/hooks/1"):
        page = browser.go(address)
        assert secret.text not in browser.answer.text
        assert "q=printer%20on%20fire&label=ops" in main(page).words


def test_who_sends_the_form_twice_makes_one_hook(http, browser):
    browser.go("/hooks")
    form = browser.form("/hooks")
    browser.send(form, 201, url=URL)
    page = browser.send(form, 201, url=URL)
    assert not list(page.of("secret"))
    assert "its secret was shown then" in main(page).words
    assert len(http.get("/hooks").json) == 1


@pytest.mark.parametrize(
    ("given", "status", "field"),
    [
        ({"url": ""}, 422, "url"),
        ({"url": "ftp://example.org"}, 422, "url"),
        ({"url": HOSTILE}, 422, "url"),
        ({"kind": "exploded"}, 422, "kind"),
        ({"filter": "colour=red"}, 422, "filter"),
        ({"filter": "status=nowhere"}, 422, "filter"),
        ({"filter": "label=a&label=b"}, 400, None),
        ({"filter": "{"}, 422, "filter"),
        ({"filter": "q=%00"}, 422, "filter"),
        ({"on_failure": "explode"}, 422, "on_failure"),
    ],
)
def test_a_refused_hook_comes_back_filled_in(http, browser, given, status, field):
    browser.go("/hooks")
    whole = {"url": URL, "kind": "created", "filter": "label=ops", **given}
    page = browser.send(browser.form("/hooks"), status, **whole)
    dead(page)
    form = browser.form("/hooks")
    assert {name: fields(form)[name] for name in given} == given
    wrong = [each["name"] for each in form.all() if each.get("aria-invalid")]
    assert wrong == ([field] if field else [])
    browser.send(form, 201, url=URL, kind="", filter="", on_failure="park")
    assert http.get("/hooks").json[0]["filter"] == {}


def test_a_hook_is_changed_stopped_set_back_and_deleted_by_forms(http, browser, ticket):
    ticket()
    hook(browser, filter="label=ops")
    browser.go("/hooks/1")
    # Sending it as it is changes nothing.
    change = browser.form("/hooks/1", filter="label=ops")
    browser.send(change)
    assert http.get("/hooks/1").json["filter"] == {"label": "ops"}
    browser.send(browser.form("/hooks/1", url=URL), filter="", kind="created", on_failure="stop")
    assert browser.address.partition("?")[0] == "/hooks/1"
    now = http.get("/hooks/1").json
    assert (now["filter"], now["kind"], now["on_failure"]) == ({}, ["created"], "stop")
    browser.send(browser.form("/hooks/1", url=URL), kind="", filter='{"label": "x"}')
    now = http.get("/hooks/1").json
    assert (now["filter"], now["kind"]) == ({"label": "x"}, [])
    browser.send(browser.form("/hooks/1", state="stopped"))
    assert http.get("/hooks/1").json["state"] == "stopped"
    assert list(browser.page.of("late"))
    browser.send(browser.form("/hooks/1", state="active"))
    http.get("/events?after=0")
    browser.send(browser.form("/hooks/1", position="0"))
    now = http.get("/hooks/1").json
    assert (now["state"], now["position"]) == ("active", 0)
    assert main(browser.page).one("dd").words == "active"
    page = browser.send(browser.form("/hooks/1", secret="new"), 200)
    (secret,) = page.of("secret")
    assert secret.text.startswith("whsec_")
    browser.go("/hooks/1")
    browser.send(browser.form("/hooks/1", _method="DELETE"))
    assert browser.address.partition("?")[0] == "/hooks"
    assert http.get("/hooks").json == []
    # What can't be taken back has no button for it.
    assert "removed" in next(browser.page.of("done")).words
    assert not list(browser.page.all("form", action="undo"))


def test_what_a_hook_was_told_is_shown(http, browser, sql, owner, ticket):
    ticket()
    hook(browser)
    http.get("/events?after=0")
    with owner.cursor() as cursor:
        cursor.execute(
            "INSERT INTO deliveries (hook_id, position, at, tried, outcome, status, took, answer)"
            " SELECT 1, 1, now(), number, 'failed', 503, 17, %s FROM generate_series(1, 12) AS number",
            [HOSTILE],
        )
    page = browser.go("/hooks/1")
    dead(page)
    assert len(list(page.one("tbody").all("tr"))) == 10
    page = browser.go("/hooks/1/deliveries")
    dead(page)
    rows = list(page.one("tbody").all("tr"))
    assert [row.one("td").words for row in rows] == ["1"] * 12
    assert "17 ms" in rows[0].words


def test_a_filter_in_a_form_is_what_a_list_has_in_its_address():
    for given in ({}, {"label": "a,b", "q": '"x y" & é=1'}, {"fields.a b": "c+d"}):
        line = conditions.line(given)
        assert json.loads(conditions.document({"filter": line})["filter"]) == given
        assert json.loads(conditions.document({"filter": f" ?{line} "})["filter"]) == given
    assert conditions.document({"filter": '{"a": 1}', "x": "y"}) == {"filter": '{"a": 1}', "x": "y"}
    assert conditions.document({"x": "y"}) == {"x": "y"}


def test_curl_says_a_filter_as_before(http):
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = http.put("/hooks", raw=f"url={quote(URL)}&filter=label%3Dops", headers=form)
    assert (answer.status, list(answer.json["errors"])) == (422, ["filter"])


# Inbox and watchers -------------------------------------------------------------------------------


@pytest.fixture
def alice(http):
    """Return Alice with a browser that says who she is."""
    return Browser(http, {"Iris-Actor": ALICE})


def test_an_inbox_holds_together_what_is_of_a_ticket_and_is_read_up_to_what_was_shown(
    http, alice, ticket
):
    one, other = ticket(assignee=ALICE), ticket("Lamp", assignee=ALICE)
    for number in (one, other, one):
        http.put(f"/tickets/{number}/comments", body=f"about {number}", actor=BOB)
    page = alice.go("/inbox")
    assert "Inbox of alice" in main(page).words
    shown = [each["data-ticket"] for each in page.all("article")]
    assert shown == [str(one), str(other)]
    assert page.one("article").words.count("about") == 2
    form = alice.form("/inbox")
    # What comes meanwhile stays unread.
    http.put(f"/tickets/{one}/comments", body="later", actor=BOB)
    page = alice.send(form)
    assert alice.address.partition("?")[0] == "/inbox"
    (left,) = page.all("article")
    assert "later" in left.words and "about" not in left.words
    assert "filed it" in main(alice.go("?after=0")).words
    page = alice.send(alice.form(f"/tickets/{one}/watchers/me"))
    http.put(f"/tickets/{one}/comments", body="latest", actor=BOB)
    assert not list(alice.go("/inbox").all("article"))
    assert "Nothing here." in main(alice.page).words


def test_an_inbox_tells_of_what_is_gone_and_is_dead(http, alice, ticket):
    number = ticket(HOSTILE[:-1], assignee=ALICE)
    http.put(f"/tickets/{number}/comments", body=HOSTILE, actor="<b>")
    dead(alice.go("/inbox"))
    http.delete(f"/tickets/{number}", actor=BOB)
    page = alice.go("/inbox?after=0")
    dead(page)
    assert "(gone)" in main(page).words
    alice.go(page.one("article").one("a")["href"])


def test_one_watches_a_ticket_and_leaves_it_by_a_button(http, alice, ticket):
    number = ticket()
    page = alice.go(f"/tickets/{number}")
    assert next(page.of("watching")).one("p").words.startswith("anonymous")
    page = alice.send(alice.form(f"/tickets/{number}/watchers/me"))
    assert alice.address.partition("?")[0] == f"/tickets/{number}"
    assert "alice, anonymous" in next(page.of("watching")).words
    page = alice.send(alice.form(f"/tickets/{number}/watchers/me", _method="DELETE"))
    assert ALICE not in next(page.of("watching")).words
    # In a past nobody watches anything.
    assert not list(alice.go(f"/tickets/{number}?as_of=now").of("watching"))


# Mail ---------------------------------------------------------------------------------------------


def test_somebody_says_how_they_get_mail(http, alice):
    page = alice.go("/me")
    (there,) = (each for each in page.all("a") if each["href"] == "people/me")
    page = alice.go(there["href"])
    assert page.one("h1").words == "Mail of alice"
    page = alice.send(alice.form("/people/alice"), 422, mail="nowhere")
    assert page.one("input", name_="mail")["aria-invalid"] == "true"
    page = alice.send(alice.form("/people/alice"), mail="alice@example.org", digest="daily")
    assert fields(alice.form("/people/alice", digest="daily"))["mail"] == "alice@example.org"
    assert http.get("/people/alice", actor=ALICE).json["digest"] == "daily"
    alice.send(alice.form("/people/alice", _method="DELETE"))
    assert "There is no address" in main(alice.page).words
    assert http.get("/people").json == []


def test_a_form_that_names_no_page_leads_to_whom_it_was_about(http):
    """Whatever they are called: an address has only ASCII."""
    form = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "text/html"}
    path = f"/people/{quote('李 é?#')}"
    headers = {**form, **basic("李 é?#")}
    answer = http("POST", path, raw="mail=a%40example.org", headers=headers)
    assert answer.status == 303, answer.text
    assert answer.headers["location"].split("?")[0] == f"../people/{quote('李 é?#')}"


def test_admins_say_so_for_anybody(http, browser, owner):
    for name in (ALICE, "b & b?#%"):
        http.put(f"/people/{quote(name)}", mail="a@example.org", actor=name)
    with owner.cursor() as cursor:
        cursor.execute("UPDATE people SET state = 'bounced', reason = %s", [HOSTILE])
    page = browser.go("/people")
    dead(page)
    for name in (ALICE, "b & b?#%"):
        row = browser.page.one("tr", **{"data-person": name})
        browser.go(row.one("a")["href"])
        assert "bounced" in main(browser.page).words
        form = browser.form(f"/people/{quote(name)}", state="active")
        browser.send(form)
        assert http.get(f"/people/{quote(name)}", actor=name).json["state"] == "active"
        browser.go("/people")
    browser.send(browser.page.one("tr", **{"data-person": ALICE}).one("form"))
    assert [each["name"] for each in http.get("/people").json] == ["b & b?#%"]


# Who may ------------------------------------------------------------------------------------------


def test_changes_are_since_monday_unless_asked_otherwise(browser, http):
    page = browser.go("/changes")
    assert page.one("input", name_="since")["value"] == "monday"
    assert page.one("a", href="changes", **{"aria-current": "page"}).words == "Changes"
    for since in ("0044-03-15 BC", "0001-01-01", "9999-12-31", "4713-01-01 BC"):
        page = browser.go(f"/changes?since={quote(since)}&until=now")
        assert page.one("input", name_="since")["value"] == since
    page = browser.go("/changes?since=&until=now")
    assert page.one("input", name_="since")["value"] == "monday"
    assert http.get("/changes").status == 422


def basic(name):
    return {"Authorization": f"Basic {b64encode(f'{name}:'.encode()).decode()}"}


def test_who_needs_no_token_says_their_name_as_browsers_do(http, ticket):
    number = ticket()
    page = Browser(http).go("/me")
    assert [each.words for each in page.of("who")] == ["anonymous admin"]
    browser = Browser(http)
    browser.go("/sign-in", 401)
    assert browser.answer.headers["www-authenticate"].startswith("Basic ")
    assert "without a password" in main(browser.page).words
    named = Browser(http, basic("Ållé"))
    answer = http.get("/sign-in", headers=named.headers)
    assert (answer.status, answer.headers["location"]) == (303, "me")
    assert [each.words for each in named.go("/me").of("who")] == ["Ållé admin"]
    named.go(f"/tickets/{number}")
    named.send(named.form(f"/tickets/{number}/comments"), body="x")
    assert http.get("/comments").json[0]["author"] == "Ållé"
    # What is said outright is stronger, and a name that is none is refused.
    assert http.get("/me", headers={**basic(BOB), "Iris-Actor": ALICE}).json["actor"] == ALICE
    assert http.get("/me", headers=basic("a\nb")).status == 400
    assert http.get("/me", headers=basic("a" * 101)).status == 400
    for odd in ("Basic", "Basic !", "Basic /w==", "Bearer x", basic("")["Authorization"]):
        answer = http.get("/me", headers={"Authorization": odd})
        assert answer.status in (200, 400) and answer.status == (400 if "/w" in odd else 200), odd
    page = Browser(http, basic("a\nb")).go("/tickets", 400)
    assert not list(page.of("who"))
