"""An export that somebody has had in hand: what the doors refuse, an import refuses, naming the line."""

import json
from datetime import datetime, timedelta, timezone

import pytest
from conftest import Sql
from test_transfer import exported, quiet, refused

from iris.transfer import export, restore, writing

LATER = "2999-01-01T00:00:00+00:00"
MOST = 2**63 - 1


@pytest.fixture(scope="module")
def empty(anew, owner):
    """Return the owner's URL of an Iris that stays empty."""
    yield anew("crafted")
    with owner.cursor() as cursor:
        cursor.execute("DROP DATABASE crafted WITH (FORCE)")


@pytest.fixture(scope="module")
def whole(server):
    """Return an export with some of everything in it."""
    sql = Sql(server.url())
    try:
        sql("DELETE FROM transitions WHERE from_status = 'closed'")
        sql(
            "INSERT INTO tickets (title, due, labels) SELECT 'Ticket ' || n, '2030-01-01', '{a,b}' FROM generate_series(1, 4) AS n"
        )
        sql("INSERT INTO comments (ticket_id, body) VALUES (1, 'hot'), (1, 'hotter'), (2, 'tea')")
        sql("UPDATE comments SET body = 'cold' WHERE comment_id = 1")
        sql("DELETE FROM comments WHERE comment_id = 3")
        sql(
            "INSERT INTO links VALUES (1, 'blocks', 2), (2, 'blocks', 3), (1, 'parent', 2), (3, 'relates', 4)"
        )
        sql("DELETE FROM links WHERE ticket_id = 3")
        sql("UPDATE tickets SET status = 'closed', priority = 'high' WHERE ticket_id = 2")
        sql("DELETE FROM tickets WHERE ticket_id = 4")
        sql("SELECT * FROM events_after(0)")
        return exported(server.url())
    finally:
        sql.connection.close()


class Export:
    """An export to be changed: rows by table."""

    def __init__(self, data):
        first, *lines = data.splitlines()
        self.header, self.lines = json.loads(first), [json.loads(line) for line in lines]

    def rows(self, table, **wanted):
        return [
            line["row"] for line in self.lines if line["table"] == table
            and all(line["row"][name] == value for name, value in wanted.items())
        ]  # fmt: skip

    def set(self, table, wanted, **given):
        found = self.rows(table, **wanted)
        assert found, (table, wanted)
        for row in found:
            row.update(given)

    def add(self, table, **row):
        self.lines.append({"table": table, "row": row})
        self.header[table] += 1

    def drop(self, table, **wanted):
        for row in self.rows(table, **wanted):
            self.lines = [line for line in self.lines if line["row"] is not row]
            self.header[table] -= 1

    def line_of(self, table, **wanted):
        """Return the number of the line of the last such row."""
        (*_, row) = self.rows(table, **wanted)
        return next(place for place, line in enumerate(self.lines, 2) if line["row"] is row)

    def data(self):
        return b"".join(json.dumps(line).encode() + b"\n" for line in (self.header, *self.lines))


def event(export, **wanted):
    (row,) = export.rows("events", **wanted)
    return row


def a_transition_more(export):
    export.add("transitions", from_status="closed", to_status="open")


def a_circle(export):
    export.add("links", ticket_id=3, kind="blocks", other_id=1)


def a_second_parent(export):
    export.add("links", ticket_id=1, kind="parent", other_id=3)


def a_link_to_itself(export):
    export.add("links", ticket_id=1, kind="relates", other_id=1)


def a_link_to_nowhere(export):
    export.add("links", ticket_id=1, kind="relates", other_id=99)


def a_link_without_history(export):
    export.add("links", ticket_id=1, kind="relates", other_id=3)


def the_same_ticket_twice(export):
    export.add("tickets", **export.rows("tickets", ticket_id=1)[0])


def the_same_comment_under_two_tickets(export):
    export.add("comments", **{**export.rows("comments", comment_id=1)[0], "ticket_id": 3})


def a_word_more(export):
    export.rows("tickets", ticket_id=1)[0]["colour"] = "red"


def a_word_less(export):
    del export.rows("tickets", ticket_id=1)[0]["due"]


def change(column, pair, **wanted):
    def craft(export):
        event(export, **wanted)["changes"][column] = pair

    return craft


def kept(column, value, side="kept", **wanted):
    def craft(export):
        event(export, **wanted)[side][column] = value

    return craft


