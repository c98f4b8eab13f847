"""Open /docs in a real Chromium and try it: browser.py CHROMIUM URL VIEW [TOKEN].

VIEW:     how it is seen, such as "dark narrow".

What the page breaks of its own Content-Security-Policy, or can't load, is printed and ends this with 1. With one more
argument, a folder, it is drawn there.
"""

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

SIZES = {"wide": (1280, 900), "narrow": (390, 844)}
FILE = "#operations-tickets-put_tickets"


def look(browser, url, token, scheme, size, folder):
    """Open the page as somebody has it, file a ticket by it; return what went wrong, a list of words."""
    width, height = SIZES[size]
    # The token is the password, as a browser asks for one.
    known = {"username": "", "password": token} if token else None
    context = browser.new_context(
        color_scheme=scheme, viewport={"width": width, "height": height}, http_credentials=known
    )
    page, wrong = context.new_page(), []
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("requestfailed", lambda request: wrong.append(f"{request.url} failed"))
    page.goto(f"{url}/docs")
    page.wait_for_selector(FILE)
    if folder:
        page.screenshot(path=Path(folder) / f"{scheme}-{size}.png")
    red, green, blue = page.evaluate(
        "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"
    )[:3]
    if (red + green + blue < 3 * 128) != (scheme == "dark"):
        wrong.append(f"where the reader is {scheme}, the page is not")
    if page.evaluate("document.documentElement.scrollWidth") > width:
        wrong.append(f"the page is wider than {width}")
    if token:
        page.click(".authorize")
        page.fill("#auth-bearer-value", token)
        page.click(".auth-btn-wrapper .authorize")
        page.click(".btn-done")
    page.click(f"{FILE} .opblock-summary-control")
    page.click(f"{FILE} .execute")
    shown = page.wait_for_selector(f"{FILE} .live-responses-table tbody .response-col_status")
    if not shown.inner_text().startswith("201"):
        wrong.append(f"to file a ticket gave {shown.inner_text()}")
    if folder:
        shown.scroll_into_view_if_needed()
        page.screenshot(path=Path(folder) / f"{scheme}-{size}-tried.png")
    context.close()
    return [f"{scheme}, {size}: {each}" for each in wrong]


def main(chromium, url, view, token="", folder=""):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        wrong = look(browser, url, token, *view.split(), folder)
        browser.close()
    print(*wrong, sep="\n")
    return int(bool(wrong))


sys.exit(main(*sys.argv[1:]))
