"""A tracker moves to another server while people use it.

Logical replication copies it and keeps the copy in step. Then its writers wait at the bouncer for a moment:
the last of what they wrote arrives, and what no replication takes along follows: sequences, and what the
numbers of changes count from. Until the map has been written the tracker is where it was.
"""

import contextlib
import subprocess
import sys
import time

import psycopg2
from psycopg2 import errors, sql

from iris.trackers import bouncer, fitting, making, maps, servers
from iris.trackers.bouncer import Late

# What a copy is called while it is one: as the database's comment, and as publication and subscription.
COPY, FOLLOWS = "A copy of the tracker of this name, which is being moved here", "iris_move"
# How long writers may wait, and what of it their last transactions have to end; how often that is tried, and
# seconds between two times.
LONGEST, ENDING, TRIES, BETWEEN = 0.9, 0.4, 20, 1
# Bytes of log that the copy may be behind when writers begin to wait.
BEHIND = 1 << 18
# Seconds between two looks at how far the copy is.
LOOK = 0.1

TABLES = r"""
    SELECT oid::regclass::text, relreplident = 'd' AND NOT EXISTS
            (SELECT FROM pg_index WHERE indrelid = pg_class.oid AND indisprimary)
        FROM pg_class
        WHERE relkind = 'r' AND relnamespace::regnamespace::text !~ '^(pg_|information_schema)' ORDER BY 1
"""
SEQUENCES = "SELECT seqrelid::regclass::text FROM pg_sequence ORDER BY 1"
# Subscriptions are the whole server's.
FOLLOWING = f"""
    FROM pg_subscription JOIN pg_database ON pg_database.oid = subdbid
    WHERE subname = '{FOLLOWS}' AND datname = current_database()
"""
COPIED = f"""
    SELECT subenabled,
        (SELECT count(*) FROM pg_subscription_rel
            WHERE srsubid = pg_subscription.oid AND srsubstate <> 'r'),
        (SELECT coalesce(sum(tuples_processed), 0) FROM pg_stat_progress_copy
            WHERE pg_stat_progress_copy.datname = current_database())
    {FOLLOWING}
"""
LAG = """
    SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)::bigint FROM pg_replication_slots
        WHERE slot_name = %s
"""
ARRIVED = f"""
    SELECT pg_replication_origin_progress('pg_' || pg_subscription.oid, true) > %s::pg_lsn
    {FOLLOWING}
"""
# Who still is in a database that lets nobody in any more.
INSIDE = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""
# What must be the same at both ends when writers wait: the end of the feed, its proof, the last of all else.
SAME = """
    SELECT (SELECT max(position) FROM places),
        (SELECT digest FROM places ORDER BY position DESC LIMIT 1),
        (SELECT places_reached::text FROM places_reached),
        (SELECT max(event_id) FROM events), (SELECT max(change) FROM events),
        (SELECT max(ticket_id) FROM tickets), (SELECT max(comment_id) FROM comments),
        (SELECT position FROM past_reached), (SELECT count(*) FROM tokens)
"""


def slot(name):
    """Return the name of the replication slot that a tracker is copied by."""
    return f"{FOLLOWS}_{name.replace('-', '_')}"


def move(name, target, say, keep=False):
    """Move a tracker to another server while it is in use.

    target:   a servers.Server.
    say:      a function that takes a sentence for the person at the terminal.
    keep:     whether what was on the server before stays there, closed.
    Returns:  how many seconds its writers waited.
    Raises:   Refused; psycopg2.Error. The tracker is where it was then.
    """
    with making.taken(name), contextlib.ExitStack() as stack:
        source = servers.at(making.place(name))
        if source.place == target.place:
            raise servers.Refused(f"{name} is on {target} already")
        stop_waiting(name, source)
        clear(name, source, target)
        target.prepare()
        here = stack.enter_context(source.cursor(name))
        fitting.look(here, source, target, name)
        if strangers := fitting.others(here, (name, *source.logins(name))):
            say(f"what these roles may do here, they may not there: {', '.join(strangers)}")
        try:
            there = stack.enter_context(_copy(name, source, target, here))
            _keep_in_step(name, here, there, say)
            waited = _switch(name, source, target, here, there, say)
        except BaseException:
            clear(name, source, target)
            raise
        say(f"{name} is on {target} now; its writers waited {waited * 1000:.0f} ms")
        _tidy(name, source, here, there, keep)
        return waited


