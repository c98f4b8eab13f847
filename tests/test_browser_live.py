"""Pages follow what happens, and leave alone what somebody is doing there: in a real Chromium."""

import pytest
from chromium import Browsing
from conftest import Live


def shown(page, ticket_id):
    """Return the card or row of a ticket."""
    return page.locator(f'main [data-ticket="{ticket_id}"]')


def is_live(page):
    """Wait until a page listens."""
    page.wait_for_selector('body[data-feed="live"]')
    return page


@pytest.mark.parametrize("view", ["", "?view=board"])
def test_what_psql_changes_is_seen(browse, http, sql, ticket, view):
    number = ticket(assignee="alice")
    page = is_live(browse(f"/tickets{view}"))
    sql("UPDATE tickets SET status = 'active', title = 'Fire out \u202egnorw', priority = 'high'")
    card = shown(page, number)
    card.get_by_text("Fire out \ufffdgnorw").wait_for()
    assert "high" in card.inner_text()
    if view:
        page.wait_for_selector(f'[data-column="active"] [data-ticket="{number}"]')
    else:
        card.get_by_text("active", exact=True).wait_for()
    sql("UPDATE tickets SET labels = '{warm}'")
    card.get_by_text("warm").wait_for()
    later = ticket("Another one")
    shown(page, later).wait_for()
    http.delete(f"/tickets/{number}")
    card.wait_for(state="detached")
    assert shown(page, later).count() == 1


@pytest.mark.parametrize("view", ["", "?view=board", "?assignee=alice", "?sort=created"])
def test_a_new_ticket_is_asked_for_and_nothing_else(browse, http, ticket, view):
    """Two thousand readers of a thousand cards would ask for two million, each time that one is filed."""
    first = ticket("There", assignee="alice")
    page = is_live(browse(f"/tickets{view}"))
    asked = []
    page.on("response", lambda each: asked.append(each) if "/tickets" in each.url else None)
    page.evaluate(
        "number => document.querySelector(`[data-ticket='${number}'] .title a`).append('!')", first
    )
    ticket("Not alice's" if "alice" in view else "Filed", assignee="bob")
    later = ticket("Filed later", assignee="alice")
    shown(page, later).wait_for()
    where = page.evaluate(
        "[...document.querySelectorAll('main [data-ticket]')].map(each => each.dataset.ticket)"
    )
    if "sort" in view:
        # Where in another order it belongs, only the whole page knows.
        assert where == [str(first), str(later - 1), str(later)]
        return
    wanted = [later, first] if "alice" in view else [later, later - 1, first]
    assert where == [str(number) for number in wanted]
    # What was there was left as it was, and few came.
    assert "There!" in shown(page, first).inner_text()
    assert all("limit=" in each.url for each in asked), [each.url for each in asked]
    assert page.locator("main .count").first.inner_text() == "3" if "view" in view else True
    # Who drags or presses keys can do so with it.
    if view.startswith("?view"):
        assert shown(page, later).get_attribute("draggable") == "true"


def test_what_one_types_and_where_one_is_stays(browse, http, sql, ticket):
    number = ticket(description="\n\n".join(f"Line {n}" for n in range(80)))
    page = is_live(browse(f"/tickets/{number}"))
    page.locator("details.change summary").click()
    page.fill("#change-title", "What I mean")
    field = page.locator("#new-body")
    field.fill("I am about to say")
    field.press("Home")
    before = page.evaluate("scrollY")
    http.put(f"/tickets/{number}/comments", body="Somebody was faster", actor="bob")
    sql("UPDATE tickets SET assignee = 'carla', title = 'What bob means'")
    page.locator(".comment .text", has_text="Somebody was faster").wait_for()
    page.locator("aside dd.assignee", has_text="carla").wait_for()
    assert "What bob means" in page.locator("h1").inner_text()
    assert page.evaluate("document.activeElement.id") == "new-body"
    assert page.evaluate("document.activeElement.selectionStart") == 0
    assert field.input_value() == "I am about to say"
    assert page.locator("details.change").get_attribute("open") is not None
    assert page.locator("#change-title").input_value() == "What I mean"
    # As it was when one began: PostgreSQL will say that somebody was faster.
    assert page.locator("details.change [name=version]").input_value() == "1"
    # What came above pushes nothing down.
    assert abs(page.evaluate("scrollY") - before) < 200 and before > 0


def test_nobody_listens_while_nobody_looks(browse, sql, ticket):
    number = ticket()
    page = is_live(browse())
    streams = []
    page.on("request", lambda each: streams.append(each.url) if "events" in each.url else None)
    seen = "hidden => { Object.defineProperty(document, 'hidden', {value: hidden, configurable: true}); document.dispatchEvent(new Event('visibilitychange')) }"
    page.evaluate(seen, True)
    page.wait_for_selector('body:not([data-feed="live"])')
    sql("UPDATE tickets SET title = 'Meanwhile'")
    page.wait_for_timeout(500)
    assert "Meanwhile" not in shown(page, number).inner_text()
    page.evaluate(seen, False)
    shown(page, number).get_by_text("Meanwhile").wait_for()
    assert len(streams) == 1 and "after=" in streams[0]


def test_a_service_that_was_away_is_followed_again(chromium, server, clean, sql):
    sql("INSERT INTO tickets (title) VALUES ('Before')")
    service = Live(server.url())
    browse = Browsing(chromium, f"http://127.0.0.1:{service.port}")
    try:
        page = is_live(browse())
        service.stop()
        page.wait_for_selector('body[data-feed="not live"]')
        sql("UPDATE tickets SET title = 'After'")
        service = Live(server.url(), port=service.port)
        shown(page, 1).get_by_text("After").wait_for()
        is_live(page).context.close()
    finally:
        service.stop()


def test_a_past_is_gone_to_and_left(browse, http, sql, ticket):
    number = ticket("As it was", assignee="alice")
    sql("UPDATE tickets SET title = 'As it is'")
    later = ticket("Not there yet")
    page = is_live(browse())
    slider = page.get_by_role("slider")
    slider.focus()
    slider.press("Home")
    # The first moment is when the first ticket was filed.
    page.locator(".past", has_text="This is how it was").wait_for()
    assert "as_of=" in page.url
    page.wait_for_selector('body:not([data-feed="live"])')
    assert shown(page, later).count() == 0
    for _ in range(3):
        slider.press("PageUp")
    page.get_by_text("changed since").wait_for()
    slider.press("End")
    shown(page, later).wait_for()
    is_live(page)
    assert "as_of" not in page.url
    assert "As it is" in shown(page, number).inner_text()


@pytest.mark.parametrize("view", ["", "view=board&"])
def test_what_is_different_now_is_marked(browse, sql, ticket, view):
    ticket("As it was", assignee="alice")
    then = (
        sql.one("SELECT clock_timestamp()::text AS at")["at"].replace("+00", "Z").replace(" ", "T")
    )
    sql("UPDATE tickets SET title = 'As it is', assignee = 'bob'")
    page = browse(f"/tickets?{view}as_of={then}")
    page.locator(".differs", has_text="now title As it is, assignee bob").wait_for()
    assert "As it was" in shown(page, 1).inner_text()
    # In a past nothing is moved.
    assert not page.locator("main form[method=post]").count()
