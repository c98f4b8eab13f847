"""The feed for those who wait: one poller per worker, any number of streams.

A stream reads what it has missed from the database by itself, a piece at a time; what comes after
that, the poller hands to all streams at once. No stream holds a connection while it waits.
"""

import collections
import logging
import time

import gevent
from gevent.event import Event

from iris import events
from iris.database import refusals

log = logging.getLogger("iris")

# Seconds between two looks of the poller, while anybody listens.
POLL = 0.1
# Seconds between two signs of life of a quiet stream.
HEARTBEAT = 15
# Events read at once.
PIECE = 500
# Events that may wait for a slow reader; with more, it reads from the database again.
BACKLOG = 5000

HELLO = b"retry: 1000\n: Iris\n\n"
BEAT = b": heartbeat\n\n"
BYE = b": goodbye\n\n"


class Listener:
    """One stream's end of the poller."""

    def __init__(self):
        self.waiting = collections.deque()
        self.missed = False
        self.woken = Event()

    def give(self, piece):
        """Take a piece of the feed, or forget everything when there is too much of it."""
        if len(self.waiting) + len(piece) > BACKLOG:
            self.waiting.clear()
            self.missed = True
        elif not self.missed:
            self.waiting.extend(piece)
        self.woken.set()


class Feed:
    """The poller of a worker, which runs while anybody listens."""

    def __init__(self):
        self.listeners = set()
        self.poller = None
        # Where the poller began; None until it has.
        self.start = None
        # Replaced by gunicorn's worker; false once it has been told to stop.
        self.is_alive = lambda: True

    def listen(self):
        """Return a Listener; it gets every event after start, and must itself read what is before."""
        listener = Listener()
        self.listeners.add(listener)
        if not self.poller:
            self.poller = gevent.spawn(self._poll)
        return listener

    def leave(self, listener):
        """Stop listening."""
        self.listeners.discard(listener)

    def _poll(self):
        position, failed = None, False
        while self.listeners and self.is_alive():
            try:
                if position is None:
                    position = self.start = events.end()
                piece = events.after(position, PIECE)
                failed = False
            except Exception as error:
                if refusals.from_database(error, {}) is None:
                    log.exception("the feed")
                elif not failed:
                    log.warning("the feed waits for the database: %s", str(error).strip())
                piece, failed = [], True
            if piece:
                position = piece[-1][0]
                framed = [(place, frame(place, body)) for place, body in piece]
                for listener in self.listeners.copy():
                    listener.give(framed)
            if len(piece) < PIECE:
                gevent.sleep(POLL)
        self.poller = self.start = None
        for listener in self.listeners:
            listener.woken.set()


FEED = Feed()


def frame(position, body):
    """Return an event as server-sent events have it; JSON has no line breaks of its own."""
    return f"id: {position}\ndata: {body}\n\n".encode()


def stream(position):
    """Yield the feed from a position on, as server-sent events, until the reader or Iris goes.

    position: the last one that the reader has, 0 for none.
    """
    yield HELLO
    while FEED.is_alive():
        listener = FEED.listen()
        quiet = time.monotonic()
        try:
            # Not before: what another worker gives a position to in between would be lost.
            while FEED.start is None and FEED.is_alive():
                gevent.sleep(POLL / 10)
                if time.monotonic() - quiet >= HEARTBEAT:
                    yield BEAT
                    quiet = time.monotonic()
            for place, framed in _missed(position):
                position = place
                yield framed
            while FEED.is_alive() and not listener.missed:
                while listener.waiting:
                    place, framed = listener.waiting.popleft()
                    if place > position:
                        position = place
                        yield framed
                        quiet = time.monotonic()
                if listener.missed:
                    break
                listener.woken.clear()
                if time.monotonic() - quiet >= HEARTBEAT:
                    yield BEAT
                    quiet = time.monotonic()
                listener.woken.wait(max(0, quiet + HEARTBEAT - time.monotonic()))
        finally:
            FEED.leave(listener)
    yield BYE


def _missed(position):
    """Yield (position, frame) of all that is in the database from a position on."""
    while FEED.is_alive():
        try:
            piece = events.after(position, PIECE)
        except Exception as error:
            if refusals.from_database(error, {}) is None:
                raise
            # The poller has said so in the log.
            yield position, BEAT
            gevent.sleep(1)
            continue
        for place, body in piece:
            position = place
            yield place, frame(place, body)
        if len(piece) < PIECE:
            return


def wait(position, limit, seconds):
    """Read the feed on from a position, waiting until there is something.

    seconds:  how long to wait, at most.
    Returns:  as events.after().
    """
    piece = events.after(position, limit)
    if piece or not seconds:
        return piece
    listener = FEED.listen()
    try:
        deadline = time.monotonic() + seconds
        while FEED.start is None and FEED.is_alive() and time.monotonic() < deadline:
            gevent.sleep(POLL / 10)
        while not piece and FEED.is_alive() and time.monotonic() < deadline:
            # Once more after the listener is there, for what came in between.
            piece = events.after(position, limit)
            if not piece:
                listener.woken.clear()
                listener.woken.wait(max(0, deadline - time.monotonic()))
    finally:
        FEED.leave(listener)
    return piece
