"""Which events have no place in the feed yet is told by the changes that were not seen: none is ever left out."""

import contextlib

import psycopg2
import pytest
from lives import Life

FEED = "SELECT position, event_id FROM events_after(%s, 100000)"
# What the functions say, and what looking at each event says.
WAIT = "SELECT event_id FROM waiting_events() ORDER BY 1"
HAVE_NONE = """
    SELECT event_id FROM stored_events
        WHERE NOT EXISTS (SELECT FROM places WHERE places.event_id = stored_events.event_id) ORDER BY 1
"""


@pytest.fixture
def door(server, clean):
    """Return a function that opens a session of the owner's: psql, many at once."""
    with contextlib.ExitStack() as stack:

        def opened(autocommit=True):
            connection = stack.enter_context(
                contextlib.closing(psycopg2.connect(server.url("postgres")))
            )
            connection.autocommit = autocommit
            return connection.cursor()

        yield opened


def rows(cursor, statement, *values):
    cursor.execute(statement, values)
    return cursor.fetchall()


def file(cursor, many=1):
    rows(
        cursor,
        "INSERT INTO tickets (title) SELECT 'Filed' FROM generate_series(1, %s) RETURNING 1",
        many,
    )


def waits(cursor):
    """Return the events that wait, which whoever looks at all of them finds, too."""
    found = rows(cursor, WAIT)
    assert found == rows(cursor, HAVE_NONE)
    assert not found or rows(cursor, "SELECT is_waiting()") == [(True,)]
    return [event_id for (event_id,) in found]


def test_what_commits_late_waits_until_then_and_no_longer(door):
    reader, late = door(), door(autocommit=False)
    file(late)
    file(reader, 2)
    assert waits(reader) == [2, 3]
    assert rows(reader, FEED, 0) == [(1, 2), (2, 3)]
    assert rows(reader, "SELECT cardinality(open), is_waiting() FROM places_reached") == [
        (1, False)
    ]
    # A part of it that is taken back, and one in a subtransaction, whose number is not the change's.
    late.execute("SAVEPOINT one")
    file(late)
    late.execute("ROLLBACK TO one; SAVEPOINT two")
    file(late)
    file(reader)
    assert rows(reader, FEED, 2) == [(3, 6)]
    late.connection.commit()
    assert waits(reader) == [1, 5]
    assert rows(reader, FEED, 3) == [(4, 1), (5, 5)]
    assert rows(reader, "SELECT open, is_waiting() FROM places_reached") == [([], False)]
    assert waits(reader) == []


def test_what_a_statement_writes_that_reads_the_feed_as_well_is_not_lost(door):
    """It is open while it looks, and has the number of who looks."""
    reader, other = door(), door()
    for _ in range(3):
        reader.execute(
            "WITH made AS (INSERT INTO tickets (title) VALUES ('Filed') RETURNING 1)"
            " SELECT count(*) FROM events_after(0, 10), made"
        )
        file(other)
    assert rows(reader, FEED, 0) == [(place, place) for place in range(1, 7)]


@pytest.mark.parametrize("ends", ["COMMIT", "ROLLBACK"])
def test_in_portions_late_ones_of_smaller_numbers_are_not_passed_by(door, ends):
    reader, early, late = door(), door(autocommit=False), door(autocommit=False)
    file(early)
    file(reader, 5000)
    file(late)
    file(reader, 7000)
    # A portion is given at a time; what one of those commits meanwhile has a smaller number than the last that got a place.
    assert len(rows(reader, FEED, 0)) == 5000
    early.execute(ends)
    assert len(waits(reader)) == 7000 + (ends == "COMMIT")
    assert len(rows(reader, FEED, 0)) == 10000
    late.execute(ends)
    assert len(waits(reader)) == 2000 + 2 * (ends == "COMMIT")
    assert rows(reader, "SELECT is_waiting()") == [(True,)]
    assert len(rows(reader, FEED, 0)) in (12000, 12001)
    fed = rows(reader, FEED, 0)
    assert [place for place, _ in fed] == list(range(1, len(fed) + 1))
    assert len(fed) == 12000 + 2 * (ends == "COMMIT")
    # Once more than there are in the last portion, so that nothing is left but to say so.
    assert rows(reader, "SELECT event_id, until, is_waiting() FROM places_reached") == [
        (None, None, False)
    ]
    assert waits(reader) == []
    assert rows(reader, "SELECT * FROM verify_events()") == []


@pytest.mark.parametrize("many", [5000, 10000])
def test_a_portion_that_is_just_full_is_no_end_yet(door, many):
    reader, late = door(), door(autocommit=False)
    file(late)
    file(reader, many)
    rows(reader, FEED, 0)
    late.connection.commit()
    while rows(reader, "SELECT is_waiting()") == [(True,)]:
        rows(reader, FEED, many)
    assert waits(reader) == []
    assert len(rows(reader, FEED, 0)) == many + 1


