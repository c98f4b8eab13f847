"""Markdown becomes HTML that is allowed, whatever it is made of; and it holds up nobody."""

import time
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iris import titles
from iris.formats import markdown

FIRE = markdown.Ticket("Printer on <fire>", True)
AROUND = markdown.Around(
    "../", "http://iris.example", {12: FIRE, 13: markdown.Ticket("Coffee", False)}
)
REL = ' rel="nofollow noopener noreferrer"'


def shown(text, around=AROUND):
    return markdown.html(text, around).replace(REL, "").strip()


class Parts(HTMLParser):
    """What a browser makes of a piece of HTML: its elements, and its text."""

    def __init__(self, made):
        super().__init__()
        self.found, self.text, self.open = [], "", []
        self.feed(made)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in ("br", "hr", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def handle_comment(self, data):
        raise AssertionError(data)

    handle_decl = handle_pi = unknown_decl = handle_comment


def allowed(made):
    """Assert that HTML holds nothing but what a page may have; return its Parts."""
    parts = Parts(made)
    assert not parts.open
    for tag, attributes in parts.found:
        assert tag in markdown.INLINE | markdown.BLOCKS | markdown.TABLES
        known = markdown.ATTRIBUTES.get(tag, set()) | {"class", "rel", "align"}
        known |= {"tabindex"} if tag == "pre" else {"loading"} if tag == "img" else set()
        assert attributes.keys() <= known
        assert attributes.get("class", "ref") in ("ref", "ref closed", "mention")
        if "href" in attributes:
            assert urlsplit(attributes["href"]).scheme in ("", "http", "https", "mailto")
            assert "nofollow" in attributes["rel"]
        if "src" in attributes:
            assert not urlsplit(attributes["src"]).scheme
            assert not attributes["src"].startswith(("/", "\\"))
    return parts


@pytest.mark.parametrize(
    ("text", "html"),
    [
        (None, ""),
        ("", ""),
        ("a *b* **c** ~~d~~ `e`", "<p>a <em>b</em> <strong>c</strong> <del>d</del> <code>e</code></p>"),
        ("# a\n\n###### b", "<h3>a</h3>\n<h6>b</h6>"),
        ("a\nb\r\nc", "<p>a<br>\nb<br>\nc</p>"),
        ("https://example.org", '<p><a href="https://example.org">https://example.org</a></p>'),
        ("<https://a.b/c>", '<p><a href="https://a.b/c">https://a.b/c</a></p>'),
        ("[a](/stats?x=1&y=2)", '<p><a href="../stats?x=1&amp;y=2">a</a></p>'),
        ("[a](<b c>)", '<p><a href="../b%20c">a</a></p>'),
        ("- [x] a\n- [ ] b", '<ul>\n<li><span role="img" aria-label="done">☑</span> a</li>\n'
         '<li><span role="img" aria-label="to do">☐</span> b</li>\n</ul>'),
        ("```sh\nls <x> #12 @bob\n```", '<pre tabindex="0"><code>ls &lt;x&gt; #12 @bob\n</code></pre>'),
        ("|a|\n|-:|\n|b|", '<table>\n<thead>\n<tr>\n<th align="right">a</th>\n</tr>\n</thead>\n'
         '<tbody>\n<tr>\n<td align="right">b</td>\n</tr>\n</tbody>\n</table>'),
    ],
)  # fmt: skip
def test_markdown_is_what_others_know(text, html):
    assert shown(text) == html


TWELVE = '<a class="ref" href="../tickets/12">#12 Printer on &lt;fire&gt;</a>'


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("#12", TWELVE),
        ("(#12).", f"({TWELVE})."),
        ("**#12**", f"<strong>{TWELVE}</strong>"),
        ("http://iris.example/tickets/12", TWELVE),
        ("#13", '<a class="ref closed" href="../tickets/13">#13 Coffee</a>'),
        # None is there, or none is meant.
        ("#14", "#14"),
        ("a#12 /#12 #12a #012 ##12", "a#12 /#12 #12a #012 ##12"),
        ("`#12`", "<code>#12</code>"),
        ("[#12](http://a.b)", '<a href="http://a.b">#12</a>'),
        ("http://iris.example/tickets/14", '<a href="http://iris.example/tickets/14">'
         "http://iris.example/tickets/14</a>"),
        ("http://other.example/tickets/12", '<a href="http://other.example/tickets/12">'
         "http://other.example/tickets/12</a>"),
        ("@alice, (@bob.b)", '<span class="mention">@alice</span>, (<span class="mention">@bob.b</span>)'),
        ("x@y `@bob`", "x@y <code>@bob</code>"),
        ("bob@example.org", '<a href="mailto:bob@example.org">bob@example.org</a>'),
    ],
)  # fmt: skip
def test_tickets_and_people_are_found(text, html):
    assert shown(text) == f"<p>{html}</p>"


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("a <b onclick=x>b</b> <!-- c -->", "a &lt;b onclick=x&gt;b&lt;/b&gt; &lt;!-- c --&gt;"),
        ("\\<b> &lt;b&gt; `<b>`", "&lt;b&gt; &lt;b&gt; <code>&lt;b&gt;</code>"),
        ("[a](javascript:alert(1))", "a (<code>javascript:alert(1)</code>)"),
        ("[a](java&#115;cript:x)", "a (<code>javascript:x</code>)"),
        ("<javascript:x>", "&lt;javascript:x&gt;"),
        ("[a](data:text/html,x)", "a (<code>data:text/html,x</code>)"),
        ("![a](https://e.vil/x.png)", '<a href="https://e.vil/x.png">a</a>'),
        ("![](//e.vil/x.png)", '<a href="//e.vil/x.png">//e.vil/x.png</a>'),
        ("![a](javascript:x)", "a (<code>javascript:x</code>)"),
        ("![a](\\\\e.vil\\x)", '<img src="../%5Ce.vil%5Cx" alt="a" loading="lazy">'),
        ("![a](/stats.svg)", '<img src="../stats.svg" alt="a" loading="lazy">'),
        ("[![a](https://e.vil/x.png)](http://b.c)", '<a href="http://b.c">a</a>'),
        ("a\u202eb\x07c\x1b[31m\ufdd0", "a\ufffdb\ufffdc\ufffd[31m\ufffd"),
    ],
)  # fmt: skip
def test_what_is_hostile_is_dead_and_visible(text, html):
    assert shown(text) == f"<p>{html}</p>"


