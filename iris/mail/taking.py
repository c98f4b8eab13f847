"""What becomes of a mail that came in: a comment, a ticket, or no more mail. Once, however often it comes."""

import contextlib

from iris import libpq, location, settings
from iris.mail import addresses, reading

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
    connection = libpq.connect(location.dsn(), application_name="mail", connect_timeout=5)
    with contextlib.closing(connection), connection, connection.cursor() as cursor:
        cursor.execute("SET lock_timeout TO '10s'; SET statement_timeout TO '30s'")
        if isinstance(mail, reading.Bounce):
            return _bounced(cursor, mail, envelope)
        if found := reading.address(mail, addresses.UNSUBSCRIBE, envelope):
            return _unsubscribe(cursor, *found)
        if found := reading.address(mail, addresses.REPLY, envelope):
            return _comment(cursor, mail, *found)
        return _file(cursor, mail)


def _one(cursor, sql, *values):
    cursor.execute(sql, values)
    row = cursor.fetchone()
    return row and row[0]


def _unsubscribe(cursor, person_id, seal):
    name = _one(cursor, "SELECT unsubscribe(%s, %s)", int(person_id), seal.lower())
    if name is None:
        raise Stranger("Iris has told nobody this address")
    return f"{name} gets no more mail"


def _bounced(cursor, bounce, envelope):
    name = None
    if found := reading.address(bounce, addresses.BOUNCE, envelope):
        person_id, seal = found
        what = "bounce"
    elif found := reading.address(bounce, addresses.REPLY, envelope):
        ticket_id, person_id, seal = found
        what = f"reply {int(ticket_id)}"
    if found:
        given = int(person_id), what, seal.lower(), bounce.recipients, bounce.words
        name = _one(cursor, "SELECT bounced(%s, %s, %s, %s, %s)", *given)
    if name is None:
        raise reading.Machine("it is a bounce, of a mail that Iris sent to nobody here")
    return f"{name} gets no more mail: {bounce.words}"


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
