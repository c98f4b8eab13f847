"""Each rule at every isolation level: refused or right, whatever commits meanwhile; and nobody can hold the rest."""

import json
import threading
import time

import gevent
import psycopg2
import pytest
from conftest import Sql

LEVELS = ("READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")
OLD_EYES = LEVELS[1:]
SERIALIZATION_FAILURE, DEADLOCK, TERMINATED = "40001", "40P01", "57P01"


@pytest.fixture
def session(server, clean):
    """Return a factory of sessions at the SQL door, in a transaction of some isolation level."""
    made = []

    def begin(level=None):
        one = Sql(server.url())
        made.append(one)
        if level is not None:
            one(f"BEGIN ISOLATION LEVEL {level}")
            one("SELECT count(*) FROM tickets, statuses")  # now it has its eyes
        return one

    yield begin
    for one in made:
        one.connection.close()


def later(session, statement):
    """Run a statement in a thread; return a function that waits for its SQLSTATE, None if it went well."""
    outcome = []

    def work():
        try:
            session(statement)
            outcome.append(None)
        except psycopg2.Error as error:
            outcome.append(error.pgcode)

    thread = threading.Thread(target=work)
    thread.start()

    def wait():
        thread.join(20)
        return outcome[0]

    return wait


def state(session, *statements):
    """Run statements up to the first that fails; return its SQLSTATE, or None."""
    for statement in statements:
        try:
            session(statement)
        except psycopg2.Error as error:
            session("ROLLBACK")
            return error.pgcode
    return None


@pytest.mark.parametrize("level", LEVELS)
def test_the_last_two_statuses_are_not_dropped_at_once(session, sql, level):
    sql("DELETE FROM statuses WHERE status NOT IN ('open', 'closed')")
    one, two = session(level), session(level)
    first = state(one, "DELETE FROM statuses WHERE status = 'open'")
    waiting = later(two, "DELETE FROM statuses WHERE status = 'closed'")
    time.sleep(0.2)
    one("COMMIT")
    second = waiting()
    two("ROLLBACK" if second else "COMMIT")
    assert len(sql("TABLE statuses")) >= 1
    assert (first, second) == ((None, "23514") if level == LEVELS[0] else ("0A000", "0A000"))


@pytest.mark.parametrize("level", LEVELS)
def test_a_ticket_moves_into_a_status_that_was_just_closed(session, sql, level):
    sql("INSERT INTO tickets (title) VALUES ('x')")
    one = session(level)
    sql("UPDATE statuses SET is_open = false WHERE status = 'active'")
    outcome = state(one, "UPDATE tickets SET status = 'active'", "COMMIT")
    row = sql.one("SELECT status, closed FROM tickets")
    assert (row["closed"] is None) == (row["status"] == "open")
    assert outcome == (None if level == LEVELS[0] else SERIALIZATION_FAILURE)


@pytest.mark.parametrize("level", LEVELS)
def test_a_status_is_closed_that_a_ticket_just_moved_into(session, sql, level):
    sql("INSERT INTO tickets (title) VALUES ('x')")
    one = session(level)
    sql("UPDATE tickets SET status = 'active'")
    outcome = state(one, "UPDATE statuses SET is_open = false WHERE status = 'active'", "COMMIT")
    assert outcome == (None if level == LEVELS[0] else "0A000")
    assert (sql.one("SELECT closed FROM tickets")["closed"] is None) == (outcome is not None)


@pytest.mark.parametrize("level", LEVELS)
def test_a_ticket_is_filed_in_a_status_that_was_just_closed(session, sql, level):
    one = session(level)
    sql("UPDATE statuses SET is_open = false WHERE status = 'active'")
    outcome = state(one, "INSERT INTO tickets (title, status) VALUES ('x', 'active')", "COMMIT")
    assert outcome == (None if level == LEVELS[0] else SERIALIZATION_FAILURE)
    assert [row["closed"] is None for row in sql("TABLE tickets")] in ([], [False])


