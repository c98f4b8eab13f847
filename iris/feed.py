"""The feed for those who wait: one poller per worker, any number of streams.

The poller keeps the latest events, once for all; a stream keeps a position. Who is so far behind that what
comes next is not kept any more reads on from the database, a piece at a time. No stream holds a connection
while it waits, and one whose reader has stalled costs no more than the others.
"""

import logging
import time

import gevent
from gevent.event import Event
from gevent.lock import Semaphore

from iris import bounds, counters, current, events
from iris.database import refusals

log = logging.getLogger("iris")

# Seconds between two looks of the poller, while anybody listens.
POLL = 0.1
# Seconds between two signs of life of a quiet stream.
HEARTBEAT = 15
# Seconds between two looks at whether a reader's token is still good.
LOOK = 1
# Events, and bytes, read at once.
PIECE = 100
PIECE_BYTES = 64 * 1024
# Bytes of the latest events that a worker keeps for its streams.
RECENT = 4 << 20
# Streams of a worker that may have a piece of their own at once; others wait until theirs is sent.
BEHIND = Semaphore(256)

# No empty line after these: there are clients who would take it for the end of an event.
HELLO = b"retry: 1000\n: Iris\n"
BEAT = b": heartbeat\n"
BYE = b": goodbye\n"


class Feed:
    """The poller of a worker, which runs while anybody listens."""

    # Replaced by gunicorn's worker; false once it has been told to stop.
    is_alive = staticmethod(lambda: True)

    def __init__(self):
        self.listeners = 0
        self.poller = None
        # The last position that the poller has seen; None until it has begun.
        self.end = None
        # {position: (the next one, its event as it is sent)} of the latest events, and their bytes.
        self.recent, self.size = {}, 0
        # Set, and replaced by another, when there is something new.
        self.news = Event()

    def __enter__(self):
        """Listen: from end on, everything is told of by news."""
        self.listeners += 1
        counters.MINE[counters.FEEDS] += 1
        if not self.poller:
            self.poller = gevent.spawn(current.carried(self._poll))
        return self

    def __exit__(self, *error):
        self.listeners -= 1
        counters.MINE[counters.FEEDS] -= 1

    def _poll(self):
        failed = False
        while self.listeners and self.is_alive():
            try:
                if self.end is None:
                    self.end = events.end()
                    self._tell()
                piece = events.after(self.end, PIECE, RECENT)
                failed = False
            except Exception as error:
                if refusals.from_database(error, {}) is None:
                    log.exception("the feed")
                elif not failed:
                    log.warning("the feed waits for the database: %s", str(error).strip())
                piece, failed = [], True
            for position, body in piece:
                self._keep(position, frame(position, body))
            if piece:
                self._tell()
            else:
                gevent.sleep(POLL)
            bounds.breathe()
        self.poller = self.end = None
        self.recent, self.size = {}, 0
        self._tell()

    def _keep(self, position, framed):
        self.recent[self.end] = position, framed
        self.end, self.size = position, self.size + len(framed)
        while self.size > RECENT:
            _, oldest = self.recent.pop(next(iter(self.recent)))
            self.size -= len(oldest)

    def _tell(self):
        news, self.news = self.news, Event()
        news.set()


FEED = current.each(Feed)


def frame(position, body):
    """Return an event as server-sent events have it; JSON has no line breaks of its own."""
    return f"id: {position}\ndata: {body}\n\n".encode()


def _for_ever():
    return True


def stream(position, goes_on=None):
    """Yield the feed from a position on, as server-sent events, until the reader or Iris goes.

    position: the last one that the reader has, 0 for none.
    goes_on:  a function that is asked every few seconds whether the reader may have more; None for ever.
    """
    yield HELLO
    look, goes_on = (LOOK if goes_on else HEARTBEAT), goes_on or _for_ever
    with FEED:
        quiet = time.monotonic()
        while FEED.is_alive() and goes_on():
            if FEED.end is None or position >= FEED.end:
                # Not before the poller has begun: what is given a position until then would be lost.
                if time.monotonic() - quiet >= HEARTBEAT:
                    yield BEAT
                    quiet = time.monotonic()
                else:
                    FEED.news.wait(min(quiet + HEARTBEAT - time.monotonic(), look))
            elif position in FEED.recent:
                position, framed = FEED.recent[position]
                yield framed
                quiet = time.monotonic()
            else:
                for place, framed in _missed(position):
                    position = place
                    yield framed
                    quiet = time.monotonic()
    yield BYE


def _missed(position):
    """Yield (position, frame) of a piece of what is in the database from a position on."""
    with BEHIND:
        try:
            # The poller has seen to it that they have positions.
            piece = events.after(position, PIECE, PIECE_BYTES, given=True)
        except Exception as error:
            if refusals.from_database(error, {}) is None:
                raise
            # The poller has said so in the log.
            yield position, BEAT
            gevent.sleep(1)
            return
        for place, body in piece:
            yield place, frame(place, body)


def wait(position, limit, seconds, goes_on=None):
    """Read the feed on from a position, waiting until there is something.

    seconds:  how long to wait, at most.
    goes_on:  as of stream().
    Returns:  as events.after().
    """
    piece = events.after(position, limit)
    if piece or not seconds:
        return piece
    look, goes_on = (LOOK if goes_on else seconds), goes_on or _for_ever
    with FEED:
        deadline = time.monotonic() + seconds
        while not piece and FEED.is_alive() and time.monotonic() < deadline and goes_on():
            news = FEED.news
            if FEED.end is not None:
                # Once more after the poller has begun, for what came in between.
                piece = events.after(position, limit)
            if not piece:
                news.wait(min(max(0, deadline - time.monotonic()), look))
    return piece
