"""JSON Schema of types, columns and shapes."""

import functools
import re

from sqlalchemy import BigInteger, Boolean, Integer
from sqlalchemy.dialects.postgresql import ARRAY, ENUM, JSONB, TIMESTAMP

from iris import models
from iris.described import shapes
from iris.intake import types
from iris.lists import cursors, search

NUL = r"\u0000"
CONTROLS = r"\u0000-\u001f\u007f-\u009f"
# Types whose own words are told beside those of a column.
TELLING = (types.Time, types.Labels, types.Several)


def characters(known):
    """Return what a class of a regular expression has for some characters."""
    found = []
    for number in sorted(map(ord, known)):
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return "".join(
        f"\\u{first:04x}" + (f"-\\u{last:04x}" if last > first else "") for first, last in found
    )


BLANKS = characters(types.BLANKS)
# One value of several, as types.separated() has them: in quotes, or up to the next comma.
QUOTED = rf'[{BLANKS}]*"([^"{NUL}]|"")*"[{BLANKS}]*'
BARE = rf'[{BLANKS}]*[^{BLANKS},"{NUL}][^,{NUL}]*'
# The first one, where no ! negates them.
FIRST = rf'{QUOTED}|[{BLANKS}]+[^{BLANKS},"{NUL}][^,{NUL}]*|[^{BLANKS},"!{NUL}][^,{NUL}]*'


def expression(pattern):
    """Return a regular expression of PostgreSQL's as JSON Schema, which has JavaScript's, reads it."""
    made = pattern.replace("[^][", r"[^\]\[").replace("[:space:]", BLANKS)
    return made.replace("[:cntrl:]", CONTROLS)


def text(rules=None, least=0):
    """Return the schema of a text that PostgreSQL can keep.

    rules:    facts.Rules of its column.
    least:    how many characters it has, at least.
    """
    made, refused = {"type": "string"}, NUL
    if least:
        made["minLength"] = least
    unlike = []
    for each in rules.unlike if rules else ():
        pattern = expression(each)
        if re.fullmatch(r"\[[^\]]*\]", pattern):
            # A character that it must not have.
            refused += pattern[1:-1]
        else:
            unlike.append(pattern)
    made["pattern"] = f"^[^{refused}]*$"
    if rules and not rules.is_blank:
        made["minLength"] = 1
        made["pattern"] = f"^[^{refused}]*[^{refused}{BLANKS}][^{refused}]*$"
    if rules and rules.length:
        made["maxLength"] = rules.length
    if rules and rules.like:
        # What it is like has the room of one pattern, what it must not have that of the other.
        unlike.append(f"[{refused}]")
        made["pattern"], *others = map(expression, rules.like)
        made |= {"allOf": [{"pattern": each} for each in others]} if others else {}
    if unlike:
        made["not"] = {"pattern": "|".join(unlike)}
    return made


def nullable(schema):
    """Return the schema of what a schema takes, or null."""
    if isinstance(schema.get("type"), str):
        made = {**schema, "type": [schema["type"], "null"]}
        return {**made, "enum": [*schema["enum"], None]} if "enum" in schema else made
    return {"anyOf": [schema, {"type": "null"}]} if schema else schema


