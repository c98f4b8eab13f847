"""pgbouncer's console: where it learns of a new map, and makes a tracker's clients wait."""

import contextlib
import select
import time

import psycopg2
from psycopg2 import extensions

from iris import libpq, settings


class Late(Exception):
    """What was not done in time."""


def ask(command, seconds=10):
    """Give the console a command, if the settings name one; it ends with its connection if it takes too long.

    Returns:  the rows of what it shows, None where it shows nothing.
    Raises:   Late; psycopg2.Error.
    """
    url = settings.get("IRIS_BOUNCER_URL")
    if not url:
        return None
    deadline = time.monotonic() + seconds
    with contextlib.closing(libpq.connect(url, async_=True)) as connection:
        _wait(connection, deadline)
        cursor = connection.cursor()
        cursor.execute(command)
        _wait(connection, deadline)
        return cursor.fetchall() if cursor.description else None


def _wait(connection, deadline):
    while (state := connection.poll()) != extensions.POLL_OK:
        left = deadline - time.monotonic()
        if left <= 0:
            raise Late("not done in time")
        reads, writes = ([connection], []) if state == extensions.POLL_READ else ([], [connection])
        select.select(reads, writes, [], left)


def reload(name, place):
    """Have the map read anew, and see that it was: of what it can't read pgbouncer tells its log only.

    name:     of a tracker that is somewhere else now.
    place:    a maps.Place; None where there is no such tracker any more.
    Raises:   psycopg2.OperationalError.
    """
    try:
        ask("RELOAD")
        rows = ask("SHOW DATABASES")
    except Late:
        raise psycopg2.OperationalError("pgbouncer's console does not answer") from None
    there = {row[0]: (row[1], str(row[2])) for row in rows or ()}
    if rows is not None and place is not None and there.get(name) != tuple(place):
        raise psycopg2.OperationalError(
            "pgbouncer has not taken the map: its configuration has to %include databases.ini, and its log"
            " says what else is wrong"
        )


def pause(name, seconds):
    """Let the transactions of a tracker's clients end, and no other begin.

    Raises:   Late; psycopg2.Error. Nobody waits any more then.
    """
    try:
        ask(f'PAUSE "{name}"', seconds)
    except BaseException:
        resume(name)
        raise


def resume(name):
    """Let a tracker's clients go on; who need not is no trouble."""
    with contextlib.suppress(psycopg2.DatabaseError):
        ask(f'RESUME "{name}"')
