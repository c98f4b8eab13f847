"""Trackers made, listed and removed."""

import contextlib
import secrets
import time
from datetime import UTC, datetime
from pathlib import Path

import psycopg2
from psycopg2 import extensions

from iris import libpq
from iris.trackers import bouncer, maps, servers
from iris.transfer import backup

# Seconds between the two looks by which it is told how much is going on.
LOOK = 1
LOAD = """
    SELECT datname, pg_database_size(datid), numbackends, xact_commit + xact_rollback
        FROM pg_stat_database WHERE datname = ANY (%s)
"""


def taken(name):
    """Hold a tracker's name while something is done to it, a context; or refuse.

    Raises:   servers.Refused.
    """
    if not maps.NAME.fullmatch(name) or name in maps.TAKEN or name == servers.TEMPLATE:
        raise servers.Refused(
            f"{name!r} can't be a tracker's name: 1 to 40 small letters, digits and dashes, a letter first,"
            " and no name that PostgreSQL, pgbouncer or Iris has given"
        )

    @contextlib.contextmanager
    def held():
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(maps.here().hold(name))
            except BlockingIOError:
                raise servers.Refused(f"something is being done to {name} just now") from None
            yield

    return held()


def place(name):
    """Return where a tracker is, or refuse: a maps.Place."""
    found = maps.here().read().get(name)
    if found is None:
        raise servers.Refused(f"there is no tracker {name} in {maps.here().databases}")
    return found


# Adding ---------------------------------------------------------------------------------------------


def roomiest():
    """Return the server whose trackers are the smallest all together."""
    found = maps.here().read()

    def size(server):
        names = [name for name, its in found.items() if its == server.place]
        with server.cursor() as cursor:
            cursor.execute(LOAD, (names,))
            return sum(row[1] for row in cursor.fetchall())

    return min(servers.known(), key=size)


def add(name, server, with_token):
    """Make a tracker.

    server:   a servers.Server; None for the roomiest.
    with_token: whether to make its first admin's token.
    Returns:  {"name", "server", "token" or None}.
    Raises:   Refused; psycopg2.Error. Nothing is left of it then.
    """
    with taken(name):
        if name in maps.here().read():
            raise servers.Refused(f"there is a tracker {name} already")
        if maps.here().password(name):
            raise servers.Refused(
                f"{maps.here().users} has a {name} already, which is no tracker's"
            )
        server = server or roomiest()
        password = secrets.token_urlsafe(24)
        server.clone(name, _hidden(server, name, password))
        try:
            token = None
            with server.cursor(name) as cursor:
                if with_token:
                    cursor.execute("SELECT add_token('admin', 'admin') ->> 'token'")
                    (token,) = cursor.fetchone()
            maps.here().put(name, server.place, password)
            bouncer.reload(name, server.place)
        except BaseException:
            maps.here().put(name, None)
            server.drop(name)
            raise
    return {"name": name, "server": str(server), "token": token}


def _hidden(server, name, password):
    """Return a password as the server keeps it: what is sent, and may be logged, is none."""
    with contextlib.closing(libpq.connect(server.url(), connect_timeout=10)) as connection:
        return extensions.encrypt_password(password, name, connection, "scram-sha-256")


# Listing --------------------------------------------------------------------------------------------


def listed():
    """Return what there is, [{"tracker", "server", "bytes", "connections", "per_second"}], by name.

    Of a server that does not answer, its trackers have only their names.
    """
    found, first, told = maps.here().read(), {}, {}
    each = {
        server.place: (server, [n for n, its in found.items() if its == server.place])
        for server in servers.known()
    }
    first = {where: _load(*both) for where, both in each.items()}
    began = time.monotonic()
    if found:
        time.sleep(LOOK)
    for where, both in each.items():
        after, seconds = _load(*both), time.monotonic() - began
        for name, (size, connections, many) in after.items():
            before = first[where].get(name, (0, 0, many))[2]
            told[name] = {
                "bytes": size,
                "connections": connections,
                "per_second": round((many - before) / seconds, 1),
            }
    nothing = {"bytes": None, "connections": None, "per_second": None}
    return [
        {"tracker": name, "server": str(found[name]), **told.get(name, nothing)}
        for name in sorted(found)
    ]


def _load(server, names):
    try:
        with server.cursor() as cursor:
            cursor.execute(LOAD, (names,))
            return {name: tuple(rest) for name, *rest in cursor.fetchall()}
    except psycopg2.Error:
        return {}


# Removing -------------------------------------------------------------------------------------------


def remove(name, folder, say):
    """Remove a tracker, after a backup of it.

    folder:   where the backup goes; None for no backup.
    Returns:  the backup's path, or None.
    Raises:   Refused; psycopg2.Error.
    """
    with taken(name):
        server, path = servers.at(place(name)), None
        if folder:
            folder = Path(folder)
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = folder / f"{name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.dump"
            backup.write(server.url(name), str(path), say)
        logins = server.logins(name)
        maps.here().put(name, None)
        bouncer.reload(name, None)
        server.drop(name, logins)
    return path
