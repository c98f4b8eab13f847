"""What becomes of a mail that came in: a comment, a ticket, or no more mail. Once, however often it comes."""

import contextlib

from iris import current, libpq, location, settings
from iris.mail import addresses, reading
from iris.trackers import maps

NOBODYS = "it is a bounce, of a mail that Iris sent to nobody here"
COMMENT = "INSERT INTO comments (ticket_id, body) VALUES (%s, %s) RETURNING comment_id"
FILE = "INSERT INTO tickets (title, description) VALUES (%s, %s) RETURNING ticket_id"


class Stranger(Exception):
    """Somebody who may not write by mail."""


def take(data, envelope=None):
    """Do what a mail wants.

    data:     its bytes.
    envelope: the address that it came to, if the MTA says so; else its headers do.
    Returns:  a sentence about what was done.
    Raises:   reading.Unfit, Stranger; psycopg2.Error.
    """
    mail = reading.read(data)
    act, name, given = _meant(mail, envelope)
    _choose(name)
    connection = libpq.connect(location.dsn(), application_name="mail", connect_timeout=5)
    with contextlib.closing(connection), connection, connection.cursor() as cursor:
        # For this alone: a pooler gives the session to others.
        cursor.execute("SET LOCAL lock_timeout TO '10s'; SET LOCAL statement_timeout TO '30s'")
        return act(cursor, mail, *given)


def _meant(mail, envelope):
    """Return what a mail wants by the address that it went to: (what does it, for which tracker, of whom)."""
    ways = (
        ((addresses.BOUNCE, _bounced), (addresses.REPLY, _bounced_reply))
        if isinstance(mail, reading.Bounce)
        else ((addresses.UNSUBSCRIBE, _unsubscribe), (addresses.REPLY, _comment))
    )
    for pattern, act in ways:
        if found := reading.address(mail, pattern, envelope):
            return act, found[0], found[1:]
    if isinstance(mail, reading.Bounce):
        raise reading.Machine(NOBODYS)
    found = reading.address(mail, addresses.to_own(), envelope)
    return _file, found and found[0], ()


def _choose(name):
    """Mean the tracker that an address names, where there are many."""
    if not settings.get("IRIS_TRACKERS"):
        return
    name, one = name and name.lower(), settings.get("IRIS_TRACKER")
    if one and name not in (None, one):
        raise Stranger(f"it is for the tracker {name}, and this is {one}")
    if current.MANY:
        if name is None:
            to = addresses.own().replace("@", "+NAME@")
            raise reading.Unfit(f"it names no tracker, as {to} does")
        if name not in maps.here().read():
            raise Stranger(f"there is no tracker {name}")
        current.TRACKER.set(name)


def _one(cursor, sql, *values):
    cursor.execute(sql, values)
    row = cursor.fetchone()
    return row and row[0]


def _unsubscribe(cursor, mail, person_id, seal):
    name = _one(cursor, "SELECT unsubscribe(%s, %s)", int(person_id), seal.lower())
    if name is None:
        raise Stranger("Iris has told nobody this address")
    return f"{name} gets no more mail"


def _bounced(cursor, bounce, person_id, seal, what="bounce"):
    given = int(person_id), what, seal.lower(), bounce.recipients, bounce.words
    name = _one(cursor, "SELECT bounced(%s, %s, %s, %s, %s)", *given)
    if name is None:
        raise reading.Machine(NOBODYS)
    return f"{name} gets no more mail: {bounce.words}"


def _bounced_reply(cursor, bounce, ticket_id, person_id, seal):
    return _bounced(cursor, bounce, person_id, seal, f"reply {int(ticket_id)}")


def _comment(cursor, mail, ticket_id, person_id, seal):
    given = int(person_id), int(ticket_id), seal.lower()
    name = _one(cursor, "SELECT writes_by(%s, %s, %s)", *given)
    if name is None:
        raise Stranger("Iris has told nobody this address")
    _become(cursor, name)
    number = _once(cursor, mail, f"comment {ticket_id}", COMMENT, ticket_id, reading.reply(mail))
    return f"comment {number} of {name} on ticket {ticket_id}"


def _file(cursor, mail):
    name = _one(cursor, "SELECT writes_from(%s)", mail.sender)
    if name is None:
        raise Stranger(
            f"nobody here writes from {mail.sender}: an admin says who does (PUT /people)"
        )
    given = reading.filing(mail)
    _become(cursor, name)
    number = _once(cursor, mail, "ticket", FILE, given["title"], given["description"])
    return f"ticket {number} filed by {name}"


def _become(cursor, name):
    """Act as somebody from here on, under the role that their tokens have."""
    if settings.get("IRIS_AUTH") == "token":
        role = _one(cursor, "SELECT role_of(%s)::text", name)
        if role is None:
            raise Stranger(f"{name} has no token, and so may not write")
        cursor.execute("SELECT set_config('role', %s, true)", (f"iris_{role}",))
    cursor.execute("SELECT set_config('iris.actor', %s, true)", (name,))


def _once(cursor, mail, what, write, *values):
    sql = cursor.mogrify(write, values).decode()
    answer = _one(
        cursor, "SELECT answer FROM once(%s, %s, %s)", f"{mail.key} {what}"[:200], "mail", sql
    )
    return next(iter(answer.values()))
