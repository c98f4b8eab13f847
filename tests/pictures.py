"""Draw the pictures of docs/pictures/ anew, of an Iris of its own with a team's tickets in it.

make pictures
make pictures ARGS='--all /tmp/pictures'      # each page, light and dark, at four widths
"""

import argparse
import tempfile
from pathlib import Path

import chromium
from conftest import ROOT, Live
from demonstration import SHOWN, Team

from iris import embedded

FOLDER = ROOT / "docs" / "pictures"
# {picture: (address, scheme)} of those that README shows.
SHOWN_FIRST = {
    "board-light": ("/tickets?view=board", "light"),
    "ticket-dark": (f"/tickets/{SHOWN}", "dark"),
}
SIZE = {"width": 1200, "height": 760}
SCHEMES = ("light", "dark")
# {name: address} of what there is to look at.
PAGES = {
    "start": "/",
    "list": "/tickets",
    "board": "/tickets?view=board",
    "board-people": "/tickets?view=board&by=assignee",
    "ticket": f"/tickets/{SHOWN}",
    "past": f"/tickets/{SHOWN}?as_of=-1s",
    "new": "/new",
    "changes": "/changes?since=yesterday",
    "events": "/events",
    "stats": "/stats",
    "workflow": "/workflow",
    "tokens": "/tokens",
    "hooks": "/hooks",
    "help": "/help",
    "missing": "/tickets/4711",
}


def draw(browser, url, path, address, scheme, size, whole=False):
    """Draw a page into a file, once its script has come and all is still."""
    context = browser.new_context(color_scheme=scheme, viewport=size, reduced_motion="reduce")
    page = context.new_page()
    page.goto(f"{url}{address}")
    page.wait_for_timeout(300)
    page.screenshot(path=path, full_page=whole)
    context.close()


def main():
    parser = argparse.ArgumentParser(prog="make pictures", description=__doc__.partition("\n")[0])
    parser.add_argument("--all", type=Path, help="a folder for pictures of all pages instead")
    parser.add_argument("--only", nargs="*", help="of these, only the pages of these names")
    given = parser.parse_args()
    playwright, browser = chromium.start()
    with tempfile.TemporaryDirectory() as folder:
        server = embedded.Server(folder)
        server.start()
        try:
            server.seed()
            live = Live(server.url())
            url = f"http://127.0.0.1:{live.port}"
            try:
                Team(live.port).work()
                if given.all:
                    _all(browser, url, given.all, given.only)
                else:
                    FOLDER.mkdir(exist_ok=True)
                    for name, (address, scheme) in SHOWN_FIRST.items():
                        draw(browser, url, FOLDER / f"{name}.png", address, scheme, SIZE)
            finally:
                live.stop()
        finally:
            server.stop()
            browser.close()
            playwright.stop()


def _all(browser, url, folder, only):
    folder.mkdir(parents=True, exist_ok=True)
    for name, address in PAGES.items():
        for scheme in SCHEMES if not only or name in only else ():
            for size, width in chromium.WIDTHS.items():
                path = folder / f"{name}-{scheme}-{size}.png"
                draw(
                    browser,
                    url,
                    path,
                    address,
                    scheme,
                    {"width": width, "height": 900},
                    size != "huge",
                )


main()
