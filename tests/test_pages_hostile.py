"""Whatever anybody writes anywhere: on pages it is a text, dead and visible."""

import json
import re
from urllib.parse import quote, urlencode, urljoin

import pytest
from browsing import ACCEPT, Browser, Reader, fields
from test_pages import PLACES

from iris.visible import safe

# What would be markup, would run, would end an attribute or a text, would be an address.
MARKUP = """<script>alert(1)</script>'"><img src=x onerror=alert(1)>&lt;b&gt;{{ 7*7 }}{% raw %}"""
ADDRESS = "javascript:alert(1)//data:text/html,<script>alert(1)</script>"
# What turns the direction of a text, hides it, or moves a cursor.
UNSEEN = "a\u202eb\u2066c\u200bd\ufefff\u061cg"
CONTROLS = "a\x1b[31mb\x85c\x7fd\u2028e"
TEXTS = (MARKUP, ADDRESS, UNSEEN)
# Texts of several lines may have controls, too.
BODIES = (
    *TEXTS,
    CONTROLS,
    f"[x]({ADDRESS})",
    f"![x]({ADDRESS})",
    f"<{ADDRESS}>",
    "</textarea></main></body></html><h1>x",
)


@pytest.fixture
def hostile(http, sql, owner):
    """File such texts wherever there may be one."""
    for text in TEXTS:
        status = text[:30]
        sql(
            "INSERT INTO statuses (status, position, is_open) SELECT %s, max(position) + 1, true FROM statuses",
            status,
        )
        sql("INSERT INTO transitions VALUES ('open', %s)", status)
    for place, text in enumerate(TEXTS):
        name = text[:50]
        given = {
            "title": text, "assignee": name, "reporter": name, "labels": [name], "status": text[:30],
            "fields": {text: text, "nested": {text: [text]}},
        }  # fmt: skip
        answer = http.put("/tickets", given)
        assert answer.status == 201, answer.text
        number = answer.json["ticket_id"]
        for body in BODIES:
            http.put(f"/tickets/{number}/comments", body=body, author=name)
            http.put(f"/tickets/{number}", description=body)
        http.put(f"/tickets/{number}", title=f"{place} {text}", actor="mallory")
        # One hears of what mallory does.
        http.put(f"/tickets/{number}/watchers/anonymous")
        sql("INSERT INTO watchers VALUES (%s, %s)", number, name)
        http.put("/tokens", name=name, role="reader")
        http.put("/hooks", url=f"https://example.org/?{quote(text)}", filter={"q": text})
    http.put("/people/mallory", mail="mallory@example.org", actor="mallory")
    with owner.cursor() as cursor:
        cursor.execute("UPDATE people SET state = 'bounced', reason = %s", [MARKUP + UNSEEN])
        cursor.execute("UPDATE hooks SET state = 'stopped', reason = %s", [MARKUP + UNSEEN])
        cursor.execute(
            "INSERT INTO deliveries (hook_id, position, at, tried, outcome, status, took, answer)"
            " SELECT hook_id, 1, now(), 1, 'failed', 500, 1, reason FROM hooks"
        )
    http.put("/tickets/1/links/blocks/2")
    http.put("/tickets", title="Plain", description="#1 #2 #3")


def look(page, where):
    """Look at a page: nothing in it runs, leads elsewhere or is hidden."""
    for each in page.all():
        assert each.name not in ("iframe", "object", "embed", "base", "svg", "style"), (
            where,
            each.name,
        )
        assert each.name != "script" or (
            not each.text and each["src"].rpartition("/")[0].endswith(each["src"].split("/")[-2])
        )
        for name, value in each.attributes.items():
            assert not name.startswith("on") and name not in ("style", "srcdoc", "formaction"), (
                where,
                name,
            )
            if name in ("href", "src", "action"):
                # As browsers read addresses: without what they pass over.
                address = urljoin("http://iris.example/x/", re.sub(r"[\x00-\x20]", "", value))
                assert address.startswith("http://iris.example/"), (where, value)
            # What a form sends back stays as it is, and what a script reads.
            if each.name not in ("input", "option") and not name.startswith("data-"):
                assert value == safe(value, "\n\t"), (where, each.name, name, value)
    for text in texts(page):
        assert text == safe(text, "\n\t"), (where, text)


