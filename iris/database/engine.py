"""The engine, its sessions, and those of them that a worker keeps.

A session of SESSION is as SQLAlchemy's documentation has it: a transaction, committed by whoever began
it, on a connection of its own. A request is one statement, so it needs none of that: it takes a
session that lives as long as its connection does, in AUTOCOMMIT, and gives it back.
"""

import contextlib
import contextvars
import select
import time
from typing import NamedTuple

import psycopg2
from gevent import getcurrent, lock, monkey
from psycopg2 import errors, extensions
from sqlalchemy import create_engine, exc, orm
from sqlalchemy.pool import NullPool

from iris import counters, current, libpq, location, settings
from iris.database import refusals, silence

# Seconds to wait for a connection of the pool, or for a lock, before the answer is 503.
POOL_SECONDS = 3
LOCK_SECONDS = 5
# How old a connection gets: its server process keeps what it once needed.
OLDEST_SECONDS = 1800

# What a session relies on, whatever somebody has set for the server, the database or the role. For
# poolers that don't pass `options` on, postgres/schema/roles.sql says the same.
SETTINGS = {
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "default_transaction_deferrable": "off",
    "search_path": "public",
    "timezone": "UTC",
    "datestyle": "ISO, MDY",
    "intervalstyle": "postgres",
    "client_encoding": "UTF8",
    "standard_conforming_strings": "on",
    "backslash_quote": "safe_encoding",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "array_nulls": "on",
    "transform_null_equals": "off",
    "gin_fuzzy_search_limit": "0",
    "exit_on_error": "off",
    "row_security": "on",
    # What has been acknowledged is on disk.
    "synchronous_commit": "on",
    "lock_timeout": f"{LOCK_SECONDS}s",
    # Of a stream that nobody reads any more.
    "idle_in_transaction_session_timeout": "60s",
    "idle_session_timeout": "0",
}
# What a role can't be given by SQL: an empty list would be a list of one library without a name.
ONLY_HERE = {"local_preload_libraries": ""}
# What makes no difference but to time.
FASTER = {
    # To start a second process or a compiler takes longer than most of what is asked here.
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "plan_cache_mode": "auto",
    # Pages are mostly in memory, and texts take long to look through: by what the database has (roles.sql),
    # a word that is in three tickets of a hundred was looked for in all of them, by date.
    "seq_page_cost": "0.5",
    "random_page_cost": "0.55",
    "client_min_messages": "warning",
}


def _options():
    """Return the settings as libpq's `options` has them."""
    seconds = settings.get("IRIS_STATEMENT_SECONDS")
    given = {**SETTINGS, **ONLY_HERE, **FASTER, "statement_timeout": f"{seconds}s"}
    # A blank inside of a value needs a backslash.
    return " ".join("-c " + f"{name}={value}".replace(" ", "\\ ") for name, value in given.items())


def least():
    """Return the role of a statement for which nobody has set one, or None where all are the login's own.

    Where tokens are wanted it is the one that can't write.
    """
    return "iris_reader" if settings.get("IRIS_AUTH") == "token" else None


# Of a connection that is being made: what it is to be between two statements that say for whom they are, and
# where it leads, if that is not the database in use.
_ROLE = contextvars.ContextVar("role", default=None)
_TO = contextvars.ContextVar("to", default=None)


def connect():
    """Open a connection that notices within seconds when its server is gone.

    Raises:   psycopg2.OperationalError; settings.Wrong; embedded.Failed.
    """
    role = _ROLE.get()
    return libpq.connect(
        _TO.get() or location.dsn(),
        # A row of events names its source by this.
        application_name="python",
        connect_timeout=3,
        keepalives_idle=5,
        keepalives_interval=2,
        keepalives_count=3,
        # libpq ignores connect_timeout while gevent waits for it; this ends both.
        tcp_user_timeout=5000,
        options=_options() + (f" -c role={role}" if role else ""),
    )


ENGINE = create_engine(
    "postgresql+psycopg2://",
    creator=connect,
    # Whoever keeps a connection keeps its session; see Pool.
    poolclass=NullPool,
    skip_autocommit_rollback=True,
    # It would be asked for at each connection.
    use_native_hstore=False,
)
SESSION = orm.sessionmaker(ENGINE)

# The real one, also under gevent: it is asked without waiting.
_poll = monkey.get_original("select", "poll")


class Pooled(NamedTuple):
    """A session of the pool.

    session:  a session of SESSION, in AUTOCOMMIT: one statement, one round trip, one transaction.
    connection: its psycopg2 connection.
    made:     when, by the monotonic clock.
    before:   what has to go before a statement that nothing else goes before; mostly nothing.
    prepared: the statements that the connection has prepared: how each is kept, and its name.
    """

    session: orm.Session
    connection: extensions.connection
    before: str
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