@pytest.mark.parametrize("by", [10**6, -(10**6)])
def test_on_another_server_changes_count_from_elsewhere(door, by):
    """As a restored dump does, which says so, and a copy of the data alone, which doesn't."""
    reader = door()
    file(reader, 3)
    rows(reader, FEED, 1)
    file(reader, 2)
    rows(reader, "SELECT setval('change_base', pg_sequence_last_value('change_base') + %s)", by)
    try:
        file(reader, 2)
        assert [event for _, event in rows(reader, FEED, 3)] == [4, 5, 6, 7]
        file(reader)
        assert waits(reader) == [8]
        assert rows(reader, FEED, 7) == [(8, 8)]
        rows(reader, "REFRESH MATERIALIZED VIEW change_base_set; SELECT 1")
        file(reader)
        assert rows(reader, FEED, 8) == [(9, 9)]
    finally:
        rows(
            reader,
            "DELETE FROM stored_events; REFRESH MATERIALIZED VIEW change_base_set; SELECT find_waiting()",
        )


def test_a_dump_that_is_restored_elsewhere_knows_what_waited(door):
    """Where fewer or more transactions have been: the numbers that changes had there say what has a place."""
    reader = door()
    file(reader, 3)
    rows(reader, FEED, 1)
    # Transactions without events, which the other server would have counted.
    for _ in range(50):
        rows(reader, "SELECT pg_current_xact_id()")
    rows(reader, FEED, 1)
    file(reader)
    rows(reader, "REFRESH MATERIALIZED VIEW change_base_set; SELECT 1")
    file(reader)
    assert rows(reader, FEED, 3) == [(4, 4), (5, 5)]
    for _ in range(50):
        rows(reader, "SELECT pg_current_xact_id()")
    file(reader, 5)
    rows(reader, FEED, 1)
    rows(reader, "REFRESH MATERIALIZED VIEW change_base_set; SELECT 1")
    file(reader)
    assert rows(reader, FEED, 10) == [(11, 11)]
    assert waits(reader) == []


def test_what_the_owner_wrote_by_hand_is_looked_for(door):
    reader = door()
    file(reader, 3)
    rows(reader, FEED, 0)
    rows(
        reader,
        "INSERT INTO stored_events (at, actor, source, kind, changes, change)"
        " VALUES (now(), 'owner', 'psql', 'workflow_changed', '{}', 1) RETURNING 1",
    )
    (wrong,) = rows(reader, "SELECT position, event_id, why FROM verify_events()")
    assert wrong == (None, 4, "it has lost its place in the feed")
    rows(reader, "SELECT find_waiting()")
    assert rows(reader, FEED, 0)[3:] == [(4, 4)]
    assert rows(reader, "SELECT * FROM verify_events()") == []
    # Farther back than it needs to look is as right.
    rows(reader, "UPDATE places_reached SET change = 0 RETURNING 1")
    assert len(rows(reader, FEED, 0)) == 4
    assert rows(reader, "SELECT is_waiting()") == [(False,)]


def test_nobody_writes_to_the_view_and_the_owner_hears_where(door):
    owner = door()
    file(owner)
    for statement in (
        "UPDATE events SET actor = 'x'",
        "DELETE FROM events",
        "INSERT INTO events (kind) VALUES ('created')",
    ):
        with pytest.raises(psycopg2.Error, match="never changed") as caught:
            owner.execute(statement)
        assert "stored_events and places" in caught.value.diag.message_hint


def test_contents_are_what_row_to_json_makes(http, sql, door):
    """And changes, as text, what they are as JSON: of a life of every kind, with its places and without."""
    owner, life = door(), Life(11, http, sql)
    for turn in range(2):
        life.run(40)
        text, json = (
            rows(owner, "SELECT told_changes('event', %s)", form)[0][0]
            for form in ("text", "jsonb")
        )
        columns = [
            name
            for (name,) in rows(
                owner,
                "SELECT attname::text FROM pg_attribute WHERE attrelid = 'event_contents'::regclass ORDER BY attnum",
            )
        ]
        special = {
            "changes": json,
            "kept": "kept(event)::json",
            "other_kept": "coalesce(event.other_kept, '{}')",
        }
        values = ", ".join(special.get(name, f"event.{name}") for name in columns)
        values = values.replace("event.position", "position")
        rows(owner, "SET timezone TO 'UTC'; SELECT 1")
        differing = f"""
            SELECT contents(event, position, {text}), row_to_json(ROW({values})::event_contents)::text, ({json})::text, {text}
                FROM stored_events AS event LEFT JOIN places ON places.event_id = event.event_id
        """
        found = rows(owner, differing)
        assert len(found) > 40
        for made, wanted, as_json, as_text in found:
            assert made == wanted
            assert as_text == as_json
        assert turn or rows(owner, FEED, 0)
