"""The statements behind watchers: who hears of a ticket."""

from sqlalchemy import bindparam, insert

from iris import derived, models
from iris.database import statements, writing
from iris.intake import types
from iris.lists import filters, listing, pages

TABLE = derived.WATCHERS
LIST = listing.List(
    name="watchers",
    model=derived.Watcher,
    table=TABLE,
    shown=("who", "muted"),
    filters={
        # The route gives it.
        "ticket_id": filters.plain(
            types.Number(), lambda table, number: table.c.ticket_id == number
        ),
        **filters.of_all(derived.Watcher),
    },
    sorts={"who": listing.Sort(("who",))},
    order="who",
    known_by=models.Ticket.__table__,
)


def page(given, form="json"):
    """List who watches a ticket, by name; also who has left it, who is muted.

    given:    {name: value} of LIST's parameters, validated.
    form:     the format, a name of formats.LISTS.
    Returns:  a pages.Page, or a streaming.Stream of the formats that are streamed.
    Raises:   Problem 404 for a ticket that is not there.
    Source:   one SELECT.
    """
    return pages.read(LIST, given, form)


KEY = {name: bindparam(name) for name in ("ticket_id", "who")}
JOIN = statements.compiled(insert(TABLE).values(KEY).returning(TABLE.c.who.label("who")))
# Whoever is none yet won't become one, either.
LEAVE = statements.compiled(
    insert(TABLE).values({**KEY, "muted": True}).returning(TABLE.c.who.label("who"))
)


def join(ticket_id, who, writer):
    """Have somebody hear of a ticket, also who has left it.

    Raises:   psycopg2.Error where a rule refuses it.
    Source:   one INSERT … RETURNING.
    """
    writing.write(JOIN, {"ticket_id": ticket_id, "who": who}, writer)


def leave(ticket_id, who, writer):
    """Have somebody hear of a ticket no more, whoever calls them there.

    Raises:   psycopg2.Error where a rule refuses it.
    Source:   one INSERT … RETURNING.
    """
    writing.write(LEAVE, {"ticket_id": ticket_id, "who": who}, writer)
