"""Who sends a token: asked of the database, and believed for some seconds."""

import time
from collections import OrderedDict
from datetime import datetime
from typing import NamedTuple

import psycopg2
from sqlalchemy import LargeBinary, bindparam, func, literal_column, select

from iris import current
from iris.database import statements, writing

# For how long an answer is believed, and for how much longer while it is asked for anew: what has been
# revoked is refused within five.
SECONDS, MEANWHILE = 3, 1
# Tokens that a worker knows at once.
MOST = 10_000

OF = statements.compiled(
    select(
        *(literal_column(name) for name in ("name", "role", "actor", "expires", "seconds")),
    ).select_from(func.token_of(bindparam("digest", type_=LargeBinary)).alias("found"))
)

# It notes once an hour that the token was used.
BEFORE = writing.AS_ITSELF + writing.LOCALLY


class Caller(NamedTuple):
    """Whoever holds a token.

    digest:   the token's SHA-256.
    name:     the token's.
    role:     of rights.ROLES.
    actor:    who acts by it.
    expires:  when it ends, a datetime, or None.
    until:    the same by the monotonic clock, or infinity.
    asked:    when the database said so, by that clock.
    """

    digest: bytes
    name: str
    role: str
    actor: str
    expires: datetime | None
    until: float
    asked: float


# {(tracker, digest): Caller}; of another tracker nothing is believed.
_KNOWN = OrderedDict()


def _key(digest):
    return current.TRACKER.get(), digest


def find(digest):
    """Return the Caller with the token of this SHA-256, or None where there is none, or none any more.

    Hashes are compared, so how long that takes tells nothing of any token: who guesses can't choose what they
    hash to.

    Raises:   psycopg2.Error.
    Source:   token_of(), at most once in some seconds.
    """
    caller, now = remembered(digest), time.monotonic()
    if caller is not None and now - caller.asked > SECONDS:
        # Others go on with what is known while this one asks.
        _KNOWN[_key(digest)] = caller._replace(asked=now - SECONDS + MEANWHILE)
        caller = None
    if caller is None:
        caller = _ask(digest)
    return caller


def remembered(digest):
    """Return a Caller who is known, however long since, unless the token has ended by itself; or None."""
    caller = _KNOWN.get(_key(digest))
    return caller if caller is not None and caller.until > time.monotonic() else None


def _ask(digest):
    asked = time.monotonic()
    row = statements.run(OF, {"digest": digest}, before=BEFORE, again=True)
    _KNOWN.pop(_key(digest), None)
    if row is None:
        return None
    *who, expires, seconds = row
    until = float("inf") if seconds is None else asked + seconds
    caller = Caller(digest, *who, expires, until, asked)
    _KNOWN[_key(digest)] = caller
    if len(_KNOWN) > MOST:
        _KNOWN.popitem(last=False)
    return caller


def is_still(caller):
    """Whether a Caller may go on, for what takes long; a database that is away changes nothing about it."""
    try:
        return find(caller.digest) is not None
    except psycopg2.Error:
        return True