def put(table, wanted, **given):
    return lambda export: export.set(table, wanted, **given)


def drop(table, **wanted):
    return lambda export: export.drop(table, **wanted)


ONE, TWO = {"ticket_id": 1}, {"ticket_id": 2}
MOVED = {"ticket_id": 2, "kind": "changed"}
EDITED = {"comment_id": 1, "kind": "comment_changed"}

# Who crafts it: (the row whose line is named, the words).
CRAFTED = {
    # Types and names.
    "a number as a title": (put("tickets", ONE, title=5), ("tickets", ONE), "title is not as an export gives it"),
    "a text as a version": (put("tickets", ONE, version="3"), ("tickets", ONE), "version is not as an export gives it"),
    "a time in other words": (put("tickets", ONE, created="yesterday"), ("tickets", ONE), "created is not as an export gives it"),
    "what is no time": (put("tickets", ONE, due="someday"), ("tickets", ONE), 'invalid input syntax for type timestamp with time zone: "someday"'),
    "an unknown priority": (put("tickets", ONE, priority="huge"), ("tickets", ONE), 'invalid input value for enum priority: "huge"'),
    "a word more": (a_word_more, ("tickets", ONE), "colour is not as an export gives it"),
    "a word less": (a_word_less, ("tickets", ONE), "due is not as an export gives it"),
    "labels in disorder": (put("tickets", ONE, labels=["b", "a"]), ("tickets", ONE), "labels must be sorted and without repeats"),
    "a blank title": (put("tickets", ONE, title=" "), ("tickets", ONE), "title must have 1 to 300 characters, not only blanks"),
    "NUL": (put("tickets", ONE, title="a\0b"), ("tickets", ONE), "is no JSON: unsupported Unicode escape sequence (\\u0000 cannot be converted to text.)"),
    # Times.
    "created at no time": (put("tickets", ONE, created="-infinity"), ("tickets", ONE), "created, updated and closed must be times before the year 10000"),
    "updated at the end of time": (put("tickets", ONE, updated="infinity"), ("tickets", ONE), "created, updated and closed must be times before the year 10000"),
    "due never": (put("tickets", ONE, due="infinity"), ("tickets", ONE), "due must be a finite time"),
    "closed before it was filed": (put("tickets", TWO, closed="1999-01-01T00:00:00+00:00"), ("tickets", TWO), "created, closed and updated must be in this order"),
    "updated before it was filed": (put("tickets", ONE, updated="1999-01-01T00:00:00+00:00"), ("tickets", ONE), "created, closed and updated must be in this order"),
    "a comment at no time": (put("comments", {"comment_id": 1}, updated="infinity"), ("comments", {"comment_id": 1}), "created and updated must be times before the year 10000"),
    "a comment updated before it was written": (put("comments", {"comment_id": 1}, created=LATER), ("comments", {"comment_id": 1}), "created and updated must be in this order"),
    "an event at no time": (put("events", MOVED, at="infinity"), ("events", MOVED), "at must be a time before the year 10000"),
    "another time of filing": (put("tickets", ONE, created="1999-01-01T00:00:00+00:00"), ("tickets", ONE), "created and updated are not those of its history (ticket_id 1)"),
    "an event out of order": (put("events", MOVED, at="1999-01-01T00:00:00+00:00"), ("events", {"ticket_id": 2, "kind": "created"}), "was not null before"),
    "an event of another time": (kept("updated", ["1999-01-01T00:00:00+00:00"], **MOVED), ("events", MOVED), "it comes after the ticket's next one, or before its last one"),
    # The workflow.
    "an open ticket with a time of closing": (put("tickets", ONE, closed=LATER, updated=LATER), ("tickets", ONE), '"open" is open, so it can have no time of closing'),
    "a closed one without": (put("tickets", TWO, closed=None), ("tickets", TWO), '"closed" is not open, so it needs a time of closing'),
    "an unknown status": (put("tickets", ONE, status="gone"), ("tickets", ONE), 'there is no status "gone"'),
    "a transition to nowhere": (put("transitions", {"from_status": "open", "to_status": "closed"}, to_status="gone"), ("transitions", {"to_status": "gone"}), "to_status is none of the statuses"),
    # Links.
    "another workflow than its history tells": (a_transition_more, ("events", {"kind": "workflow_changed"}), "the workflow is not what its history ends with"),
    "a change of the workflow that has a ticket": (put("events", {"kind": "workflow_changed"}, ticket_id=1), ("events", {"kind": "workflow_changed"}), 'ticket_id, comment_id and other_id are not those of the kind "workflow_changed"'),
    "a circle": (a_circle, ("links", {"ticket_id": 3}), "a circle of links of the kind blocks"),
    "a second parent": (a_second_parent, ("links", {"ticket_id": 1, "other_id": 3}), "the ticket has another parent"),
    "a link to itself": (a_link_to_itself, ("links", {"ticket_id": 1, "other_id": 1}), "a ticket can't be linked to itself"),
    "a link to nowhere": (a_link_to_nowhere, ("links", {"other_id": 99}), "there is no ticket other_id"),
    "a link without a history": (a_link_without_history, ("links", {"other_id": 3, "ticket_id": 1}), "it has no history"),
    "a link that is not there": (drop("links", ticket_id=2, kind="blocks"), ("events", {"ticket_id": 2, "kind": "linked"}), "there is, or was, no such link"),
    # Numbers.
    "the same number twice": (the_same_ticket_twice, ("tickets", ONE), "there is another ticket of this number"),
    "a comment's number twice": (the_same_comment_under_two_tickets, ("comments", {"ticket_id": 3}), "its history does not end with it (comment_id 1)"),
    "the largest number": (put("tickets", {"ticket_id": 3}, ticket_id=MOST), ("tickets", {"ticket_id": MOST}), f"{MOST} can't be the number of a ticket"),
    "the number nought": (put("tickets", {"ticket_id": 3}, ticket_id=0), ("tickets", {"ticket_id": 0}), "0 can't be the number of a ticket"),
    "the largest version": (put("tickets", ONE, version=MOST), ("events", {"ticket_id": 1}), "the ticket's version was another before"),
    "the largest position": (put("events", {"position": 3}, position=MOST), ("events", {"position": 4}), "positions must count from 1 and leave out none"),
    "a position twice": (put("events", {"position": 3}, position=4), ("events", {"event_id": 3}), "positions must count from 1 and leave out none"),
    "an event's number twice": (put("events", MOVED, event_id=3), ("events", {"event_id": 3}), "there is another event of this number"),
    "the largest event": (put("events", MOVED, event_id=MOST), ("events", MOVED), f"{MOST} can't be the number of an event"),
    # The history.
    "another title": (put("tickets", ONE, title="Forged"), ("tickets", ONE), "title is not what its history ends with (ticket_id 1)"),
    "another status": (put("tickets", ONE, status="active"), ("tickets", ONE), "status is not what its history ends with (ticket_id 1)"),
    "a description that nobody wrote": (put("tickets", ONE, description="x"), ("tickets", ONE), "description is not what its history ends with (ticket_id 1)"),
    "another version": (put("tickets", ONE, version=99), ("events", {"ticket_id": 1}), "the ticket's version was another before"),
    "no filing": (drop("events", ticket_id=3, kind="created"), ("tickets", {"ticket_id": 3}), "it has no history (ticket_id 3)"),
    "an event less": (drop("events", ticket_id=1, kind="comment_changed"), ("comments", {"comment_id": 1}), "its history does not end with it (comment_id 1)"),
    "another value before": (change("status", ["active", "closed"], **MOVED), ("events", MOVED), 'status was not "active" before'),
    "a column that there is not": (change("colour", [None, "red"], **MOVED), ("events", MOVED), 'there is no column "colour"'),
    "a change that is none": (change("status", "closed", **MOVED), ("events", MOVED), 'changes must be like {"column": [old, new]}'),
    "a change of the wrong type": (change("priority", ["huge", "high"], **MOVED), ("events", MOVED), 'invalid input value for enum priority: "huge"'),
    "a due time that is none": (change("due", [None, "someday"], ticket_id=3, kind="created"), ("tickets", {"ticket_id": 3}), "due is not what its history ends with (ticket_id 3)"),
    "another version before": (kept("version", [7], **MOVED), ("events", MOVED), "the ticket's version was another before"),
    "a version that is none": (kept("version", ["x"], **MOVED), ("events", MOVED), 'invalid input syntax for type bigint: "x"'),
    "another's version before": (kept("version", [7], side="other_kept", ticket_id=2, kind="linked"), ("events", {"ticket_id": 2, "kind": "linked"}), "the ticket's version was another before"),
    "what nobody keeps": (kept("title", ["x"], **MOVED), ("events", MOVED), "of what the database keeps"),
    "a comment without a number": (put("events", EDITED, comment_id=None), ("events", {"kind": "comment_changed"}), 'ticket_id, comment_id and other_id are not those of the kind "comment_changed"'),
    "another comment": (put("comments", {"comment_id": 1}, body="forged"), ("comments", {"comment_id": 1}), "its history does not end with it (comment_id 1)"),
    "a comment that came back": (drop("events", comment_id=3, kind="comment_deleted"), ("events", {"comment_id": 3}), "what is gone, or never was, is there in its history"),
    "a ticket that came back": (drop("events", ticket_id=4, kind="deleted"), ("events", {"ticket_id": 4, "kind": "created"}), "what is gone, or never was, is there in its history"),
    "a ticket that never was": (put("events", {"kind": "deleted"}, ticket_id=9), ("events", {"ticket_id": 9}), "was not"),
}  # fmt: skip


