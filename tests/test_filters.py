"""Filters: what one can say in them, at every list."""

import re
import unicodedata
from datetime import UTC, datetime, timedelta
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
    # These become more with each example.
    said = http.get(f"/events?kind=commented&{urlencode({'actor': quoted('anonymous')})}").json
    assert len(said) >= 3


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
    assert types.Several()(text)[:2] == (excluded, values)


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


def test_me_may_stand_in_every_filter_of_people(http):
    from iris import comments, events, inbox, people, tokens, watchers  # noqa: PLC0415 (not before the database is there)
    from iris.lists import tickets  # noqa: PLC0415

    names = {
        "assignee",
        "reporter",
        "commented_by",
        "mentions",
        "watched_by",
        "who",
        "author",
        "name",
        "actor",
    }
    for noun in (tickets, comments, events, tokens, watchers, inbox, people):
        for name, filter_ in noun.LIST.filters.items():
            assert getattr(filter_.kind, "people", False) == (name in names), (noun, name)
    assert http.get("/tokens?actor=me", actor="alice").json == []


@pytest.mark.parametrize(
    "path", ["/tickets?assignee=me", "/tickets", "/stats", "/events", "/hooks"]
)
def test_who_asks_has_a_decent_name(http, path):
    answer = http.get(path, headers={"Iris-Actor": "x" * 101})
    assert (answer.status, answer.json["code"]) == (400, "invalid_actor")


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
    # curl makes a + of a blank where it encodes what else there is.
    encoded = http.get(f"/tickets?{query}%22")
    assert "--data-urlencode" not in encoded.json.get("hint", "")


