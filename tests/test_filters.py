"""Filters: what one can say in them, at every list."""

from urllib.parse import parse_qsl, quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_properties import SOME, TEXT

from iris import bounds
from iris.intake import types

# Texts that mean something in a filter, a query or a Link.
AWKWARD = st.text("ab,\"!'%&=+#;<>{}|\\ \tä", max_size=8)


def quoted(value):
    return '"' + value.replace('"', '""') + '"'


@pytest.fixture
def walk(http):
    """Return a function that gives the column of all rows of a list, one by one, by its own links."""

    def look(path, column):
        seen, query = [], "limit=1&"
        path, _, more = path.partition("?")
        query += more
        while query:
            answer = http.get(f"{path}?{query}")
            assert answer.status == 200, answer.text
            seen += [row[column] for row in answer.json]
            query = answer.next
        return seen

    return look


@SOME
@given(label=AWKWARD, other=AWKWARD, name=AWKWARD.filter(str.strip))
def test_whatever_a_label_or_a_name_is_it_can_be_filtered(http, sql, walk, label, other, name):
    sql("DELETE FROM tickets")
    numbers = [
        http.put("/tickets", title="x", labels=labels, assignee=name, reporter=name).json[
            "ticket_id"
        ]
        for labels in ([label], [other], [label, "plain"], ["never"])
    ]
    for number in numbers[:3]:
        http.put(f"/tickets/{number}/comments", body="x", author=name)
    has = [
        number
        for number, labels in zip(numbers, ([label], [other], [label]), strict=False)
        if label in labels
    ]
    for query, found in (
        ({"label": quoted(label)}, has),
        ({"label": "!" + quoted(label)}, [each for each in numbers if each not in has]),
        ({"label": f"{quoted(label)},plain,{quoted(other)}"}, numbers[:3]),
        ({"assignee": quoted(name), "reporter": f"nobody,{quoted(name)}"}, numbers),
        ({"assignee": "!" + quoted(name)}, []),
    ):
        assert walk(f"/tickets?sort=ticket_id&{urlencode(query)}", "ticket_id") == found, query
    query = urlencode({"author": quoted(name)})
    assert walk(f"/comments?sort=comment_id&{query}", "ticket_id") == numbers[:3]
    assert (
        len(walk(f"/events?kind=commented&{urlencode({'actor': quoted('anonymous')})}", "actor"))
        >= 3
    )


@SOME
@given(values=st.lists(TEXT.filter(lambda text: "\0" not in text), min_size=1, max_size=5))
def test_any_values_can_be_quoted(values):
    text = ",".join(quoted(value) for value in values)
    assert types.separated(text) == [(value, True) for value in values]


@pytest.mark.parametrize(
    ("text", "excluded", "values"),
    [
        ("a,b", False, ["a", "b"]),
        ("!a, b ", True, ["a", "b"]),
        ('"a,b", c', False, ["a,b", "c"]),
        ('"!a"', False, ["!a"]),
        ('!"!a","""b"""', True, ["!a", '"b"']),
        ('5",a"b', False, ['5"', 'a"b']),
        ('""', False, [""]),
        ("me", False, ["me"]),
    ],
)  # fmt: skip
def test_what_quotes_mean(text, excluded, values):
    assert types.Several()(text) == (excluded, values)


@pytest.mark.parametrize(
    "text", ['"', '"a', '"a"b', '"a" b', 'a,"b', '"a""', ",", "a,", "!", '"a",']
)
def test_what_is_not_ended_is_refused(text):
    with pytest.raises(ValueError, match=r"commas|must end each"):
        types.Several()(text)


