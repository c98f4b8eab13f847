"""Hug types: what a request's values may be.

A type takes the value and returns what goes to the database; it raises ValueError with a message
that reads on after the field's name. Rules of content (lengths, blanks, known statuses) are not
here but in the database, where they hold for both doors.
"""

import json
import re
import unicodedata
from functools import partial
from typing import NamedTuple

import hug
from sqlalchemy import BigInteger, Boolean
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP

from iris import settings
from iris.intake import bodies, strict

# Values of one filter.
MAX_VALUES = 1000
# Conditions on fields in one request: each is a part of the statement.
MAX_PAIRS = 32
LARGEST = 2**63 - 1
# What is a blank, as blanks() in SQL has it; Python's own notion is another.
BLANKS = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u200b"
    "\u2028\u2029\u202f\u205f\u3000\ufeff"
)
# A time of the day, and the blank before a time zone's hours; or the one before +2h.
PLUS = re.compile(r"((?::[0-9]{2}(?:\.[0-9]+)?)|^) (?=[0-9]{2}(?::?[0-9]{2})?$|[0-9]+ ?[A-Za-z]+$)")
# A time that says by itself where it is one.
ANYWHERE = re.compile(
    r"([0-9]Z|:[0-9.]+ ?[+-][0-9]{2}(:?[0-9]{2})?|GMT|UTC)$|^epoch$|^now$", re.IGNORECASE
)
# A time zone as JavaScript writes it; PostgreSQL reads it as POSIX has it, by the other sign.
TURNED_ROUND = re.compile(r"(GMT|UTC|UT)[+-][0-9]", re.IGNORECASE)


def _whole(value):
    """Refuse a value that somebody typed into a form, and whose + is lost.

    Raises:   ValueError.
    """
    if getattr(value, "typed", False):
        raise ValueError(f"has a + beside blanks, and in a form a + is a blank. {bodies.ENCODE}")


def about(words, kind):
    """Say what a parameter is, beside what its type says; return its type."""
    kind.words = words
    return kind


def concerning(column, kind):
    """Say which column of a model a parameter is about, whose rules are its own; return its type."""
    kind.column = column
    return kind


class Text(hug.types.Type):
    """Text"""

    def __call__(self, value, context=None):
        if not isinstance(value, str):
            raise ValueError("must be text")
        _whole(value)
        return strict.clean(value)


class Word(Text):
    """Text that is not empty"""

    def __call__(self, value, context=None):
        if value == "":
            raise ValueError("must not be empty")
        # As the database keeps texts, however somebody's keyboard composes them.
        return unicodedata.normalize("NFC", super().__call__(value))


class Time(Word):
    """A time: 2026-12-01, tomorrow, friday 17:00, 7 days ago, -2h; in the zone tz= unless it says where"""

    def __call__(self, value, context=None):
        if not isinstance(value, str):
            raise ValueError("must be a time as text, such as 2026-12-01 or tomorrow")
        if isinstance(value, bodies.Untyped):
            # In a form or a query, + is a blank.
            value = bodies.Untyped(PLUS.sub(r"\1+", value))
        if TURNED_ROUND.search(value):
            raise ValueError(
                "must not name its zone like GMT+0100, which means one hour west of Greenwich to PostgreSQL;"
                " send it like 2026-12-01T09:00:00+01:00"
            )
        return super().__call__(value)

    is_time = True

    def is_unfit(self, value, message):
        """Whether this is the value that PostgreSQL could not read; it says so at the end."""
        return isinstance(value, str) and message.endswith(f'"{value}"')


class Zone(Text):
    """A time zone, such as Europe/Berlin"""

    def __call__(self, value, context=None):
        try:
            return settings.zone(super().__call__(value))
        except ValueError:
            raise ValueError("must be a time zone, such as Europe/Berlin or UTC") from None


class Enum(Text):
    """One of the words of an enumeration, which PostgreSQL looks at"""

    def __init__(self, allowed):
        self.allowed = list(allowed)
        self.__doc__ = f"One of {', '.join(allowed)}"

    def is_unfit(self, value, message):
        """Whether this is no word of the enumeration."""
        return isinstance(value, str) and value not in self.allowed


