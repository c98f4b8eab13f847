"""What tickets were is written down bit by bit; however far that has come, any moment is read as it was."""

import random

import psycopg2
import pytest
from test_time_travel import Life

from iris.lists import search

THEN = "SELECT * FROM tickets_as_of(%s) ORDER BY ticket_id"


def written(sql, most=5000):
    """Write the past on; return how many events are left."""
    return sql.one("SELECT write_past(%s) AS left_over", most)["left_over"]


class Many:
    """So many tickets that a past is read in order, with what they were at some moments."""

    def __init__(self, sql):
        self.sql, self.moments = sql, []
        sql("INSERT INTO tickets (title, description, assignee, priority, fields) SELECT 'first ' || n, 'text ' || n,"
            " 'user' || n % 3, (enum_range(NULL::priority))[1 + n % 4], jsonb_build_object('n', n) FROM generate_series(1, 150) AS n")  # fmt: skip
        self.remember()
        for change in (
            "UPDATE tickets SET assignee = 'dora' WHERE ticket_id % 2 = 0",
            "INSERT INTO comments (ticket_id, body) SELECT ticket_id, 'said' FROM tickets WHERE ticket_id % 3 > 0",
            "UPDATE tickets SET title = 'second ' || ticket_id, description = NULL WHERE ticket_id % 5 = 0",
            "UPDATE tickets SET status = 'closed', fields = '{}' WHERE ticket_id % 7 = 0",
            "INSERT INTO links SELECT ticket_id, 'relates', ticket_id + 1 FROM tickets WHERE ticket_id % 11 = 0 AND ticket_id < 150",
            "DELETE FROM tickets WHERE ticket_id % 13 = 0",
            "UPDATE tickets SET priority = 'urgent', title = 'third' WHERE true",
        ):
            sql(change)
            self.remember()
        sql("SELECT undo(change => (SELECT change FROM events WHERE kind = 'deleted' LIMIT 1))")
        self.remember()
        sql("UPDATE tickets SET status = 'closed' WHERE status = 'open'")

    def remember(self):
        moment = self.sql.one("SELECT clock_timestamp()::text AS now")["now"]
        self.moments.append((moment, self.sql("SELECT * FROM tickets ORDER BY ticket_id")))

    def check(self):
        for moment, rows in self.moments:
            assert self.sql(THEN, moment) == rows


@pytest.fixture
def many(sql):
    return Many(sql)


def test_many_are_read_in_order(many, sql, http):
    many.check()
    assert written(sql) == 0
    many.check()
    for moment, rows in many.moments:
        assert sql.one("SELECT is_walked(%s) AS is_walked", moment)["is_walked"]
        for order, key in (
            ("-created", lambda row: (row["created"], row["ticket_id"])),
            ("ticket_id", lambda row: row["ticket_id"]),
        ):
            expected = [row["ticket_id"] for row in sorted(rows, key=key, reverse=order[0] == "-")]
            seen, page = (
                [],
                f"as_of={moment.replace('+', '%2B')}&sort={order}&limit=60&columns=ticket_id",
            )
            while page:
                answer = http.get(f"/tickets?{page}")
                seen += [row["ticket_id"] for row in answer.json]
                page = answer.next
            assert seen == expected


