"""Whether history is what it was when its events got their digests: behind `iris verify` and the doctor."""

from typing import NamedTuple

# Events that are looked at in one statement: a fraction of a second.
PORTION = 20_000


class Found(NamedTuple):
    """What a look at all digests gave.

    position: the last one that fits.
    digest:   its digest, in hex; None where there is none yet.
    wrong:    what the first event is that does not fit, in words; None where all do.
    """

    position: int
    digest: str | None
    wrong: str | None = None


def look(cursor, progress=lambda sentence: None):
    """Look at each event that has a digest, in their order.

    cursor:   of any role that may read, in AUTOCOMMIT: nobody is held up.
    progress: called with a sentence now and then.
    Returns:  a Found.
    Source:   verify_events(), portion by portion.
    """
    cursor.execute("SELECT coalesce(max(position), 0) FROM places")
    (last,) = cursor.fetchone()
    done = 0
    while True:
        cursor.execute("SELECT position, event_id, why FROM verify_events(%s, %s)", (done, PORTION))
        if wrong := cursor.fetchone():
            return Found(done, None, _words(*wrong))
        if done + PORTION > last:
            break
        done += PORTION
        progress(f"{done} of {last} events fit")
    cursor.execute(
        "SELECT position, encode(digest, 'hex') FROM places ORDER BY position DESC LIMIT 1"
    )
    return Found(*(cursor.fetchone() or (0, None)))


def _words(position, event_id, why):
    """Return the sentence on an event that does not fit."""
    who = f"event {event_id}" if event_id else "no event"
    where = "without a position" if position is None else f"at position {position}"
    return f"{who} {where}: {why}"


def place_of(cursor, digest):
    """Return the position of the event that has a digest, or None where none has.

    digest:   in hex.
    """
    cursor.execute("SELECT position FROM places WHERE digest = decode(%s, 'hex')", (digest,))
    found = cursor.fetchone()
    return found and found[0]
