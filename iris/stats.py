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


def _each(name, **fields):
    return shapes.Many(shapes.Record(f"StatsOf{name}", fields))


HOURS = {"type": "number"}
_MANY = {"tickets": shapes.NUMBER, "open": shapes.NUMBER}
_TOOK = {"median": HOURS, "p85": HOURS}
# What stats() gives.
SHAPE = shapes.Record(
    "Stats",
    {
        "as_of": shapes.TIME,
        "since": shapes.TIME,
        **_MANY,
        "overdue": shapes.NUMBER,
        "status": _each("Status", status=shapes.TEXT, is_open=shapes.FLAG, tickets=shapes.NUMBER),
        "priority": _each("Priority", priority=shapes.TEXT, **_MANY),
        "assignee": _each("Assignee", assignee=shapes.Maybe(shapes.TEXT), **_MANY),
        "label": _each("Label", label=shapes.TEXT, **_MANY),
        "weeks": _each(
            "Week",
            week={"type": "string", "format": "date"},
            filed=shapes.NUMBER,
            closed=shapes.NUMBER,
            status=shapes.Map(shapes.NUMBER),
        ),
        "hours_to_close": shapes.Record(
            "StatsOfClosed",
            {
                "tickets": shapes.NUMBER,
                **{name: shapes.Maybe(hours) for name, hours in _TOOK.items()},
            },
        ),
        "hours_in_status": _each("Stays", status=shapes.TEXT, stays=shapes.NUMBER, **_TOOK),
        "hours_open": _each(
            "Age", status=shapes.TEXT, tickets=shapes.NUMBER, **_TOOK, oldest=HOURS
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
