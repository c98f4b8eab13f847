"""The statements behind tickets."""

import json
from functools import lru_cache

from sqlalchemy import (
    and_,
    bindparam,
    cast,
    delete,
    func,
    insert,
    literal_column,
    not_,
    or_,
    select,
    union_all,
    update,
)

from iris import database, errors, filters, inputs, models, pages, search

TABLE = models.Ticket.__table__
COMMENTS = models.Comment.__table__
LINKS = models.Link.__table__

COLUMNS = tuple(TABLE.columns.keys())
# The database keeps these, whatever a client writes.
KEPT = ("created", "updated", "closed", "version")
# What a ticket can be given, {name: type}.
WRITABLE = {
    column.name: inputs.Given() if column.name in KEPT else inputs.of(column)
    for column in TABLE.columns
    if column.name != "ticket_id"
}

# Lists ------------------------------------------------------------------------------------------


def due(table):
    """Return when a ticket is due; the end of time where it is not, as the index has it."""
    return func.coalesce(table.c.due, literal_column("'infinity'"))


def _overdue(table, wanted):
    late = and_(due(table) < func.now(), table.c.closed.is_(None))
    return late if wanted else not_(late)


def _linked(table, number):
    ends = union_all(
        select(LINKS.c.other_id).where(LINKS.c.ticket_id == number),
        select(LINKS.c.ticket_id).where(LINKS.c.other_id == number),
    )
    return table.c.ticket_id.in_(ends)


def _labelled(name, shape, table):
    found = table.c.labels.bool_op("&&")(cast(bindparam(name), TABLE.c.labels.type))
    return not_(found) if shape else found


def _field_split(name, pairs):
    """Find each text, or what the text means in JSON: fields.n=5 finds "5" and 5."""
    shape, values = [], {}
    for place, (key, text) in enumerate(pairs):
        values[f"{name}_{place}"] = json.dumps({key: text}, ensure_ascii=False)
        try:
            meant = inputs.read_json(text)
        except ValueError:
            meant = ""
        bare = not isinstance(meant, str | dict | list)
        if bare:
            values[f"{name}_{place}_bare"] = json.dumps({key: meant})
        shape.append(bare)
    return tuple(shape), values


def _field_where(name, shape, table):
    def has(parameter):
        return table.c.fields.bool_op("@>")(bindparam(parameter))

    return and_(
        *(
            or_(has(f"{name}_{place}"), has(f"{name}_{place}_bare"))
            if bare
            else has(f"{name}_{place}")
            for place, bare in enumerate(shape)
        )
    )


FILTERS = {
    **{name: filters.several(name) for name in ("status", "assignee", "reporter", "priority")},
    "label": filters.Filter(
        inputs.Several(), lambda name, value: (value[0], {name: value[1]}), _labelled
    ),
    "open": filters.flag(lambda table, wanted: table.c.closed.is_(None) == wanted),
    "unassigned": filters.flag(lambda table, wanted: table.c.assignee.is_(None) == wanted),
    "overdue": filters.flag(_overdue),
    **{
        f"{column}_{side}": filters.compare(column, operator)
        for column in ("created", "updated", "closed")
        for side, operator in (("before", "<"), ("after", ">"))
    },
    "due_before": filters.plain(inputs.Time(), lambda table, time: due(table) < time),
    "due_after": filters.plain(
        inputs.Time(), lambda table, time: and_(due(table) > time, table.c.due.is_not(None))
    ),
    "linked": filters.plain(inputs.Number(), _linked),
    "fields": filters.Filter(inputs.Pairs(), _field_split, _field_where),
    "q": filters.Filter(
        search.Query(),
        lambda name, value: (value[0], search.values(value[1])),
        lambda name, shape, table: search.condition(shape, table),
    ),
}
SORTS = {
    "created": ("created", "ticket_id"),
    "updated": ("updated", "ticket_id"),
    "due": ("due", "ticket_id"),
    "priority": ("priority", "created", "ticket_id"),
    "ticket_id": ("ticket_id",),
    # The best first, for nobody wants the worst.
    "rank": ("rank", "ticket_id"),
}
LIST = {
    **filters.types(FILTERS),
    **pages.types(SORTS, COLUMNS),
}


