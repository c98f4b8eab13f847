"""Hug types: what a request's values may be, and how its body is read.

A type takes the value and returns what goes to the database; it raises ValueError with a message
that reads on after the field's name. Rules of content (lengths, blanks, known statuses) are not
here but in the database, where they hold for both doors.
"""

import json
import re
from decimal import Decimal
from urllib.parse import parse_qsl

import gevent
import hug
from sqlalchemy.dialects.postgresql import ARRAY, ENUM, JSONB, TIMESTAMP

from iris import errors

MAX_BODY = 1 << 20
# Of many tickets at once.
MAX_BULK = 64 << 20
MAX_MISTAKES = 100
BODY_SECONDS = 30
MAX_DEPTH = 32
LARGEST = 2**63 - 1
# What every route offers.
JSON = ("application/json",)


class Typed(str):
    """A value from a form or a query, where everything is text."""


def _clean(text):
    """Return text that PostgreSQL can keep: no NUL, no half of a surrogate pair."""
    if "\0" in text:
        raise ValueError("must not contain a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("must not contain half a surrogate pair") from None
    return str(text)


class Text(hug.types.Type):
    """Text"""

    def __call__(self, value, context=None):
        if not isinstance(value, str):
            raise ValueError("must be text")
        return _clean(value)


class Word(Text):
    """Text that is not empty"""

    def __call__(self, value, context=None):
        if value == "":
            raise ValueError("must not be empty")
        return super().__call__(value)


class Time(Word):
    """A time: 2026-12-01, tomorrow, 2026-12-01T12:00:00Z; UTC unless it says otherwise"""

    def __call__(self, value, context=None):
        if not isinstance(value, str):
            raise ValueError("must be a time as text, such as 2026-12-01 or tomorrow")
        return super().__call__(value)


class Number(hug.types.Type):
    """A whole number"""

    def __init__(self, low=1, high=LARGEST):
        self.low, self.high = low, high

    def __call__(self, value, context=None):
        if isinstance(value, Typed) and re.fullmatch(r"-?[0-9]{1,19}", value, re.ASCII):
            value = int(value)
        if type(value) is not int:
            raise ValueError("must be a whole number")
        if not self.low <= value <= self.high:
            raise ValueError(f"must be from {self.low} to {self.high}")
        return value


class Flag(hug.types.Type):
    """true or false"""

    def __call__(self, value, context=None):
        if isinstance(value, Typed) and value in ("true", "false"):
            value = value == "true"
        if type(value) is not bool:
            raise ValueError("must be true or false")
        return value


class Labels(hug.types.Type):
    """A list of texts; in a form or a query, separated by commas"""

    def __call__(self, value, context=None):
        if isinstance(value, Typed):
            value = [word.strip() for word in value.split(",")] if value else []
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ValueError("must be a list of texts")
        return [_clean(item) for item in value]


class Json(hug.types.Type):
    """Any JSON value; in a form or a query, its text"""

    def __call__(self, value, context=None):
        if isinstance(value, Typed):
            value = read_json(value)
        for text in _texts(value):
            _clean(text)
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

    def __call__(self, value, context=None):
        # Where null is against the rules, the database says so.
        if value is None or (self.nullable and isinstance(value, Typed) and value == ""):
            return None
        return self.kind(value)


class Several(hug.types.Type):
    """One value or several, separated by commas; with ! in front, none of them"""

    def __call__(self, value, context=None):
        """Return (whether they are excluded, [values])."""
        value = Word()(value)
        values = value.removeprefix("!").split(",")
        if "" in values:
            raise ValueError("must be values separated by commas, none of them empty")
        return value.startswith("!"), values


class Pairs(hug.types.Type):
    """fields.NAME=text, collected into [(NAME, text)]"""

    def __call__(self, value, context=None):
        return tuple((_clean(name), Word()(text)) for name, text in value)


class Names(hug.types.Type):
    """Names out of a known set, separated by commas"""

    def __init__(self, known):
        self.known = tuple(known)

    def __call__(self, value, context=None):
        names = Word()(value).split(",")
        unknown = [name for name in names if name not in self.known]
        if unknown:
            raise ValueError(f"must be of {', '.join(self.known)}, not {unknown[0]!r}")
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


TYPES = {ARRAY: Labels, JSONB: JsonText, TIMESTAMP: Time, ENUM: Text}


def of(column):
    """Return the type for values of a model's column."""
    return Nullable(TYPES.get(type(column.type), Text)(), column.nullable)


def takes(**types):
    """Say what a route takes, {name: type}: names not in here are refused.

    Hug reads types from annotations; this writes them there, so that they can come from models.
    """

    def decorate(function):
        function.__annotations__.update(types)
        return function

    return decorate


def offers(*media):
    """Say which media types a route can answer with, beside JSON."""

    def decorate(function):
        function.__dict__["offers"] = (*(each for each in media if each not in JSON), *JSON)
        return function

    return decorate


# Bodies ------------------------------------------------------------------------------------------


def takes_many(function):
    """Say that a route takes a list of objects, too, which it finds in request.context.rows."""
    function.__dict__["takes_many"] = True
    return function


def body(request, most=MAX_BODY):
    """Read a request's body, whole and in time.

    most:     bytes that it may have.
    Returns:  bytes, empty where there is none.
    Raises:   Problem 400, 408, 413.
    """
    length, chunked = request.content_length, "HTTP_TRANSFER_ENCODING" in request.env
    if not chunked and not length:
        return b""
    too_large = errors.Problem(413, "body_too_large", f"a body has at most {most} bytes")
    if length and length > most:
        raise too_large
    late = errors.Problem(408, "body_too_slow", f"a body must arrive within {BODY_SECONDS} s")
    try:
        with gevent.Timeout(BODY_SECONDS, late):
            raw = request.env["wsgi.input"].read(most + 1 if chunked else length)
    except errors.Problem:
        raise
    except OSError:
        raise errors.Problem(400, "body_truncated", "the body ended before its end") from None
    except Exception as error:  # gunicorn has a class for each way to break chunks
        raise errors.Problem(400, "malformed_body", f"the chunks are broken: {error}") from None
    if len(raw) > most:
        raise too_large
    if not chunked and len(raw) < length:
        raise errors.Problem(400, "body_truncated", "the body ended before its end")
    return raw


def parse(raw, content_type, many=False):
    """Turn a body into {name: value}.

    raw:          bytes.
    content_type: the header, or None.
    many:         whether it may be a list as well, or NDJSON.
    Returns:      a dictionary; or a list of whatever the body has.
    Raises:       Problem 400, 413, 415.
    """
    kind, _, options = (content_type or "").partition(";")
    kind = kind.strip().lower()
    charset = re.search(r"charset\s*=\s*\"?([\w-]+)", options, re.IGNORECASE)
    if charset and charset[1].lower() not in ("utf-8", "utf8", "us-ascii"):
        raise errors.Problem(415, "unsupported_media_type", "send UTF-8")
    form = kind == "application/x-www-form-urlencoded"
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise errors.Problem(400, "malformed_body", f"the body is not UTF-8: {error}") from None
    if many and re.fullmatch(r"application/(x-)?(ndjson|jsonl|jsonlines)", kind):
        return _lines(text)
    # `curl -d '{…}'` calls everything a form; no field's name starts with a brace.
    if form and not text.lstrip().startswith(("{", "[")):
        return parse_form(text)
    if not form and not re.fullmatch(r"|application/(.+\+)?json", kind):
        raise errors.Problem(
            415,
            "unsupported_media_type",
            f"{kind} is not understood",
            hint="Send application/json, or a form (application/x-www-form-urlencoded).",
        )
    try:
        data = read_json(text)
    except ValueError as error:
        raise errors.Problem(400, "malformed_json", f"the body is no JSON: {error}") from None
    if many and isinstance(data, list):
        return data
    if not isinstance(data, dict):
        raise errors.Problem(400, "malformed_body", "the body must be a JSON object")
    if len(raw) > MAX_BODY:
        raise errors.Problem(413, "body_too_large", f"one ticket has at most {MAX_BODY} bytes")
    return data


def _lines(text):
    """Read NDJSON."""
    rows = []
    for line in text.split("\n"):
        if line and not line.isspace():
            try:
                rows.append(read_json(line))
            except ValueError as error:
                detail = f"row {len(rows)} is no JSON: {error}"
                raise errors.Problem(400, "malformed_json", detail, index=len(rows)) from None
    return rows


def rows(given, types):
    """Check the types of many objects.

    given:    a list of whatever came.
    types:    {name: type} of each.
    Returns:  the list as JSON text, for PostgreSQL.
    Raises:   Problem 422 that names the mistakes by their index, from 0.
    """
    mistakes, rows_ = [], []
    for index, row in enumerate(given):
        wrong, values = {}, {}
        if not isinstance(row, dict):
            wrong[""] = "must be a JSON object"
        for name, value in row.items() if isinstance(row, dict) else ():
            try:
                values[name] = types[name](value)
            except KeyError:
                wrong[name[:100]] = "is unknown here"
            except ValueError as error:
                wrong[name] = str(error)
        rows_.append(values)
        if wrong:
            detail = "; ".join(f"{name} {message}".strip() for name, message in wrong.items())
            mistakes.append({"index": index, "detail": detail, "errors": wrong})
            if len(mistakes) == MAX_MISTAKES:
                break
    if mistakes:
        raise errors.bulk(422, "invalid_value", mistakes)
    return rows_


def parse_form(text):
    """Turn a form or a query string into {name: Typed}.

    Raises:   Problem 400.
    """
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=1000)
    except ValueError as error:
        raise errors.Problem(400, "malformed_form", f"this can't be decoded: {error}") from None
    data = {}
    for name, value in pairs:
        if name in data:
            raise errors.Problem(400, "given_twice", f"{name} is given twice")
        data[name] = Typed(value)
    return data


def read_json(text):
    """Read JSON strictly: no NaN, no name twice, no number that would change, at most 32 deep.

    Raises:   ValueError.
    """
    try:
        data = json.loads(
            text, parse_constant=_constant, parse_float=_float, object_pairs_hook=_pairs
        )
        _depth(data)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return data


def _constant(name):
    raise ValueError(f"{name} is no JSON")


def _float(text):
    value = float(text)
    if value in (float("inf"), float("-inf")) or Decimal(repr(value)) != Decimal(text):
        raise ValueError(f"the number {text[:40]} would lose digits; send it as text")
    return value


def _pairs(pairs):
    data = dict(pairs)
    if len(data) < len(pairs):
        raise ValueError("a name is given twice")
    return data


def _depth(value, depth=0):
    if depth > MAX_DEPTH:
        raise ValueError("nested too deeply")
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            _depth(item, depth + 1)


def _texts(value):
    """Yield every text in a JSON value, names included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in [*value.keys(), *value.values()] if isinstance(value, dict) else value:
            yield from _texts(item)
