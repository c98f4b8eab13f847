"""The statements behind inboxes: what happened on what somebody watches, and how far they have read."""

from sqlalchemy import Text, bindparam, cast, func, select

from iris import derived, models
from iris.database import statements, writing
from iris.formats import standup
from iris.intake import types
from iris.lists import filters, listing, pages

LIST = listing.List(
    name="inbox",
    model=derived.Happening,
    table=derived.INBOX,
    shown=("position", "at", "actor", "ticket_id", "kind", "title", "changes"),
    filters={
        "ticket_id": filters.plain(
            types.about("Of one ticket alone", types.Number()),
            lambda table, number: table.c.ticket_id == number,
        ),
        **filters.of_all(derived.Happening),
    },
    sorts={"position": listing.Sort(("position",))},
    # As it happened: who reads a page marks its last one.
    order="position",
    # A ticket that is gone has one, too.
    known_by=models.Event.__table__.alias(),
    told=standup.inbox,
)
PARAMETERS = {
    **LIST.parameters(),
    "after": types.about(
        "The position in the feed that it is read on from; the mark, unless given", types.Number(0)
    ),
}
_POSITION = func.coalesce(bindparam("position"), func.read_mark(bindparam("whose")))
START = statements.compiled(
    select(func.place_all().label("placed"), cast(_POSITION, models.Event.position.type))
)


def start(whose, after=None):
    """Give places to what has none, and settle where somebody's inbox starts, so that all its pages do.

    after:    a position, or None for how far they have read.
    Source:   one SELECT.
    """
    return statements.run(START, {"whose": whose, "position": after})[1]


def page(given, form="json", whose=None):
    """List what happened on what somebody watches after a position, not by them, in the feed's order.

    given:    {name: value} of PARAMETERS, validated; after is there.
    form:     the format, a name of formats.LISTS.
    Returns:  a pages.Page, or a streaming.Stream of the formats that are streamed.
    Source:   one SELECT of inbox_after().
    """
    return pages.read(LIST, given, form, whose=whose, position=given["after"])


MARK = statements.compiled(
    select(
        cast(func.json_build_object("position", func.mark_read(bindparam("position"))), Text).label(
            "body"
        )
    )
)


def mark(position, writer):
    """Say how far somebody has read; None: all that there is.

    Returns:  {"position"} as JSON text.
    Raises:   psycopg2.Error for a position that is to come.
    Source:   one SELECT of mark_read().
    """
    return writing.write(MARK, {"position": position}, writer)[0]
