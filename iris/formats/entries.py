"""What feed readers and calendars are told of a ticket, whichever they are."""

import re
import uuid
from typing import NamedTuple

# Characters of a description, which may be long; they all are a request away.
LONGEST = 4000
# What neither XML nor a calendar may have in it.
FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
# Of names that are made from these tickets' own.
NAMESPACE = uuid.UUID("0f7a3d1c-5d0b-5b8e-9c55-6b2f3f0c7c11")


class Asked(NamedTuple):
    """What somebody has subscribed to.

    host:     where, as they have it.
    list:     of what, the query without its cursor; query: all of it, from the ? on.
    next:     the query of the next page, or None.
    root:     the way from the request's address to that of `/`.
    zone:     the time zone in which a day begins.
    """

    host: str
    list: str
    query: str
    next: str | None
    root: str
    zone: str


def name(*parts):
    """Return a UUID that is the same whenever it is made of the same."""
    return str(uuid.uuid5(NAMESPACE, "\n".join(map(str, parts))))


def identity(ticket):
    """Return the UUID of a ticket: that of no other, in no other Iris either, wherever this one moves to.

    By what never changes of it, and goes along with dumps and exports.
    """
    return name("ticket", ticket["ticket_id"], ticket["created"])


def state(ticket):
    """Return a line on how a ticket is."""
    parts = [ticket["status"], ticket["priority"]]
    parts += [f"for {ticket['assignee']}"] if ticket["assignee"] else []
    return ", ".join(parts)


def description(ticket):
    """Return a ticket's description, or its beginning; "" where there is none."""
    text = ticket["description"] or ""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def clean(text):
    """Return a text without what may not be told."""
    return FORBIDDEN.sub("\ufffd", text.replace("\r\n", "\n").replace("\r", "\n"))
