"""The other pages: where to begin, help, statistics, what changed, history, comments, who one is; without script."""

import pytest
from browsing import Browser
from conftest import ALICE, BOB

from iris.formats import charts
from iris.web import keys

HOSTILE = '<script>alert(1)</script>"\u202e\x7f'


@pytest.fixture
def browser(http):
    return Browser(http)


def main(page):
    return page.one("main")


def texts(page, name):
    return [each.words for each in page.all(name)]


def moment(http):
    """Return the database's time, as it stands in an address."""
    return http.get("/stats").json["as_of"].replace("+", "%2B")


def dead(page):
    """Assert that nothing that somebody wrote runs in a page, or hides what is there."""
    assert len(list(page.all("script"))) == 1
    assert not list(page.all("style"))
    for each in page.all():
        assert not {name for name in each.attributes if name.startswith("on") or name == "style"}
    assert not {"\u202e", "\x7f"} & set(page.text)


def test_the_first_page_counts_and_leads_on(http, browser, ticket):
    ticket(assignee="anonymous", due="yesterday")
    ticket(status="active")
    ticket(status="closed")
    page = browser.go("/")
    about, statuses, *_ = main(page).all("ul")
    assert texts(about, "li") == ["2 open", "1 yours", "1 nobody's", "1 overdue"]
    assert texts(statuses, "li") == ["1 open", "1 active", "0 blocked", "0 resolved", "1 closed"]
    for link in (*about.all("a"), *statuses.all("a")):
        listed = Browser(http).go("/" + link["href"])
        rows = [each for each in listed.all("tr") if "data-ticket" in each.attributes]
        assert len(rows) == int(link.words.split()[0])
    for link in main(page).all("a"):
        if link["href"] != "docs":
            Browser(http).go("/" + link["href"])


def test_the_first_page_takes_one_statement(browser, statements):
    statements()
    browser.go("/")
    assert len(statements()) == 1


def test_curl_gets_text_and_json_as_before(http):
    assert http.get("/", headers={"Accept": "*/*"}).text.startswith("Iris ")
    assert http.get("/", headers={"Accept": "application/json"}).json["links"]["help"] == "help"
    found = http.get("/help", headers={"Accept": "application/json"}).json
    assert [(each["keys"], each["does"]) for each in found] == list(keys.KEYS)
    text = http.get("/help", headers={"Accept": "*/*"}).text
    assert all(does[:30] in text for _, does in keys.KEYS)


def test_help_tells_the_keys(browser):
    page = browser.go("/help")
    assert len(list(page.all("dd"))) == len(keys.KEYS)
    assert {"j", "k", "?"} <= {each.text for each in page.all("kbd")}
    assert browser.go("/tickets").one("a", **{"data-key": "?"})["href"] == "help"


def test_who_one_is(browser):
    page = browser.go("/me")
    assert texts(page, "dd") == ["anonymous", "admin"]
    assert "delete tickets" in texts(page, "li")


# Statistics ---------------------------------------------------------------------------------------


def test_statistics_have_pictures_and_numbers(http, browser, ticket):
    ticket(assignee=ALICE, labels=[HOSTILE[:27]])
    http.put("/tickets/1", status="closed")
    page = browser.go("/stats?weeks=4&assignee=alice")
    (counts,) = page.of("counts")
    assert counts.words.startswith("1 ticket, 0 of them open")
    images = list(main(page).all("img"))
    assert [each["alt"].partition(";")[0] for each in images] == list(charts.TITLES.values())
    for each in images:
        assert "weeks=4" in each["src"] and "assignee=alice" in each["src"]
        answer = http.get(f"/{each['src']}")
        assert (answer.status, answer.headers["content-type"]) == (200, charts.MEDIA)
    _, *weeks = page.one("section", **{"aria-labelledby": "Week-by-week"}).all("tr")
    assert len(weeks) == 4
    assert texts(weeks[0], "td") == ["1", "1"]
    dead(page)
    page = browser.send(browser.form(kind="filters"), 200, assignee=BOB)
    assert "assignee=bob" in browser.address and "weeks=4" in browser.address
    (counts,) = page.of("counts")
    assert counts.words.startswith("0 tickets")


def test_statistics_of_a_past_are_marked_as_such(http, browser, ticket):
    then = moment(http)
    ticket()
    page = browser.go(f"/stats?as_of={then}")
    (counts,) = page.of("counts")
    assert counts.words.startswith("0 tickets")
    (past,) = page.of("past")
    assert then.replace("%2B", "+") in past.words
    for each in main(page).all("img"):
        assert http.get(f"/{each['src']}").status == 200


def test_statistics_take_two_statements(browser, statements):
    statements()
    browser.go("/stats")
    assert len(statements()) == 2


# What changed -------------------------------------------------------------------------------------