# The copy -------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _copy(name, source, target, here):
    """Begin to copy a tracker; give a cursor of the copy's owner."""
    here.execute(fitting.LOGIN, (name,))
    password, _ = here.fetchone()
    target.clone(name, password)
    with target.cursor(name) as there:
        there.execute(sql.SQL("COMMENT ON DATABASE {} IS %s").format(sql.Identifier(name)), (COPY,))
        logins = source.logins(name)
        fitting.take_logins(source, there, logins)
        fitting.take_settings(here, there, name, logins)
        here.execute(TABLES)
        tables = here.fetchall()
        for table, has_no_key in tables:
            if has_no_key:
                # Which row is changed would not be known: writers would be refused.
                here.execute(f"ALTER TABLE {table} REPLICA IDENTITY FULL")
        here.execute(f"CREATE PUBLICATION {FOLLOWS} FOR ALL TABLES")
        there.execute("SET session_replication_role = replica")
        there.execute(f"TRUNCATE {', '.join(table for table, _ in tables)}")
        there.execute(
            f"CREATE SUBSCRIPTION {FOLLOWS} CONNECTION %s PUBLICATION {FOLLOWS}"
            " WITH (slot_name = %s, streaming = on, disable_on_error = true)",
            (source.url(name), slot(name)),
        )
        yield there


def _keep_in_step(name, here, there, say):
    """Wait until a copy is whole and hardly behind; say how far it is."""
    said = began = time.monotonic()

    def look(words):
        nonlocal said
        if time.monotonic() - said > 5:
            said = time.monotonic()
            say(f"{words} ({said - began:.0f} s)")
        time.sleep(LOOK)

    while True:
        there.execute(COPIED)
        enabled, left, rows = there.fetchone()
        if not enabled:
            raise servers.Refused(
                f"{name} can't be copied, and stays where it was: the log of the server that it was to go to"
                " says why"
            )
        if not left:
            break
        look(f"copying {name}: {left} tables to go, {rows:,} rows of those under way")
    # A planner that knows nothing of what has come would choose the worst of plans.
    there.execute("ANALYZE")
    while True:
        here.execute(LAG, (slot(name),))
        (behind,) = here.fetchone()
        if behind < BEHIND:
            return
        look(f"{name} is copied, and {behind / 1e6:.1f} MB of its log behind")


# The moment -----------------------------------------------------------------------------------------


def _switch(name, source, target, here, there, say):
    """Let writers wait, take the rest along and change the map; return for how many seconds they waited."""
    here.execute(SEQUENCES)
    sequences = [each for (each,) in here.fetchall()]
    with _guarded(name, target.place):
        for turn in range(TRIES):
            began = time.monotonic()
            try:
                bouncer.pause(name, ENDING)
                _close(source, name, here, began)
                _take_the_rest(here, there, sequences, began)
                maps.here().put(name, target.place)
            except (Late, errors.LockNotAvailable) as late:
                stop_waiting(name, source)
                if turn == 0:
                    say(
                        f"{name} is too busy just now ({late}): trying again, until it isn't for {ENDING} s"
                    )
                time.sleep(BETWEEN)
                continue
            except BaseException:
                stop_waiting(name, source)
                raise
            # From here on it is there.
            _tell(name, target.place, say)
            return time.monotonic() - began
    raise servers.Refused(
        f"somebody's transactions in {name} did not end, {TRIES} times over: it stays where it was"
    )


def _late(began):
    if time.monotonic() - began > LONGEST:
        raise Late("it took too long")


def _close(source, name, here, began):
    """Let nobody in who does not come by the bouncer, and end the sessions of those who did."""
    with source.cursor() as cursor:
        cursor.execute(
            sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(name))
        )
    while True:
        here.execute(INSIDE)
        if here.fetchone() == (0,):
            return
        _late(began)
        time.sleep(0.005)


def _take_the_rest(here, there, sequences, began):
    """Wait until all that was written has arrived; take along what no replication does."""
    here.execute("SELECT pg_current_wal_insert_lsn()")
    (end,) = here.fetchone()
    # Transactions arrive in the order of their commits, this one after all others.
    here.execute("UPDATE alembic_version SET version_num = version_num")
    while True:
        there.execute(ARRIVED, (end,))
        if there.fetchone() == (True,):
            break
        _late(began)
        time.sleep(0.005)
    here.execute(
        " UNION ALL ".join(
            f"SELECT '{each}', last_value, is_called FROM {each}" for each in sequences
        )
    )
    for sequence, last, is_called in here.fetchall():
        there.execute("SELECT setval(%s, %s, %s)", (sequence, last, is_called))
    there.execute("REFRESH MATERIALIZED VIEW change_base_set")
    here.execute(SAME)
    there.execute(SAME)
    if (wanted := here.fetchone()) != (found := there.fetchone()):
        raise servers.Refused(f"the copy is not what it should be: {found}, not {wanted}")
    _late(began)


