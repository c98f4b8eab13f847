"""Every page in a real Chromium: as it looks to axe-core, whatever is in it, by keys alone, and without script."""

import itertools

import pytest
from chromium import ALL_LOOKS, LOOKS, Browsing, faults
from conftest import Live
from demonstration import SHOWN, Team
from test_browser_live import is_live

# What Chromium asks for.
ACCEPT = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
# What stands for the names in a route's path.
GIVEN = {"ticket_id": SHOWN, "comment_id": 1, "event_id": 1, "hook_id": 1, "name": "alice"}

# Pages with nothing on them, and such that tell a problem.
EMPTY = (
    "/tickets?q=nothing-like-this", "/tickets?q=nothing-like-this&view=board", "/comments?q=nothing-like-this",
    "/events?actor=nobody", "/changes?since=now", "/stats?label=none",
)  # fmt: skip
PROBLEMS = ("/tickets/4711", "/tickets?limit=0", "/nothing", "/tickets?as_of=whenever")

# What somebody may write who means ill, and what it would do: load from elsewhere, or set window.hurt.
TEXTS = [
    "<script>window.hurt = 1; alert(1)</script>",
    "<img src=x onerror='window.hurt = 1'><img src='http://192.0.2.1/x.png'>",
    "[look](javascript:window.hurt=1) ![x](http://192.0.2.1/x.png) <a href='javascript:alert(1)'>x</a>",
    "<svg onload=alert(1)><style>*{display:none}</style><base href='http://192.0.2.1/'>",
    "'\"></textarea></title></select><iframe src='javascript:alert(1)'></iframe>",
    "{{ 7 * 7 }} ${window.hurt=1} {% raw %} --> ]]> \\u003cscript\\u003e",
    "\u202egnp.exe \u2066\u200b \ufeff end",
]
# What no title may have, but a description.
LONG = "\u0007\u009b31m \x1b[2J \u2028"
STATUSES = [
    *({"status": each, "is_open": True} for each in ("open", "active", "blocked")),
    {"status": "<b onclick=alert(1)>done</b>", "is_open": False},
    *({"status": each, "is_open": False} for each in ("resolved", "closed")),
]


@pytest.fixture
def addresses(http):
    """Return a function that gives the addresses that answer a browser with a page."""

    def found():
        from iris.api import API  # noqa: PLC0415 (not before the database is there)

        http.put("/hooks", url="https://ci.example.org/iris", filter={"label": "ops"})
        http.put("/people/alice", mail="alice@example.org", actor="alice")
        for path, methods in API.http.routes[""].items():
            # /sign-in is where a browser asks for a name, before it shows anything.
            if "GET" not in methods or path.startswith(("/docs", "/sign-in")):
                continue
            try:
                address = path.format(**GIVEN)
            except KeyError:
                continue
            answer = http.get(address, headers={"Accept": ACCEPT})
            if "<main" in answer.text and answer.status < 500:
                yield address
                if path == "/tickets":
                    yield "/tickets?view=board"
                    yield "/tickets?view=board&by=assignee"
                    yield "/tickets?as_of=now"
                if path == "/inbox":
                    yield "/inbox?after=0"

    return lambda: list(found())


def page_at(page, address):
    """Go to an address in a page that is there; return the page."""
    page.goto(address)
    return page


def looked_at(page, where, looks=LOOKS):
    """Return what is wrong with the page that is open, with its forms opened, a line a fault."""
    headings, title = page.evaluate(
        "[...document.querySelectorAll('main details')].slice(0, 5).map(each => (each.open = true));"
        "[document.querySelectorAll('h1').length, document.title]"
    )
    wrong = [f"{where}: {each}" for each in faults(page, looks)]
    # A screen reader's user goes by headings, and knows a page by its title.
    if headings != 1 or not title.endswith("Iris"):
        wrong.append(f"{where} has no heading or no title")
    return wrong


@pytest.mark.parametrize(
    "looks",
    [
        # By turns, one in light and the next in dark; and whether each fits.
        pytest.param(((LOOKS[0], ("narrow", None)), (LOOKS[1],)), id="in short"),
        pytest.param((ALL_LOOKS,), id="in each way", marks=pytest.mark.slow),
    ],
)
def test_axe_finds_no_fault(browse, live, addresses, looks):
    Team(live.port).work()
    # A page for each look, so that few have to be drawn anew in another width.
    pages = []
    for look in looks:
        width, scheme = look[0]
        pages.append(browse.context(scheme, width, axe=True).new_page())
    wrong = []
    for address, (page, look) in zip(
        (*addresses(), *EMPTY, *PROBLEMS), itertools.cycle(zip(pages, looks, strict=True))
    ):
        page.goto(address)
        wrong += looked_at(page, address, look)
    assert not wrong, "\n".join(wrong)


