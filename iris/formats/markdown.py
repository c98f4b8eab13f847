"""What people write in Markdown, as HTML that holds nothing but what is allowed here.

HTML in it is a text like any other, and stays visible. GitHub's parser makes HTML, `_Links` looks at each
address and finds tickets and names, and a sanitizer lets through what CLEANER names, and nothing else.
"""

import re
from html import escape
from typing import NamedTuple

import nh3

from iris import bounds
from iris.formats import cmark
from iris.visible import safe

INLINE = {"a", "br", "code", "del", "em", "img", "span", "strong"}
BLOCKS = {"blockquote", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "ul"}
TABLES = {"table", "tbody", "td", "th", "thead", "tr"}
ATTRIBUTES = {
    "a": {"href"},
    "img": {"src", "alt"},
    "ol": {"start"},
    "span": {"role", "aria-label"},
}
ALIGNED = {"align": {"left", "center", "right"}}
SCHEMES = {"http", "https", "mailto"}
CLEANER = nh3.Cleaner(
    tags=INLINE | BLOCKS | TABLES,
    attributes=ATTRIBUTES,
    tag_attribute_values={"th": ALIGNED, "td": ALIGNED},
    # Who can't scroll by mouse gets there by Tab.
    set_tag_attribute_values={"pre": {"tabindex": "0"}, "img": {"loading": "lazy"}},
    allowed_classes={"a": {"ref", "closed"}, "span": {"mention"}},
    url_schemes=SCHEMES,
    link_rel="nofollow noopener noreferrer",
)
# A page has a heading of its own, and one for each part.
LOWER = 2
# Elements one inside of another, and characters of HTML, at most: what has more is shown as it was typed.
# It takes the sanitizer, and browsers, the square of the depth.
DEEPEST, LONGEST = 100, 1_000_000
# Tickets that the texts of a page may name, at most.
MOST = 1000

# Put behind a <, and taken out again: no tag begins so, and Markdown finds no HTML. It is no character, so no
# text has it. Only where an address stands in <>, that is Markdown's own.
MARK, MARKED = "\ufdd0", re.compile("\ufdd0|%EF%B7%90")
LESS = re.compile(r"<(?!(?:https?://|mailto:)[^\s<>]*>)")
NUMBER = re.compile(r"(?:(?<![\w&/#])#|/tickets/)([1-9][0-9]{0,17})(?!\w)")
PIECE = re.compile(
    r'<code>.*?</code>|<pre.*?</pre>|<a href="(?P<href>[^"]*)"[^>]*>(?P<words>.*?)</a>'
    r'|<img src="(?P<src>[^"]*)" alt="(?P<alt>[^"]*)"[^>]*>|<(?P<end>/?)h(?P<level>[1-6])>'
    r"|<input(?P<checked>[^>]*? checked)?[^>]*>|<(?P<closes>/?)[a-z][^>]*>"
    r"|(?<![\w&/#])#(?P<number>[1-9][0-9]{0,17})(?!\w)"
    # As mentioning() has it in the database.
    r"|(?P<name>(?<![\w.@+-])@\w+(?:[.@-]\w+)*)",
    re.DOTALL,
)
IMAGE = re.compile(r'<img src="(?P<src>[^"]*)" alt="(?P<alt>[^"]*)"[^>]*>')
SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)
VOID = ("<br", "<hr")


class Ticket(NamedTuple):
    """What a text's reference to a ticket shows of it."""

    title: str
    is_open: bool


class Around(NamedTuple):
    """Where texts are shown.

    root:     the way from the page to Iris's own start, such as "../".
    address:  Iris's own, as who asks has it, such as https://iris.example; None where it isn't known.
    tickets:  {number: Ticket} of those that the texts name; others stay text.
    """

    root: str = ""
    address: str | None = None
    tickets: dict = {}


NOWHERE = Around()


def numbers(texts):
    """Return the numbers of tickets that texts name, perhaps in code, too; the first MOST of them."""
    found = {}
    for text in texts:
        bounds.breathe()
        for match in NUMBER.finditer(text or ""):
            found[int(match[1])] = None
            if len(found) == MOST:
                return list(found)
    return list(found)


def html(text, around=NOWHERE):
    """Return a text in Markdown as HTML.

    text:     whatever somebody has written; None is nothing.
    Returns:  HTML of what CLEANER lets through; where that would be too deep or too long, what was typed.
    """
    text = safe((text or "").replace("\r\n", "\n"), kept="\n\t").replace(MARK, "\ufffd")
    bounds.breathe()
    made = MARKED.sub("", cmark.html(LESS.sub(f"<{MARK}", text)))
    links = _Links(around)
    if len(made) <= LONGEST:
        made = links.put(made)
    if links.deepest > DEEPEST or len(made) > LONGEST:
        return f'<pre tabindex="0">{escape(text)}</pre>'
    bounds.breathe()
    return CLEANER.clean(made)


class _Links:
    """What becomes of the pieces of one text that cmark.html() has made HTML of."""

    def __init__(self, around):
        self.around = around
        self.depth = self.deepest = 0

    def put(self, made):
        return PIECE.sub(self._piece, made)

    def _piece(self, found):
        bounds.breathe()
        whole = found[0]
        if found["number"]:
            return self._ticket(int(found["number"])) or whole
        if found["name"]:
            return f'<span class="mention">{whole}</span>'
        if whole.startswith(("<code", "<pre")):
            return whole
        if found["href"] is not None:
            return self._link(found["href"], found["words"])
        if found["src"] is not None:
            return self._image(found["src"], found["alt"])
        if found["level"]:
            return f"<{found['end']}h{min(int(found['level']) + LOWER, 6)}>"
        if whole.startswith("<input"):
            mark, words = ("☑", "done") if found["checked"] else ("☐", "to do")
            return f'<span role="img" aria-label="{words}">{mark}</span>'
        if not whole.startswith(VOID):
            self.depth += -1 if found["closes"] else 1
            self.deepest = max(self.deepest, self.depth)
        return whole

    def _ticket(self, number):
        """Return a link to a ticket by its title, or None where there is none."""
        ticket = self.around.tickets.get(number)
        if ticket is None:
            return None
        kind = "ref" if ticket.is_open else "ref closed"
        way, title = self._way(f"/tickets/{number}"), escape(safe(ticket.title))
        return f'<a class="{kind}" href="{way}">#{number} {title}</a>'

    def _link(self, href, words):
        own = f"{self.around.address}/tickets/"
        if href == words and href.startswith(own):
            number = NUMBER.fullmatch(href, len(own) - len("/tickets/"))
            made = number and self._ticket(int(number[1]))
            if made:
                return made
        words = IMAGE.sub(self._inside, words)
        scheme = SCHEME.match(href)
        if not href:
            return words
        if scheme and scheme[1].lower() not in SCHEMES:
            return f"{words} (<code>{href}</code>)"
        return f'<a href="{self._way(href)}">{words}</a>'

    def _inside(self, found):
        """Return an image within a link's words, where no other link can be."""
        return (
            found["alt"] if _is_outside(found["src"]) else self._image(found["src"], found["alt"])
        )

    def _image(self, src, alt):
        if _is_outside(src) or not src:
            return self._link(src, alt or src)
        return f'<img src="{self._way(src)}" alt="{alt}">'

    def _way(self, href):
        """Return where an address leads from this page: / is Iris's own start, wherever that is."""
        if _is_outside(href) or href.startswith("#"):
            return href
        return (self.around.root or "./") + href.lstrip("/")


def _is_outside(href):
    """Whether an address is not, or might not be, one of Iris's own."""
    return bool(SCHEME.match(href)) or href.startswith("//")
