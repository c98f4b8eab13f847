"""What the doctor finds, and what it looks at."""

from typing import NamedTuple

# ok: as it should be. note: good to know. wrong: to be mended. unknown: could not be looked at.
OK, NOTE, WRONG, UNKNOWN = "ok", "note", "wrong", "unknown"
# Things that are named in one line, at most.
MOST = 8


class Finding(NamedTuple):
    """What one look gave.

    check:    what was looked at, a word.
    status:   OK, NOTE, WRONG or UNKNOWN.
    found:    a sentence.
    todo:     what to do, or None.
    """

    check: str
    status: str
    found: str
    todo: str | None = None


class Place(NamedTuple):
    """What is looked at.

    service:  a cursor as the role that the service uses, or None; each statement is a transaction.
    owner:    a cursor as the database's owner, or None; all is rolled back.
    hours:    how old the newest backup may be.
    """

    service: object
    owner: object
    hours: float


def one(cursor, query):
    """Run a statement that gives one row of one column; return that."""
    cursor.execute(query)
    return cursor.fetchone()[0]


def words(error):
    """Return what somebody said, in one line; of PostgreSQL, what is for people."""
    if told := getattr(getattr(error, "diag", None), "message_primary", None):
        return f"{told} ({error.diag.message_hint})" if error.diag.message_hint else told
    return " ".join(str(error).removeprefix("iris: ").split())


def some(names):
    """Name a few of many."""
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return ", ".join(names[:MOST]) + more