def test_an_address_stays_within_iris_wherever_it_is():
    """At Iris's own start, too, where / is not before it."""
    made = markdown.html("[a](/javascript:x) [b](/) [c](#d) ![e](/f:g)")
    assert made.replace(REL, "") == (
        '<p><a href="./javascript:x">a</a> <a href="./">b</a> <a href="#d">c</a>'
        ' <img src="./f:g" alt="e" loading="lazy"></p>\n'
    )


BITS = (
    "<script>", "</script>", "<img src=x onerror=alert(1)>", "<!--", "-->", "<![CDATA[", "]]>", "<?", "<svg/onload=x>",
    "javascript:x", "data:text/html,x", "//e.vil", "http://a.b", "https://a.b/?x=1&y", "www.a.b", "a@b.cd", "<http://a", ">",
    "[", "]", "(", ")", "![", "](", "\"", "'", "`", "```", "\n", "\n\n", "    ", "- ", "1. ", "> ", "# ", "|", "|-|", "\n|-|-|\n",
    "- [x] ", "*", "**", "_", "~~", "\\", "&lt;", "&#60;", "&#x3c;script&#x3e;", "&colon;", "\t", "\0", "\u202e", "\ufdd0", "%EF%B7%90",
    "#12", "#13", "@bob", "/tickets/12", "<a href=", " class=mention ", "style=x", "x", " ", "é", "<math><mi>", "<style>", "</p>", "[a]: b\n",
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(BITS), max_size=30).map("".join) | st.text(max_size=60))
def test_whatever_is_written_only_what_is_allowed_comes_out(text):
    allowed(markdown.html(text, AROUND))


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp", "Zs"]), max_size=40))
def test_no_letter_is_lost(text):
    """As code, where nothing else is meant by it."""
    text = text.replace("`", "'").replace(markdown.MARK, "")
    assert allowed(markdown.html(f"``` \n{text}\n```")).text == f"{text}\n\n"


