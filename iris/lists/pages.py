"""Lists, page by page: one statement gives the rows as JSON, where to go on, and the count.

A page starts at a key, not after an offset: page 10,000 costs what page 1 costs, and what is filed
meanwhile moves nothing.
"""

import base64
import json
from typing import NamedTuple

from sqlalchemy import Text, bindparam, cast, func, literal_column, select, true, tuple_

from iris import formats, problems
from iris.database import statements, streaming
from iris.intake import types
from iris.lists import filters

LIMIT = 50


def parameters(sorts, columns):
    """Return what every list takes beside its filters, {name: type}."""
    return {
        "limit": types.Number(1, 1000),
        "cursor": types.Word(),
        "count": types.Flag(),
        "sort": types.OneOf(sign + name for name in sorts for sign in ("", "-")),
        "columns": types.Names(columns),
    }


class Page(NamedTuple):
    """One page of a list.

    rows:     JSON objects, as text.
    cursor:   where the next page starts, or None.
    total:    how many rows there are on all pages, or None if nobody asked.
    """

    rows: list
    cursor: str | None
    total: int | None


class Shape(NamedTuple):
    """What forms the statement of a list, beside its filters.

    sort:     its order.
    columns:  what it shows.
    goes_on:  whether it starts at a cursor.
    counted:  whether all rows are to be counted.
    streamed: the format in which all rows come, not a page; or None.
    limited:  whether only so many rows are to be streamed.
    """

    sort: str
    columns: tuple
    goes_on: bool
    counted: bool
    streamed: str | None
    limited: bool


def statement(table, shape, where, keys, descending, exists=None):
    """Build the statement of a list.

    table:      what to list, with a column for each name in the shape's columns.
    shape:      a Shape; a cursor's values are the parameters key_0, key_1, …
    where:      conditions.
    keys:       expressions that sort the list, the last one unique.
    exists:     a condition for a page to make sense at all, or None.
    Returns:    its text, with the parameter limit, which should be one more than a page shows. Rows are
                (row as JSON, key_0, key_1, …, total or None, whether exists holds), keys as text;
                one with no row in it, where none is found but there is something else to tell.
    """
    columns = shape.columns
    rows = select(
        *(table.c[name] for name in columns),
        *(key.label(f"key_{place}") for place, key in enumerate(keys)),
    ).where(*where)
    if shape.goes_on:
        start = tuple_(*(bindparam(f"key_{place}") for place in range(len(keys))))
        rows = rows.where(tuple_(*keys) <= start if descending else tuple_(*keys) >= start)
    rows = rows.order_by(*(key.desc() if descending else key for key in keys))
    if shape.limited or not shape.streamed:
        rows = rows.limit(bindparam("limit"))
    inner = rows.subquery("page")
    row = select(*(inner.c[name] for name in columns)).correlate(inner).lateral("row")
    if shape.streamed:
        line = formats.LISTS[shape.streamed].line(row)
        return statements.compiled(select(line).select_from(inner, row))
    # Rows by themselves: for PostgreSQL to gather them into one array took longer than to write them.
    found = select(
        statements.row(row).label("body"),
        *(cast(inner.c[f"key_{place}"], Text).label(f"key_{place}") for place in range(len(keys))),
    ).select_from(inner, row)
    if not shape.counted and exists is None:
        return statements.compiled(
            found.add_columns(literal_column("NULL"), literal_column("true"))
        )
    count = select(func.count()).select_from(table).where(*where).scalar_subquery()
    facts = select(
        (count if shape.counted else literal_column("NULL")).label("total"),
        (literal_column("true") if exists is None else exists).label("is_there"),
    ).subquery("facts")
    # Facts are told even where there are no rows.
    rows = found.subquery("found")
    return statements.compiled(select(rows, facts).select_from(facts.outerjoin(rows, true())))


def read(build, known, given, sorts, sort, columns, media="json", **more):
    """Read a list.

    build:    makes the statement: (shapes of filters, Shape) → its text.
    known:    {name: Filter} of this list.
    given:    {name: value} of the request, validated.
    sorts:    {name: columns to sort by} of this list.
    sort:     its order, unless the request names another.
    columns:  its columns, likewise.
    media:    the format, a name of formats.MEDIA.
    more:     {parameter: value} that no filter has.
    Returns:  a Page; or, for a format that is streamed, a streaming.Stream.
    Raises:   Problem 422 for a cursor of another list; 404 where the ticket of a list is not there.
    """
    shapes, values = filters.split(known, given)
    sort, cursor = given.get("sort", sort), given.get("cursor")
    streamed = media if formats.LISTS[media].line else None
    shape = Shape(
        sort=sort,
        columns=given.get("columns", columns),
        goes_on=cursor is not None,
        counted=given.get("count", False) and not streamed,
        streamed=streamed,
        limited=streamed is not None and "limit" in given,
    )
    limit = given.get("limit", LIMIT)
    values = {**values, **more, "limit": limit + (not streamed)}
    if cursor is not None:
        values.update(_decode(cursor, sort, len(sorts[sort.lstrip("-")])))
    text = build(shapes, shape)
    if streamed:
        if "ticket_id" in given:
            # A stream of nothing can't say why; a page can.
            read(build, known, {"ticket_id": given["ticket_id"], "limit": 1}, sorts, sort, columns)
        return streaming.Stream(text, values, formats.LISTS[media].heading(shape.columns))
    rows = statements.rows(text, values)
    total, is_there = rows[0][-2:] if rows else (None, True)
    if not is_there:
        raise problems.no_such("ticket", given["ticket_id"])
    bodies = [row[0] for row in rows[:limit] if row[0] is not None]
    cursor = _encode(sort, *rows[limit][1:-2]) if len(rows) > limit else None
    return Page(bodies, cursor, total)


def _encode(sort, *keys):
    """Make a cursor: the order it belongs to and the key of the next row."""
    document = json.dumps([sort, *keys]).encode()
    return base64.urlsafe_b64encode(document).decode().rstrip("=")


def _decode(cursor, sort, keys):
    """Read a cursor of so many keys into {key_0: value, …}."""
    wrong = problems.invalid({"cursor": "must be one that a Link header of this very list gave"})
    try:
        document = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        made_for, *texts = json.loads(document, parse_int=str, parse_float=str)
        texts = [types.Word()(text) for text in texts]
    except (ValueError, TypeError, RecursionError):
        raise wrong from None
    if made_for != sort or len(texts) != keys:
        raise wrong
    return {f"key_{place}": text for place, text in enumerate(texts)}
