"""Two at once: the rules hold, and nothing is lost."""

import random
import re
import threading

import psycopg2
import pytest
from conftest import spent


@pytest.fixture
def at_once(server):
    """Return a function that runs statements in transactions that overlap, then commits them all."""

    def run(*statements):
        outcomes = [None] * len(statements)
        ready = threading.Barrier(len(statements))

        def work(place, statement):
            connection = psycopg2.connect(server.url())
            try:
                with connection, connection.cursor() as cursor:
                    cursor.execute("SELECT 1")
                    ready.wait()
                    cursor.execute(statement)
                    cursor.execute("SELECT pg_sleep(0.2)")
            except psycopg2.Error as error:
                outcomes[place] = error.pgcode
            finally:
                connection.close()

        threads = [threading.Thread(target=work, args=item) for item in enumerate(statements)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return outcomes

    return run


@pytest.fixture
def three(sql):
    sql("INSERT INTO tickets (title) SELECT 'Ticket ' || n FROM generate_series(1, 3) AS n")


def test_two_halves_of_a_circle(at_once, three, sql):
    outcomes = at_once(
        "INSERT INTO links VALUES (1, 'blocks', 2)", "INSERT INTO links VALUES (2, 'blocks', 1)"
    )
    assert sorted(outcomes, key=str) == ["IR002", None]
    assert len(sql("TABLE links")) == 1


def test_three_thirds_of_a_circle(at_once, three, sql):
    outcomes = at_once(
        *(f"INSERT INTO links VALUES ({n}, 'parent', {n % 3 + 1})" for n in (1, 2, 3))
    )
    assert sorted(outcomes, key=str) == ["IR002", None, None]


def test_two_parents(at_once, three, sql):
    outcomes = at_once(
        "INSERT INTO links VALUES (1, 'parent', 2)", "INSERT INTO links VALUES (1, 'parent', 3)"
    )
    assert sorted(outcomes, key=str)[1] is None
    assert sorted(outcomes, key=str)[0] in ("IR003", "23505")
    assert len(sql("TABLE links")) == 1


def test_links_both_ways_do_not_deadlock(at_once, three):
    pairs = [(1, 2), (2, 1), (2, 3), (3, 2), (1, 3), (3, 1)] * 2
    kinds = ["relates"] * 6 + ["duplicates"] * 6
    statements = [
        f"INSERT INTO links VALUES ({a}, '{k}', {b})"
        for (a, b), k in zip(pairs, kinds, strict=True)
    ]
    assert at_once(*statements) == [None] * 12


def test_a_status_closes_while_a_ticket_moves_into_it(at_once, three, sql):
    outcomes = at_once(
        "UPDATE tickets SET status = 'active' WHERE ticket_id = 1",
        "UPDATE statuses SET is_open = false WHERE status = 'active'",
    )
    assert outcomes == [None, None]
    row = sql.one("SELECT closed FROM tickets WHERE ticket_id = 1")
    assert row["closed"] is not None


def test_a_status_is_dropped_while_a_ticket_moves_into_it(at_once, three, sql):
    outcomes = at_once(
        "UPDATE tickets SET status = 'active' WHERE ticket_id = 1",
        "DELETE FROM statuses WHERE status = 'active'",
    )
    assert outcomes.count(None) == 1
    (row,) = sql("SELECT status FROM tickets WHERE ticket_id = 1")
    assert row["status"] in [status["status"] for status in sql("TABLE statuses")]


def test_fifty_comments_at_once(live, http, ticket):
    number = ticket()
    answers = []
    threads = [
        threading.Thread(
            target=lambda: answers.append(live.send("PUT", f"/tickets/{number}/comments?body=x")[0])
        )
        for _ in range(50)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [201] * 50
    one = http.get(f"/tickets/{number}").json
    assert (one["version"], len(one["comments"])) == (51, 50)


def test_two_workflows_at_once_leave_one_of_them(at_once, sql):
    document = """SELECT set_workflow('{"statuses": [{"status": "%s", "is_open": true}], "transitions": {}}')"""
    assert at_once(document % "a", document % "b") == [None, None]
    assert len(sql("TABLE statuses")) == 1


CHAIN = """
    INSERT INTO tickets (title) SELECT 'Link ' || n FROM generate_series(1, {}) AS n;
    INSERT INTO links SELECT n, 'blocks', n + 1 FROM generate_series(1, {} - 1) AS n ORDER BY {}
"""


@pytest.mark.parametrize("order", ["n", "-n", "md5(n::text)"])
def test_a_long_chain_in_one_statement_is_walked_once(sql, order):
    """In time that grows with its length: of 2,000 links, each with all that follows are two million."""
    backend = sql.connection.get_backend_pid()
    before = spent(backend)
    sql(CHAIN.format(2000, 2000, order))
    assert sql.one("SELECT count(*) FROM links")["count"] == 1999
    refusal = sql.refusal("INSERT INTO links VALUES (2000, 'blocks', 1)")
    assert refusal.diag.message_primary == (
        "ticket 2000 can't block ticket 1: it would be blocked by itself in the end"
    )
    assert spent(backend) - before < 4


@pytest.mark.parametrize("kind", ["blocks", "parent"])
@pytest.mark.parametrize("seed", range(8))
def test_a_statement_of_many_links_makes_no_circle(sql, kind, seed):
    """Whatever is linked already, and in whatever order: as a plain search for the way back finds it."""
    random_ = random.Random(f"{kind}{seed}")
    sql("INSERT INTO tickets (title) SELECT 'Ticket ' || n FROM generate_series(1, 12) AS n")
    there = set()
    for _ in range(12):
        pairs = {
            (n, random_.randint(1, 12)) for n in random_.sample(range(1, 13), random_.randint(1, 3))
        }
        pairs = {(a, b) for a, b in pairs if a != b and (a, b) not in there}
        if kind == "parent":
            pairs = {(a, b) for a, b in pairs if a not in dict(there)}
        if not pairs:
            continue
        graph = {n: {b for a, b in there | pairs if a == n} for n in range(1, 13)}
        statement = (
            f"INSERT INTO links VALUES {', '.join(f'({a}, {kind!r}, {b})' for a, b in pairs)}"
        )
        on_circle = {(a, b) for a, b in pairs if a in reached(graph, b)}
        if on_circle:
            words = sql.refusal(statement).diag.message_primary
            a, b = (int(number) for number in re.findall(r"\d+", words))
            assert (a, b) in on_circle, words
        else:
            sql(statement)
            there |= pairs


def reached(graph, start):
    """Return all that can be reached, the start included."""
    found, left = {start}, [start]
    while left:
        more = graph[left.pop()] - found
        found |= more
        left += more
    return found
