"""Filters of lists: what a parameter may be, and the condition that it puts on a table.

Statements are compiled once for each shape of a request, so a filter comes in two halves: what
forms the statement (its shape), and the values of the statement's parameters.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import hug
from sqlalchemy import Boolean, Text, and_, bindparam, cast, func, not_, true
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP, array

from iris import derived
from iris.intake import types
from iris.lists import keys


class Filter(NamedTuple):
    """One filter.

    kind:     the type of its value.
    split:    (name, value) → (shape, {parameter: value}).
    where:    (name, shape, table) → condition.
    """

    kind: hug.types.Type
    split: Callable[[str, Any], tuple]
    where: Callable


def plain(kind, condition):
    """Filter by a value as it is; condition(table, parameter) is what it means."""
    return Filter(
        kind,
        lambda name, value: (None, {name: value}),
        lambda name, shape, table: condition(table, bindparam(name)),
    )


def _compared(table, column):
    """Return a time as its index has it: one that is sorted by is indexed as it is sorted."""
    return keys.key(table, column) if "sorted" in column.info else table.c[column.name]


def _timed(condition, column):
    """Filter by a time, or by words for one; condition(table, time) is what it means."""
    return Filter(
        types.concerning(column, types.Time()),
        lambda name, value: (None, {name: value}),
        lambda name, shape, table: condition(
            table, derived.moment(name, "ahead" not in column.info)
        ),
    )


def before(column):
    """Filter by a time: `created_before=`."""
    return _timed(lambda table, time: _compared(table, column) < time, column)


def after(column):
    """Filter by a time: `created_after=`; what has none is not after any."""

    def condition(table, time):
        mine, found = table.c[column.name], _compared(table, column) > time
        # The end of time, as which it may be sorted, is no time.
        return (
            and_(found, mine.is_not(None)) if "sorted" in column.info and column.nullable else found
        )

    return _timed(condition, column)


def flag(condition, words=""):
    """Filter by true or false; condition(table, wanted) is what it means, words what that is called."""
    return Filter(
        types.about(words, types.Flag()),
        lambda name, value: (value, {}),
        lambda name, shape, table: condition(table, shape),
    )


def split_chosen(name, chosen):
    """Split several values: the shape is (whether they are excluded, whether they are many, the way)."""
    many = len(chosen.values) > 1
    # One value by itself: `= 'x'` keeps an index's order, which `= ANY` may not.
    return (chosen.excluded, many, chosen.way), {name: chosen.values if many else chosen.values[0]}


def is_any(column, name, shape):
    """Return the condition that a column has one of several values, whether or not they are excluded."""
    _, many, _ = shape
    value = bindparam(name)
    return column == (func.any(cast(value, ARRAY(column.type))) if many else value)


def as_list(name, shape):
    """Return several values as an array of texts, also where there is only one."""
    _, many, _ = shape
    return cast(bindparam(name), ARRAY(Text)) if many else array([bindparam(name)])


def several(column):
    """Filter by one value or any of several, or none of them: `status=open,active`.

    column:   of the model, whose type says which values there are.
    """

    def where(name, shape, table):
        found = is_any(table.c[column.name], name, shape)
        # Who is assigned to nobody is not assigned to bob, either.
        return found.is_not(true()) if shape[0] else found

    return Filter(types.Several(types.of(column), "person" in column.info), split_chosen, where)


def somebody(condition, words, kind=None):
    """Filter by one name or any of several, or none of them: `commented_by=me`.

    condition: (name, shape, table) → what it means that one of them is meant.
    words:    what that is called.
    kind:     the type of what says who it is, if not by names.
    """

    def where(name, shape, table):
        found = condition(name, shape, table)
        return not_(found) if shape[0] else found

    return Filter(types.about(words, kind or types.Several(people=True)), split_chosen, where)


def of(column):
    """Return the filters that a model's column is found by, {name: Filter}, by its type."""
    name = column.name
    if isinstance(column.type, TIMESTAMP):
        return {f"{name}_before": before(column), f"{name}_after": after(column)}
    if isinstance(column.type, Boolean):
        found = flag(lambda table, wanted: table.c[name].is_(wanted))
        return {name: found._replace(kind=types.concerning(column, found.kind))}
    return {name: several(column)}


def of_all(model):
    """Return the filters that the columns of a model say of themselves."""
    found = (of(column) for column in model.__table__.c if "filtered" in column.info)
    return {name: filter_ for each in found for name, filter_ in each.items()}


def split(filters, given):
    """Split a request's filters.

    filters:  {name: Filter}.
    given:    {name: value}, validated; other names are passed over.
    Returns:  (((name, shape), …), {parameter: value}).
    """
    shapes, values = [], {}
    for name, filter_ in filters.items():
        if name in given:
            shape, more = filter_.split(name, given[name])
            shapes.append((name, shape))
            values.update(more)
    return tuple(shapes), values


def where(filters, shapes, table):
    """Return the conditions that filters of these shapes put on a table."""
    return [filters[name].where(name, shape, table) for name, shape in shapes]