def test_quotes_in_a_form_keep_a_labels_comma(http):
    raw = urlencode({"title": "x", "labels": '"a,b", c'})
    answer = http.put(
        "/tickets", raw=raw, headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert answer.json["labels"] == ["a,b", "c"]


# Me -----------------------------------------------------------------------------------------------


def test_me_is_who_asks_in_every_filter_of_people(http, ticket, walk):
    """In psql it is actor()."""
    mine, theirs = (
        ticket(assignee="alice", reporter="bob"),
        ticket(assignee="bob", reporter="alice"),
    )
    named_me = ticket(assignee="me", reporter="me")
    http.put(f"/tickets/{mine}/comments", body="x", actor="alice")
    http.put(f"/tickets/{theirs}/comments", body="x", actor="bob")

    def seen(path, column="ticket_id"):
        return [row[column] for row in http.get(path, actor="alice").json]

    assert seen("/tickets?assignee=me") == [mine]
    assert seen("/tickets?reporter=me") == [theirs]
    assert seen("/tickets?assignee=!me") == [named_me, theirs]
    assert seen('/tickets?assignee="me"') == [named_me]
    assert seen("/tickets?assignee=me,bob") == [theirs, mine]
    assert seen("/comments?author=me") == [mine]
    assert seen("/events?actor=me", "kind") == ["commented"]
    assert seen("/tickets?assignee=me&as_of=now") == [mine]
    assert http.get("/tickets?assignee=me").json == []
    assert http.get("/tickets?label=me", actor="alice").json == []


def test_me_is_a_name_that_can_be_one(http):
    assert (
        http.get("/tickets?assignee=me", headers={"Iris-Actor": "x" * 101}).json["code"]
        == "invalid_actor"
    )


# Links --------------------------------------------------------------------------------------------


@SOME
@given(text=AWKWARD.filter(str.strip), field=AWKWARD)
def test_a_link_keeps_what_it_goes_on_from(http, sql, text, field):
    sql("INSERT INTO tickets (title, fields) SELECT 'x', jsonb_build_object(%s, %s) FROM generate_series(1, 2)", field, text)  # fmt: skip
    query = {"label": "!" + quoted(text), f"fields.{field}": text, "limit": "1"}
    answer = http.get(f"/tickets?{urlencode(query)}")
    assert answer.status == 200, answer.text
    kept = dict(parse_qsl(answer.next, keep_blank_values=True, strict_parsing=True))
    assert {name: kept[name] for name in query} == query
    assert kept.keys() == query.keys() | {"cursor"}


@pytest.mark.parametrize(
    "value", ["a_long_label,with_commas", "größe", "日本語", 'a"b<c>{d}', "a b", "100%"]
)
@pytest.mark.parametrize("encode", [quote, lambda text: quote(text, safe=",!:*"), lambda text: quote(text, safe='",<>{} ').replace(" ", "+")])  # fmt: skip
def test_what_is_answered_has_a_next_link_that_is_answered(live, sql, value, encode):
    sql("INSERT INTO tickets (title) SELECT 'x' FROM generate_series(1, 3)")
    for many in (1000, 2000, 4000, 6000, 7500, 7700, 7750, 7800, 7850, 7900, 8000, 8150):
        text = encode("!" + (f"{value}," * 1000))[:many]
        # Neither half a letter nor half a value.
        text = text[: text.rindex(encode(",") if encode(",") in text else ",")]
        status, head, _ = live.send("GET", f"/tickets?limit=1&sort=-priority&label={text}")
        assert status in (200, 414), head
        pages = 1
        while status == 200 and 'rel="next"' in head:
            link = head.split("<")[1].split(">")[0]
            status, head, _ = live.send("GET", f"/tickets{link}")
            assert status == 200, (many, len(link), head)
            pages += 1
        assert pages in (1, 3)
        assert pages == 3 or many > 2000
    assert bounds.ADDRESS == 8190


# Plus ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("priority=low+high", "priority"),
        ("status=a+b", "status"),
        ("open=+true", "open"),
        ("limit=+5", "limit"),
        ("sort=+due", "sort"),
        ("columns=title,+due", "columns"),
        ("linked=1+1", "linked"),
        ("cursor=a+b", "cursor"),
        ("closed_after=a+b", "closed_after"),
    ],
)
def test_a_plus_that_became_a_blank_is_told(http, query, name):
    answer = http.get(f"/tickets?{query}")
    assert answer.status == 422
    assert answer.json["hint"].endswith(
        f"--data-urlencode '{name}=…' (with -G in a query), or %2B."
    )
    blank = http.get(f"/tickets?{query.replace('+', '%20')}")
    assert "--data-urlencode" not in blank.json.get("hint", "")


def test_a_plus_in_a_form_is_told_too(http):
    answer = http(
        "PUT",
        "/tickets",
        raw="title=x&priority=low+high",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert "--data-urlencode 'priority=…'" in answer.json["hint"]
