"""The map: which tracker is where, and its login's password, in two files that pgbouncer reads as they are.

databases.ini has a line a tracker, `acme = host=db1 port=5432 dbname=acme`; users.txt its login and password.
"""

import contextlib
import fcntl
import os
import re
from pathlib import Path
from typing import NamedTuple

from psycopg2.extensions import make_dsn, parse_dsn

from iris import settings

# A part of host names; and a database's and a login's name.
NAME = re.compile(r"[a-z](?:[a-z0-9-]{0,38}[a-z0-9])?")
# Databases and roles that are something else, and the console of pgbouncer.
TAKEN = {"iris", "postgres", "template0", "template1", "pgbouncer", "public", "none"}
LINE = re.compile(r"^([a-z0-9-]+) = (.*)$", re.M)
USER = re.compile(r'^"([a-z0-9-]+)" "([^"]*)"$', re.M)
HEAD = "; Written by iris tracker, for pgbouncer: %include this file, after its own sections.\n[databases]\n"


class Place(NamedTuple):
    """Where a tracker is: its server's host (or socket's folder) and port."""

    host: str
    port: str

    def __str__(self):
        return f"{self.host}:{self.port}"

    @classmethod
    def of(cls, url):
        """Return the place that a libpq connection string names."""
        parts = parse_dsn(url)
        return cls(parts.get("host") or parts.get("hostaddr") or "", parts.get("port", "5432"))


def _state(path):
    """Return by what it is seen that a file is another one now; None where there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


class Map:
    """The two files in a folder. What they say is read anew when they have been written.

    Who else is in users.txt, such as pgbouncer's own administrator, stays there.

    folder:   a Path.
    """

    def __init__(self, folder):
        self.folder = Path(folder)
        self.databases, self.users = self.folder / "databases.ini", self.folder / "users.txt"
        self._seen, self._places, self._passwords = None, {}, {}

    def read(self):
        """Return {name: Place} of all trackers.

        Raises:   OSError where the files are there and can't be read.
        """
        seen = tuple(_state(path) for path in (self.databases, self.users))
        if seen != self._seen:
            lines, users = (
                path.read_text() if state else ""
                for path, state in zip((self.databases, self.users), seen, strict=True)
            )
            parts = {name: parse_dsn(text) for name, text in LINE.findall(lines)}
            self._places = {
                name: Place(each["host"], each.get("port", "5432")) for name, each in parts.items()
            }
            self._passwords, self._seen = dict(USER.findall(users)), seen
        return self._places

    def password(self, name):
        """Return the password of a tracker's login, or None."""
        self.read()
        return self._passwords.get(name)

    def dsn(self, name):
        """Return a libpq connection string of a tracker's login: by the bouncer, if the settings name one.

        Raises:   KeyError where there is no such tracker.
        """
        place = self.read()[name]
        who = {"dbname": name, "user": name, "password": self.password(name)}
        if settings.get("DATABASE_URL"):
            return make_dsn(**parse_dsn(settings.get("DATABASE_URL")) | who)
        if settings.get("IRIS_DB_HOST"):
            place = Place(settings.get("IRIS_DB_HOST"), str(settings.get("IRIS_DB_PORT")))
        return make_dsn(host=place.host, port=place.port, **who)

    def put(self, name, place, password=None):
        """Write where a tracker is, and its password if it is a new one; None takes it out."""
        with self._alone("lock"):
            places, passwords = dict(self.read()), dict(self._passwords)
            places.pop(name, None)
            if place is None:
                passwords.pop(name, None)
            else:
                places[name] = place
                passwords[name] = password or passwords[name]
            # The password first: who finds a name finds its password, too.
            self._write(
                self.users,
                "".join(f'"{each}" "{its}"\n' for each, its in sorted(passwords.items())),
            )
            lines = (
                f"{each} = {make_dsn(host=its.host, port=its.port, dbname=each)}\n"
                for each, its in sorted(places.items())
            )
            self._write(self.databases, HEAD + "".join(lines))
            self._seen = None

    def _write(self, path, text):
        """Write a file that is whole at every moment, for those who may read the folder: its group, too."""
        new = path.with_suffix(".new")
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(OSError):
            os.chown(new, -1, self.folder.stat().st_gid)
        new.rename(path)

    def hold(self, name):
        """Let nobody else add, move or remove a tracker of this name meanwhile: a context.

        Raises:   BlockingIOError where somebody does.
        """
        return self._alone(f"{name}.lock", fcntl.LOCK_NB)

    @contextlib.contextmanager
    def _alone(self, name, more=0):
        self.folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        with open(self.folder / name, "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | more)
            yield


_MAPS = {}


def here():
    """Return the Map that IRIS_TRACKERS names."""
    folder = settings.get("IRIS_TRACKERS")
    return _MAPS.setdefault(folder, Map(folder))