def serving(autocommit, to=None):
    """Open a session for a request.

    autocommit: whether each statement is a transaction, or the session is one.
    to:       a libpq connection string, if it is not the database in use.
    Returns:  (the session, its psycopg2 connection, what has to go before a statement).
    Raises:   psycopg2.OperationalError; Problem 503 when the schema is another than this Iris needs.
    """
    session, role, before = SESSION(), least(), ""
    asked, led = _ROLE.set(role), _TO.set(to)
    greenlet = getcurrent()
    silence.WAITING[greenlet] = silence.until(time.perf_counter_ns(), 0)
    try:
        options = {"isolation_level": "AUTOCOMMIT"} if autocommit else {}
        connection = session.connection(execution_options=options).connection.dbapi_connection
        with connection.cursor() as cursor:
            # The second one came with PostgreSQL 17, so it can't be said to others when connecting.
            limit = "; SET transaction_timeout = 0" if connection.server_version >= 170000 else ""
            try:
                cursor.execute(
                    f"SET application_name = 'http'{limit}; SELECT version_num FROM alembic_version"
                )
                (revision,) = cursor.fetchone()
            except errors.UndefinedTable:
                revision = None
            if problem := refusals.misfit(revision):
                raise problem
            if role:
                cursor.execute("SELECT current_user")
                if cursor.fetchone() != (role,):
                    # A pooler in between has dropped what was said when connecting, and keeps nothing that
                    # is said now.
                    before = f"SELECT set_config('role', '{role}', true); "
            if not autocommit:
                connection.commit()
            # What is said from here on is about what is asked from here on.
            connection.notices.clear()
    except BaseException as error:
        session.invalidate()
        if isinstance(error, exc.DBAPIError):
            raise error.orig from None
        raise
    finally:
        silence.WAITING.pop(greenlet, None)
        _ROLE.reset(asked)
        _TO.reset(led)
    return session, connection, before


class Pool:
    """The sessions of a worker. The one that came back last goes out first: its plans and caches are warm.

    SQLAlchemy's own keeps connections, and spent as long on a checkout as all of Hug on a request.

    size:     sessions, and so connections, at most.
    to:       where they lead, a libpq connection string, if that is not the database in use.
    """

    def __init__(self, size, to=None):
        self._to, self._free = to, lock.Semaphore(size)
        self._may_write = lock.Semaphore(max(size - max(size // 8, 1), 1))
        self._idle = []
        counters.MINE[counters.MOST] += size

    def is_used_up(self):
        """Whether who takes one would wait."""
        return self._free.locked()

    def take(self):
        """Return a Pooled; give it back by put() or drop().

        Raises:   psycopg2.OperationalError.
        """
        if not self._free.acquire(blocking=False):
            self._wait(self._free, "all connections of the pool are in use")
        counters.MINE[counters.USED] += 1
        try:
            while self._idle:
                taken = self._idle.pop()
                if taken.is_good():
                    return taken
                self._close(taken)
            made = Pooled(*serving(autocommit=True, to=self._to), time.monotonic(), set())
        except BaseException:
            self._release()
            raise
        counters.MINE[counters.OPEN] += 1
        counters.MINE[counters.OPENED] += 1
        return made

    def put(self, taken):
        self._idle.append(taken)
        self._release()

    def drop(self, taken):
        self._close(taken)
        self._release()

    def forget(self):
        """Close the sessions that nobody uses: their server has gone."""
        while self._idle:
            self._close(self._idle.pop())

    def end(self):
        """Close what nobody uses any more, and be counted no longer."""
        self.forget()
        counters.MINE[counters.MOST] -= self._free.counter

    @contextlib.contextmanager
    def writing(self):
        """Be one of those who write, all but one session in eight: some are always left to read by.

        A write that waits, for a synchronous standby or somebody's lock, keeps its session for as long.

        Raises:   psycopg2.OperationalError.
        """
        if not self._may_write.acquire(blocking=False):
            self._wait(self._may_write, "all connections of the pool that may write are in use")
        try:
            yield
        finally:
            self._may_write.release()

    @staticmethod
    def _wait(turn, words):
        began, cells = time.perf_counter_ns(), counters.MINE
        found = turn.acquire(timeout=POOL_SECONDS)
        cells[counters.WAITS] += 1
        cells[counters.WAITED] += time.perf_counter_ns() - began
        if not found:
            raise psycopg2.OperationalError(words)

    def _release(self):
        self._free.release()
        counters.MINE[counters.USED] -= 1

    @staticmethod
    def _close(taken):
        taken.session.invalidate()
        counters.MINE[counters.OPEN] -= 1

    @contextlib.contextmanager
    def taken(self):
        """Give a Pooled, and take it back; one on which anything but a refusal came is dropped.

        Raises:   psycopg2.OperationalError.
        """
        taken = self.take()
        try:
            yield taken
        except BaseException as error:
            # Also when the greenlet was stopped in the middle: the answer would reach the next one.
            said = error.orig if isinstance(error, exc.DBAPIError) else error
            refused = isinstance(said, psycopg2.Error) and not refusals.is_disconnect(said)
            (self.put if refused else self.drop)(taken)
            raise
        self.put(taken)

    @contextlib.contextmanager
    def session(self):
        """Give a session, for what is simple: session.scalar(select(…)). It is for reading.

        Raises:   sqlalchemy.exc.DBAPIError; psycopg2.OperationalError.
        """
        with self.taken() as taken:
            yield taken.session
            taken.session.expunge_all()


POOL = current.each(lambda: Pool(settings.get("IRIS_POOL")))
