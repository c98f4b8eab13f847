"""The database: its connections, and the one way to run a statement."""

import contextlib
import hashlib
import re
import select
import time
from functools import lru_cache
from typing import NamedTuple

import psycopg2
from gevent import lock, monkey
from psycopg2 import extensions
from sqlalchemy import Text, cast, func, literal_column
from sqlalchemy.dialects.postgresql import psycopg2 as dialect

from iris import errors, settings

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


DIALECT = dialect.dialect()
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


def row(table):
    """Return the expression for a row of a table or subquery as a JSON object, as text."""
    return cast(func.row_to_json(literal_column(table.name)), Text)


def compiled(statement):
    """Return the text of a SQLAlchemy statement, with %(name)s where its parameters go.

    Constants are written out: what never changes need not be sent beside it each time.
    """
    made = statement.compile(dialect=DIALECT)
    text = str(made)
    for name, value in made.params.items():
        if value is not None:
            literal = str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"
            text = text.replace(f"%({name})s", literal)
    return text


class Writer:
    """Who writes, and whether they may be repeating themselves.

    actor:    a name.
    key:      their Idempotency-Key, or None.
    request:  a digest of the request, which the key is good for.
    replayed: set when the answer is an earlier one.
    """

    def __init__(self, actor, key=None, request=None):
        self.actor, self.key, self.request = actor, key, request
        self.replayed = False


# Statements that a connection prepares, at most: there are as many as combinations of columns.
MOST_PREPARED = 100


@lru_cache(1000)
def _prepared(text):
    """Return (name, PREPARE, EXECUTE) of a statement; the last one takes its values."""
    names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", text)))
    name = "iris_" + hashlib.sha256(text.encode()).hexdigest()[:16]
    body = re.sub(r"%\((\w+)\)s", lambda match: f"${names.index(match[1]) + 1}", text)
    values = ", ".join(f"%({each})s" for each in names)
    return name, f"PREPARE {name} AS {body.replace('%%', '%')}", f"EXECUTE {name} ({values})"


def _prepare(cursor, text, known):
    """Prepare a statement, unless its name is known already; return what to run in its place."""
    name, prepare, execute = _prepared(text)
    if name not in known:
        if len(known) == MOST_PREPARED:
            return text
        # The name says all: who has prepared this before us has prepared the same.
        with contextlib.suppress(psycopg2.errors.DuplicatePreparedStatement):
            cursor.execute(prepare)
        known.add(name)
    return execute


def rows(text, values, before="", keep=False):
    """Run one statement in one round trip and a transaction of its own.

    text:     from compiled().
    values:   {name: value} of its parameters.
    before:   a statement to go before it in the same message.
    keep:     whether the connection is to keep its plan, which takes a round trip once: good for
              writes, whose plan is the same for all values; lists are planned for theirs.
    Returns:  its rows, a list of tuples.
    Raises:   psycopg2.Error, also when all connections stay in use.
    """
    taken = POOL.take()
    try:
        with taken.connection.cursor() as cursor:
            execute = _prepare(cursor, text, taken.prepared) if keep else text
            try:
                cursor.execute(before + execute, values)
            except psycopg2.errors.InvalidSqlStatementName:
                # A pooler in between has given us another server process. Nothing has happened yet.
                taken.prepared.clear()
                cursor.execute(before + text, values)
            found = cursor.fetchall()
    except BaseException as error:
        # Also when the greenlet was stopped in the middle: the answer would reach the next one.
        if not isinstance(error, psycopg2.Error) or errors.is_disconnect(error):
            POOL.drop(taken)
        else:
            POOL.put(taken)
        raise
    POOL.put(taken)
    return found


def run(text, values, **more):
    """Return the first row of a statement, or None; as rows() does."""
    found = rows(text, values, **more)
    return found[0] if found else None


ACTOR = "SELECT set_config('iris.actor', %(iris_actor)s, true); "
PATIENCE = "SELECT set_config('statement_timeout', '%d', true); "
ONCE = "SELECT answer, replayed FROM once(%(iris_key)s, %(iris_request)s, %(iris_write)s)"


def write(text, values, writer, seconds=None):
    """Run one statement that writes; the actor travels in the same message.

    text:     from compiled(), with a RETURNING of one row whose columns have names.
    values:   {name: value} of its parameters.
    writer:   a Writer, whose replayed is set when the row is an earlier answer's.
    seconds:  how long it may take, if not as long as all others.
    Returns:  the row as a tuple, or None where there was nothing to write to.
    Raises:   as run() does; SQLSTATE IR005 when the key was used for another request.
    Source:   the statement itself, or once() of it when there is an Idempotency-Key.
    """
    before = ACTOR if seconds is None else ACTOR + PATIENCE % (seconds * 1000)
    if writer.key is None:
        return run(text, {**values, "iris_actor": writer.actor}, before=before, keep=True)
    row = run(
        ONCE,
        {
            "iris_actor": writer.actor,
            "iris_key": writer.key,
            "iris_request": writer.request,
            "iris_write": Written(text, values),
        },
        before=before,
    )
    answer, writer.replayed = row
    return answer and tuple(answer.values())


class Stream:
    """The rows of a statement of one column, as they come, in constant memory and of one snapshot.

    It has a connection of its own, not one of the pool's, for its reader may be slow.

    text:     from compiled().
    values:   {name: value} of its parameters.
    heading:  what comes before the rows, text.
    Raises:   psycopg2.Error; Problem 503 when there are too many of them.
    """

    # Streams of a worker at once, and bytes of a piece.
    MOST = 4
    PIECE = 256 * 1024
    _running = 0

    def __init__(self, text, values, heading=""):
        if Stream._running >= self.MOST:
            raise errors.Problem(
                503,
                "too_many_streams",
                f"{self.MOST} streams are running already; try again",
                headers={"Retry-After": "5"},
            )
        Stream._running += 1
        self.is_open, self.connection = True, None
        try:
            self.connection = connect()
            self.connection.autocommit = False
            self.cursor = self.connection.cursor("iris")
            self.cursor.execute(text, values)
            # What goes wrong goes wrong now, while it can still be answered.
            self.rows, self.heading = self.cursor.fetchmany(100), heading
        except BaseException:
            self.close()
            raise

    def __iter__(self):
        yield self.heading.encode()
        while self.rows:
            piece = "".join(f"{row}\n" for (row,) in self.rows).encode()
            yield piece
            many = len(self.rows) * self.PIECE // len(piece)
            self.rows = self.cursor.fetchmany(min(max(many, 1), 2000))

    def close(self):
        """End the query, wherever it is; gunicorn calls this when the reader has gone."""
        if self.is_open:
            self.is_open = False
            Stream._running -= 1
            if self.connection is not None:
                self.connection.close()


class Written:
    """A statement with its values, on its way to once(), which takes it as text."""

    def __init__(self, text, values):
        self.text, self.values = text, values
        self.connection = None

    def __conform__(self, protocol):
        return self if protocol is extensions.ISQLQuote else None

    def prepare(self, connection):
        self.connection = connection

    def getquoted(self):
        with self.connection.cursor() as cursor:
            text = cursor.mogrify(self.text, self.values).decode()
        quoted = extensions.QuotedString(text)
        quoted.prepare(self.connection)
        return quoted.getquoted()