@pytest.mark.parametrize("is_written", [False, True])
def test_a_plan_that_is_kept_is_that_of_any_moment(http, sql, is_written):
    """Pages that nothing but the moment makes another are planned once for all of them, others for each."""
    life = Life(9, http, sql)
    life.run(60)
    # So many that there is a next page, and that they are walked through.
    sql(
        "INSERT INTO tickets (title, due) SELECT 'More', now() + n * interval '1 hour' FROM generate_series(1, 130) AS n"
    )
    sql("UPDATE tickets SET title = 'Much more' WHERE title = 'More'")
    moments = [moment for moment, *_ in life.moments[::20]]
    moments += [sql.one("SELECT now()::text AS now")["now"], "yesterday", "tomorrow"]
    sql("UPDATE tickets SET description = 'Touched'")
    sql("DELETE FROM tickets WHERE ticket_id % 3 = 0")
    if is_written:
        written(sql)
    sql("UPDATE tickets SET priority = 'urgent' WHERE ticket_id % 7 = 0")
    for query in (
        "", "count=true", "sort=-updated", "sort=due", "sort=-ticket_id", "sort=priority", "open=true", "open=false&count=true",
        "blocked=true", "blocked=false", "unassigned=true", "overdue=true", "overdue=false&sort=-due",
        "status=open", "status=closed&count=true", "assignee=alice&sort=created", "reporter=bob", "linked=1",
        "assignee=bob&open=true&sort=-priority", "age_over=0m", "created_before=tomorrow&sort=created",
    ):  # fmt: skip
        for moment in moments:
            at = f"{query}&as_of={moment.replace('+', '%2B')}"
            expected = http.get(f"/tickets?{at}&limit=1000")
            seen, page = [], f"/tickets?{at}"
            while page:
                answer = http.get(page)
                assert answer.status == 200
                assert answer.headers.get("total-count") == expected.headers.get("total-count")
                seen += answer.json
                page = answer.next and f"/tickets?{answer.next}"
            assert seen == expected.json, (query, moment)


@pytest.mark.parametrize("is_written", [False, True])
def test_a_past_finds_what_was_found_then(http, sql, is_written):
    """Each filter, wanted and excluded, of one and of several, page by page and as a whole."""
    sql(
        "INSERT INTO tickets (title, description, assignee, reporter)"
        " SELECT CASE n % 4 WHEN 0 THEN 'for @alice' ELSE 'tea' END, CASE n % 6 WHEN 0 THEN 'not`@bob`, @dora' END,"
        " 'user' || n % 5, 'user' || n % 7 FROM generate_series(1, 120) AS n"
    )
    sql("INSERT INTO comments (ticket_id, author, body) SELECT ticket_id, 'user' || ticket_id % 3,"
        " CASE ticket_id % 8 WHEN 1 THEN 'ask @bob' ELSE 'coffee' END FROM tickets WHERE ticket_id % 2 = 1")  # fmt: skip
    sql(
        "INSERT INTO links SELECT ticket_id, 'blocks', ticket_id + 1 FROM tickets WHERE ticket_id % 5 = 0 AND ticket_id < 120"
    )
    sql("UPDATE tickets SET status = 'closed' WHERE ticket_id % 10 = 0")
    names = ("user1", "user1,user2", "alice", "bob,dora,user4", "nobody")
    queries = [
        *(f"{name}={no}{who}" for name in ("watched_by", "mentions", "commented_by") for no in ("", "!") for who in names),
        *(f"blocked={wanted}{more}" for wanted in ("true", "false") for more in ("", "&open=true", "&sort=due")),
        "mine=true", "mine=false", "q=tea", "q=-tea", "q=coffee+-tea", "q=-coffee+or+tea", "linked=5", "idle_over=1h",
    ]  # fmt: skip

    def found(query, moment=""):
        seen = []
        for more in ("", "&count=true&limit=1000"):
            answer = http.get(f"/tickets?{query}{more}{moment}", headers={"Iris-Actor": "user1"})
            assert answer.status == 200, query
            seen.append((answer.headers.get("total-count"), answer.json))
        return seen

    def check(then, moment):
        for query, expected in then.items():
            assert found(query, f"&as_of={moment.replace('+', '%2B')}") == expected, query

    then, moment = {query: found(query) for query in queries}, "now"
    check(then, moment)
    moment = sql.one("SELECT clock_timestamp()::text AS now")["now"]
    sql("DELETE FROM links WHERE ticket_id % 3 = 0")
    sql(
        "INSERT INTO links SELECT ticket_id, 'blocks', ticket_id + 1 FROM tickets WHERE ticket_id % 5 = 2"
    )
    # Gone since, and there again.
    sql("DELETE FROM links WHERE ticket_id = 35")
    sql("INSERT INTO links VALUES (35, 'blocks', 36)")
    sql("DELETE FROM links WHERE ticket_id = 35")
    sql("UPDATE comments SET body = 'tea' WHERE ticket_id % 3 = 0")
    sql("DELETE FROM comments WHERE ticket_id % 7 = 0")
    if is_written:
        written(sql)
    sql(
        "UPDATE tickets SET title = 'cake', description = '@carla', assignee = 'user9' WHERE ticket_id % 2 = 0"
    )
    sql("UPDATE tickets SET status = 'closed' WHERE ticket_id % 3 = 0 AND status = 'open'")
    check(then, moment)


