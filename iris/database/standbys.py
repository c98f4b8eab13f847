"""What is heavy to read: on a standby that has come as far as the primary was, else on the primary.

Whoever asks is told what was committed when they asked, wherever it is read: the primary says first how far
its log is, and a standby reads only once it has replayed that much of the same log. Of standbys that are
gone, slow, promoted or too far behind nobody hears but who watches (/metrics, and a line in the log).
"""

import itertools
import logging
import time

import gevent
import psycopg2
from sqlalchemy import func, literal_column, null, select, text

from iris import counters, derived, location, problems, settings
from iris.database import engine, refusals, statements, writing

log = logging.getLogger("iris")

# Seconds that standbys have to come as far, and between two looks whether one has.
PATIENCE, PAUSE = 0.25, 0.004
# Seconds for which a worker leaves one alone that has not, or does not answer: not everybody is to wait.
REST = 1
# Seconds that a statement may take. A server ends it then by itself; one that was stopped ends nothing.
LONGEST = settings.get("IRIS_STATEMENT_SECONDS")

# How far the primary is: in which database, on which timeline of the log (a file's name begins with it), at
# which place. Behind the header of a page nothing stands yet that could be replayed. Null on what is none.
FAR = (
    "control.system_identifier",
    "current_database()::text",
    "left(page.file_name, 8)",
    "(far.lsn - CASE WHEN page.file_offset = 40 THEN 40 WHEN page.file_offset % 8192 = 24 THEN 24"
    " ELSE 0 END)::text",
)
FROM = """(SELECT CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_insert_lsn() END) AS far (lsn)
    CROSS JOIN LATERAL pg_walfile_name_offset(far.lsn) AS page CROSS JOIN pg_control_system() AS control"""
# Whether this is a standby of it, and as far. One that has just begun to follow another primary says so after
# some minutes, and counts as none until then.
FOLLOWS = """coalesce(pg_is_in_recovery() AND system_identifier = %(iris_system)s
    AND current_database() = %(iris_database)s
    AND greatest(checkpoint.timeline_id, recovery.min_recovery_end_timeline) = %(iris_timeline)s, false)"""
IS_AS_FAR = "coalesce(pg_last_wal_replay_lsn() >= %(iris_lsn)s::pg_lsn, false)"
BY = "pg_control_system(), pg_control_checkpoint() AS checkpoint, pg_control_recovery() AS recovery"
LOOK = f"SELECT {FOLLOWS}, {IS_AS_FAR} FROM {BY}"
# The same, before a statement in its message: it fails where that must not be read.
GUARD = f"SELECT 1 / ({FOLLOWS} AND {IS_AS_FAR})::integer FROM {BY}; "
NOT_HERE = "22012"
# What is in the log and not on disk yet is sent to no standby, and may stay so for seconds where nobody
# writes: who reads first after a write notes at the rows that it was committed. A message pushes it.
PUSH = """
    SELECT CASE WHEN pg_current_wal_flush_lsn() < %(iris_lsn)s::pg_lsn
        THEN pg_logical_emit_message(true, 'iris', '') END"""


def _asking(moment):
    found = select(*map(literal_column, FAR), moment).select_from(text(FROM))
    return statements.compiled(found)


# With the moment that is asked for, by the primary's clock: a standby's may be behind it.
ASK = _asking(null())
ASK_THEN = _asking(func.to_jsonb(derived.AS_OF).op("#>>")(literal_column("'{}'")))


class Server:
    """Where something is read.

    to:       a libpq connection string; None: the database in use.
    pool:     its sessions.
    guard:    a statement to go before each in its message, which fails unless it may be read here.
    """

    def __init__(self, to=None):
        self.to, self.guard = to, GUARD if to else ""
        self.pool = engine.Pool(settings.get("IRIS_POOL"), to) if to else engine.POOL
        self._rests_until, self._is_silent = 0.0, False

    def is_there(self):
        """Whether it may be asked, as far as this worker knows."""
        return time.monotonic() >= self._rests_until

    def rest(self):
        """Leave it alone for a while."""
        self._rests_until = time.monotonic() + REST

    def is_as_far(self, far, seconds):
        """Whether it has replayed what the primary had; one that does not say so in time is left alone."""
        if self.pool.is_used_up():
            return False
        try:
            with gevent.Timeout(seconds, False), self.pool.taken() as taken:
                ((follows, is_as_far),) = statements.on(taken, LOOK, far)
                self._is_silent = False
                if follows:
                    return is_as_far
        except (psycopg2.Error, problems.Problem) as error:
            # Said once, not each second until it is back.
            if not self._is_silent:
                log.warning("a standby can't be read: %s", str(error).strip())
            self._is_silent = True
        self.rest()
        return False

    def rows(self, sql, values, before="", keep=False):
        """Run one statement here; as statements.rows()."""
        if self.to is None:
            return statements.rows(sql, values, before, keep, again=True)
        with self.pool.taken() as taken:
            before = self.guard + (before or taken.before)
            return statements.on(taken, sql, values, before, keep)


