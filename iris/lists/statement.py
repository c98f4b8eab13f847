"""The statement of a list: made once for each shape of a request, values travel beside it.

A page starts at a key, not after an offset: page 10,000 costs what page 1 costs, and what is filed
meanwhile moves nothing.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from sqlalchemy import Text, bindparam, cast, func, literal_column, select, true, tuple_

from iris.database import statements
from iris.lists import keys

# Rows that are counted, at most, to say how many more there are.
MOST_LEFT = 10_000


class Shape(NamedTuple):
    """What forms the statement of a list.

    filters:  ((name, its shape), …).
    sort:     its order.
    columns:  what it shows.
    goes_on:  whether it starts at a cursor.
    counted:  whether all rows are to be counted.
    line:     of a format that is streamed: (subquery) → the expression of a row; None for a page.
    limited:  whether so many rows are wanted, not all.
    left:     whether to count, up to a limit, what there is from the page's start.
    most:     how many rows are wanted at most, where that is planned for; 0 where it is what is wanted.
    """

    filters: tuple
    sort: str
    columns: tuple
    goes_on: bool
    counted: bool
    line: Callable | None
    limited: bool
    left: bool = False
    most: int = 0


def _sorted(listing, shape, where):
    """Return (the table, its conditions, its keys, whether the last come first) for an order."""
    name, table = shape.sort.lstrip("-"), listing.table
    sort = listing.sorts[name]
    descending = shape.sort.startswith("-")
    if sort.rank:
        rank = sort.rank(dict(shape.filters)["q"], table).label("rank")
        table, where = select(table, rank).where(*where).subquery(listing.name), []
        # The best first, for nobody wants the worst.
        descending = not descending
    by = [
        table.c[key] if key == "rank" else keys.key(table, listing.column(key)) for key in sort.keys
    ]
    return table, where, by, descending


def _left(table, where):
    """Return how many rows of a table meet conditions, counted up to MOST_LEFT and one more."""
    some = select(literal_column("1")).select_from(table).where(*where)
    some = some.limit(literal_column(str(MOST_LEFT + 1))).subquery("some")
    return select(func.count()).select_from(some).scalar_subquery().label("left_over")


@lru_cache(1000)
def make(listing, shape):
    """Make the statement of a list.

    listing:  a List.
    shape:    a Shape; a cursor's values are the parameters key_0, key_1, …
    Returns:  its text, with the parameter limit, which should be one more than a page shows. Rows are
              (row as JSON, key_0, key_1, …, total or None, whether its ticket is there, and what is left
              if that is asked for), keys as text; one with no row in it, where none is found but
              there is something else to tell.
    """
    where = listing.where(shape.filters)
    table, where, by, descending = _sorted(listing, shape, where)
    exists = None
    if "ticket_id" in dict(shape.filters):
        ticket_id = listing.known_by.c.ticket_id
        exists = select(ticket_id).where(ticket_id == bindparam("ticket_id")).exists()
    columns = shape.columns
    rows = select(
        *(listing.shown_of(table, name) for name in columns),
        *(key.label(f"key_{place}") for place, key in enumerate(by)),
    ).where(*where)
    begun = []
    if shape.goes_on:
        start = tuple_(*(bindparam(f"key_{place}") for place in range(len(by))))
        begun = [tuple_(*by) <= start if descending else tuple_(*by) >= start]
        rows = rows.where(*begun)
    rows = rows.order_by(*(key.desc() if descending else key for key in by))
    if shape.most:
        # Of a limit that it doesn't know, PostgreSQL expects a tenth of everything.
        rows = select(rows.limit(literal_column(str(shape.most))).subquery("most"))
    if shape.limited:
        rows = rows.limit(bindparam("limit"))
    inner = rows.subquery("page")
    row = select(*(inner.c[name] for name in columns)).correlate(inner).lateral("row")
    if shape.line:
        return statements.compiled(select(shape.line(row)).select_from(inner, row))
    # Rows by themselves: for PostgreSQL to gather them into one array took longer than to write them.
    found = select(
        statements.row(row).label("body"),
        *(cast(inner.c[f"key_{place}"], Text).label(f"key_{place}") for place in range(len(by))),
    ).select_from(inner, row)
    if not shape.counted and not shape.left and exists is None:
        return statements.compiled(
            found.add_columns(literal_column("NULL"), literal_column("true"))
        )
    count = select(func.count()).select_from(table).where(*where).scalar_subquery()
    facts = select(
        (count if shape.counted else literal_column("NULL")).label("total"),
        (literal_column("true") if exists is None else exists).label("is_there"),
        *([_left(table, [*where, *begun])] if shape.left else []),
    ).subquery("facts")
    # Facts are told even where there are no rows.
    rows = found.subquery("found")
    return statements.compiled(select(rows, facts).select_from(facts.outerjoin(rows, true())))