@pytest.mark.parametrize("page", [50, 0])
@pytest.mark.parametrize("is_written", [False, True])
def test_a_past_is_searched_by_word_and_by_ticket(http, sql, monkeypatch, page, is_written):
    monkeypatch.setattr(search, "PAGE", page)
    life = Life(7, http, sql)
    life.run(60)
    if is_written:
        written(sql)
        life.run(5)
    for moment, model, _, _ in life.moments[::10]:
        at = f"as_of={moment.replace('+', '%2B')}&limit=1000&columns=ticket_id"
        for query, fits in {
            "printer": lambda has: has("printer"),
            "fire+login": lambda has: has("fire") and has("login"),
            "tea+-net": lambda has: has("tea") and not has("net"),
            "paper+or+fire": lambda has: has("paper") or has("fire"),
            "paper+net+or+fire+-tea": lambda has: (has("paper") and has("net")) or (has("fire") and not has("tea")),
            "-login": lambda has: not has("login"),
            "prin*": lambda has: has("printer"),
        }.items():  # fmt: skip
            found = http.get(f"/tickets?q={query}&{at}")
            expected = {
                number for number in model.tickets
                if fits(lambda word, number=number, model=model: model.has_word(number, word))
            }  # fmt: skip
            assert {row["ticket_id"] for row in found.json} == expected, (query, moment)
            ranked = http.get(f"/tickets?q={query}&sort=rank&count=true&{at}")
            assert ranked.headers["total-count"] == str(len(expected))


def test_words_of_a_moment_are_there_once(http, sql):
    life = Life(8, http, sql)
    life.run(40)
    for keep in (lambda: None, lambda: written(sql), lambda: life.run(5)):
        keep()
        for moment, model, _, _ in life.moments[::4]:
            rows = sql("SELECT ticket_id, comment_id FROM searches_as_of(%s)", moment)
            seen = sorted((row["ticket_id"], row["comment_id"]) for row in rows)
            assert seen == sorted(
                [(number, 0) for number in model.tickets]
                + [(row["ticket_id"], number) for number, row in model.comments.items()])  # fmt: skip


def test_what_was_changed_since_it_was_written_is_seen(many, sql):
    written(sql)
    for number in (5, 10, 13):
        sql("UPDATE tickets SET title = 'fourth', description = 'new' WHERE ticket_id = %s", number)
        many.check()
        sql("DELETE FROM tickets WHERE ticket_id = %s", number + 1)
        many.check()
    assert written(sql) == 0
    many.check()


@pytest.mark.parametrize("seed", range(3))
def test_it_is_written_in_any_pieces(http, sql, seed):
    life, luck = Life(seed + 50, http, sql), random.Random(seed)
    life.run(20)
    for _ in range(6):
        written(sql, luck.randint(1, 9))
        for moment, _, rows, _ in life.moments[luck.randrange(4) :: 4]:
            assert sql(THEN, moment) == rows
        life.run(3)
    while written(sql, 3):
        pass
    for moment, _, rows, _ in life.moments:
        assert sql(THEN, moment) == rows
        for row in rows[:2]:
            assert sql("SELECT * FROM ticket_as_of(%s, %s)", row["ticket_id"], moment) == [row]


