"""Filters of lists: what a parameter may be, and the condition that it puts on a table.

Statements are compiled once for each shape of a request, so a filter comes in two halves: what
forms the statement (its shape), and the values of the statement's parameters.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import hug
from sqlalchemy import bindparam, cast, func, true
from sqlalchemy.dialects.postgresql import ARRAY

from iris.intake import types


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


def compare(column, operator):
    """Filter by comparing a time: `created_before=` is compare("created", "<")."""
    return plain(types.Time(), lambda table, value: table.c[column].bool_op(operator)(value))


def flag(condition):
    """Filter by true or false; condition(table, wanted) is what it means."""
    return Filter(
        types.Flag(),
        lambda name, value: (value, {}),
        lambda name, shape, table: condition(table, shape),
    )


def several(column):
    """Filter by one value or any of several, or none of them: `status=open,active`."""

    def split(name, value):
        excluded, values = value
        # One value by itself: `= 'x'` keeps an index's order, which `= ANY` may not.
        many = len(values) > 1
        return (excluded, many), {name: values if many else values[0]}

    def where(name, shape, table):
        excluded, many = shape
        value = bindparam(name)
        column_ = table.c[column]
        found = column_ == (func.any(cast(value, ARRAY(column_.type))) if many else value)
        # Who is assigned to nobody is not assigned to bob, either.
        return found.is_not(true()) if excluded else found

    return Filter(types.Several(), split, where)


def parameters(filters):
    """Return what a list with these filters takes, {name: type}."""
    return {name: filter_.kind for name, filter_ in filters.items()}


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