@pytest.mark.parametrize("level", LEVELS)
def test_a_ticket_goes_where_it_just_could(session, sql, level):
    sql("INSERT INTO tickets (title) VALUES ('x')")
    one = session(level)
    sql("DELETE FROM transitions WHERE from_status = 'open' AND to_status = 'active'")
    outcome = state(one, "UPDATE tickets SET status = 'active'", "COMMIT")
    assert outcome == ("IR001" if level == LEVELS[0] else SERIALIZATION_FAILURE)
    assert sql.one("SELECT status FROM tickets")["status"] == "open"


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO comments (ticket_id, body) VALUES (2, 'x')",
        "INSERT INTO links VALUES (1, 'relates', 2)",
        "INSERT INTO links VALUES (2, 'relates', 1)",
        "INSERT INTO links VALUES (1, 'blocks', 2)",
    ],
)
def test_what_races_a_delete_is_refused_in_our_words(session, sql, level, statement):
    sql("INSERT INTO tickets (title) VALUES ('x'), ('y')")
    one, two = session("READ COMMITTED"), session(level)
    one("DELETE FROM tickets WHERE ticket_id = 2")
    words = []

    def write():
        try:
            two(statement)
        except psycopg2.Error as error:
            words.append((error.pgcode, error.diag.message_primary))

    thread = threading.Thread(target=write)
    thread.start()
    time.sleep(0.2)
    one("COMMIT")
    thread.join()
    if level == LEVELS[0]:
        assert words == [("23503", "there is no ticket 2")]
    else:
        assert words[0][0] in (SERIALIZATION_FAILURE, "0A000")


@pytest.mark.parametrize("level", LEVELS)
def test_two_parents_at_once_are_refused_in_our_words(session, sql, level):
    sql("INSERT INTO tickets (title) VALUES ('x'), ('y'), ('z')")
    one, two = session(level), session(level)
    first = state(one, "INSERT INTO links VALUES (1, 'parent', 2)")
    waiting = later(two, "INSERT INTO links VALUES (1, 'parent', 3)")
    time.sleep(0.2)
    one("COMMIT")
    assert (first, waiting()) == ((None, "IR003") if level == LEVELS[0] else ("0A000", "0A000"))


@pytest.mark.parametrize("level", LEVELS)
def test_one_statement_of_several_parts_is_undone_in_the_order_of_its_versions(session, sql, level):
    sql("INSERT INTO tickets (title) VALUES ('x'), ('y')")
    sql("INSERT INTO comments (ticket_id, body) VALUES (1, 'first')")
    moments = [sql.one("SELECT clock_timestamp() AS at")["at"]]
    rows = [sql("SELECT * FROM tickets ORDER BY ticket_id")]
    one = session(level)
    one(
        "WITH c AS (INSERT INTO comments (ticket_id, body) VALUES (1, 'c') RETURNING 1),"
        " d AS (UPDATE comments SET body = 'changed' WHERE body = 'first' RETURNING 1),"
        " l AS (INSERT INTO links VALUES (2, 'relates', 1) RETURNING 1),"
        " u AS (UPDATE tickets SET title = 'z', status = 'closed' RETURNING 1)"
        " SELECT FROM c, d, l, u"
    )
    one("COMMIT")
    for _ in range(2):
        moments.append(sql.one("SELECT clock_timestamp() AS at")["at"])
        rows.append(sql("SELECT * FROM tickets ORDER BY ticket_id"))
        sql("UPDATE tickets SET title = title || '!'")
    for moment, then in zip(moments, rows, strict=True):
        assert sql("SELECT * FROM tickets_as_of(%s) ORDER BY ticket_id", moment) == then
    # And every version in between is one that there was, one by one.
    times = [
        row["updated"]
        for row in sql(
            "SELECT at AS updated FROM events WHERE ticket_id = 1 OR other_id = 1 ORDER BY at"
        )
    ]
    versions = [
        sql.one("SELECT version FROM tickets_as_of(%s) WHERE ticket_id = 1", at)["version"]
        for at in times
    ]
    assert versions == list(range(1, len(times) + 1))


def test_the_workflow_changes_while_tickets_are_filed(server, clean, sql):
    """Whoever waits for whom, they don't wait for each other."""
    document = json.dumps(sql.one("SELECT workflow()")["workflow"])
    stop, outcomes = threading.Event(), []

    def file():
        mine = Sql(server.url())
        while not stop.is_set():
            try:
                mine("INSERT INTO tickets (title, status) VALUES ('x', 'open')")
                mine("UPDATE tickets SET status = 'active' WHERE status = 'open'")
            except psycopg2.Error as error:
                outcomes.append(error.pgcode)
        mine.connection.close()

    threads = [threading.Thread(target=file) for _ in range(3)]
    for thread in threads:
        thread.start()
    turned = document.replace('"open", "is_open": true', '"open", "is_open": false')
    for place in range(40):
        sql("SELECT set_workflow(%s)", turned if place % 2 else document)
    stop.set()
    for thread in threads:
        thread.join()
    assert DEADLOCK not in outcomes
    (row,) = sql(
        "SELECT count(*) FROM tickets JOIN statuses USING (status) WHERE (closed IS NULL) <> is_open"
    )
    assert row["count"] == 0


