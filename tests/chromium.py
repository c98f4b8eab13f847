"""A real Chromium for tests of the pages: a plug-in of pytest's, one browser a process, a context a test.

Where there is none, these tests are skipped, unless IRIS_TEST_CHROMIUM=1 says that there has to be one, as in CI.
"""

import os
import shutil
import time

import pytest
from conftest import ROOT

from iris import feed

# What axe-core, as npm has it, calls the rules of WCAG 2.2, A and AA.
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
COLOURS = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}
AXE = ROOT / "tests" / "axe" / "axe.min.js"
# The first of these that is here. A headless shell has the same engine and none of what draws windows: a page costs a third.
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
# Widths in CSS pixels: the narrowest that WCAG asks for, a telephone held upright, a laptop, 4k.
WIDTHS = {"narrow": 320, "telephone": 390, "wide": 1280, "huge": 3840}
# How a page is looked at, (width, scheme): in short, and in each way that there is. Without a scheme, one looks only
# whether it fits.
LOOKS = (("wide", "light"), ("narrow", "dark"))
ALL_LOOKS = (*LOOKS, ("wide", "dark"), ("narrow", "light"))
# What a page is refused is told by the page; the browser says so, too.
TOLD = "Failed to load resource: the server responded with a status of 4"


def start():
    """Start playwright and a Chromium; return both, or what is missing, in words."""
    if not CHROMIUM:
        return "needs Chromium"
    try:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415 (may be missing)
    except ImportError:
        return "needs playwright"
    playwright = sync_playwright().start()
    return playwright, playwright.chromium.launch(
        executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    )


@pytest.fixture(scope="session")
def chromium():
    """Return a running Chromium, as playwright has it."""
    started = start()
    if isinstance(started, str):
        assert os.environ.get("IRIS_TEST_CHROMIUM") != "1", started
        pytest.skip(started)
    playwright, browser = started
    yield browser
    browser.close()
    playwright.stop()


class Browsing:
    """Pages of one Iris, as somebody sees them: browse("/tickets", scheme="dark").

    url:      where Iris is.
    wrong:    what went wrong in any of them: errors, what the policy refused, dialogs that opened.
    """

    def __init__(self, browser, url):
        self.browser, self.url, self.contexts, self.wrong = browser, url, [], []

    def context(self, scheme="light", width="wide", token=None, axe=False, **more):
        """Return a new context: nothing of another one is known in it.

        axe:      whether axe-core is to be in its pages, for faults().
        """
        known = {"username": "", "password": token} if token else None
        made = self.browser.new_context(
            base_url=self.url,
            color_scheme=scheme,
            viewport={"width": WIDTHS[width], "height": 800},
            http_credentials=known,
            reduced_motion="reduce",
            **more,
        )
        made.set_default_timeout(15_000)
        if axe:
            made.add_init_script(path=AXE)
        made.on("page", self.listen)
        self.contexts.append(made)
        return made

    def listen(self, page):
        """Note whatever goes wrong in a page."""
        page.on("console", lambda said: self.heard(said.type, said.text))
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("dialog", self.shut)

    def heard(self, kind, text):
        """Note an error that the console shows."""
        if kind in ("error", "warning") and not text.startswith(TOLD):
            self.wrong.append(text)

    def shut(self, dialog):
        """Note a dialog that no page of Iris's opens."""
        self.wrong.append(f"a dialog: {dialog.message}")
        dialog.dismiss()

    def __call__(self, path="/tickets", **how):
        """Open a page in a context of its own; return it."""
        page = self.context(**how).new_page()
        page.goto(path)
        return page


@pytest.fixture
def browse(chromium, live, clean):
    """Return a Browsing of the running service; nothing may have gone wrong in the end."""
    made = Browsing(chromium, f"http://127.0.0.1:{live.port}")
    yield made
    for each in made.contexts:
        each.close()
    _left(live)
    assert made.wrong == []


def _left(live):
    """Wait until the service has noticed that nobody listens any more, so that it forgets how far the feed had come.

    It notices when it has something to tell.
    """
    body, json = b'{"title": "Who is there?"}', ["Content-Type: application/json"]
    deadline = time.monotonic() + 30
    while b'iris_streams_open{kind="feed"} 0' not in live.send("GET", "/metrics")[2]:
        assert time.monotonic() < deadline, "the pages are closed, and somebody listens"
        live.send("PUT", "/tickets", body, json)
        time.sleep(0.2)
    # Its poller ends when it looks again.
    time.sleep(2 * feed.POLL)


def faults(page, looks=LOOKS):
    """Return what is wrong with a page as it stands there, a line a fault.

    That is what axe-core finds by WCAG 2.2 AA, and what makes a page wider than its window. Where a page has been
    looked at in light, only the rules about colours are tried in dark, for nothing else differs there.
    """
    before, wrong = page.viewport_size, []
    in_light = any(scheme == "light" for _, scheme in looks)
    for width, scheme in looks:
        _make(page, {"width": WIDTHS[width], "height": 800})
        if scheme:
            page.emulate_media(color_scheme=scheme)
            only_colours = in_light and scheme == "dark"
            kinds = COLOURS if only_colours else {"type": "tag", "values": WCAG}
            wrong += [f"{scheme}, {width}: {each}" for each in _found(page, kinds)]
        if page.evaluate("document.documentElement.scrollWidth") > WIDTHS[width]:
            wrong.append(f"wider than {WIDTHS[width]}")
    _make(page, before)
    return wrong


def _make(page, size):
    """Make a page as large as that; where it is, not even that is drawn anew."""
    if page.viewport_size != size:
        page.set_viewport_size(size)


def _found(page, kinds):
    """Return what axe-core finds by these rules, a line a fault."""
    found = page.evaluate(
        "kinds => axe.run(document, {runOnly: kinds, resultTypes: ['violations']})", kinds
    )
    return [
        f"{each['id']}: {each['help']}: {node['html'][:200]} {node['failureSummary']}"
        for each in found["violations"]
        for node in each["nodes"]
    ]