class Number(hug.types.Type):
    """A whole number"""

    def __init__(self, low=1, high=LARGEST):
        self.low, self.high = low, high

    def __call__(self, value, context=None):
        if isinstance(value, bodies.Untyped) and re.fullmatch(r"-?[0-9]{1,19}", value, re.ASCII):
            value = int(value)
        if type(value) is not int:
            raise ValueError("must be a whole number")
        if not self.low <= value <= self.high:
            raise ValueError(f"must be from {self.low} to {self.high}")
        return value


class Flag(hug.types.Type):
    """true or false"""

    def __call__(self, value, context=None):
        if isinstance(value, bodies.Untyped) and value in ("true", "false"):
            value = value == "true"
        if type(value) is not bool:
            raise ValueError("must be true or false")
        return value


class Labels(hug.types.Type):
    """A list of texts; in a form or a query, separated by commas, "…" around what has one"""

    def __call__(self, value, context=None):
        if isinstance(value, bodies.Untyped):
            _whole(value)
            value = [label for label, _ in separated(value)] if value else []
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ValueError("must be a list of texts")
        return [strict.clean(item) for item in value]


class SomeLabels(Labels):
    """A text or a list of texts; in a form or a query, separated by commas, "…" around what has one"""

    def __call__(self, value, context=None):
        if isinstance(value, list | bodies.Untyped):
            return super().__call__(value)
        if not isinstance(value, str):
            raise ValueError("must be text or a list of texts")
        return super().__call__([value])


class Enums(Labels):
    """A list of words of an enumeration, which PostgreSQL looks at; as text, separated by commas"""

    def __init__(self, allowed):
        self.allowed = list(allowed)

    def __call__(self, value, context=None):
        return super().__call__(bodies.Untyped(value) if isinstance(value, str) else value)

    def is_unfit(self, value, message):
        """Whether one of these is no word of the enumeration."""
        return not set(self(value)) <= set(self.allowed)


class Json(hug.types.Type):
    """Any JSON value; in a form or a query, its text"""

    def __init__(self, shape=None):
        # Of iris.described.shapes: what the database takes, if it is known.
        self.shape = shape

    def __call__(self, value, context=None):
        if isinstance(value, bodies.Untyped):
            _whole(value)
            try:
                value = strict.read(value)
            except ValueError as error:
                raise ValueError(f"is no JSON: {error}") from None
        for text in strict.texts(value):
            strict.clean(text)
        return value


class JsonText(Json):
    """Any JSON value, for a column that keeps JSON; which ones, the database says"""

    def __call__(self, value, context=None):
        return json.dumps(super().__call__(value), ensure_ascii=False)


class Given(hug.types.Type):
    """Anything; what is given here is not looked at, for the database keeps it"""

    def __call__(self, value, context=None):
        return value


class Nullable(hug.types.Type):
    """What another type takes, or null; in a form or a query, nothing"""

    def __init__(self, kind, nullable):
        self.kind, self.nullable = kind, nullable
        self.__doc__ = kind.__doc__
        self.is_time = getattr(kind, "is_time", False)
        if hasattr(kind, "is_unfit"):
            self.is_unfit, self.allowed = kind.is_unfit, getattr(kind, "allowed", None)

    def __call__(self, value, context=None):
        # Where null is against the rules, the database says so.
        if value is None or (self.nullable and isinstance(value, bodies.Untyped) and value == ""):
            return None
        return self.kind(value)


# One of several values in quotes, or up to the next comma.
QUOTED = re.compile(rf'[{BLANKS}]*"((?:[^"]|"")*+)"[{BLANKS}]*(,|$)')
BARE = re.compile(rf"[{BLANKS}]*([^,]*?)[{BLANKS}]*(,|$)")


def separated(text):
    """Return the values that commas separate, [(value, whether it stood in quotes)].

    "…" around a value keeps its commas and the blanks at its ends, "" in it is a quote.

    Raises:   ValueError.
    """
    found, place, more = [], 0, ","
    while more:
        match = QUOTED.match(text, place)
        is_quoted = match is not None
        if is_quoted:
            value = match[1].replace('""', '"')
        else:
            match = BARE.match(text, place)
            value = match[1]
            if value.startswith('"'):
                raise ValueError(
                    'must end each "…" before the next comma, with "" for a " inside of it'
                )
        found.append((value, is_quoted))
        place, more = match.end(), match[2]
    return found


class Me(str):
    """The word me, where it means who acts."""


