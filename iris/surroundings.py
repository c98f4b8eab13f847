"""The statement behind what a page shows around what it is about: the workflow, and where the feed stands."""

from typing import NamedTuple

from sqlalchemy import BigInteger, Text, bindparam, cast, func, select
from sqlalchemy.dialects.postgresql import ARRAY

from iris import events, models
from iris.database import statements
from iris.formats import terminal


class Surroundings(NamedTuple):
    """What is around.

    statuses: those of the workflow, in their order.
    is_open:  {status: whether a ticket in it is open}.
    transitions: {status: where a ticket may go from there}.
    position: the feed's last one: what comes after it may be not in the page yet.
    """

    statuses: list
    is_open: dict
    transitions: dict
    position: int


TABLE = models.Ticket.__table__
NAMED = statements.compiled(
    select(TABLE.c.ticket_id, TABLE.c.title, TABLE.c.closed.is_(None)).where(
        TABLE.c.ticket_id == func.any(cast(bindparam("numbers"), ARRAY(BigInteger)))
    )
)


def tickets(numbers):
    """Return what is shown of tickets that a page names, {number: (title, whether it is open)}.

    Source:   one SELECT; none for none.
    """
    found = statements.rows(NAMED, {"numbers": list(numbers)}) if numbers else []
    return {number: (title, is_open) for number, title, is_open in found}


def _reading(workflow):
    return statements.compiled(select(cast(workflow, Text), events.LAST.scalar_subquery()))


READ, READ_THEN = _reading(func.workflow()), _reading(func.workflow_as_of(models.AS_OF))


def read(as_of=None, zone=statements.ZONE):
    """Return the Surroundings; to be read before what they are around.

    as_of:    the moment whose workflow is wanted, or None for now.
    zone:     the time zone of that, where it names none.
    Source:   one SELECT.
    """
    sql = READ if as_of is None else READ_THEN
    workflow, position = statements.run(sql, {"as_of": as_of, "zone": zone})
    found = terminal.read(workflow)
    is_open = {each["status"]: each["is_open"] for each in found["statuses"]}
    return Surroundings(list(is_open), is_open, found["transitions"], position)