def test_what_changed_is_told_ticket_by_ticket(http, browser, ticket):
    ticket("Printer on fire")
    since = moment(http)
    http.put("/tickets/1", {"status": "active", "assignee": HOSTILE[:26]}, actor=BOB)
    http.put("/tickets/1/comments", body="smoke", actor=ALICE)
    ticket("Coffee")
    page = browser.go(f"/changes?since={since}&sort=last")
    first, second = page.all("article")
    assert [each.one("h2").words for each in (first, second)] == ["#1 Printer on fire", "#2 Coffee"]
    assert sorted(texts(first, "li")) == [
        "1 more comment",
        f'assignee: – → {HOSTILE[:25]}"',
        "status: open → active",
    ]
    assert "bob" in first.words and "alice" in first.words
    assert texts(second, "li") == ["filed it"]
    dead(page)
    page = browser.send(browser.form(kind="filters"), 200, status="active")
    assert [each.words for each in page.all("h2")] == ["#1 Printer on fire"]


def test_changes_go_on_page_by_page(browser, ticket):
    for number in range(3):
        ticket(f"Ticket {number}")
    page = browser.go("/changes?since=yesterday&limit=2")
    assert len(list(page.all("article"))) == 2
    page = browser.go(page.one("a", rel="next")["href"])
    assert [each.words for each in page.all("h2")] == ["#1 Ticket 0"]


# History ------------------------------------------------------------------------------------------


def test_history_holds_together_what_was_done_at_once(http, browser, sql, ticket):
    ticket("One")
    ticket("Two")
    http.put("/tickets/1/comments", body=HOSTILE, actor=BOB)
    sql("UPDATE tickets SET priority = 'high'")
    page = browser.go("/events")
    changes = [each for each in page.all("li") if "data-change" in each.attributes]
    assert len(changes) == 4
    assert (
        sorted(each.words for each in changes[0].one("ul").all("span"))
        == ["priority: normal → high"] * 2
    )
    assert "by psql" in changes[0].one("p").words
    assert changes[1].one("q").words.startswith("<script>alert(1)</script>")
    dead(page)
    page = browser.send(browser.form("/undo", change=changes[0]["data-change"]))
    assert browser.address.startswith("/events")
    assert http.get("/tickets/1").json["priority"] == "normal"
    assert "took back" in main(page).words
    page = browser.go("/tickets/2/history?source=psql")
    assert page.one("h1").words == "History of ticket 2"
    assert len([each for each in page.all("li") if "data-event" in each.attributes]) == 1


def test_one_event_is_taken_back_alone(http, browser, ticket):
    ticket()
    http.put("/tickets/1", status="active", priority="low")
    page = browser.go("/events?kind=changed")
    (event,) = [each["data-event"] for each in page.all("li") if "data-event" in each.attributes]
    browser.send(browser.form("/undo", event_id=event))
    assert http.get("/tickets/1").json["status"] == "open"


def test_what_can_not_be_taken_back_has_no_button(http, browser):
    http.put("/tokens", name="ci", role="reader")
    page = browser.go("/events")
    assert not [each for each in page.all("form") if each.get("method") == "post"]


def test_history_goes_on_page_by_page_and_is_narrowed(http, browser, ticket):
    for _ in range(3):
        ticket()
    http.put("/tickets/1", status="active", actor=ALICE)
    browser.go("/events?limit=2")
    page = browser.go(browser.page.one("a", rel="next")["href"])
    assert len([each for each in page.all("li") if "data-event" in each.attributes]) == 2
    page = browser.send(browser.form(kind="filters"), 200, actor=ALICE, kind="changed")
    assert len([each for each in page.all("li") if "data-event" in each.attributes]) == 1


# Comments -----------------------------------------------------------------------------------------


def test_comments_are_markdown_with_titles_in_one_statement(http, browser, ticket, statements):
    ticket("Printer on fire")
    ticket("Coffee")
    http.put("/tickets/1/comments", body="*See* #2, https://iris.example/tickets/2 and <b>#1</b>")
    http.put("/tickets/2/comments", body=HOSTILE)
    statements()
    page = browser.go("/comments")
    assert len(statements()) == 2
    last, first = page.all("article")
    assert [each.words for each in first.all("a")][1:] == [
        "#2 Coffee",
        "https://iris.example/tickets/2",
        "#1 Printer on fire",
    ]
    assert last["id"] == "c2" and "<script>alert(1)</script>" in last.words
    dead(page)
    page = browser.go("/tickets/1/comments")
    assert page.one("h1").words == "Comments on ticket 1"
    assert [each.words for each in page.one("article").all("a")][1:3] == [
        "#2 Coffee",
        "https://iris.example/tickets/2",
    ]
    assert page.one("article").one("div").one("a")["href"] == "../../tickets/2"


def test_addresses_of_iris_are_known_by_its_host(http, ticket):
    ticket("Printer on fire")
    http.put("/tickets/1/comments", body="http://iris.example:8000/tickets/1")
    page = Browser(http).go("/comments")
    assert [each.words for each in page.one("article").one("div").all("a")] == [
        "#1 Printer on fire"
    ]


@pytest.mark.parametrize("path", ["/comments?columns=author", "/events?columns=at,kind"])
def test_columns_that_somebody_chose_are_a_table(http, browser, ticket, path):
    ticket()
    http.put("/tickets/1/comments", body="x")
    page = browser.go(path)
    assert len(list(page.all("th"))) == path.count(",") + 1


def test_a_list_of_none_says_so(browser):
    for path in ("/comments", "/events", "/changes?since=yesterday", "/tokens"):
        assert "Nothing here." in main(browser.go(path)).words
