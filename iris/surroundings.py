"""The statement behind what a page shows around what it is about: the workflow, and where the feed stands."""

from typing import NamedTuple

from sqlalchemy import Text, cast, func, select

from iris import derived, events
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


def _reading(workflow):
    return statements.compiled(select(cast(workflow, Text), events.LAST.scalar_subquery()))


READ, READ_THEN = _reading(func.workflow()), _reading(func.workflow_as_of(derived.AS_OF))


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