@pytest.mark.parametrize("name", CRAFTED)
def test_it_is_refused_by_its_line(clean, empty, whole, tmp_path, name):
    craft, (table, wanted), words = CRAFTED[name]
    export = Export(whole)
    craft(export)
    (tmp_path / "crafted").write_bytes(export.data())
    before = exported(empty)
    said = refused(restore.read, empty, str(tmp_path / "crafted"), quiet)
    assert said.startswith(f"line {export.line_of(table, **wanted)}") and words in said, said
    assert exported(empty) == before


def test_a_history_that_began_after_its_ticket_is_none_the_worse(
    server, anew, owner, whole, tmp_path
):
    """As databases have it that were there before there was any history."""
    export = Export(whole)
    event(export, ticket_id=3, kind="created")["source"] = "migration"
    export.rows("tickets", ticket_id=3)[0]["version"] += 4
    for row in export.rows("events"):
        for side, number in (("kept", row["ticket_id"]), ("other_kept", row["other_id"])):
            if number == 3 and "version" in row[side]:
                row[side]["version"][0] += 4
    assert taken_in(server, anew, owner, tmp_path, export) == export.lines


def test_what_is_spelt_in_another_way_comes_out_as_it_came_in(server, anew, owner, whole, tmp_path):
    """As a session in Kathmandu wrote it down before an event had columns for what the database kept."""
    export = Export(whole)
    moved, edited = event(export, **MOVED)["kept"], event(export, **EDITED)["kept"]
    zone = timezone(timedelta(hours=5, minutes=45))
    for kept in (moved, edited):
        (updated,) = kept["updated"]
        kept["updated"] = [datetime.fromisoformat(updated).astimezone(zone).isoformat()]
    assert taken_in(server, anew, owner, tmp_path, export) == export.lines


