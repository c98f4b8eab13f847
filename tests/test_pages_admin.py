"""What admins do by forms: the workflow, and who may come in; without script."""

import json

import pytest
from browsing import Browser, fields
from conftest import ALICE, BOB
from test_pages_other import HOSTILE, dead, main, moment
from test_workflow import SEEDED

from iris.web import ways


@pytest.fixture
def browser(http):
    return Browser(http)


def the_form(browser):
    return browser.form(kind="workflow")


def test_the_workflow_is_drawn_and_told(http, browser):
    page = browser.go("/workflow")
    image = main(page).one("img")
    size = f'viewBox="0 0 {image["width"]} {image["height"]}"'
    assert size in http.get(f"/{image['src']}").text
    told = {
        name.one("bdi").text: [each.text for each in ways.all("bdi")]
        for name, ways in zip(page.all("dt"), page.all("dd"), strict=True)
    }
    assert told == SEEDED["transitions"]


def test_a_form_that_changes_nothing_changes_nothing(http, browser):
    browser.go("/workflow")
    browser.send(the_form(browser))
    assert browser.address.partition("?")[0] == "/workflow"
    assert http.get("/workflow").json == SEEDED
    assert http.get("/events?kind=workflow_changed").json == []


def test_a_form_adds_drops_renames_and_puts_in_order(http, browser, ticket):
    ticket()
    browser.go("/workflow")
    form = the_form(browser)
    for each in list(form.all("input", name_="to.0.3")):
        del each.attributes["checked"]
    new = {"status.5": "waiting", "is_open.5": "true", "to.0.5": "true", "to.5.0": "true"}
    browser.send(form, **{"status.1": "doing", "place.1": "9", "drop.2": "true", **new})
    assert http.get("/workflow").json == {
        "statuses": [
            {"status": "open", "is_open": True},
            {"status": "resolved", "is_open": False},
            {"status": "closed", "is_open": False},
            {"status": "doing", "is_open": True},
            {"status": "waiting", "is_open": True},
        ],
        "transitions": {
            "open": ["closed", "doing", "waiting"],
            "resolved": ["open", "closed"],
            "closed": ["open"],
            "doing": ["open", "resolved", "closed"],
            "waiting": ["open"],
        },
    }
    browser.send(browser.form("/undo"))
    assert http.get("/workflow").json == SEEDED


def test_a_refused_workflow_comes_back_filled_in(http, browser, ticket):
    ticket(status="blocked")
    browser.go("/workflow")
    new = {"status.5": HOSTILE[:26], "to.5.1": "true"}
    page = browser.send(the_form(browser), 409, **{"drop.2": "true", **new})
    assert 'tickets are in the status "blocked"' in main(page).words
    dead(page)
    form = the_form(browser)
    sent = fields(form)
    assert {name: sent.get(name) for name in new} == new
    assert "is_open.5" not in sent
    (dropped,) = form.all("input", name_="drop.2")
    del dropped.attributes["checked"]
    browser.send(form)
    names = [each["status"] for each in http.get("/workflow").json["statuses"]]
    assert names[2:] == ["blocked", "resolved", "closed", HOSTILE[:26]]
    dead(browser.page)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"status.1": "open"}, "statuses must not name a status twice"),
        ({"status.1": "a,b"}, "no comma"),
        ({f"drop.{place}": "true" for place in range(5)}, "a workflow needs at least one status"),
    ],
)
def test_the_words_of_the_database_stand_in_the_form(browser, given, words):
    browser.go("/workflow")
    browser.send(the_form(browser), 422, **given)
    (wrong,) = the_form(browser).of("wrong")
    assert words in wrong.words


