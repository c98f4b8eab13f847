"""The statements behind links."""

from sqlalchemy import bindparam, delete, literal, select
from sqlalchemy.dialects.postgresql import insert

from iris import models, problems
from iris.database import statements, writing

TABLE = models.Link.__table__
KEY = {column.name: bindparam(column.name) for column in TABLE.columns}
# Linked already is linked. The key is named, so that a second parent is no such case.
MADE = insert(TABLE).values(KEY).on_conflict_do_nothing(constraint="links_pkey").cte("made")
INSERT = statements.compiled(select(literal(1).label("linked")).add_cte(MADE))
DELETE = statements.compiled(
    delete(TABLE)
    .where(*(TABLE.c[name] == value for name, value in KEY.items()))
    .returning(TABLE.c.kind.label("kind"))
)


def create(ticket_id, kind, other_id, writer):
    """Link a ticket to another, unless it is already.

    Raises:   psycopg2.Error where a rule refuses it.
    Source:   one INSERT.
    """
    writing.write(INSERT, {"ticket_id": ticket_id, "kind": kind, "other_id": other_id}, writer)


def remove(ticket_id, kind, other_id, writer):
    """Unlink two tickets.

    Raises:   Problem 404 where they are not linked so.
    Source:   one DELETE … RETURNING.
    """
    values = {"ticket_id": ticket_id, "kind": kind, "other_id": other_id}
    if writing.write(DELETE, values, writer) is None:
        detail = f"ticket {ticket_id} has no link {kind} to ticket {other_id}"
        raise problems.Problem("no_such_link", detail)
