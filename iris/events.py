"""The statements behind history and the feed."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Text,
    bindparam,
    cast,
    column,
    func,
    literal_column,
    select,
)

from iris import models
from iris.database import engine, standbys, statements
from iris.intake import types
from iris.lists import filters, listing, pages

TABLE = models.Event.__table__
LIST = listing.List(
    name="history",
    model=models.Event,
    table=TABLE,
    shown=("at", "actor", "source", "ticket_id", "kind", "changes"),
    filters={
        # Of a ticket's own history; the route gives it.
        "ticket_id": filters.plain(
            types.Number(), lambda table, number: table.c.ticket_id == number
        ),
        "change": filters.plain(types.Number(), lambda table, number: table.c.change == number),
        **filters.of_all(models.Event),
    },
    sorts=listing.sorts(models.Event),
    order="-event_id",
    # A ticket that is gone has a history, too.
    known_by=TABLE.alias(),
)


# What a list may be asked for by, for its plan to be the same for all values.
ALIKE = {"ticket_id", "limit", "cursor", "format", "tz"}


def page(given, form="json"):
    """List events, newest first, of one ticket or of all.

    given:    {name: value} of LIST's parameters, validated.
    form:     the format, a name of formats.LISTS.
    Returns:  a pages.Page, or a streaming.Stream of the formats that are streamed.
    Raises:   Problem 404 for a ticket that never was.
    Source:   one SELECT.
    """
    # To plan one took longer than to read it.
    return pages.read(LIST, given, form, alike=given.keys() <= ALIKE)


# The feed -----------------------------------------------------------------------------------------


def _after():
    """Return the statement for a piece of the feed: its positions, and each event as JSON."""
    columns = (column(name, TABLE.c[name].type) for name in LIST.columns)
    piece = func.events_after(bindparam("after"), bindparam("limit")).table_valued(
        *columns, name="piece"
    )
    rows = select(*(LIST.shown_of(piece, name) for name in LIST.columns)).subquery("event")
    body = cast(func.row_to_json(literal_column("event")), Text).label("body")
    lines = select(rows.c.position, body).cte("line").prefix_with("MATERIALIZED")
    length = func.octet_length(lines.c.body)
    before = func.sum(length).over(order_by=lines.c.position) - length
    counted = select(lines, before.label("before")).subquery("counted")
    return statements.compiled(
        select(
            func.array_agg(counted.c.position, type_=ARRAY(BigInteger)),
            func.array_agg(counted.c.body, type_=ARRAY(Text)),
        ).where(counted.c.before < bindparam("bytes"))
    )


# Bytes of a piece, unless its reader wants less.
LARGEST = 8 << 20
AFTER = _after()
LAST = select(func.coalesce(func.max(models.Place.__table__.c.position), 0))
END = statements.compiled(LAST)


def end():
    """Return the last position that has been given.

    Source:   one SELECT.
    """
    return statements.run(END, {})[0]


def after(position, limit, size=LARGEST, given=False):
    """Read the feed on from a position.

    size:     how many bytes are enough; one event is read in any case.
    given:    whether only what has positions already is wanted, which a standby may tell.
    Returns:  [(position, event as JSON text)], at most limit of them, in order.
    Source:   one SELECT of events_after(), which on the primary first gives positions to what has none.
    """
    values = {"after": position, "limit": limit, "bytes": size}
    if given:
        positions, bodies = standbys.run(AFTER, values)
    else:
        with engine.POOL.writing():
            positions, bodies = statements.run(AFTER, values)
    return list(zip(positions or (), bodies or (), strict=True))
