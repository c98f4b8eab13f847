"""The connections: how one is opened, and those that a worker keeps."""

import select
import time
from typing import NamedTuple

import psycopg2
from gevent import lock, monkey
from psycopg2 import extensions

from iris import settings

# Seconds to wait for a connection of the pool, or for a lock, before the answer is 503.
POOL_SECONDS = 3
LOCK_SECONDS = 5
# How old a connection gets: its server process keeps what it once needed.
OLDEST_SECONDS = 1800


def connect():
    """Open a connection that notices within seconds when its server is gone.

    Raises:   psycopg2.OperationalError; settings.Wrong.
    """
    connection = psycopg2.connect(
        settings.dsn(),
        # A row of events names its source by this.
        application_name="http",
        connect_timeout=3,
        keepalives_idle=5,
        keepalives_interval=2,
        keepalives_count=3,
        # libpq ignores connect_timeout while gevent waits for it; this ends both.
        tcp_user_timeout=5000,
        options=f"-c statement_timeout={settings.get('IRIS_STATEMENT_SECONDS')}s"
        f" -c lock_timeout={LOCK_SECONDS}s -c client_min_messages=warning"
        # To start a second process or a compiler takes longer than most of what is asked here.
        " -c max_parallel_workers_per_gather=0 -c jit=off"
        # Of a stream that nobody reads any more.
        " -c idle_in_transaction_session_timeout=60s",
    )
    # One request, one statement, one round trip: PostgreSQL makes it a transaction.
    connection.autocommit = True
    return connection


# The real one, also under gevent: it is asked without waiting.
_poll = monkey.get_original("select", "poll")


class Pooled(NamedTuple):
    """A connection of the pool.

    made:     when, by the monotonic clock.
    prepared: names of the statements that it has prepared.
    """

    connection: extensions.connection
    made: float
    prepared: set

    def is_good(self):
        """Whether the server has not hung up, without asking it anything.

        An idle connection has nothing to say: if there is something to read, it is the end.
        """
        if self.connection.closed or time.monotonic() - self.made > OLDEST_SECONDS:
            return False
        poll = _poll()
        poll.register(self.connection, select.POLLIN | select.POLLHUP | select.POLLERR)
        return not poll.poll(0)


class Pool:
    """The connections of a worker. The one that came back last goes out first: its plans and caches are warm.

    SQLAlchemy's own does more, and spent as long on a checkout as all of Hug on a request.

    size:     connections, at most.
    """

    def __init__(self, size):
        self._free = lock.Semaphore(size)
        self._idle = []

    def take(self):
        """Return a Pooled; give it back by put() or drop().

        Raises:   psycopg2.OperationalError.
        """
        if not self._free.acquire(timeout=POOL_SECONDS):
            raise psycopg2.OperationalError("all connections of the pool are in use")
        try:
            while self._idle:
                taken = self._idle.pop()
                if taken.is_good():
                    return taken
                taken.connection.close()
            return Pooled(connect(), time.monotonic(), set())
        except BaseException:
            self._free.release()
            raise

    def put(self, taken):
        self._idle.append(taken)
        self._free.release()

    def drop(self, taken):
        taken.connection.close()
        self._free.release()


POOL = Pool(settings.get("IRIS_POOL"))
