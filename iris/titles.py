"""The statement behind what a reference to a ticket shows: one for all that a page names."""

from sqlalchemy import BigInteger, bindparam, cast, func, select
from sqlalchemy.dialects.postgresql import ARRAY

from iris import derived
from iris.database import statements
from iris.formats import markdown


def _titles(tables):
    table = tables.tickets
    wanted = cast(bindparam("numbers"), ARRAY(BigInteger))
    return statements.compiled(
        select(table.c.ticket_id, table.c.title, table.c.closed.is_(None)).where(
            table.c.ticket_id == func.any(wanted)
        )
    )


TITLES, TITLES_THEN = _titles(derived.NOW), _titles(derived.THEN)


def of(numbers, as_of=None, zone=statements.ZONE):
    """Return what tickets are called, {number: markdown.Ticket} of those that are there.

    numbers:  of tickets, such as markdown.numbers() finds.
    as_of:    the moment that they are shown of, or None for now.
    zone:     the time zone of that, where it names none.
    Source:   one SELECT; none for no number.
    """
    if not numbers:
        return {}
    values = {"numbers": list(numbers), "as_of": as_of, "zone": zone}
    rows = statements.rows(TITLES if as_of is None else TITLES_THEN, values)
    return {number: markdown.Ticket(title, is_open) for number, title, is_open in rows}