def taken_in(server, anew, owner, tmp_path, export):
    """Import an export into a database of its own, and return its lines as it goes out again, without digests."""
    # Whoever writes it anew begins anew with digests.
    export.header["digest"] = None
    (tmp_path / "crafted").write_bytes(export.data())
    url = anew("older")
    try:
        restore.read(url, str(tmp_path / "crafted"), quiet)
        again = exported(server.url(database="older")).splitlines()
    finally:
        with owner.cursor() as cursor:
            cursor.execute("DROP DATABASE older WITH (FORCE)")
    again = [json.loads(line) for line in again[1:]]
    for line in (*again, *export.lines):
        line["row"].pop("digest", None)
    return again


def test_each_constraint_that_may_break_has_words(owner):
    """But for checks, which refuse in their own, and what only searches and kept answers have."""
    with owner.cursor() as cursor:
        cursor.execute(
            "SELECT indexrelid::regclass::text FROM pg_index WHERE indisunique AND indrelid = ANY (%(tables)s::regclass[])"
            " UNION SELECT conname FROM pg_constraint WHERE contype = 'f' AND conrelid = ANY (%(tables)s::regclass[])",
            {"tables": list(export.WRITTEN)},
        )
        names = {name for (name,) in cursor.fetchall()}
    # fits() says so before; and each event that has a place is one by then.
    assert names == set(writing.CONSTRAINTS) | {"tickets_status_fkey", "places_pkey"}