PRIMARY = Server()
STANDBYS = [Server(to) for to in location.standbys()]
_turns = itertools.count()


def rows(sql, values, before="", keep=False):
    """Run one statement that reads much; as statements.rows()."""
    return anywhere(values, lambda server, values: server.rows(sql, values, before, keep))


def run(sql, values):
    """Return the first row of a statement that reads much, or None."""
    found = rows(sql, values)
    return found[0] if found else None


def anywhere(values, read):
    """Read on a standby, if one is there and as far, and goes well; else on the primary.

    values:   {name: value} of a statement's parameters.
    read:     (Server, values) → what it gives.
    Raises:   what read() does.
    Source:   one SELECT on the primary, one or more on a standby.
    """
    if not STANDBYS:
        return read(PRIMARY, values)
    far, values = _far(values)
    server = far and _find(far)
    if server:
        began = time.monotonic()
        try:
            with gevent.Timeout(LONGEST + 1, psycopg2.OperationalError("a standby has stopped")):
                found = read(server, {**values, **far})
        except (psycopg2.Error, problems.Problem) as error:
            log.warning("a standby did not read: %s", str(error).strip())
            if _is_the_same_there(error, time.monotonic() - began):
                raise
            if refusals.is_disconnect(error):
                server.rest()
        else:
            counters.MINE[counters.ON_STANDBY] += 1
            return found
    counters.MINE[counters.GIVEN_UP] += 1
    counters.MINE[counters.ON_PRIMARY] += 1
    return read(PRIMARY, values)


def _is_the_same_there(error, seconds):
    """Whether the primary would say the same: of what is asked, or after as long."""
    state = getattr(error, "pgcode", None) or ""
    return (state.startswith("22") and state != NOT_HERE) or bool(state and seconds >= LONGEST)


def _far(values):
    """Ask the primary how far it is.

    Returns:  ({name: value} of LOOK's parameters, or None where what answers is no primary; values, with the
              moment that is asked for as a time).
    """
    is_past = values.get("as_of") is not None
    found = statements.run(ASK_THEN if is_past else ASK, values if is_past else {})
    system, database, timeline, lsn, moment = found
    if is_past:
        values = {**values, "as_of": moment}
    if lsn is None:
        return None, values
    return named((system, database, timeline, lsn)), values


def named(far):
    """Return {name: value} of LOOK's parameters.

    far:      as FAR has it, of a primary.
    """
    system, database, timeline, lsn = far
    return {
        "iris_system": system,
        "iris_database": database,
        "iris_timeline": int(timeline, 16),
        "iris_lsn": lsn,
    }


def _find(far):
    """Return a standby that is as far, waiting for one a moment; or None."""
    began, waited = time.monotonic(), False
    while True:
        known = [each for each in STANDBYS if each.is_there()]
        first = next(_turns)
        for place in range(len(known)):
            left = began + PATIENCE - time.monotonic()
            server = known[(first + place) % len(known)]
            if left > 0 and server.is_as_far(far, left / (len(known) - place)):
                _waited(began, waited)
                return server
        if not known or time.monotonic() - began >= PATIENCE:
            break
        if not waited:
            statements.run(PUSH, far, before=writing.LOCALLY)
            waited = True
        gevent.sleep(PAUSE)
    for each in known:
        if not each.pool.is_used_up():
            each.rest()
    _waited(began, waited)
    return None


def _waited(began, waited):
    if waited:
        counters.MINE[counters.CAME_LATER] += 1
        counters.MINE[counters.WAITED_FOR] += round((time.monotonic() - began) * 1e9)