class Chosen(NamedTuple):
    """Several values of a filter.

    excluded: whether none of them is wanted, not any.
    values:   a list; who acts is a Me there until somebody knows who that is.
    way:      how a past is looked through for them, if somebody has weighed that.
    """

    excluded: bool
    values: list
    way: str | None = None


class Several(hug.types.Type):
    """One value or several, separated by commas, "…" around what has one; with ! in front, none of them"""

    def __init__(self, kind=None, people=False):
        self.allowed, self.column = getattr(kind, "allowed", None), getattr(kind, "column", None)
        self.people = people
        if people:
            self.__doc__ = f"{self.__doc__}; me is who asks"

    def is_unfit(self, value, message):
        """Whether one of these is no word of the enumeration."""
        return self.allowed is not None and not set(self(value).values) <= set(self.allowed)

    def __call__(self, value, context=None):
        """Return a Chosen."""
        value = Word()(value)
        values = separated(value.removeprefix("!"))
        if ("", False) in values:
            raise ValueError("must be values separated by commas, none of them empty")
        if len(values) > MAX_VALUES:
            raise ValueError(f"must be at most {MAX_VALUES:,} values")
        return Chosen(
            value.startswith("!"),
            [
                Me(each) if self.people and (each, is_quoted) == ("me", False) else each
                for each, is_quoted in values
            ],
        )


class Mine(Flag):
    """true or false, of who asks"""

    def __call__(self, value, context=None):
        """Return a Chosen."""
        return Chosen(not super().__call__(value), [Me("me")])


class Span(hug.types.Type):
    """A span of time: 30d, 2w, 12h, 90m"""

    UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
    PATTERN = "([0-9]{1,6})([mhdw])"

    def __call__(self, value, context=None):
        """Return it as PostgreSQL's interval has it."""
        match = re.fullmatch(self.PATTERN, Word()(value), re.ASCII)
        if not match:
            raise ValueError("must be a number and m, h, d or w, such as 30d")
        return f"{match[1]} {self.UNITS[match[2]]}"


class Pairs(hug.types.Type):
    """fields.NAME=text, collected into [(NAME, text)]"""

    def __call__(self, value, context=None):
        if len(value) > MAX_PAIRS:
            raise ValueError(f"must be at most {MAX_PAIRS}")
        return tuple((strict.clean(name), Word()(text)) for name, text in value)


class Kept(hug.types.Type):
    """What another type takes, to be kept as the text that a query would have; null takes it away"""

    def __init__(self, kind):
        self.kind, self.__doc__ = kind, kind.__doc__
        for name in ("column", "words", "is_time", "is_unfit", "allowed"):
            if hasattr(kind, name):
                setattr(self, name, getattr(kind, name))

    def __call__(self, value, context=None):
        """Return it as text."""
        if value is None or (isinstance(value, bodies.Untyped) and value == ""):
            return None
        meant = self.kind(value)
        if isinstance(self.kind, Time):
            return meant
        return str(value).lower() if type(value) is bool else str(value)


class Names(hug.types.Type):
    """Names out of a known set, separated by commas"""

    def __init__(self, known):
        self.known = tuple(known)

    def __call__(self, value, context=None):
        names = Word()(value).split(",")
        unknown = [name for name in names if name not in self.known]
        if unknown:
            raise ValueError(f"must be of {', '.join(self.known)}, not {unknown[0][:100]!r}")
        if len(set(names)) < len(names):
            raise ValueError("must not name anything twice")
        return tuple(names)


class OneOf(hug.types.Type):
    """One of a few words"""

    def __init__(self, known):
        self.known = tuple(known)

    def __call__(self, value, context=None):
        if value not in self.known:
            raise ValueError(f"must be one of {', '.join(self.known)}")
        return str(value)


TYPES = {
    ARRAY: Labels,
    JSONB: JsonText,
    TIMESTAMP: Time,
    BigInteger: partial(Number, -LARGEST - 1),
    Boolean: Flag,
}


def of(column):
    """Return the type for values of a model's column."""
    enums = getattr(column.type, "enums", None)
    words = getattr(getattr(column.type, "item_type", None), "enums", None)
    if enums or words:
        kind = Enum(enums) if enums else Enums(words)
    else:
        kind = TYPES.get(type(column.type), Text)()
    return concerning(column, Nullable(kind, column.nullable))
