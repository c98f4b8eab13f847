"""Words: whatever stands in a text is found, also inside of compounds."""

import random
import re
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from test_properties import SOME

TEXTS = [
    "see main.py and read/write",
    "PROJ-1234 after v1.2.3, from 10.0.0.1",
    "com.acme.Foo at https://example.com/a/login?next=%2Fhome",
    "/var/log/syslog of alice@example.org: <stdin> &amp; snake_case+baz",
    "日本語のテスト画面 API設計",
    "로그인을 하다, 再起動",
]
# What is looked for, and in which of them it stands; 0: in none.
SOUGHT = {
    1: "main py main.py MAIN.PY mai* main.p* main.* read write read/write see+main main.py+and+read",
    2: "1234 PROJ-1234 proj PROJ-12* v1.2.3 v1.2 v1 10.0.0.1 10.0 10.* 10.0.* v1.2.3+from",
    3: "Foo acme.Foo com.acme com.acme.Foo login a/login example.com/a com/a/log* 2Fhome"
    " https://example.com/a/login?next=%2Fhome",
    4: "syslog /var/log log/syslog syslo* alice alice@example.org @example.org stdin amp snake snake_case case baz",
    5: "テスト 日本語 画面 画 面 テ* テスト* テスト画面 日本語のテスト画面 API api設 設計 画面+API 語の+テ テスト+画面",
    6: "로그인 그인 인 하다 起動 起 再起動",
    0: "py+main mainpy 0.0.1 1.2.4 本の 語日本 設計+API 画面+テスト 日語 로인 Fo ma",
}


@pytest.fixture
def found(http):
    """Return a function that gives the numbers a search finds."""
    return lambda words, more="": [
        row["ticket_id"] for row in http.get(f"/tickets?sort=ticket_id&q={quote(words)}{more}").json
    ]


def test_the_parts_of_compounds_are_words(http, sql, ticket, found):
    for text in TEXTS[:3]:
        ticket(description=text)
    for text in TEXTS[3:]:
        http.put(f"/tickets/{ticket()}/comments", body=text)
    for number, many in SOUGHT.items():
        for each in many.split():
            words = f'"{each}"'.replace("+", " ") if "+" in each else each
            assert found(words) == ([number] if number else []), words
            assert found(words, "&as_of=now") == found(words), words
            there = sql("SELECT DISTINCT ticket_id FROM searches WHERE words @@ wanted(%s, %s)",
                words.strip('"*'), words.endswith("*"))  # fmt: skip
            assert [row["ticket_id"] for row in there] == found(words), words
    assert found("main or テスト -画面") == [1]
    assert found("-main -テスト printer") == [2, 3, 4, 6]


LETTERS = re.compile(r"[a-z]+|[぀-ヿ一-鿿가-힣]+")


@SOME
@given(
    text=st.text("abc./-@:<>&+_?=%# \n'\"\x01日本語のテスト가나", min_size=1, max_size=40),
    data=st.data(),
)
@example(text="日本日本本日", data=None)
@example(text="a.b-c/a.b", data=None)
@example(text="a\x01a", data=None)
def test_any_piece_of_any_text_is_found(sql, text, data):
    """Of letters with blanks between them, whole words; of others, any piece; of both, with all between."""
    is_found = "SELECT body_words(%s) @@ wanted(%s) AS found"
    for match in LETTERS.finditer(text):
        word = match[0]
        pieces = [word]
        if not word.isascii():
            pieces += [word[start:end] for end in range(1, len(word) + 1) for start in range(end)]
        for piece in pieces:
            assert sql.one(is_found, text, piece)["found"], (text, piece)
    words = [match.span() for match in LETTERS.finditer(text)]
    if len(words) > 1 and data:
        first, last = sorted(data.draw(st.tuples(*[st.integers(0, len(words) - 1)] * 2)))
        piece = text[words[first][0] : words[last][1]]
        assert sql.one(is_found, text, piece)["found"], (text, piece)


def test_the_longest_text_of_the_most_words_is_taken_and_found_to_its_end(sql):
    """A tsvector has room for a megabyte, and counts places to 16,383."""
    letters = random.Random(1).choices([chr(code) for code in range(0x4E00, 0x9FFF)], k=102_800)
    title, description = "".join(letters[:300]), "".join(letters[300:100_300])
    labels = ["".join(letters[place : place + 50]) for place in range(100_300, 102_800, 50)]
    sql("INSERT INTO tickets (title, description, labels) VALUES (%s, %s, %s)", title, description, labels)  # fmt: skip
    is_found = "SELECT count(*) FROM searches WHERE words @@ wanted(%s)"
    for piece in (title[-5:], description[-1], description[-2:], description[-5:], labels[7]):
        assert sql.one(is_found, piece)["count"] == 1
    assert sql.one(is_found, description[-1] + description[-5])["count"] == 0
