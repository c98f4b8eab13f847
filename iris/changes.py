"""The statements behind what changed between two moments."""

import dataclasses

from sqlalchemy import func, literal_column, or_, select

from iris import derived, past
from iris.database import statements
from iris.formats import standup
from iris.intake import types
from iris.lists import listing, pages
from iris.lists import tickets as ticket_list


@dataclasses.dataclass(frozen=True, eq=False)
class Differences(listing.List):
    """The list of tickets that differ; its filters are those of tickets, which one meets at either moment."""

    def where(self, shapes):
        return [or_(*(self._meets(end, shapes) for end in ticket_list.ENDS))] if shapes else []

    def _meets(self, end, shapes):
        then = end.table
        found = select(then.c.ticket_id).where(then.c.ticket_id == self.table.c.ticket_id)
        return found.where(*end.where(shapes)).correlate(self.table).exists()


LIST = Differences(
    name="changes",
    model=derived.Change,
    table=derived.CHANGES,
    shown=("ticket_id", "kind", "title", "changes", "comments", "links", "actors", "last"),
    filters=ticket_list.LIST.filters,
    sorts=listing.sorts(derived.Change),
    order="-last",
    told=standup.changes,
)
PARAMETERS = {**LIST.parameters(), "since": types.Time(), "until": types.Time()}
# As JSON has them.
MOMENTS = statements.compiled(
    select(
        *(
            func.to_jsonb(when).op("#>>")(literal_column("'{}'"))
            for when in (derived.SINCE, func.coalesce(derived.UNTIL, func.clock_timestamp()))
        )
    )
)


def moments(since, until=None, zone=statements.ZONE):
    """Settle two moments, so that all pages are of the same ones, whatever words were used.

    until:    None for now, by the database's clock.
    Returns:  both as text.
    Source:   one SELECT.
    """
    return statements.run(MOMENTS, {"since": since, "until": until, "zone": zone})


def page(given, form="json"):
    """List the tickets that differ between two moments.

    given:    {name: value} of PARAMETERS, validated; since and until are there.
    form:     the format, a name of formats.LISTS.
    Returns:  a pages.Page, or a streaming.Stream of the formats that are streamed.
    Raises:   Problem 422.
    Source:   one SELECT of changes_between(), and before that past.write().
    """
    past.write()
    return pages.read(LIST, given, form, since=given["since"], until=given["until"])
