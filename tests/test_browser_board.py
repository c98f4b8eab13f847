"""Cards are moved on the board: by hand, by key, and back; in a real Chromium."""

import pytest
from test_browser_live import is_live, shown


def column(page, value):
    """Return the column of a value."""
    return page.locator(f'[data-column="{value}"]')


def where(page, number):
    """Return in which column a card stands."""
    return shown(page, number).evaluate("card => card.closest('[data-column]').dataset.column")


def take(page, number, value):
    """Take a card with the mouse, and hold it over a column."""
    shown(page, number).hover()
    page.mouse.down()
    box = column(page, value).bounding_box()
    for part in (1, 2, 3):
        # A drag begins with the first move, and is over something with the next.
        page.mouse.move(box["x"] + 20 + part, box["y"] + 20 + part)


@pytest.fixture
def board(browse, ticket):
    """Return a live board with a ticket."""
    ticket("Printer on fire", assignee="alice")
    return is_live(browse("/tickets?view=board"))


def test_a_card_is_dragged_to_where_the_workflow_allows(board, sql):
    take(board, 1, "active")
    # Where it may go is seen meanwhile.
    board.wait_for_selector(".dragging [data-column=active].takes.over")
    taking = {"active", "resolved", "closed"}
    for value in ("open", "active", "blocked", "resolved", "closed"):
        classes = column(board, value).get_attribute("class")
        assert ("takes" in classes.split()) == (value in taking), value
    board.mouse.up()
    board.get_by_role("button", name="Undo").wait_for()
    assert where(board, 1) == "active"
    assert sql.one("SELECT status FROM tickets")["status"] == "active"
    assert not board.locator(".dragging").count()


def test_a_column_that_the_workflow_forbids_takes_no_card(board, sql):
    take(board, 1, "blocked")
    board.wait_for_selector(".dragging")
    board.mouse.up()
    board.wait_for_selector(".dragging", state="detached")
    assert where(board, 1) == "open"
    assert sql.one("SELECT count(*) AS n FROM events WHERE kind = 'changed'")["n"] == 0


def test_a_refused_move_goes_back_and_says_why(board, sql, owner):
    """Somebody has changed the workflow, and the feed has not told of it yet."""
    shown(board, 1).evaluate("card => card.dataset.next = '[\"blocked\"]'")
    shown(board, 1).locator("a").first.focus()
    board.keyboard.press("Shift+L")
    told = board.locator("#told.refused")
    told.get_by_text(
        """ticket 1 can't go from "open" to "blocked". From "open" it may go to"""
    ).wait_for()
    assert where(board, 1) == "open"


def test_who_is_too_late_is_told_so(board, sql):
    shown(board, 1).evaluate("card => card.dataset.version = 7")
    shown(board, 1).locator("a").first.focus()
    board.keyboard.press("Shift+L")
    board.locator("#told.refused").get_by_text("version").wait_for()
    assert where(board, 1) == "open"


def test_a_card_is_moved_by_key_and_taken_back(board, sql):
    board.keyboard.press("j")
    board.keyboard.press("Shift+L")
    board.get_by_text("#1: status is active now.").wait_for()
    # The focus went along.
    assert board.evaluate("document.activeElement.closest('[data-ticket]').dataset.ticket") == "1"
    assert (
        board.evaluate("document.activeElement.closest('[data-column]').dataset.column") == "active"
    )
    board.keyboard.press("Shift+L")
    board.get_by_text("#1: status is blocked now.").wait_for()
    board.keyboard.press("u")
    board.get_by_text("#1 is what it was.").wait_for()
    board.wait_for_selector('[data-column="active"] [data-ticket="1"]')
    assert sql.one("SELECT status FROM tickets")["status"] == "active"
    assert sql.one("SELECT count(*) AS n FROM events WHERE undoes IS NOT NULL")["n"] == 1
    board.keyboard.press("Shift+H")
    board.get_by_text("#1: status is open now.").wait_for()
    board.keyboard.press("Shift+H")
    board.get_by_text("#1 may not go further.").wait_for()


def test_what_is_drawn_while_a_card_moves_does_not_take_it_back(board, sql, ticket):
    """The server drew the page before it had the move; what it was told of others is there all the same."""
    other = ticket()
    shown(board, other).wait_for()
    held = []

    def hold(route):
        held.append(route)

    board.route("**/tickets/1", hold)
    shown(board, 1).locator("a").first.focus()
    board.keyboard.press("Shift+L")
    board.wait_for_selector('[data-column="active"] [data-ticket="1"]')
    # A label takes the server to draw.
    sql(f"UPDATE tickets SET labels = '{{warm}}' WHERE ticket_id = {other}")
    shown(board, other).get_by_text("warm").wait_for()
    assert where(board, 1) == "open"
    held[0].continue_()
    board.get_by_text("#1: status is active now.").wait_for()
    assert where(board, 1) == "active"
    assert board.locator('[data-column="active"] .count').inner_text() == "1"


def test_a_card_that_is_closed_looks_so_at_once(board):
    take(board, 1, "closed")
    board.mouse.up()
    board.get_by_text("#1: status is closed now.").wait_for()
    assert "closed" in shown(board, 1).get_attribute("class").split()
    assert shown(board, 1).get_attribute("data-version") == "2"


def test_a_board_by_assignee_hands_tickets_over(browse, ticket, sql):
    ticket(assignee="alice")
    ticket(assignee="bob")
    page = is_live(browse("/tickets?view=board&by=assignee"))
    take(page, 1, "bob")
    page.mouse.up()
    page.get_by_text("#1: assignee is bob now.").wait_for()
    assert sql.one("SELECT assignee FROM tickets WHERE ticket_id = 1")["assignee"] == "bob"
    assert where(page, 1) == "bob"


def test_keys_go_from_card_to_card(browse, ticket):
    for _ in range(3):
        ticket()
    page = is_live(browse("/tickets?view=board"))

    def focused():
        return page.evaluate("document.activeElement.closest('[data-ticket]')?.dataset.ticket")

    seen = []
    for key in ("j", "j", "j", "j", "k", "Shift+L", "k", "h", "l"):
        page.keyboard.press(key)
        seen.append(focused())
    assert seen == ["3", "2", "1", "1", "2", "2", "2", "3", "2"], seen