def test_a_plus_in_a_form_is_told_too(http):
    answer = http(
        "PUT",
        "/tickets",
        raw="title=x&priority=low+high",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert "--data-urlencode 'priority=…'" in answer.json["hint"]


# What one asks every day --------------------------------------------------------------------------


@pytest.fixture
def team(http, sql, ticket):
    """File six tickets: 2 blocks 1, 4 (closed) blocks 3, 6 has waited for long."""
    for number in range(1, 7):
        ticket(f"Ticket {number}", description=DESCRIPTIONS.get(number))
    http.put("/tickets/2/links/blocks/1")
    http.put("/tickets/4/links/blocks/3")
    http.put("/tickets/4", status="closed")
    http.put("/tickets/5/links/blocks/1")
    http.put("/tickets/5/links/relates/6")
    http.put(
        "/tickets/2/comments", body="look, @bob-by and (@alice): see @Charlie's", actor="alice"
    )
    http.put("/tickets/2/comments", body="done, alice", actor="bob")
    http.put("/tickets/3/comments", body="x", actor="bob")


DESCRIPTIONS = {
    1: "@alice and @bob.",
    3: "alice@example.org, not @alice.b nor @@alice, @alice_b, @al",
    5: "ask @Ålice or @bob, please\n@dr. who",
    6: "alice",
}
DAILY = {
    "blocked=true": [1],
    "blocked=false": [2, 3, 4, 5, 6],
    "commented_by=alice": [2],
    "commented_by=bob": [2, 3],
    "commented_by=alice,bob": [2, 3],
    "commented_by=!alice": [1, 3, 4, 5, 6],
    "commented_by=!alice,bob": [1, 4, 5, 6],
    "commented_by=me": [2],
    "commented_by=me&blocked=true": [],
    "mentions=alice": [1, 2],
    "mentions=ALICE": [1, 2],
    "mentions=me": [1, 2],
    "mentions=bob": [1, 5],
    "mentions=bob-by": [2],
    "mentions=charlie": [2],
    "mentions=alice.b": [3],
    "mentions=%C3%85lice": [5],
    "mentions=dr.+who": [5],
    "mentions=!alice": [3, 4, 5, 6],
    "mentions=charlie,bob": [1, 2, 5],
    "mentions=nobody": [],
    "mentions=...": [],
    "age_over=1h": [],
    "age_over=0m": [1, 2, 3, 4, 5, 6],
    "idle_over=3w": [],
}


def test_filters_that_answer_daily_questions(http, team):
    for query, numbers in DAILY.items():
        for moment in ("", "&as_of=now"):
            answer = http.get(f"/tickets?sort=ticket_id&count=true&{query}{moment}", actor="alice")
            assert answer.status == 200, answer.text
            assert [row["ticket_id"] for row in answer.json] == numbers, (query, moment)
            assert answer.headers["total-count"] == str(len(numbers))
    # A walk keeps them, and so does a stream.
    assert http.get("/tickets?blocked=false&limit=2&sort=ticket_id").next.startswith(
        "blocked=false"
    )
    assert (
        http.get("/tickets?mentions=alice&format=csv&columns=ticket_id").text == "ticket_id\n2\n1\n"
    )


def test_age_and_idleness(http, owner, ticket):
    for number, (filed, touched) in enumerate(
        (("40.5 days", "20.5 days"), ("3 hours", "2 minutes")), 1
    ):
        ticket()
        with owner.cursor() as cursor:
            cursor.execute(
                "SET session_replication_role = replica;"
                "UPDATE tickets SET created = now() - %s::interval, updated = now() - %s::interval WHERE ticket_id = %s;"
                "SET session_replication_role = origin", (filed, touched, number))  # fmt: skip
    for query, numbers in (
        ("age_over=30d", [1]), ("age_over=40d", [1]), ("age_over=41d", []), ("idle_over=14d", [1]), ("idle_over=3w", []),
        ("idle_over=1m", [2, 1]), ("age_over=2h", [2, 1]), ("age_over=9999w", []), ("age_over=1h&idle_over=1h", [1]),
    ):  # fmt: skip
        assert [row["ticket_id"] for row in http.get(f"/tickets?{query}").json] == numbers, query
    columns = "ticket_id,age,idle"
    assert http.get(f"/tickets?columns={columns}").json == [
        {"ticket_id": 2, "age": "3h", "idle": "2m"},
        {"ticket_id": 1, "age": "40d", "idle": "20d"},
    ]
    assert (
        http.get(f"/tickets?columns={columns}&format=csv").text
        == f"{columns}\n2,3h,2m\n1,40d,20d\n"
    )
    moment = (datetime.now(UTC) - timedelta(days=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    then = http.get(f"/tickets?columns={columns}&as_of={moment}").json
    assert then == [{"ticket_id": 1, "age": "38d", "idle": "18d"}]


@pytest.mark.parametrize("query", ["age_over=30", "age_over=d", "idle_over=-1d", "idle_over=1y", "age_over=1.5d", "age_over=9999999d", "blocked=yes", "commented_by=", "mentions=,", "columns=age,age", "columns=next"])  # fmt: skip
def test_what_they_are_not(http, query):
    answer = http.get(f"/tickets?{query}")
    assert (answer.status, list(answer.json["errors"])) == (422, [query.split("=")[0]])


def test_columns_that_are_reckoned(http, team):
    columns = "ticket_id,comments,blocked_by"
    rows = http.get(f"/tickets?columns={columns}&sort=ticket_id&limit=3").json
    assert rows == [
        {"ticket_id": 1, "comments": 0, "blocked_by": [2, 5]},
        {"ticket_id": 2, "comments": 2, "blocked_by": []},
        {"ticket_id": 3, "comments": 1, "blocked_by": []},
    ]
    assert http.get(f"/tickets?columns={columns}&sort=ticket_id&limit=3&as_of=now").json == rows
    streamed = http.get(f"/tickets?columns={columns}&sort=ticket_id&limit=2&format=csv").text
    assert streamed == f'{columns}\n1,0,"[2, 5]"\n2,2,[]\n'
    table = http.get(f"/tickets?columns={columns}&sort=ticket_id&limit=2&format=text").text
    assert table.splitlines()[1].split() == ["1", "0", "2,", "5"]
    found = http.get(f"/tickets?columns={columns}&q=ticket&sort=rank&limit=1")
    assert found.status == 200
    assert "blocked_by" not in http.get("/tickets").json[0]


def test_one_ticket_says_where_it_may_go(http, ticket):
    number = ticket()
    assert http.get(f"/tickets/{number}").json["next"] == ["active", "resolved", "closed"]
    assert http.get(f"/ticket?tid={number}&as_of=now").json["next"] == [
        "active",
        "resolved",
        "closed",
    ]
    http.put(f"/tickets/{number}", status="closed")
    workflow = http.get("/workflow").json
    workflow["transitions"]["closed"] = []
    http.put("/workflow", workflow)
    assert http.get(f"/tickets/{number}").json["next"] == []
    refused = http.put(f"/tickets/{number}", status="open").json
    assert (refused["code"], refused["allowed"]) == ("transition_not_allowed", [])


# Blanks -------------------------------------------------------------------------------------------

# What anybody takes for a blank: Python, Unicode, ECMAScript, PostgreSQL's regular expressions, whoever pastes.
DOUBTFUL = sorted(
    {char for char in map(chr, range(1, 0xD800)) if re.fullmatch(r"\s", char)}
    | {char for char in map(chr, range(1, 0xD800)) if unicodedata.category(char)[0] == "Z"}
    | set("\x08\x7f\x85\xad\u180e\u200b\u200c\u200d\u200e\u2060\ufeff\x1b")
)


def test_a_blank_is_one_at_both_doors_and_by_the_schema(http, sql):
    assert set(sql.one("SELECT blanks()")["blanks"]) == set(types.BLANKS)
    there = sql("SELECT chr(n) AS char FROM generate_series(1, 55295) AS n WHERE chr(n) ~ '\\s'")  # fmt: skip
    parameters = http.get("/openapi.json").json["paths"]["/tickets"]["get"]["parameters"]
    (pattern,) = (each["schema"]["pattern"] for each in parameters if each["name"] == "label")
    for char in {*DOUBTFUL, *(row["char"] for row in there)}:
        # Alone; around a value, beside another; beside one in quotes.
        for text in (char, f"{char}a{char},b", f'b,{char}"a"{char}', f"!{char}a", f"{char}!a"):
            said = sql("SELECT item FROM chosen(%s)", text)
            fits = sql.one("SELECT bool_and(said <> '' AND (said !~ '^\"' OR said ~ '^\"([^\"]|\"\")*\"$')) AS fits FROM chosen(%s)", text)["fits"]  # fmt: skip
            try:
                values = types.Several()(text).values
            except ValueError:
                values = None
            assert (values is not None) == fits == bool(re.search(pattern, text)), (text, said)
            if fits:
                assert [row["item"] for row in said] == values, text


# Where a text is given: the path and what is sent there, the statement, and the table that keeps it.
TEXTS = {
    "title": ("/tickets", {"title": "{}"}, "INSERT INTO tickets (title) VALUES (%s)", "tickets"),
    "reporter": ("/tickets", {"title": "x", "reporter": "{}"}, "INSERT INTO tickets (title, reporter) VALUES ('x', %s)", "tickets"),
    "assignee": ("/tickets", {"title": "x", "assignee": "{}"}, "INSERT INTO tickets (title, assignee) VALUES ('x', %s)", "tickets"),
    "description": ("/tickets", {"title": "x", "description": "{}"}, "INSERT INTO tickets (title, description) VALUES ('x', %s)", "tickets"),
    "labels": ("/tickets", {"title": "x", "labels": ["{}"]}, "INSERT INTO tickets (title, labels) VALUES ('x', ARRAY[%s])", "tickets"),
    "body": ("/comments", {"ticket_id": 1, "body": "{}"}, "INSERT INTO comments (ticket_id, body) VALUES (1, %s)", "comments"),
    "author": ("/comments", {"ticket_id": 1, "body": "x", "author": "{}"}, "INSERT INTO comments (ticket_id, body, author) VALUES (1, 'x', %s)", "comments"),
    "who": ("/tickets/1/watchers/{}", {}, "INSERT INTO watches (ticket_id, who) VALUES (1, %s)", "watches"),
    "name": ("/tokens", {"name": "{}", "role": "reader"}, "SELECT add_token(%s, 'reader')", "tokens"),
    "actor": ("/tokens", {"name": "t", "role": "reader", "actor": "{}"}, "SELECT add_token('t', 'reader', actor => %s)", "tokens"),
}  # fmt: skip


@pytest.mark.parametrize("column", TEXTS)
def test_a_text_of_blanks_is_refused_or_kept_alike_at_both_doors(http, sql, column):
    path, body, statement, table = TEXTS[column]
    if table != "tickets":
        sql("INSERT INTO tickets (title) VALUES ('x')")

    def kept():
        found = sql(f"SELECT {column} FROM {table}")
        sql(f"DELETE FROM {table}")
        return found

    for char in DOUBTFUL:
        for text in (char, f"{char}x", f"x{char}"):
            given = {
                name: [text] if value == ["{}"] else text if value == "{}" else value
                for name, value in body.items()
            }
            answer = http.put(path.format(quote(text)), given)
            if answer.status < 300:
                here = kept()
                sql(statement, text)
                assert kept() == here, text
            else:
                error = sql.refusal(statement, text)
                assert answer.json["detail"] == error.diag.message_primary, (text, answer.text)


def test_an_address_with_a_blank_is_refused_at_both_doors_and_by_the_schema(http, sql):
    document = http.get("/openapi.json").json
    body = document["paths"]["/hooks"]["put"]["requestBody"]["content"]["application/json"]
    name = body["schema"]["$ref"].rpartition("/")[2]
    url = document["components"]["schemas"][name]["properties"]["url"]
    for char in DOUBTFUL:
        for text in (f"https://a.example/x{char}y", f"mailto:a{char}b@example.org"):
            fits = bool(re.search(url["pattern"], text)) and not re.search(
                url["not"]["pattern"], text
            )
            assert (http.put("/hooks", url=text).status == 201) == fits, text
            if fits:
                sql("INSERT INTO hooks (url) VALUES (%s)", text)
            else:
                sql.refusal("INSERT INTO hooks (url) VALUES (%s)", text)
            assert not fits or char not in types.BLANKS
