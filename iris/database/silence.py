"""Statements that nobody answers: a server that is frozen, or a pooler whose own is away, says nothing.

PostgreSQL itself ends what takes too long, and the kernel what has lost its other end. For what neither sees
a worker looks each second, so that a statement costs no timer of its own.
"""

import time

import gevent
import psycopg2

from iris import settings

# Seconds beyond what PostgreSQL allows a statement, and for a connection to be made; between two looks.
GRACE, LOOK = 5, 1
USUAL = settings.get("IRIS_STATEMENT_SECONDS")
# {greenlet that waits for the database: until when, by the monotonic clock in nanoseconds}.
WAITING = {}


def until(began, seconds=None):
    """Return how long one waits for a statement.

    began:    when, in nanoseconds of time.perf_counter_ns().
    seconds:  what PostgreSQL allows it; None for what it allows any.
    """
    return began + ((USUAL if seconds is None else seconds) + GRACE) * 1_000_000_000


def watch():
    """End what waits for longer, for ever: as if the server had gone away."""
    while True:
        gevent.sleep(LOOK)
        now = time.perf_counter_ns()
        for greenlet, latest in list(WAITING.items()):
            if latest < now and WAITING.pop(greenlet, None):
                error = psycopg2.OperationalError("the database does not answer")
                gevent.kill(greenlet, error)