class Writer:
    """Writes schemas; those that have a name are gathered in components.

    facts:    a facts.Facts.
    """

    def __init__(self, facts):
        self.facts, self.components = facts, {}

    # Columns ------------------------------------------------------------------------------------

    def comment(self, column):
        """Return what a column is."""
        return column.comment or self.facts.comments.get((column.table.name, column.name)) or ""

    def rules(self, column):
        """Return the facts.Rules of a column."""
        return self.facts.rules(column.table.name, column.name)

    def words(self, column):
        """Return the words that a column may have, or None: those of an enumeration, or the statuses."""
        if isinstance(column.type, ENUM):
            return list(column.type.enums)
        if any(key.target_fullname == "statuses.status" for key in column.foreign_keys):
            return list(self.facts.statuses)
        return None

    def column(self, column):
        """Return the schema of a column in an answer."""
        made = self.typed(column.type)
        if isinstance(column.type, JSONB) and self.rules(column).kind:
            made = {"type": self.rules(column).kind}
        made = nullable(made) if column.nullable else dict(made)
        comment = self.comment(column)
        return {**made, "description": comment} if comment else made

    def typed(self, kind):
        """Return the schema of what PostgreSQL's JSON has for a type."""
        if isinstance(kind, ARRAY):
            return {"type": "array", "items": self.typed(kind.item_type)}
        if isinstance(kind, ENUM):
            return {"type": "string", "enum": list(kind.enums)}
        if isinstance(kind, JSONB):
            return {}
        if isinstance(kind, TIMESTAMP):
            return dict(shapes.TIME)
        if isinstance(kind, BigInteger | Integer):
            return {"type": "integer", "format": "int64"}
        return {"type": "boolean"} if isinstance(kind, Boolean) else {"type": "string"}

    # Shapes -------------------------------------------------------------------------------------

    def named(self, name, schema):
        """Gather a schema under a name; return a reference to it.

        schema:   () → it, which is called once.
        """
        if name not in self.components:
            self.components[name] = {}
            self.components[name] = schema()
        return {"$ref": f"#/components/schemas/{name}"}

    def shape(self, shape):
        """Return the schema of a shape."""
        match shape:
            case shapes.Maybe(of):
                return nullable(self.shape(of))
            case shapes.Told(words, of):
                return {**self.shape(of), "description": words}
            case shapes.Value(column):
                return self.parameter(types.of(column))
            case shapes.Many(of, least):
                made = {"type": "array", "items": self.shape(of)}
                return {**made, "minItems": least} if least else made
            case shapes.Map(of):
                return {"type": "object", "additionalProperties": self.shape(of)}
            case shapes.Either(of):
                return {"anyOf": [self.shape(each) for each in of]}
            case shapes.Record(name):
                return self.named(name, lambda: self._record(shape.fields, shape.optional))
            case shapes.Row():
                return self.named(shape.name or shape.model.__name__, lambda: self._row(shape))
            case shapes.Rows(listing):
                name = f"{listing.model.__name__}Listed"
                return {"type": "array", "items": self.named(name, lambda: self._listed(listing))}
        return dict(shape)

    def _record(self, fields, optional=()):
        return {
            "type": "object",
            "properties": {name: self.shape(of) for name, of in fields.items()},
            "required": [name for name in fields if name not in optional],
            "additionalProperties": False,
        }

    def _row(self, row):
        columns = {
            each.name: self.column(each)
            for each in row.model.__table__.columns
            if (each.name in row.only if row.only else "internal" not in each.info)
        }
        return self._record({**columns, **row.more}, row.optional)

    def _listed(self, listing):
        columns = {name: self.column(listing.column(name)) for name in listing.columns}
        more = {}
        for name in listing.more:
            made = self.typed(listing.shown_of(listing.table, name).type)
            made = nullable(made) if name in listing.maybe else made
            more[name] = {**made, "description": listing.meanings[name]}
        return self._record({**columns, **more}, (*columns, *more))

    # Types --------------------------------------------------------------------------------------

    def parameter(self, kind, typed=True):
        """Return the schema of a parameter's values, with what it is.

        kind:     its type.
        typed:    whether they come as JSON; else as text, in a form or a query.
        """
        column = getattr(kind, "column", None)
        made = dict(_schema(kind, self, column, typed))
        words = getattr(kind, "words", None) or (self.comment(column) if column is not None else "")
        itself = kind.kind if isinstance(kind, types.Nullable | types.Kept) else kind
        told = itself.__doc__ if isinstance(itself, TELLING) or not words else ""
        description = ". ".join(each for each in (words, told) if each)
        return {**made, "description": description} if description else made


@functools.singledispatch
def _schema(kind, writer, column, typed):
    """Return the schema of a type's values."""
    raise TypeError(f"{type(kind).__name__} has no JSON Schema: say it in {__name__}")


def _text(writer, column, least=0):
    return text(writer.rules(column) if column is not None else None, least)


@_schema.register
def _(kind: types.Text, writer, column, typed):
    words = writer.words(column) if column is not None else None
    return {"type": "string", "enum": words} if words else _text(writer, column)


@_schema.register
def _(kind: types.Word, writer, column, typed):
    return _text(writer, column, 1)