@lru_cache(1000)
def _list(shapes, sort, columns, goes_on, counted):
    """Return the statement of a list of this shape."""
    table, name = TABLE, sort.lstrip("-")
    where = filters.where(FILTERS, shapes, table)
    if name == "rank":
        rank = search.rank(dict(shapes)["q"], table).label("rank")
        table, where = select(table, rank).where(*where).subquery("tickets"), []
    keys = [due(table) if key == "due" else table.c[key] for key in SORTS[name]]
    descending = sort.startswith("-") != (name == "rank")
    return pages.statement(table, columns, where, keys, descending, goes_on, counted)


def page(given):
    """List tickets.

    given:    {name: value} of LIST, validated.
    Returns:  a pages.Page.
    Raises:   Problem 422.
    Source:   one SELECT.
    """
    if given.get("sort", "").lstrip("-") == "rank" and "q" not in given:
        raise errors.invalid({"sort": "rank needs q, the words to rank by"})
    return pages.read(_list, FILTERS, given, "-created", COLUMNS)


# One ticket ---------------------------------------------------------------------------------------

ROW = database.row(TABLE)


def _json_list(rows):
    """Return a scalar: the rows of a correlated SELECT as a JSON array."""
    rows = rows.correlate(TABLE).subquery("item")
    return (
        select(func.coalesce(func.json_agg(literal_column("item")), literal_column("'[]'")))
        .select_from(rows)
        .scalar_subquery()
    )


def _one():
    comments = select(COMMENTS).where(COMMENTS.c.ticket_id == TABLE.c.ticket_id)
    links = select(LINKS).where(
        or_(LINKS.c.ticket_id == TABLE.c.ticket_id, LINKS.c.other_id == TABLE.c.ticket_id)
    )
    whole = (
        select(
            TABLE,
            _json_list(comments.order_by(COMMENTS.c.comment_id)).label("comments"),
            _json_list(links.order_by(*LINKS.c)).label("links"),
        )
        .where(TABLE.c.ticket_id == bindparam("ticket_id"))
        .subquery("ticket")
    )
    return database.compiled(select(database.row(whole), whole.c.version).select_from(whole))


ONE = _one()
DELETE = database.compiled(
    delete(TABLE).where(TABLE.c.ticket_id == bindparam("ticket_id")).returning(TABLE.c.ticket_id)
)


def one(ticket_id):
    """Read one ticket with its comments, oldest first, and its links, of both directions.

    Returns:  (the ticket as JSON text, its version).
    Raises:   Problem 404.
    Source:   one SELECT.
    """
    row = database.run(ONE, {"ticket_id": ticket_id})
    if row is None:
        raise errors.no_such("ticket", ticket_id)
    return row


@lru_cache(1000)
def _insert(names):
    return database.compiled(
        insert(TABLE)
        .values({name: bindparam(name) for name in names})
        .returning(ROW, TABLE.c.ticket_id)
    )


@lru_cache(1000)
def _update(names):
    # With nothing to change, this is still an UPDATE, which gives the ticket as it is.
    return database.compiled(
        update(TABLE)
        .where(TABLE.c.ticket_id == bindparam("of_ticket"))
        .values({name: bindparam(name) for name in names} or {"title": TABLE.c.title})
        .returning(ROW)
    )


def _writes(given):
    return {name: value for name, value in given.items() if name not in KEPT}


def create(given, actor):
    """File a ticket.

    given:    {column: value}, of the right types.
    actor:    who files it.
    Returns:  (the ticket as JSON text, its number).
    Raises:   psycopg2.Error where a rule refuses it.
    Source:   one INSERT … RETURNING.
    """
    # The title is there even if it was not given, so that the database says it is required.
    values = {"title": None, **_writes(given)}
    return database.run(_insert(tuple(sorted(values))), values, actor)


def change(ticket_id, given, actor):
    """Change the given columns of one ticket.

    given:    {column: value}, of the right types; None empties a column.
    Returns:  the ticket as JSON text.
    Raises:   Problem 404; psycopg2.Error where a rule refuses it.
    Source:   one UPDATE … RETURNING.
    """
    values = _writes(given)
    text = _update(tuple(sorted(values)))
    row = database.run(text, {**values, "of_ticket": ticket_id}, actor)
    if row is None:
        raise errors.no_such("ticket", ticket_id)
    return row[0]


def remove(ticket_id, actor):
    """Delete a ticket with its comments and links.

    Raises:   Problem 404.
    Source:   one DELETE … RETURNING.
    """
    if database.run(DELETE, {"ticket_id": ticket_id}, actor) is None:
        raise errors.no_such("ticket", ticket_id)
