"""Statements: from SQLAlchemy to text, and the one way to run them."""

import contextlib
import hashlib
import re
from functools import lru_cache
from time import perf_counter_ns

import psycopg2
from gevent import getcurrent
from sqlalchemy import Text, cast, func, literal_column
from sqlalchemy.dialects.postgresql import psycopg2 as dialect

from iris import counters, settings
from iris.database import engine, refusals, silence

DIALECT = dialect.dialect()
# The time zone of times that name none, unless a request does.
ZONE = settings.get("IRIS_TIMEZONE")


def row(table):
    """Return the expression for a row of a table or subquery as a JSON object, as text."""
    return cast(func.row_to_json(literal_column(table.name)), Text)


def compiled(statement):
    """Return the text of a SQLAlchemy statement, with %(name)s where its parameters go.

    Constants are written out: what never changes need not be sent beside it each time.
    """
    made = statement.compile(dialect=DIALECT)
    sql = str(made)
    for name, value in made.params.items():
        if value is not None:
            literal = str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"
            sql = sql.replace(f"%({name})s", literal)
    return sql


# What goes before a kept statement whose plan is to be the same for all values from the first time on.
ONE_PLAN = "SET LOCAL plan_cache_mode = force_generic_plan; "
# Statements that a connection prepares, at most, by what `keep` is: there are as many as combinations of
# columns. A list of a past takes half a megabyte of its server process.
MOST_PREPARED = {True: 100, ONE_PLAN: 16}
# What a kept statement is given: values, and times by their words, which are looked at once for all of it.
GIVEN = re.compile(r"moment_once\(%\(\w+\)s, \w+, %\(zone\)s\)|%\(\w+\)s")


@lru_cache(1000)
def _prepared(sql):
    """Return (name, PREPARE, EXECUTE) of a statement; the last one takes its values."""
    given = list(dict.fromkeys(GIVEN.findall(sql)))
    name = "iris_" + hashlib.sha256(sql.encode()).hexdigest()[:16]
    body = GIVEN.sub(lambda match: f"${given.index(match[0]) + 1}", sql).replace("%%", "%")
    values = f" ({', '.join(given)})" if given else ""
    return name, f"PREPARE {name} AS {body}", f"EXECUTE {name}{values}"


def _prepare(cursor, sql, keep, known):
    """Prepare a statement, unless it is known already; return what to run in its place."""
    name, prepare, execute = _prepared(sql)
    if (keep, name) not in known:
        if sum(kept == keep for kept, _ in known) >= MOST_PREPARED[keep]:
            return sql
        # The name says all: who has prepared this before us has prepared the same.
        with contextlib.suppress(psycopg2.errors.DuplicatePreparedStatement):
            cursor.execute(prepare)
        known.add((keep, name))
    return execute


def rows(sql, values, before="", keep=False, again=None, seconds=None):
    """Run one statement in one round trip and a transaction of its own.

    sql:      from compiled().
    values:   {name: value} of its parameters.
    before:   a statement to go before it in the same message; whatever writes has one.
    keep:     whether the connection is to keep its plan, which takes a round trip once: good for
              writes, whose plan is the same for all values; lists are planned for theirs. ONE_PLAN for
              what PostgreSQL would take for dear without its values, and is not.
    again:    whether to try once more, on a new connection, when the server went away meanwhile: by
              default what reads, for nobody knows whether a write was done.
    seconds:  what PostgreSQL allows it, if not what it allows any.
    Returns:  its rows, a list of tuples.
    Raises:   psycopg2.Error, also when all connections stay in use.
    """
    taken = engine.POOL.take()
    try:
        found = on(taken, sql, values, before, keep, seconds)
    except BaseException as error:
        # Also when the greenlet was stopped in the middle: the answer would reach the next one.
        is_refusal = isinstance(error, psycopg2.Error)
        if is_refusal and not refusals.is_disconnect(error):
            engine.POOL.put(taken)
            raise
        engine.POOL.drop(taken)
        if not is_refusal or not (before == "" if again is None else again):
            raise
        # The others are as dead, or soon.
        engine.POOL.forget()
    else:
        engine.POOL.put(taken)
        return found
    return rows(sql, values, before, keep, again=False, seconds=seconds)


def on(taken, sql, values, before="", keep=False, seconds=None):
    """Run one statement by a session that was taken from a pool; as rows()."""
    before = (before or taken.before) + (ONE_PLAN if keep == ONE_PLAN else "")
    began, greenlet = perf_counter_ns(), getcurrent()
    silence.WAITING[greenlet] = silence.until(began, seconds)
    try:
        with taken.connection.cursor() as cursor:
            execute = _prepare(cursor, sql, keep, taken.prepared) if keep else sql
            try:
                cursor.execute(before + execute, values)
            except psycopg2.errors.InvalidSqlStatementName:
                # A pooler in between has given us another server process. Nothing has happened yet.
                taken.prepared.clear()
                cursor.execute(before + sql, values)
            found = cursor.fetchall()
    finally:
        silence.WAITING.pop(greenlet, None)
        counters.ran(perf_counter_ns() - began)
    if taken.connection.notices:
        refusals.heed(taken.connection.notices)
    return found


def run(sql, values, **more):
    """Return the first row of a statement, or None; as rows() does."""
    found = rows(sql, values, **more)
    return found[0] if found else None