def texts(element):
    """Yield the texts that are shown, but for what a form has in its fields."""
    for each in element.inside:
        if isinstance(each, str):
            yield each
        elif each.name != "textarea":
            yield from texts(each)


def test_hostile_texts_are_dead_and_visible_on_every_page(hostile, http):
    browser = Browser(http)
    for place in (
        *PLACES,
        "/tickets/2",
        "/tickets/3",
        "/tickets/4",
        "/tickets/3?as_of=now",
        "/tickets?view=board&open=",
    ):
        answer = http.get(place, headers={"Accept": ACCEPT})
        look(browser.go(place, answer.status), place)
    shown = browser.go("/tickets").text
    for text in TEXTS:
        assert safe(text) in shown
    # In a form they are what they are, so that sending it changes nothing.
    for number, text in enumerate(TEXTS, 1):
        browser.go(f"/tickets/{number}")
        form = browser.form(f"/tickets/{number}", title=f"{number - 1} {text}")
        version = http.get(f"/tickets/{number}").json["version"]
        assert json.loads(fields(form)["fields"]) == {text: text, "nested": {text: [text]}}
        browser.send(form)
        assert http.get(f"/tickets/{number}").json["version"] == version


@pytest.mark.parametrize("text", [*TEXTS, CONTROLS, "\x00", "%00", "\u202e" * 100])
def test_what_an_address_says_is_dead_too(http, ticket, text):
    ticket()
    told = quote(text, safe="")
    for where in (
        f"/tickets?q={told}", f"/tickets?label={told}", f"/tickets?view={told}", f"/tickets?{told}=x", f"/tickets?as_of={told}",
        f"/tickets?tz={told}", f"/tickets?cursor={told}", f"/tickets?fields.{told}={told}", f"/new?title={told}&labels={told}",
        f"/{told}", f"/tickets/{told}", f"/assets/{told}/{told}", f"/tickets?_done={told}", f"/tickets?view=board&by={told}",
        f"/events?actor={told}", f"/changes?since={told}", f"/{told}?as_of=now", f"/tickets/1?as_of={told}",
    ):  # fmt: skip
        answer = http.get(where, headers={"Accept": ACCEPT})
        assert answer.status < 500, (where, answer.text)
        assert answer.headers["content-type"].startswith("text/html")
        look(Reader(answer.text).root, where)


@pytest.mark.parametrize("text", [*BODIES, "x" * 400])
def test_what_a_form_says_is_dead_too_where_it_comes_back(http, ticket, text):
    ticket()
    headers = {"Accept": ACCEPT, "Content-Type": "application/x-www-form-urlencoded"}
    nowhere = http("POST", f"/{quote(text[:99], safe='')}", raw="a=b", headers=headers)
    look(Reader(nowhere.text).root, text)
    for path, names in (
        ("/tickets", ("title", "status", "due", "priority", "fields")), ("/tickets/1", ("status", "version", "due")),
        ("/tickets/1/links", ("kind", "other_id")), ("/undo", ("change",)), ("/comments", ("ticket_id",)),
    ):  # fmt: skip
        for name in names:
            answer = http(
                "POST", path, raw=urlencode({name: text, text[:20]: "x"}), headers=headers
            )
            assert 400 <= answer.status < 500
            look(Reader(answer.text).root, (path, name))
            answer = http("POST", path, raw=urlencode({name: text}), headers=headers)
            assert answer.status == 303 or 400 <= answer.status < 500, answer.text
            if answer.text:
                page = Reader(answer.text).root
                look(page, (path, name))
                (form,) = page.of("refused")
                assert fields(form)[name] == text
