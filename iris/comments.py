"""The statements behind comments."""

from functools import lru_cache

from sqlalchemy import bindparam, delete, insert, select, update

from iris import models, problems
from iris.database import statements, writing
from iris.intake import types
from iris.lists import filters, listing, pages, search

TABLE = models.Comment.__table__
KEPT = models.names(models.Comment, "kept")
# What a comment can be given, {name: type}.
WRITABLE = {
    column.name: types.concerning(column, types.Given())
    if column.name in KEPT
    else types.of(column)
    for column in TABLE.columns
    if column.name not in ("comment_id", "ticket_id")
}
# What one that is there can be given; what is passed over is not looked at.
CHANGEABLE = WRITABLE | {
    "author": types.about("Who wrote it; passed over here, for it stays", types.Given())
}


def written(text):
    """Read a comment as people write one: all of it, but for the end of its last line.

    Returns:  {column: value}.
    """
    return {"body": text.rstrip("\r\n")}


LIST = listing.List(
    name="comments",
    model=models.Comment,
    table=TABLE,
    shown=("comment_id", "ticket_id", "author", "created", "body"),
    filters={
        # Of a ticket's own list; the route gives it.
        "ticket_id": filters.plain(
            types.Number(), lambda table, number: table.c.ticket_id == number
        ),
        **filters.of_all(models.Comment),
        "q": search.filtered(search.comment_condition),
    },
    sorts=listing.sorts(models.Comment),
    order="-comment_id",
    known_by=models.Ticket.__table__,
)


def page(given, form="json"):
    """List comments, newest first, of one ticket or of all.

    given:    {name: value} of LIST's parameters, validated.
    form:     the format, a name of formats.LISTS.
    Returns:  a pages.Page, or a streaming.Stream of the formats that are streamed.
    Raises:   Problem 404 for a ticket that is not there.
    Source:   one SELECT.
    """
    return pages.read(LIST, given, form)


ROW = statements.row(TABLE).label("body")
ONE = statements.compiled(
    select(ROW).select_from(TABLE).where(TABLE.c.comment_id == bindparam("comment_id"))
)
DELETE = statements.compiled(
    delete(TABLE)
    .where(TABLE.c.comment_id == bindparam("comment_id"))
    .returning(TABLE.c.comment_id.label("comment_id"))
)


@lru_cache(1000)
def _insert(names):
    return statements.compiled(
        insert(TABLE)
        .values({name: bindparam(name) for name in names})
        .returning(ROW, TABLE.c.comment_id.label("comment_id"))
    )


@lru_cache(1000)
def _update(names):
    # With nothing to change, this is still an UPDATE, which gives the comment as it is to who may change it.
    return statements.compiled(
        update(TABLE)
        .where(TABLE.c.comment_id == bindparam("of_comment"))
        .values({name: bindparam(name) for name in names} or {"body": TABLE.c.body})
        .returning(ROW)
    )


def _found(row, comment_id):
    if row is None:
        raise problems.no_such("comment", comment_id)
    return row[0]


def one(comment_id):
    """Read one comment.

    Returns:  the comment as JSON text.
    Raises:   Problem 404.
    Source:   one SELECT.
    """
    return _found(statements.run(ONE, {"comment_id": comment_id}), comment_id)


def create(ticket_id, given, writer):
    """Comment on a ticket.

    given:    {column: value}, of the right types.
    Returns:  (the comment as JSON text, its number).
    Raises:   psycopg2.Error where a rule refuses it.
    Source:   one INSERT … RETURNING.
    """
    values = {"body": None, **given, "ticket_id": ticket_id}
    values = {name: value for name, value in values.items() if name not in KEPT}
    return writing.write(_insert(tuple(sorted(values))), values, writer)


def change(comment_id, given, writer):
    """Change the given columns of one comment; its author stays.

    given:    {column: value}, of the right types.
    Returns:  the comment as JSON text.
    Raises:   Problem 404; psycopg2.Error where a rule refuses it.
    Source:   one UPDATE … RETURNING.
    """
    values = {name: value for name, value in given.items() if name not in (*KEPT, "author")}
    text = _update(tuple(sorted(values)))
    return _found(writing.write(text, {**values, "of_comment": comment_id}, writer), comment_id)


def remove(comment_id, writer):
    """Delete a comment.

    Raises:   Problem 404.
    Source:   one DELETE … RETURNING.
    """
    _found(writing.write(DELETE, {"comment_id": comment_id}, writer), comment_id)
