"""Lists, page by page: one statement gives the rows as JSON, where to go on, and the count.

A page starts at a key, not after an offset: page 10,000 costs what page 1 costs, and what is filed
meanwhile moves nothing.
"""

import base64
import json
from typing import NamedTuple

from sqlalchemy import Text, bindparam, cast, func, literal_column, select, tuple_

from iris import database, errors, filters, inputs

LIMIT = 50


def types(sorts, columns):
    """Return what every list takes beside its filters, {name: type}."""
    return {
        "limit": inputs.Number(1, 1000),
        "cursor": inputs.Word(),
        "count": inputs.Flag(),
        "sort": inputs.OneOf(sign + name for name in sorts for sign in ("", "-")),
        "columns": inputs.Names(columns),
    }


class Page(NamedTuple):
    """One page of a list.

    rows:     a JSON array, as text.
    cursor:   where the next page starts, or None.
    total:    how many rows there are on all pages, or None if nobody asked.
    exists:   whether what the list belongs to is there.
    """

    rows: str
    cursor: str | None
    total: int | None
    exists: bool


def statement(table, columns, where, keys, descending, goes_on, counted, exists=None):
    """Build the statement of a page.

    table:      what to list, with a column for each name in columns.
    where:      conditions.
    keys:       expressions that sort the list, the last one unique.
    goes_on:    whether it starts at a cursor, whose values are the parameters key_0, key_1, …
    counted:    whether all rows are to be counted.
    exists:     a condition for the page to make sense at all, or None.
    Returns:    its text; the parameters limit and limit_more are one apart.
    """
    rows = select(
        *(table.c[name] for name in columns),
        *(key.label(f"key_{place}") for place, key in enumerate(keys)),
    ).where(*where)
    if goes_on:
        start = tuple_(*(bindparam(f"key_{place}") for place in range(len(keys))))
        rows = rows.where(tuple_(*keys) <= start if descending else tuple_(*keys) >= start)
    rows = rows.order_by(*(key.desc() if descending else key for key in keys))
    page = rows.limit(bindparam("limit_more")).cte("page")
    shown = select(*(page.c[name] for name in columns)).limit(bindparam("limit")).subquery("row")
    next_key = func.json_build_array(*(page.c[f"key_{place}"] for place in range(len(keys))))
    parts = [
        select(cast(func.coalesce(func.json_agg(literal_column('"row"')), "[]"), Text))
        .select_from(shown)
        .scalar_subquery(),
        select(cast(next_key, Text)).offset(bindparam("limit")).limit(1).scalar_subquery(),
        select(func.count()).select_from(table).where(*where).scalar_subquery()
        if counted
        else literal_column("NULL"),
        literal_column("true") if exists is None else exists,
    ]
    return database.compiled(select(*parts))


def read(build, known, given, sort, columns, **more):
    """Read a page.

    build:    makes the statement: (shapes, sort, columns, goes_on, counted) → its text.
    known:    {name: Filter} of this list.
    given:    {name: value} of the request, validated.
    sort:     its order, unless the request names another.
    columns:  its columns, likewise.
    more:     {parameter: value} that no filter has.
    Returns:  a Page.
    Raises:   Problem 422 for a cursor of another list.
    """
    shapes, values = filters.split(known, given)
    sort, cursor = given.get("sort", sort), given.get("cursor")
    counted, limit = given.get("count", False), given.get("limit", LIMIT)
    values = {**values, **more, "limit": limit, "limit_more": limit + 1}
    if cursor is not None:
        values.update(_decode(cursor, sort))
    text = build(shapes, sort, given.get("columns", columns), cursor is not None, counted)
    rows, next_key, total, exists = database.run(text, values)
    return Page(rows, next_key and _encode(next_key, sort), total, exists)


def _encode(keys, sort):
    """Make a cursor: the order it belongs to and the key of the next row."""
    document = json.dumps([sort, *json.loads(keys)]).encode()
    return base64.urlsafe_b64encode(document).decode().rstrip("=")


def _decode(cursor, sort):
    """Read a cursor into {key_0: value, …}."""
    wrong = errors.invalid({"cursor": "must be one that a Link header of this very list gave"})
    try:
        document = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        made_for, *keys = json.loads(document)
    except (ValueError, TypeError, RecursionError):
        raise wrong from None
    texts = [str(key) for key in keys if isinstance(key, str | int | float)]
    if made_for != sort or len(texts) != len(keys) or any("\0" in text for text in texts):
        raise wrong
    return {f"key_{place}": text for place, text in enumerate(texts)}