def test_a_form_of_the_workflow_is_read_by_its_fields_alone():
    assert ways.document({"statuses": "[]", "x": "y"}) == {"statuses": "[]", "x": "y"}
    form = {
        "status.0": "a",
        "place.0": "x",
        "status.1": "b",
        "to.1.0": "1",
        "to.1.7": "1",
        "z": "1",
    }
    made = ways.document(form)
    assert json.loads(made["statuses"]) == [
        {"status": "a", "is_open": False},
        {"status": "b", "is_open": False},
    ]
    assert json.loads(made["transitions"]) == {"a": [], "b": ["a"]}
    assert made["z"] == "1"


def test_fields_that_the_form_lacks_are_refused(http, browser):
    browser.go("/workflow")
    page = browser.send(the_form(browser), 400, colour="red")
    assert "colour" in main(page).words


def test_a_form_of_nothing_is_refused(http, browser):
    browser.go("/workflow")
    form = the_form(browser)
    for each in list(form.all("input")):
        each.attributes.pop("name")
    assert "statuses must be a list" in main(browser.send(form, 422)).words
    assert http.get("/workflow").json == SEEDED


def test_curl_has_no_such_fields(http):
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = http.put("/workflow", raw="status.0=open", headers=form)
    assert (answer.status, answer.json["code"]) == (400, "unknown_parameter")


def test_a_workflow_of_very_many_is_changed_as_json(http, browser):
    names = [f"s{number}" for number in range(ways.MOST + 1)]
    statuses = [{"status": name, "is_open": True} for name in names]
    http.put("/workflow", {"statuses": statuses, "transitions": {"s0": names[1:]}})
    browser.go("/workflow")
    assert json.loads(fields(the_form(browser))["statuses"]) == statuses
    few = json.dumps(statuses[:2])
    browser.send(the_form(browser), 422, statuses="[", transitions="{}")
    assert fields(the_form(browser))["statuses"] == "["
    browser.send(the_form(browser), statuses=few, transitions='{"s0": ["s1"]}')
    assert http.get("/workflow").json["transitions"] == {"s0": ["s1"], "s1": []}


def test_a_past_workflow_is_shown_and_not_changed(http, browser):
    then = moment(http)
    http.put("/workflow", {"statuses": [{"status": "todo", "is_open": True}], "transitions": {}})
    page = browser.go(f"/workflow?as_of={then}")
    assert page.one("dt").one("bdi").text == "open"
    assert not [each for each in page.all("form") if each.get("method") == "post"]


# Tokens -------------------------------------------------------------------------------------------


def test_tokens_are_made_shown_once_and_revoked(http, browser):
    browser.go("/tokens")
    form = browser.form("/tokens")
    given = {"name": ALICE, "role": "writer", "expires": "in 3 days"}
    page = browser.send(form, 201, **given)
    assert browser.answer.headers["cache-control"] == "no-store"
    (secret,) = page.of("secret")
    assert secret.text.startswith("iris_")
    page = browser.send(form, 201, **given)
    assert not list(page.of("secret"))
    page = browser.go("/tokens")
    assert secret.text not in browser.answer.text
    assert page.one("tr", **{"data-token": ALICE}).one("td").text == "writer"
    page = browser.send(browser.form(f"/tokens/{ALICE}"))
    assert not list(page.all("tr", **{"data-token": ALICE}))
    assert http.get("/tokens").json == []


def test_a_refused_token_comes_back_filled_in(browser):
    browser.go("/tokens")
    page = browser.send(browser.form("/tokens"), 422, name=BOB, expires="never")
    assert page.one("input", name_="expires")["aria-invalid"] == "true"
    page = browser.send(browser.form("/tokens"), 201, expires="")
    assert page.one("h1").words == "A token for bob"


@pytest.mark.parametrize("name", ["a b", "é", '<b onclick="x">', "?", "a.b", "a&b=c#d%41"])
def test_tokens_of_any_name_are_revoked(http, browser, name):
    assert http.put("/tokens", name=name, role="reader").status == 201
    page = browser.go("/tokens")
    dead(page)
    browser.send(page.one("tr", **{"data-token": name}).one("form"))
    assert http.get("/tokens").json == []