def test_what_is_only_touched_is_one_row(sql, http, ticket):
    number = ticket()
    other = ticket()
    moments = []
    for turn in range(60):
        sql("INSERT INTO comments (ticket_id, body) VALUES (%s, 'said')", number)
        if turn == 30:
            sql("INSERT INTO links VALUES (%s, 'relates', %s)", other, number)
        moments.append(
            (
                sql.one("SELECT clock_timestamp()::text AS now")["now"],
                sql("SELECT * FROM tickets ORDER BY ticket_id"),
            )
        )
        # In pieces, or all at once.
        if turn % 7 == 0 and turn < 50:
            written(sql)
    assert written(sql) == 0
    for moment, rows in moments:
        assert sql(THEN, moment) == rows
        assert sql("SELECT * FROM ticket_as_of(%s, %s)", number, moment) == rows[:1]
        assert sql("SELECT * FROM tickets_as_of(%s, false) ORDER BY ticket_id", moment) == rows
        at = f"as_of={moment.replace('+', '%2B')}&sort=-updated&columns=ticket_id,version"
        expected = sorted(rows, key=lambda row: (row["updated"], row["ticket_id"]), reverse=True)
        assert [list(row.values()) for row in http.get(f"/tickets?{at}").json] == [
            [row["ticket_id"], row["version"]] for row in expected
        ]
    # A row of fifty versions, and what is left.
    kept = sql(
        "SELECT past_touched FROM past_tickets WHERE ticket_id = %s ORDER BY past_until", number
    )
    assert [len(row["past_touched"]) for row in kept] == [48, 11]


def test_too_much_that_is_not_written_is_read_all_the_same(many, sql):
    written(sql)
    sql("UPDATE tickets SET assignee = 'eve ' || n FROM generate_series(1, 1) AS n")
    for place in range(3):
        sql("UPDATE tickets SET assignee = %s", f"eve {place}")
    many.remember()
    sql("UPDATE tickets SET assignee = 'mallory'")
    assert sql.one("SELECT unwritten() AS late")["late"] is None
    many.check()


def test_it_is_written_outside_of_transactions_only(sql, server, many):
    connection = psycopg2.connect(server.url())
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.execute("SELECT write_past()")
        assert cursor.fetchone() == (None,)
    with connection, connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION READ ONLY")
        cursor.execute("SELECT write_past()")
        assert cursor.fetchone() == (None,)
    connection.close()
    many.check()


def test_who_holds_it_holds_up_nobody(sql, owner, http, many):
    owner.autocommit = False
    try:
        owner.cursor().execute("SELECT FROM past_reached FOR UPDATE")
        assert written(sql) is None
        assert http.get("/tickets?as_of=yesterday").json == []
        many.check()
    finally:
        owner.rollback()
        owner.autocommit = True


@pytest.mark.parametrize(
    "moment", ["-infinity", "infinity", "0001-01-01", "9999-12-31", "4713-01-01 BC", "294276-12-31"]
)
def test_there_is_no_moment_too_far(many, sql, moment):
    written(sql)
    rows = sql("SELECT * FROM tickets ORDER BY ticket_id") if moment[0] in "i92" else []
    assert sql(THEN, moment) == rows


def test_a_span_is_found_by_each_moment_in_it(owner):
    luck = random.Random(1)
    with owner.cursor() as cursor:
        for _ in range(200):
            first, length = luck.uniform(-3e9, 9e9), 10 ** luck.uniform(-1, 9.5)
            times = (first, first + length, first + length * luck.random())
            cursor.execute(
                "SELECT cell(to_timestamp(%s), to_timestamp(%s)) = ANY (cells(to_timestamp(%s)))",
                times,
            )
            assert cursor.fetchone() == (True,)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM past_tickets",
        "UPDATE past_reached SET position = 0",
        "SELECT FROM past_reached FOR UPDATE",
        "SELECT write_past_of(1, now())",
    ],
)
def test_nobody_writes_it_by_hand(sql, statement):
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        sql(statement)
