"""The feed, followed: each event once, over restarts of either side; how far is kept in a file."""

import fcntl
import os
import stat
import sys
import time

from iris.client import AWAY, REFUSED, USAGE, Failed, asking, place

# Seconds without a sign of life, which comes every fifteen; and the longest pause before another try.
SILENCE, PAUSE = 45, 30
# What an event has that it may be chosen by.
CHOSEN = ("ticket_id", "actor", "source", "kind", "change")
# Events that are passed over at once.
MANY = 1000


class Position:
    """How far somebody has read, in a file that only one of them has at a time.

    What is in the file: the position; while the next event is being printed, also that one's, how many bytes
    it has, and how large the file was that it is printed to. So who was killed in between knows whether it
    was printed, if stdout is a file. If not, it is printed again: rather twice than never.
    """

    def __init__(self, path):
        try:
            os.makedirs(os.path.dirname(os.path.abspath(path)), 0o700, exist_ok=True)
            self.file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            text = os.pread(self.file, 200, 0).decode("latin-1")
        except BlockingIOError:
            words = f"another iris watch keeps its position in {path}"
            raise Failed(USAGE, f"{words}\nhint: Name one of your own: --position FILE") from None
        except OSError as error:
            raise Failed(REFUSED, f"{path} can't be written: {error.strerror.lower()}") from None
        numbers = text.split()
        if not all(number.isascii() and number.isdigit() for number in numbers):
            raise Failed(USAGE, f"{path} is no file that iris watch keeps its position in")
        # None: there was none yet.
        self.at, *begun = [int(number) for number in numbers] or [None]
        if len(begun) == 3:
            after, length, size = begun
            if _size() == size + length:
                self.at = after

    def keep(self, *numbers):
        """Write down where we are; or beside it what comes next."""
        text = " ".join(f"{number:020d}" for number in numbers)
        try:
            # Always as long, so that what was there before is gone.
            os.pwrite(self.file, f"{text:<90}\n".encode(), 0)
        except OSError as error:
            words = f"the position can't be kept: {error.strerror.lower()}"
            raise Failed(REFUSED, words) from None
        self.at = numbers[0]

    def printing(self, position, data, write):
        """Print the event of a position, and note that."""
        size = _size()
        if size is not None:
            self.keep(self.at, position, len(data), size)
        write(data)
        self.keep(position)


def _size():
    """Return how large the file is that stdout goes to; None where that is no file."""
    try:
        status = os.fstat(sys.stdout.fileno())
    except (OSError, ValueError):
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def path(where, filters):
    """Return the file that keeps the position of who watches an Iris by some filters."""
    import hashlib  # noqa: PLC0415 (takes its time)

    folder = place.folder("XDG_STATE_HOME", os.path.join(".local", "state"))
    if folder is None:
        raise Failed(USAGE, "there is no home to keep the position in\nhint: --position FILE")
    what = hashlib.sha256(repr((where.url, sorted(filters))).encode("utf-8", "replace"))
    return os.path.join(folder, "iris", f"watch-{what.hexdigest()[:16]}")


def end():
    """Return the position of the last event that there is."""
    position = asking.document("/db-check")["feed"]["position"]
    while True:
        pairs = [("after", str(position)), ("limit", str(MANY))]
        piece = asking.document("/events", pairs)
        if not piece:
            return position
        position = piece[-1]["position"]


def events(where, position, say):
    """Yield (position, event as JSON text) from a position on, for ever.

    say:      told in words when Iris goes away.
    Raises:   Failed, where it is not there to begin with, or lets us in no more.
    """
    pause, has_come, is_told = 0, False, False
    while True:
        try:
            pairs = [("after", str(position)), ("format", "stream")]
            answer = asking.ask("GET", "/events", pairs, None, where=where, patience=SILENCE)
            has_come, is_told, pause = True, False, 0
            for next_, event in _read(answer):
                position = next_
                yield position, event
        except Failed as error:
            if not has_come or error.status != AWAY:
                raise
            if not is_told:
                say(f"{error.words.splitlines()[0]}; trying again")
            is_told = True
        pause = min(2 * pause or 1, PAUSE)
        time.sleep(pause)


def _read(answer):
    """Yield the events of a stream of server-sent events."""
    position, event, left = None, None, b""
    for piece in answer.pieces():
        *lines, left = (left + piece).split(b"\n")
        for line in lines:
            if line.startswith(b"id: "):
                position = int(line[4:])
            elif line.startswith(b"data: "):
                event = line[6:].decode("utf-8", "replace")
            elif not line and event is not None:
                yield position, event
                event = None
