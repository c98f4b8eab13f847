"""The statement behind how things stand, as the first page shows it: how many tickets there are of which."""

from typing import NamedTuple

from sqlalchemy import bindparam, func, select

from iris import models
from iris.database import statements

TICKETS, STATUSES = models.Ticket.__table__, models.Status.__table__


class Status(NamedTuple):
    """How many tickets are in a status."""

    status: str
    is_open: bool
    tickets: int


class Counts(NamedTuple):
    """How things stand.

    statuses: [Status], in the order of the workflow.
    about:    [(in words, the query of /tickets that lists them, how many)].
    """

    statuses: list
    about: list


def _counting():
    late = (TICKETS.c.due < func.now()) & TICKETS.c.closed.is_(None)
    is_open = TICKETS.c.closed.is_(None)
    kinds = (
        is_open & (TICKETS.c.assignee == bindparam("actor")),
        is_open & TICKETS.c.assignee.is_(None),
        late,
    )
    return statements.compiled(
        select(
            STATUSES.c.status,
            STATUSES.c.is_open,
            func.count(TICKETS.c.ticket_id),
            *(func.count(TICKETS.c.ticket_id).filter(kind) for kind in kinds),
        )
        .join_from(STATUSES, TICKETS, STATUSES.c.status == TICKETS.c.status, isouter=True)
        .group_by(STATUSES.c.status)
        .order_by(STATUSES.c.position)
    )


COUNTING = _counting()
ABOUT = (
    ("open", "open=true"),
    ("yours", "assignee=me&open=true"),
    ("nobody's", "unassigned=true&open=true"),
    ("overdue", "overdue=true"),
)


def read(actor):
    """Count the tickets.

    actor:    who asks.
    Returns:  Counts.
    Source:   one SELECT.
    """
    rows = statements.rows(COUNTING, {"actor": actor})
    found = [Status(*row[:3]) for row in rows]
    sums = [sum(each.tickets for each in found if each.is_open)]
    sums += [sum(column) for column in zip(*(row[3:] for row in rows), strict=True)]
    return Counts(found, [(*about, many) for about, many in zip(ABOUT, sums, strict=True)])
