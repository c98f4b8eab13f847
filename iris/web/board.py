"""A board: which columns it has, and which cards are in each."""

from iris import models
from iris.intake import types

# What columns may be by. What is most pressing comes first.
BY = ("status", "assignee", "priority")
PRIORITIES = tuple(reversed(models.Priority.enums))
# What a board is of, unless the request says otherwise: what is open, and all of it on one page.
USUAL = {"open": True, "limit": 1000}
# What says already which of both, open or closed, are wanted.
SAYS_WHICH = ("status", "closed_before", "closed_after")
# How a browser shows tickets; who else asks for the same address gets the same tickets.
PARAMETERS = {
    "view": types.about("In a browser: as a list or as a board", types.OneOf(["list", "board"])),
    "by": types.about("Of a board: what its columns are by", types.OneOf(BY)),
}


def usual(given, left_open):
    """Return the parameters that a board has beside the request's, {name: value}; None for what is left open.

    given:    those of the request.
    left_open: names that it has left empty on purpose.
    """
    made = {name: None if name in left_open else value for name, value in USUAL.items()}
    if not given.keys().isdisjoint(SAYS_WHICH):
        made.pop("open")
    return {name: value for name, value in made.items() if name not in given}


def said(value):
    """Return a parameter's value as a query has it."""
    return "" if value is None else str(value).lower()


def columns(rows, by, around):
    """Return [{"value", "rows"}], in their order; a value is "" where nobody is assigned.

    rows:     tickets, in the list's order.
    around:   has the statuses of the workflow, in their order.
    """
    known = {"status": around.statuses, "assignee": [""], "priority": PRIORITIES}[by]
    found = {value: [] for value in known}
    for row in rows:
        found.setdefault(row[by] or "", []).append(row)
    if by == "assignee":
        found = dict(sorted(found.items()))
    return [{"value": value, "rows": cards} for value, cards in found.items()]