N = 100_000
WORST = {
    "quotes in quotes": ">" * N,
    "quotes, line by line": "".join(">" * depth + "a\n" for depth in range(440)),
    "lists in lists": "".join("  " * depth + "- a\n" for depth in range(300)),
    "lists on a line": "- " * (N // 2) + "a",
    "brackets": "[" * N,
    "pictures": "![" * (N // 2),
    "links": "[a](b)" * (N // 6),
    "links without end": "[a](<b" * (N // 6),
    "links that say nothing": "[]()" * (N // 4),
    "emphasis": "*a* " * (N // 4),
    "emphasis in emphasis": "*a" * (N // 4) + "a*" * (N // 4),
    "emphasis that never ends": "*a_ " * (N // 4),
    "more and more ticks": "".join("`" * number + "a" for number in range(1, 440)),
    "code": "`a`" * (N // 3),
    "a wide table": "a|" * 16_000 + "\n" + "-|" * 16_000 + "\n" + "|\n" * 16_000,
    "a table of nothing": "|a" * 500 + "\n" + "|-" * 500 + "\n" + "|a\n" * 30_000,
    "a long table": "a|b\n-|-\n" + "1|2\n" * 24_000,
    "definitions": "".join(f"[{number}]: /u\n" for number in range(9_000)),
    "a definition often": "[a]: /" + "x" * 1000 + "\n\n" + "[a]" * 32_000,
    "addresses": "http://a " * (N // 9),
    "addresses in one": "http://" * (N // 7),
    "brackets behind an address": "http://a" + ")" * N,
    "mail": "a@a." * (N // 4),
    "names": "@a " * (N // 3),
    "a name": "@a" + ".a" * (N // 2),
    "at": "@" * N,
    "numbers": "#12 " * (N // 4),
    "numbers of all": "".join(f"#{number} " for number in range(15_000)),
    "less": "<" * N,
    "tags": "<a " * (N // 3),
    "comments": "<!--" * (N // 4),
    "ampersands": "&" * N,
    "nothing that is seen": "\u200b" * N,
    "line ends": "\n" * N,
    "Chinese": "漢" * N,
}  # fmt: skip


@pytest.mark.parametrize("name", WORST)
def test_no_text_holds_up_others(name):
    text = WORST[name][:N]
    began = time.process_time()
    made = markdown.html(text, AROUND)
    assert time.process_time() - began < 5
    assert len(made) <= 10 * markdown.LONGEST
    allowed(made)


@pytest.mark.parametrize("name", ["quotes in quotes", "a table of nothing"])
def test_what_becomes_too_much_is_shown_as_it_was_typed(name):
    text = WORST[name][:N]
    assert allowed(markdown.html(text)).text == text


def test_no_memory_is_lost():
    text = "# a\n\n- b\n\n|c|\n|-|\n|d|\n" * 50

    def kept():
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4

    for _ in range(50):
        markdown.html(text)
    before = kept()
    for _ in range(200):
        markdown.html(text)
    # cmarkgfm by itself would have kept 40 MB.
    assert kept() - before < 8_000


# Of the database -----------------------------------------------------------------------------------


def test_texts_have_their_titles_in_one_statement(http, ticket, statements):
    first = ticket("Printer on fire")
    second = ticket("Coffee")
    http.put(f"/tickets/{second}", status="closed")
    texts = [f"#{first}", None, f"http://x/tickets/{second} #77", "#999999999999999999 `#3`"]
    statements()
    found = titles.of(markdown.numbers(texts))
    assert len(statements()) == 1
    assert found == {
        first: markdown.Ticket("Printer on fire", True),
        second: markdown.Ticket("Coffee", False),
    }
    assert titles.of([]) == {}
    assert not statements()


def test_a_page_of_the_past_has_titles_of_the_past(http, ticket):
    number = ticket("Printer on fire")
    then = http.get(f"/tickets/{number}").json["updated"]
    http.put(f"/tickets/{number}", title="Printer saved", status="closed")
    assert titles.of([number])[number] == ("Printer saved", False)
    assert titles.of([number], as_of=then)[number] == ("Printer on fire", True)


def test_only_so_many_are_looked_for():
    numbers = markdown.numbers([WORST["numbers of all"]])
    assert numbers == list(range(1, markdown.MOST + 1))