@_schema.register
def _(kind: types.Time, writer, column, typed):
    return {
        "type": "string",
        "format": "moment",
        "examples": ["tomorrow", "in 3 days", "2030-12-01"],
    }


@_schema.register
def _(kind: types.Zone, writer, column, typed):
    return {"type": "string", "format": "time-zone", "examples": ["Europe/Berlin"]}


@_schema.register
def _(kind: cursors.Cursor, writer, column, typed):
    return {"type": "string", "format": "cursor", "pattern": "^[A-Za-z0-9_-]+$"}


@_schema.register
def _(kind: types.Enum, writer, column, typed):
    return {"type": "string", "enum": kind.allowed}


@_schema.register
def _(kind: types.OneOf, writer, column, typed):
    return {"type": "string", "enum": list(kind.known)}


@_schema.register
def _(kind: types.Number, writer, column, typed):
    return {"type": "integer", "format": "int64", "minimum": kind.low, "maximum": kind.high}


@_schema.register
def _(kind: types.Flag, writer, column, typed):
    return {"type": "boolean"}


@_schema.register
def _(kind: types.Labels, writer, column, typed):
    most, length = writer.rules(column).items if column is not None else (None, None)
    if not typed:
        return {
            "type": "string",
            "pattern": rf"^({QUOTED}|{BARE}|[{BLANKS}]*)(,({QUOTED}|{BARE}|[{BLANKS}]*))*$",
        }
    made = {"type": "array", "items": text()}
    if length:
        made["items"]["maxLength"] = length
    return {**made, "maxItems": most} if most else made


@_schema.register
def _(kind: types.SomeLabels, writer, column, typed):
    labels = _schema.dispatch(types.Labels)(kind, writer, models.Ticket.__table__.c.labels, typed)
    return labels if not typed else {"anyOf": [labels, labels["items"]]}


@_schema.register
def _(kind: types.Enums, writer, column, typed):
    words = "|".join(kind.allowed)
    text = {"type": "string", "pattern": f"^(({words})(,({words}))*)?$"}
    one = {"type": "string", "enum": kind.allowed}
    return {"anyOf": [{"type": "array", "items": one}, text]} if typed else text


@_schema.register
def _(kind: types.Kept, writer, column, typed):
    made = _schema(kind.kind, writer, column, typed)
    return nullable(made) if typed else made


@_schema.register
def _(kind: types.Json, writer, column, typed):
    if not typed:
        return {"type": "string", "contentMediaType": "application/json", "format": "json"}
    if kind.shape:
        return writer.shape(kind.shape)
    # Any JSON without NUL, up to 32 deep; what of that a column takes, its rules may say.
    rule = writer.rules(column).kind if column is not None else None
    return {"type": rule} if rule else {}


@_schema.register
def _(kind: types.Given, writer, column, typed):
    return {} if typed else {"type": "string"}


@_schema.register
def _(kind: types.Nullable, writer, column, typed):
    made = _schema(kind.kind, writer, column, typed)
    if not kind.nullable:
        return made
    return nullable(made) if typed else {"anyOf": [made, {"const": ""}]}


@_schema.register
def _(kind: types.Several, writer, column, typed):
    words = writer.words(column) if column is not None else None
    if not words:
        return {"type": "string", "pattern": f"^(!({QUOTED}|{BARE})|{FIRST})(,({QUOTED}|{BARE}))*$"}
    one = "|".join(re.escape(each) for each in words)
    one = f'[{BLANKS}]*({one}|"({one})")[{BLANKS}]*'
    return {"type": "string", "pattern": f"^!?{one}(,{one})*$"}


@_schema.register
def _(kind: types.Span, writer, column, typed):
    return {"type": "string", "pattern": f"^{kind.PATTERN}$", "examples": ["30d"]}


@_schema.register
def _(kind: types.Names, writer, column, typed):
    one = "|".join(map(re.escape, kind.known))
    return {
        "type": "string",
        "pattern": f"^({one})(,({one}))*$",
        "examples": [",".join(kind.known[:2])],
    }


@_schema.register
def _(kind: search.Query, writer, column, typed):
    return {"type": "string", "format": "query", "examples": ['"on fire" or smok* -drill']}
