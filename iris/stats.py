"""The statements behind statistics; PostgreSQL's functions do it all, for psql, too."""

from functools import lru_cache

from sqlalchemy import BigInteger, Text, bindparam, cast, func, null, select
from sqlalchemy.dialects.postgresql import ARRAY

from iris import derived, models, past
from iris.database import standbys, statements
from iris.described import shapes
from iris.intake import types
from iris.lists import filters
from iris.lists import tickets as ticket_list

# Weeks that are told of, at most, and unless a request says.
MOST, WEEKS = 520, 26
PARAMETERS = {
    **{name: filter_.kind for name, filter_ in ticket_list.LIST.filters.items()},
    "as_of": types.Time(),
    "weeks": types.about(
        "How many weeks to look at, the last one that of the moment", types.Number(1, MOST)
    ),
    "tz": types.Zone(),
}


def _each(name, words, **fields):
    return shapes.Told(words, shapes.Many(shapes.Record(f"StatsOf{name}", fields)))


_TICKETS = shapes.Told("How many tickets", shapes.NUMBER)
_MANY = {"tickets": _TICKETS, "open": shapes.Told("How many of them are open", shapes.NUMBER)}
_HOURS = {"type": "number"}
_TOOK = {
    "median": shapes.Told("The median, in hours", _HOURS),
    "p85": shapes.Told("What 85 of 100 do not exceed, in hours", _HOURS),
}
_STATUS = shapes.Told("The status", shapes.TEXT)
# What stats() gives.
SHAPE = shapes.Record(
    "Stats",
    {
        "as_of": shapes.Told("The moment this is of", shapes.TIME),
        "since": shapes.Told("When the first of the weeks begins", shapes.TIME),
        **_MANY,
        "overdue": shapes.Told("How many of the open ones were due before", shapes.NUMBER),
        "status": _each(
            "Status",
            "By status, in the workflow's order",
            status=_STATUS,
            is_open=shapes.Told("Whether tickets in it are open", shapes.FLAG),
            tickets=_TICKETS,
        ),
        "priority": _each(
            "Priority", "By priority", priority=shapes.Told("The priority", shapes.TEXT), **_MANY
        ),
        "assignee": _each(
            "Assignee",
            "By who works on it, the 50 who have most",
            assignee=shapes.Told("Who; null for nobody", shapes.Maybe(shapes.TEXT)),
            **_MANY,
        ),
        "label": _each(
            "Label",
            "By label, the 50 that most have; a ticket counts with each of its own",
            label=shapes.Told("The label", shapes.TEXT),
            **_MANY,
        ),
        "weeks": _each(
            "Week",
            "By week, oldest first",
            week=shapes.Told("Its Monday", {"type": "string", "format": "date"}),
            filed=shapes.Told("How many were filed", shapes.NUMBER),
            closed=shapes.Told("How many were closed", shapes.NUMBER),
            status=shapes.Told(
                "How many were in each status at its end", shapes.Map(shapes.NUMBER)
            ),
        ),
        "hours_to_close": shapes.Told(
            "From filing to closing, less what they lay closed before; of those closed since",
            shapes.Record(
                "StatsOfClosed",
                {
                    "tickets": _TICKETS,
                    **{
                        name: shapes.Told(words, shapes.Maybe(hours))
                        for name, (words, hours) in _TOOK.items()
                    },
                },
            ),
        ),
        "hours_in_status": _each(
            "Stays",
            "How long tickets stayed in a status that they left since",
            status=_STATUS,
            stays=shapes.Told("How many times one was left", shapes.NUMBER),
            **_TOOK,
        ),
        "hours_open": _each(
            "Age",
            "How old the open ones are",
            status=_STATUS,
            tickets=_TICKETS,
            **_TOOK,
            oldest=shapes.Told("The oldest, in hours", _HOURS),
        ),
    },
)


@lru_cache(200)
def _make(name, shapes, past):
    """Make the statement that calls stats() or spread().

    shapes:   of the filters; what they let through is counted.
    past:     whether it is about a moment, the parameter as_of.
    """
    listing = ticket_list.LIST_THEN_FEW if past else ticket_list.LIST
    ids = null()
    if shapes:
        found = select(listing.table.c.ticket_id).where(*listing.where(shapes))
        ids = func.array(found.scalar_subquery())
    moment = derived.AS_OF if past else cast(null(), models.Time)
    call = getattr(func, name)(
        moment, cast(ids, ARRAY(BigInteger)), bindparam("weeks"), bindparam("zone")
    )
    return statements.compiled(select(cast(call, Text)))


def _read(name, given):
    shapes, values = filters.split(ticket_list.LIST.filters, given)
    values |= {"weeks": given.get("weeks", WEEKS), "zone": given.get("tz", statements.ZONE)}
    if "as_of" in given:
        values["as_of"] = given["as_of"]
        past.write()
    return standbys.run(_make(name, shapes, "as_of" in given), values)[0]


def read(given):
    """Count what becomes of the tickets.

    given:    {name: value} of PARAMETERS, validated.
    Returns:  a JSON object, as text.
    Raises:   Problem 422.
    Source:   one SELECT of stats(), and before that of a past past.write().
    """
    return _read("stats", given)


def spread(given):
    """Gather what pictures of single tickets are drawn of: how old, and how long it took.

    given:    as of read().
    Returns:  a JSON object, as text.
    Source:   one SELECT of spread(), and before that of a past past.write().
    """
    return _read("spread", given)
