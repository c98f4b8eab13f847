"""What there is to know of a noun's list: a List, from which its parameters and statements are made."""

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

from sqlalchemy import LargeBinary, func
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.sql.expression import FromClause

from iris import models
from iris.intake import types
from iris.intake.negotiation import LOOK
from iris.lists import cursors, filters


class Sort(NamedTuple):
    """An order.

    keys:     names of the columns that it goes by, the last one unique.
    rank:     (shape of q, table) → how well a row meets q; where it is given, `rank` is one of the keys,
              more is better, and the better come first.
    """

    keys: tuple[str, ...]
    rank: Callable | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class List:
    """The list of a noun.

    name:     of what; files are named so.
    model:    its class in models, whose columns say what is shown.
    table:    what is read: the model's table, or that of another moment.
    shown:    the columns that a table for a terminal has, unless the request chooses.
    seldom:   those of them that are left out where they would be empty.
    filters:  {name: Filter}.
    sorts:    {name: Sort}.
    order:    a name of sorts, with - for descending, unless the request names another.
    more:     {name: (table) → expression} of what `columns` may name beside the columns.
    meanings: {name: what it is} of those.
    maybe:    names of those that may be null.
    known_by: where the ticket has to be found whose list is asked for by ticket_id=; None where there
              is no such filter.
    paged:    those that a page for a browser has, unless the request chooses; all, if none are named.
    told:     (rows as JSON texts, terminal.Look) → a page of it as text, where that is not a table.
    """

    name: str
    model: type[models.Base]
    table: FromClause
    shown: tuple[str, ...]
    filters: dict
    sorts: dict
    order: str
    seldom: tuple[str, ...] = ()
    more: dict = dataclasses.field(default_factory=dict)
    meanings: dict = dataclasses.field(default_factory=dict)
    maybe: tuple[str, ...] = ()
    known_by: FromClause | None = None
    paged: tuple[str, ...] = ()
    told: Callable | None = None

    def where(self, shapes):
        """Return the conditions that filters of these shapes put on the table."""
        return filters.where(self.filters, shapes, self.table)

    def column(self, name):
        """Return a column as its model has it."""
        return self.model.__table__.c[name]

    def usual(self, form):
        """Return the columns that a format has, a formats.Format, unless a request chooses."""
        if form.page:
            return self.paged or self.columns
        return self.shown if form.drawn else self.columns

    @functools.cached_property
    def columns(self):
        """Return the names of all columns, in the order of an answer."""
        return tuple(each.name for each in self.model.__table__.c if "internal" not in each.info)

    def shown_of(self, table, name):
        """Return what is shown of a table under a name that `columns` may have."""
        if name not in self.columns:
            return self.more[name](table).label(name)
        column = table.c[name]
        # JSON has no bytes: in hex, as sha256sum writes them.
        is_bytes = isinstance(column.type, LargeBinary)
        return func.encode(column, "hex").label(name) if is_bytes else column

    @functools.cached_property
    def times(self):
        """Return the names of the columns that are times."""
        return {name for name in self.columns if isinstance(self.column(name).type, TIMESTAMP)}

    def parameters(self):
        """Return what a request for it takes, {name: type}."""
        return {
            **{name: filter_.kind for name, filter_ in self.filters.items()},
            "limit": types.about("Rows of a page, or of all, at most", types.Number(1, 1000)),
            "cursor": types.about("Where a page starts, as Link gave it", cursors.Cursor()),
            "count": types.about("Whether Total-Count is wanted", types.Flag()),
            "sort": types.about(
                f"The order, {self.order} unless said; - in front: descending",
                types.OneOf(sign + name for name in self.sorts for sign in ("", "-")),
            ),
            "columns": types.about(
                "What comes back, in this order",
                types.Names(dict.fromkeys((*self.columns, *self.more))),
            ),
            "csv": types.about("Of CSV: no field is a formula", types.OneOf(["safe"])),
            **LOOK,
            "tz": types.Zone(),
        }


def sorts(model):
    """Return the orders that the columns of a model say of themselves, {name: Sort}."""
    (unique,) = (each.name for each in model.__table__.c if each.identity)
    found = (each.name for each in model.__table__.c if "sorted" in each.info)
    return {name: Sort((name, unique)) for name in found} | {unique: Sort((unique,))}
