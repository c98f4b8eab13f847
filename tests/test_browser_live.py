"""Pages follow what happens, and leave alone what somebody is doing there: in a real Chromium."""

import pytest


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