def test_axe_finds_no_fault_where_something_was_done(browse, live, sql):
    """What is told, refused, or laid over a page."""
    Team(live.port).work()
    page, wrong = browse.context(axe=True).new_page(), []
    is_live(page_at(page, "/tickets?view=board"))
    page.keyboard.press("j")
    page.keyboard.press("Shift+L")
    page.get_by_role("button", name="Undo").wait_for()
    wrong += looked_at(page, "moved")
    page.keyboard.press("Shift+H")
    page.get_by_text("status is open now.").wait_for()
    page.keyboard.press("Shift+H")
    page.locator("#told.refused").wait_for()
    wrong += looked_at(page, "refused by script")
    page.keyboard.press("?")
    page.locator("dialog[open]").wait_for()
    wrong += [f"help: {each}" for each in faults(page)]
    page.keyboard.press("Escape")
    page.locator("dialog").wait_for(state="detached")
    # A past in which much is different.
    sql("UPDATE tickets SET title = 'Other ' || ticket_id, priority = 'urgent'")
    page_at(page, "/tickets?as_of=-1s").locator(".differs").first.wait_for()
    wrong += looked_at(page, "past")
    # A form that files, with the words at its field, and one of the workflow.
    page_at(page, "/new").fill("#new-title", "x")
    page.fill("#new-due", "when it is done")
    page.get_by_role("button", name="File").click()
    page.locator("[aria-invalid=true]").wait_for()
    wrong += looked_at(page, "/new, refused")
    page_at(page, "/workflow").get_by_label("drop open").check()
    page.get_by_role("button", name="Change the workflow").click()
    page.locator("[aria-invalid=true]").first.wait_for()
    wrong += looked_at(page, "/workflow, refused")
    assert not wrong, "\n".join(wrong)


def test_axe_finds_no_fault_where_one_needs_a_token(chromium, server, clean, sql, live):
    Team(live.port).work()
    shown = {
        "reader": (f"/tickets/{SHOWN}", "/tickets?view=board"),
        "writer": ("/",),
        "admin": ("/me", "/tokens"),
    }
    guarded = Live(server.url(), IRIS_AUTH="token")
    browse = Browsing(chromium, f"http://127.0.0.1:{guarded.port}")
    try:
        wrong = []
        for role, addresses in shown.items():
            token = sql.one("SELECT add_token(%s, %s) ->> 'token' AS token", f"{role}'s", role)
            page = browse.context(token=token["token"], axe=True).new_page()
            for address in addresses:
                page.goto(address)
                wrong += looked_at(page, f"{address} as {role}")
        # The last one may make another.
        page.fill("#token-name", "robot")
        page.get_by_role("button", name="Make a token").click()
        page.locator(".secret").wait_for()
        wrong += looked_at(page, "a token that was made")
        for each in browse.contexts:
            each.close()
    finally:
        guarded.stop()
    assert not wrong + browse.wrong, "\n".join(wrong + browse.wrong)


def test_whatever_is_written_stays_dead(browse, live, http, sql, addresses):
    """In each text there is: the browser runs, loads and opens nothing of it, on no page."""
    team = Team(live.port)
    team.work()
    http.put("/workflow", {**http.get("/workflow").json, "statuses": STATUSES})
    for text in TEXTS:
        given = {"title": text, "description": text, "assignee": text, "labels": [text[:50]]}
        row = team.put("/tickets", "bob", **given)
        team.put("/comments", "bob", ticket_id=row["ticket_id"], body=text + LONG)
        team.put(f"/tickets/{row['ticket_id']}", "bob", fields={text[:50]: text + LONG})
    team.put(f"/tickets/{SHOWN}", "bob", title=TEXTS[0], description="\n\n".join(TEXTS) + LONG)
    page = browse.context().new_page()
    asked = []
    page.on("request", lambda each: asked.append(each.url))
    for address in addresses():
        page.goto(address)
        assert page.evaluate(NOTHING, "main :is(script, iframe, object, embed, base, meta, link)")
    # Live, too.
    page.goto("/tickets")
    is_live(page)
    for text in TEXTS:
        sql("UPDATE tickets SET title = %s WHERE ticket_id = 2", text)
        page.locator('[data-ticket="2"] .title', has_text=text[1:8]).wait_for()
    assert all(each.startswith(browse.url) for each in asked), asked
    # And that it would have been seen: the browser is asked to do one of these.
    assert page.evaluate("!window.hurt")


# By the page itself: a locator of playwright's takes longer than the page.
NOTHING = "names => !document.querySelector(names)"

