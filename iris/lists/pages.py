"""A list, page by page or as a stream: from a request to a statement, and from rows to an answer."""

from typing import NamedTuple

import psycopg2

from iris import formats, problems
from iris.database import standbys, statements, streaming
from iris.lists import cursors, filters, statement

LIMIT = 50
# Where a ticket's own is drawn, such as its history: it is read as a whole.
WHOLE = 1000
# What is about some moment, which is heavy to read, as words are.
PAST = {"as_of", "since"}


class Page(NamedTuple):
    """One page of a list.

    rows:     JSON objects, as text.
    cursor:   where the next page starts, or None.
    total:    how many rows there are on all pages, or None if nobody asked.
    columns:  what they show.
    left:     how many rows come after these, counted up to statement.MOST_LEFT, where it is drawn.
    """

    rows: list
    cursor: str | None
    total: int | None
    columns: tuple
    left: int


def read(listing, given, form="json", before="", alike=False, **more):
    """Read a list.

    listing:  a List.
    given:    {name: value} of its parameters, validated.
    form:     the format, a name of formats.LISTS.
    before:   a statement to go before it in the same transaction.
    alike:    whether its plan is the same for all values, of a page that is no longer than usual.
    more:     {parameter: value} that no filter has.
    Returns:  a Page; or, for a format that is streamed, a streaming.Stream.
    Raises:   Problem 422 for a cursor of another list, or an order that lacks what it needs; 404 where
              the ticket of a list is not there.
    Source:   one SELECT.
    """
    shapes, values = filters.split(listing.filters, given)
    sort, cursor = given.get("sort", listing.order), given.get("cursor")
    order, form = listing.sorts[sort.lstrip("-")], formats.of(form, given)
    if order.rank and "q" not in given:
        raise problems.invalid({"sort": "rank needs q, the words to rank by"})
    streamed = form.line is not None
    whole = form.drawn and "ticket_id" in given
    limit = given.get("limit", WHOLE if whole else LIMIT)
    alike = alike and not streamed and limit <= LIMIT and "columns" not in given
    shape = statement.Shape(
        filters=shapes,
        sort=sort,
        columns=given.get("columns", listing.usual(form)),
        goes_on=cursor is not None,
        counted=given.get("count", False) and not streamed,
        line=form.line,
        limited=not streamed or "limit" in given,
        left=form.drawn,
        most=LIMIT + 1 if alike else 0,
    )
    zone = given.get("tz", statements.ZONE)
    values = {**values, **more, "limit": limit + (not streamed), "zone": zone}
    if cursor is not None:
        values.update(cursors.decode(cursor, sort, len(order.keys)))
    sql = statement.make(listing, shape)
    if streamed and "ticket_id" in given:
        # A stream of nothing can't say why; a page can.
        read(listing, {"ticket_id": given["ticket_id"], "limit": 1}, **more)
    try:
        if streamed:
            return streaming.Stream(sql, values, form.heading(shape.columns), before)
        keep = statements.ONE_PLAN if alike else False
        if "q" in given or not PAST.isdisjoint(more):
            rows = standbys.rows(sql, values, before, keep)
        else:
            rows = statements.rows(sql, values, before, keep, again=True)
    except psycopg2.DataError:
        # PostgreSQL does not say whose value it can't read: without its cursor the list goes well, or
        # fails for what else is wrong.
        if cursor is not None:
            others = {name: value for name, value in given.items() if name != "cursor"}
            read(listing, others | {"limit": 1}, before=before, **more)
            raise cursors.wrong() from None
        raise
    left = rows[0][-1] if form.drawn else 0
    # As they are without it.
    rows = [row[:-1] for row in rows] if form.drawn else rows
    total, is_there = rows[0][-2:] if rows else (None, True)
    if not is_there:
        raise problems.no_such("ticket", given["ticket_id"])
    bodies = [row[0] for row in rows[:limit] if row[0] is not None]
    cursor = cursors.encode(sort, *rows[limit][1:-2]) if len(rows) > limit else None
    return Page(bodies, cursor, total, shape.columns, left - len(bodies))