def _tell(name, place, say):
    """Have the bouncer send a tracker's clients to its new place."""
    for left in reversed(range(TRIES)):
        try:
            bouncer.reload(name, place)
            bouncer.ask(f'RESUME "{name}"')
            return
        except (Late, psycopg2.Error) as error:
            if not left:
                say(
                    f"{name} has moved, and pgbouncer was not told ({error}): RELOAD and RESUME there"
                )
            time.sleep(0.05)


def stop_waiting(name, source):
    """Let a tracker's writers go on where it was, after a move that has not been."""
    with contextlib.suppress(psycopg2.Error), source.cursor() as cursor:
        cursor.execute(
            sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(sql.Identifier(name))
        )
    bouncer.resume(name)


@contextlib.contextmanager
def _guarded(name, place):
    """Have another process let writers go on and clear up, should this one be killed while they wait."""
    guard = subprocess.Popen(
        [sys.executable, "-P", "-m", "iris.trackers.guard", name, *place],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    # It is there.
    guard.stdout.readline()
    try:
        yield
    finally:
        with contextlib.suppress(BrokenPipeError):
            guard.communicate(b"done\n")


# Afterwards -----------------------------------------------------------------------------------------


def _stop_following(there):
    """Drop a copy's subscription, without asking the server that it followed."""
    there.execute(f"SELECT subname {FOLLOWING}")
    if there.fetchone():
        there.execute(f"ALTER SUBSCRIPTION {FOLLOWS} DISABLE")
        there.execute(f"ALTER SUBSCRIPTION {FOLLOWS} SET (slot_name = NONE)")
        there.execute(f"DROP SUBSCRIPTION {FOLLOWS}")


def _stop_publishing(here, name):
    """Drop what a tracker was copied by."""
    here.execute(f"DROP PUBLICATION IF EXISTS {FOLLOWS}")
    for _ in range(100):
        try:
            here.execute(
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots"
                " WHERE slot_name = %s",
                (slot(name),),
            )
            return
        except errors.ObjectInUse:
            # Whoever followed it is still ending.
            time.sleep(0.05)


def clear(name, source, target):
    """Take away what a move has left that did not come to its end; one that did is left alone.

    Raises:   psycopg2.Error.
    """
    if making.place(name) == target.place:
        return
    with target.cursor() as cursor:
        cursor.execute(
            "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s",
            (name,),
        )
        is_ours = cursor.fetchone() == (COPY,)
    if is_ours:
        with target.cursor(name) as there:
            _stop_following(there)
        target.drop(name, _copied_logins(name, source, target))
    with source.cursor(name) as here:
        _stop_publishing(here, name)
        # Those that had none before.
        here.execute(TABLES.replace("relreplident = 'd'", "relreplident = 'f'"))
        for table, was_given in here.fetchall():
            if was_given:
                here.execute(f"ALTER TABLE {table} REPLICA IDENTITY DEFAULT")


def _copied_logins(name, source, target):
    """Return which of a tracker's logins a copy has."""
    with target.cursor(name) as cursor:
        cursor.execute(
            "SELECT rolname FROM pg_roles WHERE rolname = ANY (%s)"
            " AND has_database_privilege(oid, current_database(), 'CONNECT') AND NOT rolsuper",
            (source.logins(name),),
        )
        return [login for (login,) in cursor.fetchall()]


def _tidy(name, source, here, there, keep):
    """Take away what the move was done by, and what has moved away."""
    _stop_following(there)
    there.execute(sql.SQL("COMMENT ON DATABASE {} IS NULL").format(sql.Identifier(name)))
    here.execute(
        "SELECT name FROM tokens JOIN pg_roles ON rolname = name WHERE is_login AND NOT rolsuper"
        " AND has_database_privilege(pg_roles.oid, current_database(), 'CONNECT')"
    )
    logins = [login for (login,) in here.fetchall()]
    _stop_publishing(here, name)
    here.connection.close()
    if not keep:
        source.drop(name, logins)
