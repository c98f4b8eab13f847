"""Who waits to be told of what happens, as what watches Iris counts them: hooks, and people who get mail."""

from sqlalchemy import func, literal_column, select

from iris import models

_EVENTS, _PLACES = models.StoredEvent.__table__, models.Place.__table__


def _is(column, word):
    return column == literal_column(f"'{word}'")


def since(table, *conditions):
    """Return when the oldest event was of which somebody active has not been told, as a scalar subquery.

    table:    of hooks, or of people.
    conditions: what else counts, such as that they want to be told at once.
    """
    first = select(func.min(table.c.position)).where(_is(table.c.state, "active"), *conditions)
    return (
        select(_EVENTS.c.at)
        .join_from(_PLACES, _EVENTS, _PLACES.c.event_id == _EVENTS.c.event_id)
        .where(_PLACES.c.position > first.scalar_subquery())
        .order_by(_PLACES.c.position)
        .limit(1)
        .scalar_subquery()
    )


def failing(table):
    """Return how many that are active were tried in vain, as a scalar subquery."""
    tried = table.c.tried > literal_column("0")
    return (
        select(func.count())
        .select_from(table)
        .where(_is(table.c.state, "active"), tried)
        .scalar_subquery()
    )


def states(table):
    """Return {state: how many}, an expression."""
    pairs = []
    for state in table.c.state.type.enums:
        many = select(func.count()).select_from(table).where(_is(table.c.state, state))
        pairs += [literal_column(f"'{state}'"), many.scalar_subquery()]
    return func.json_build_object(*pairs)