# Whether one sees where one is: marked, and not beside the window. Where that isn't so, what it is.
SEEN = """() => {
    const at = document.activeElement, box = at.getBoundingClientRect();
    met.add(at);
    if (at === document.body) return "";
    const inside = box.right > 0 && box.bottom > 0 && box.left < innerWidth && box.top < innerHeight;
    return inside && getComputedStyle(at).outlineStyle !== "none" ? "" : at.outerHTML.slice(0, 200);
}"""
REACHED = "a[href], button, input, select, textarea, summary"


@pytest.mark.parametrize("width", [pytest.param("wide", marks=pytest.mark.slow), "narrow"])
def test_everything_is_reached_by_tab(browse, live, width):
    Team(live.port).work()
    page = browse(width=width)
    for address in (
        "/tickets", "/tickets?view=board", f"/tickets/{SHOWN}", "/new", "/workflow", "/hooks", "/tokens", "/people/me",
        "/inbox?after=0", "/stats",
    ):  # fmt: skip
        page.goto(address)
        there = page.evaluate(
            "names => [...document.querySelectorAll(names)]"
            ".filter(each => each.type !== 'hidden' && each.checkVisibility()).length",
            REACHED,
        )
        page.evaluate("window.met = new Set()")
        for _ in range(there + 12):
            page.keyboard.press("Tab")
            hidden = page.evaluate(SEEN)
            assert not hidden, (address, hidden)
        met = page.evaluate("names => [...met].filter(each => each.matches(names)).length", REACHED)
        assert met >= there, (address, met, there)


def test_back_leads_to_the_page_though_its_json_came_later(browse, ticket):
    """From a browser's cache: both have the same address, and differ by Accept."""
    number = ticket("Seen before")
    page = browse(f"/tickets/{number}")
    told = page.evaluate(
        "async () => (await fetch(location, {headers: {Accept: 'application/json'}})).json()"
    )
    assert told["title"] == "Seen before"
    page.goto("/help")
    page.go_back()
    page.locator("h1", has_text="Seen before").wait_for()


def test_all_is_done_by_keys_alone(browse, sql):
    page = is_live(browse())
    page.keyboard.press("n")
    page.locator("#new-title").wait_for()
    page.keyboard.press("Tab")
    page.locator("#new-title").focus()
    page.keyboard.type("Filed by key")
    page.keyboard.press("Enter")
    page.locator("h1", has_text="Filed by key").wait_for()
    page.keyboard.press("e")
    page.locator("details.change[open]").wait_for()
    page.keyboard.press("Escape")
    page.keyboard.press("c")
    page.keyboard.type("Said by key")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.locator(".comment", has_text="Said by key").wait_for()
    page.keyboard.press("/")
    page.keyboard.type("key")
    page.keyboard.press("Enter")
    page.locator("main [data-ticket]").wait_for()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.locator("h1", has_text="Filed by key").wait_for()
    # What is typed into a field is no key.
    page.keyboard.press("c")
    page.keyboard.type("n/jkhl")
    assert page.locator("#new-body").input_value() == "n/jkhl"
    assert sql.one("SELECT count(*) AS n FROM tickets")["n"] == 1


def test_without_script_all_is_read_and_written(browse, sql):
    page = browse("/tickets", java_script_enabled=False)
    page.get_by_role("link", name="New ticket").click()
    page.fill("#new-title", "Filed without script")
    page.get_by_role("button", name="File").click()
    page.locator("h1", has_text="Filed without script").wait_for()
    page.locator("details.change summary").click()
    page.fill("#change-assignee", "alice")
    page.locator("details.change button").click()
    page.locator("aside .assignee", has_text="alice").wait_for()
    page.fill("#new-body", "Said **without** script")
    page.get_by_role("button", name="Comment").click()
    page.locator(".comment strong", has_text="without").wait_for()
    page.get_by_role("link", name="New ticket").click()
    page.fill("#new-title", "Another")
    page.get_by_role("button", name="File").click()
    page.locator(".links summary").click()
    page.fill("#link-other_id", "1")
    page.get_by_role("button", name="Link").click()
    page.locator(".links li", has_text="relates to 1").wait_for()
    page.get_by_role("link", name="Board").click()
    page.locator('[data-ticket="1"] select').select_option("active")
    page.locator('[data-ticket="1"] button').click()
    page.locator('[data-column="active"] [data-ticket="1"]').wait_for()
    assert sql.one("SELECT status FROM tickets WHERE ticket_id = 1")["status"] == "active"
    page.locator(".done button", has_text="Undo").click()
    page.locator('[data-column="open"] [data-ticket="1"]').wait_for()
    assert sql.one("SELECT status FROM tickets WHERE ticket_id = 1")["status"] == "open"
