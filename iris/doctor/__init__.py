"""What may be wrong with an Iris, and what to do about it: what `iris doctor` looks at.

It changes nothing that lasts, but for the places of events in the feed, which any reader gives.
"""

import contextlib
from typing import NamedTuple

import psycopg2
import psycopg2.errors

from iris import libpq, location
from iris.doctor import inside, outside
from iris.doctor.findings import OK, UNKNOWN, WRONG, Finding, Place, words


class Look(NamedTuple):
    """One look.

    check:    what it is about, a word.
    run:      gives Findings of a Place.
    needs:    what it can't be done without: nothing, "database", the "revision" of this Iris, its "owner".
    is_slow:  whether it takes longer the more there is.
    """

    check: str
    run: callable
    needs: str
    is_slow: bool = False


LOOKS = (
    Look("settings", outside.settings_, ""),
    Look("versions", outside.versions, "database"),
    Look("server", outside.server, "database"),
    Look("revision", inside.revision, "database"),
    Look("roles", inside.roles, "database"),
    Look("logins", inside.logins, "revision"),
    Look("schema", inside.shipped, "owner"),
    Look("numbers", inside.numbers, "owner"),
    Look("history", inside.history, "owner", is_slow=True),
    Look("digests", inside.digests, "revision", is_slow=True),
    Look("feed", inside.feed, "revision"),
    Look("hooks", inside.hooks, "revision"),
    Look("clock", outside.clock, "revision"),
    Look("disk", outside.disk, ""),
    Look("backups", outside.backups, ""),
    Look("mail", inside.people, "revision"),
    Look("mail", outside.mail, ""),
    Look("standbys", outside.standbys, "database"),
)


def examine(hours=26, quick=False):
    """Look at everything.

    hours:    how old the newest backup may be.
    quick:    leave out what is slow.
    Returns:  an iterator of Findings, the first of which tells whether the database can be reached.
    """
    with contextlib.ExitStack() as stack:
        service, owner, excuse = None, None, None
        try:
            service = _cursor(stack, location.dsn())
            service.connection.autocommit = True
        except (SystemExit, psycopg2.Error) as error:
            yield Finding("database", WRONG, words(error), "all that is in it was left out")
        else:
            yield Finding("database", OK, "it can be reached")
            try:
                owner = _cursor(stack, location.dsn(owner=True))
            except (SystemExit, psycopg2.Error) as error:
                excuse = words(error)
        place, has = Place(service, owner, hours), {""}
        if service is not None:
            has |= {"database", "revision", "owner"}
        for look in LOOKS:
            if look.needs not in has or (quick and look.is_slow):
                continue
            if look.needs == "owner" and owner is None:
                found = f"only the database's owner can look at it: {excuse}"
                yield Finding(
                    look.check,
                    UNKNOWN,
                    found,
                    "IRIS_OWNER_URL, or for the schema `iris doctor --sql`",
                )
                continue
            for finding in _tried(look, place):
                if finding.check == "revision" and finding.status == WRONG:
                    has -= {"revision", "owner"}
                yield finding


def _cursor(stack, url):
    more = {"connect_timeout": 5, "application_name": "doctor", "client_encoding": "UTF8"}
    connection = stack.enter_context(contextlib.closing(libpq.connect(url, **more)))
    return connection.cursor()


def _tried(look, place):
    """Give what a look finds; what keeps it from looking is a finding, too."""
    try:
        yield from look.run(place)
    except (SystemExit, psycopg2.Error) as error:
        found = f"{look.check} can't be looked at: {words(error)}"
        if not getattr(error, "pgcode", None):
            yield Finding("database", WRONG, found, "see whether it is still there")
        elif isinstance(error, psycopg2.errors.InsufficientPrivilege):
            yield Finding(look.check, UNKNOWN, found, "IRIS_OWNER_URL, of one who owns all of it")
        else:
            yield Finding(look.check, WRONG, found, "try again, and read PostgreSQL's log")
    finally:
        if place.owner is not None and not place.owner.connection.closed:
            with contextlib.suppress(psycopg2.Error):
                place.owner.connection.rollback()


def status(findings):
    """Return the exit status of what was found: 0 all is well, 1 something is wrong, 4 no connection."""
    wrong = {finding.check for finding in findings if finding.status == WRONG}
    return 4 if "database" in wrong else 1 if wrong else 0