# Nobody can hold the rest -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "hold",
    [
        "BEGIN; SELECT count(*) FROM events_after(0, 1); SELECT pg_sleep(60)",
        "DO $$ BEGIN PERFORM events_after(0, 1); PERFORM pg_sleep(60); END $$",
    ],
)
def test_the_feed_is_read_on_while_somebody_holds_it_and_they_are_ended(session, sql, hold):
    sql("INSERT INTO tickets (title) VALUES ('x')")
    assert len(sql("SELECT * FROM events_after(0)")) == 1
    sql("INSERT INTO tickets (title) VALUES ('y')")
    holding = later(session(), hold)
    time.sleep(0.5)
    sql("INSERT INTO tickets (title) VALUES ('z')")
    began, found = time.monotonic(), 0
    while found < 3 and time.monotonic() - began < 15:
        asked = time.monotonic()
        found = len(sql("SELECT * FROM events_after(0)"))
        assert time.monotonic() - asked < 2
        time.sleep(0.2)
    assert found == 3
    assert holding() in (TERMINATED, None)
    assert [row["position"] for row in sql("SELECT * FROM events_after(0)")] == [1, 2, 3]


def test_nobody_can_lock_what_the_rules_lock(sql):
    for statement in (
        "SELECT FROM latches FOR UPDATE",
        "BEGIN; LOCK TABLE latches IN ACCESS SHARE MODE",
        "SELECT latch('feed')",
        "SELECT free_feed()",
        "TABLE workflow_recorded",
    ):
        assert sql.refusal(statement).pgcode == "42501"
        sql("ROLLBACK")


def test_an_advisory_lock_holds_nothing(session, sql):
    one = session()
    for key in ("iris feed", "iris links", "iris upgrade", "iris workflow"):
        one("SELECT pg_advisory_lock(hashtext(%s))", key)
    sql("INSERT INTO tickets (title) VALUES ('x'), ('y')")
    sql("INSERT INTO links VALUES (1, 'blocks', 2)")
    assert len(sql("SELECT * FROM events_after(0)")) == 3


def test_who_holds_up_others_in_an_idle_transaction_is_ended(session, sql):
    sql("INSERT INTO tickets (title) VALUES ('x')")
    one = session("READ COMMITTED")
    one("SET idle_in_transaction_session_timeout = 0")
    one("LOCK TABLE tickets IN SHARE ROW EXCLUSIVE MODE")
    two, three = session(), session("REPEATABLE READ")
    two("SET lock_timeout = 0")
    # Who only reads is let alone.
    three("SET idle_in_transaction_session_timeout = 0")
    waiting = later(two, "UPDATE tickets SET title = 'y'")
    time.sleep(0.3)
    # Not at once: ten seconds are everybody's.
    assert sql.one("SELECT free_holders('0 seconds')")["free_holders"] == 0
    time.sleep(10)
    assert sql.one("SELECT free_holders('0 seconds')")["free_holders"] == 1
    assert waiting() is None
    assert three("SELECT 1")
    with pytest.raises(psycopg2.OperationalError):
        one("SELECT 1")


def test_the_service_asks_for_that_when_it_has_waited_in_vain(http, session, sql, statements):
    sql("INSERT INTO tickets (title) VALUES ('x')")
    one = session("READ COMMITTED")
    one("UPDATE tickets SET title = 'y'")
    statements()
    answer = http.put("/tickets/1", title="z")
    assert (answer.status, answer.json["code"]) == (503, "database_busy")
    assert answer.json["sqlstate"] == "55P03"
    gevent.sleep(0.2)
    assert any("free_holders" in statement for statement in statements())


def test_sessions_start_with_limits(sql, server):
    for login in ("iris", "iris_service"):
        settings = {
            name.partition("=")[0]: name.partition("=")[2]
            for row in sql(
                "SELECT unnest(setconfig) AS name FROM pg_db_role_setting JOIN pg_roles ON pg_roles.oid = setrole"
                " WHERE rolname = %s",
                login,
            )
            for name in [row["name"]]
        }
        assert settings["lock_timeout"] == "5s"
        assert settings["idle_in_transaction_session_timeout"] == "60s"
