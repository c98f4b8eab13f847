"""Any text that goes in comes out, at both doors."""

import json
import unicodedata

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SOME = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
# All of Unicode but NUL and halves of surrogate pairs, which PostgreSQL can't keep.
CHARACTERS = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
TEXT = st.text(CHARACTERS, max_size=300)
# A title is one line.
LINE = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=299)
SEEN = TEXT.map(lambda text: f"{text}."[-300:])
FIELDS = st.dictionaries(
    st.text(CHARACTERS, max_size=20),
    st.recursive(
        st.none() | st.booleans() | st.integers() | TEXT,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
        max_leaves=5,
    ),
    max_size=3,
)


@SOME
@given(
    title=LINE.map(lambda text: f"{text}."),
    description=TEXT,
    labels=st.lists(st.text(CHARACTERS, max_size=50), max_size=9),
    fields=FIELDS,
)
def test_any_text_in_a_ticket(http, sql, title, description, labels, fields):
    filed = http.put(
        "/tickets", title=title, description=description, labels=labels, fields=fields
    ).json
    read = http.get(f"/tickets/{filed['ticket_id']}").json
    row = sql.one("SELECT * FROM tickets WHERE ticket_id = %s", filed["ticket_id"])
    # As the database keeps texts, however they were composed; what JSON has in it stays as it is.
    title, description, *labels = (
        unicodedata.normalize("NFC", text) for text in (title, description, *labels)
    )
    for seen in (filed, read, row):
        assert (seen["title"], seen["description"]) == (title, description)
        assert seen["labels"] == sorted(set(labels))
        assert seen["fields"] == fields


def test_no_control_character_is_in_a_title(sql):
    """Nor an end of a line, whoever writes it, and nothing else is kept out."""
    sql("INSERT INTO tickets (title) VALUES ('x')")
    known = {char: unicodedata.category(char) for char in map(chr, range(1, 0x110000))}
    wrong = [char for char, category in known.items() if category in ("Cc", "Zl", "Zp")]
    assert len(wrong) > 60
    for char in wrong:
        sql.refusal("UPDATE tickets SET title = %s", f"a{char}b")
    decent = [char for char, category in known.items() if category not in ("Cc", "Zl", "Zp", "Cs")]
    # As many in a title as fit.
    titles = ["a" + "".join(decent[start : start + 299]) for start in range(0, len(decent), 299)]
    sql(
        "SELECT ticket_fits(title, NULL, NULL, 'x', '{}', '{}', NULL) FROM unnest(%s) AS title",
        titles,
    )


@SOME
@given(body=SEEN)
def test_any_text_in_a_comment(http, sql, body):
    number = sql.one("INSERT INTO tickets (title) VALUES ('x') RETURNING ticket_id")["ticket_id"]
    http.put(f"/tickets/{number}/comments", body=body)
    # As the database keeps texts, however they were composed.
    body = unicodedata.normalize("NFC", body)
    assert http.get(f"/tickets/{number}").json["comments"][0]["body"] == body
    assert sql.one("SELECT body FROM comments WHERE ticket_id = %s", number)["body"] == body


@SOME
@given(raw=st.binary(max_size=200) | TEXT.map(lambda text: json.dumps(text).encode()))
def test_any_body_gets_an_answer(http, raw):
    for kind in ("application/json", "application/x-www-form-urlencoded"):
        assert http("PUT", "/tickets", raw=raw, headers={"Content-Type": kind}).status < 500


@SOME
@given(query=TEXT)
def test_any_search_gets_an_answer(http, query):
    from urllib.parse import quote  # noqa: PLC0415

    for path in (
        "/tickets?q=",
        "/tickets?sort=rank&q=",
        "/comments?q=",
        "/tickets?cursor=",
        "/tickets?fields.a=",
    ):
        assert http.get(path + quote(query)).status in (200, 422)
