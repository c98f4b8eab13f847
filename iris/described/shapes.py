"""What answers look like, as routes say it; schemas.py writes it out as JSON Schema.

A shape is one of these, or a JSON Schema as it is.
"""

from typing import Any, NamedTuple

from iris.lists import listing

TEXT, NUMBER, FLAG = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}
TIME = {"type": "string", "format": "date-time"}
ANYTHING = {}
# What no JSON Schema tells of: a page, a picture, a file.
MEDIA = {"type": "string"}


class Maybe(NamedTuple):
    """A shape, or null."""

    of: Any


class Told(NamedTuple):
    """A shape, and what it is."""

    words: str
    of: Any


class Value(NamedTuple):
    """What may be given for a column of a model."""

    column: Any


class Many(NamedTuple):
    """A list of a shape, of so many items at least."""

    of: Any
    least: int = 0


class Map(NamedTuple):
    """An object with any names, and a shape each."""

    of: Any


class Either(NamedTuple):
    """One of several shapes."""

    of: tuple


class Record(NamedTuple):
    """An object with these names and no others.

    name:     of its component.
    fields:   {name: shape}.
    optional: names of those that may be missing.
    """

    name: str
    fields: dict
    optional: tuple = ()


class Row(NamedTuple):
    """A row of a model, all of it.

    name:     of its component; None for the model's.
    more:     {name: shape} of what there is beside the columns.
    only:     the columns, if not all.
    optional: names of what may be missing.
    """

    model: type
    name: str | None = None
    more: dict = {}
    only: tuple = ()
    optional: tuple = ()


class Rows(NamedTuple):
    """Rows of a list, of which a request chooses the columns."""

    listing: listing.List
