"""Bodies: read whole and in time, then turned into names and values, strictly."""

import re
from urllib.parse import parse_qsl

import gevent

from iris import bounds, problems
from iris.intake import rows, strict

MAX_BODY = 1 << 20
# Of a request that is refused for something else: as much is read all the same.
MAX_UNWANTED = 1 << 16
# Of many tickets at once.
MAX_BULK = 64 << 20
BODY_SECONDS = 30
# What a body may be; where nothing is said, it is JSON.
JSON = re.compile(r"|application/(.+\+)?json")
NDJSON = re.compile(r"application/(x-)?(ndjson|jsonl|jsonlines)")
CHARSET = re.compile(r"charset\s*=\s*\"?([\w-]+)", re.IGNORECASE)

# What no name has, but the end of a text that was torn at its &.
TORN = re.compile(r"[^\w.-]")
# A % that stands for itself, which in a form it can't.
BARE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
ENCODE = "To send a text as it is: --data-urlencode 'title=…' in place of -d, or --json."


class Untyped(str):
    """A value from a form or a query, where everything is text: what it is of, its type says.

    typed:    whether it came as somebody typed it, with blanks: a + in it was meant, but is lost.
    plus:     whether one of its blanks came as a +, from somebody who encoded nothing.
    """

    typed = plus = False


def body(request, most=MAX_BODY):
    """Read a request's body, whole and in time.

    most:     bytes that it may have.
    Returns:  bytes, empty where there is none.
    Raises:   Problem 400, 408, 413.
    """
    if "body" in request.context:
        return request.context.body
    length, chunked = request.content_length, "HTTP_TRANSFER_ENCODING" in request.env
    if not chunked and not length:
        return b""
    coding = request.get_header("Content-Encoding")
    if coding and coding.strip().lower() != "identity":
        raise problems.Problem(
            "unsupported_media_type",
            f"a body in {coding[:100]!r} is not understood; send it as it is",
        )
    if length and length > most:
        raise _too_large(most)
    stream = request.env["wsgi.input"]
    size = most + 1 if chunked else length
    raw = stream.read(size) if _is_here(stream, length) else _wait(stream, size)
    if len(raw) > most:
        raise _too_large(most)
    if not chunked and len(raw) < length:
        raise problems.Problem("body_truncated", "the body ended before its end")
    return raw


def _too_large(most):
    return problems.Problem("body_too_large", f"a body has at most {most} bytes")


def _is_here(stream, length):
    """Whether a body has come with its head, by gunicorn's buffer; then nobody waits for it."""
    unreader = getattr(getattr(stream, "reader", None), "unreader", None)
    return unreader is not None and 0 < (length or 0) <= unreader.buf.tell()


def _wait(stream, size):
    late = problems.Problem("body_too_slow", f"a body must arrive within {BODY_SECONDS} s")
    try:
        with gevent.Timeout(BODY_SECONDS, late):
            return stream.read(size)
    except problems.Problem:
        raise
    except TimeoutError:
        raise late from None
    except OSError:
        raise problems.Problem("body_truncated", "the body ended before its end") from None
    except Exception as error:  # gunicorn has a class for each way to break chunks
        raise problems.Problem("malformed_body", f"the chunks are broken: {error}") from None


def begin(request):
    """Read a small body before anything is refused: its connection is then good for another request.

    Raises:   as body() does.
    """
    if 0 < (request.content_length or 0) <= MAX_UNWANTED:
        request.context.body = body(request)


def parse(raw, content_type, many=False, split=None):
    """Turn a body into {name: value}.

    raw:          bytes.
    content_type: the header, or None.
    many:         whether it may be a list as well, or NDJSON.
    split:        (text) → {name: value} where it may be plain text as well, else None.
    Returns:      a dictionary; or, of many, a JSON array as text.
    Raises:       Problem 400, 413, 415.
    """
    kind, _, options = (content_type or "").partition(";")
    kind = kind.strip().lower()
    charset = options and CHARSET.search(options)
    if charset and charset[1].lower() not in ("utf-8", "utf8", "us-ascii"):
        raise problems.Problem("unsupported_media_type", "send UTF-8")
    form = kind == "application/x-www-form-urlencoded"
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise problems.Problem("malformed_body", f"the body is not UTF-8: {error}") from None
    if many and NDJSON.fullmatch(kind):
        return rows.lines(text)
    # `curl -d '{…}'` calls everything a form; no field's name starts with a brace.
    start = bounds.skip(text, 0)
    first = text[start : start + 1]
    is_list = many and first == "["
    if len(raw) > MAX_BODY and not is_list:
        raise problems.Problem("body_too_large", f"one ticket has at most {MAX_BODY} bytes")
    # `curl -T note.txt` says of no file what it is.
    if split and (kind == "text/plain" or (not kind and first not in ("{", "["))):
        return split(text.removeprefix("\ufeff"))
    if form and first not in ("{", "["):
        return parse_form(text, of_body=True)
    if not form and not JSON.fullmatch(kind):
        other = ", or text/plain" if split else ""
        raise problems.Problem(
            "unsupported_media_type",
            f"{kind} is not understood",
            hint=f"Send application/json, or a form (application/x-www-form-urlencoded){other}.",
        )
    if is_list:
        return rows.array(text)
    try:
        data = strict.read(text)
    except ValueError as error:
        hint = (
            None if kind or not split else "If it is text, say so: -H 'Content-Type: text/plain'."
        )
        raise problems.Problem(
            "malformed_json", f"the body is no JSON: {error}", hint=hint
        ) from None
    if not isinstance(data, dict):
        raise problems.Problem("malformed_body", "the body must be a JSON object")
    return data


def parse_form(text, of_body=False):
    """Turn a form or a query string into {name: Untyped}.

    of_body:  whether it is to be kept, so that what was not encoded is not guessed at.
    Raises:   Problem 400.
    """
    if of_body and BARE_PERCENT.search(text):
        detail = "a % in a form begins a character's code, and here is one that doesn't"
        raise problems.Problem("malformed_form", detail, hint=ENCODE)
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=1000)
    except ValueError as error:
        raise problems.Problem("malformed_form", f"this can't be decoded: {error}") from None
    data = {}
    for name, value in pairs:
        if name in data:
            raise problems.Problem("given_twice", f"{name} is given twice")
        data[name] = Untyped(value)
    if "+" in text:
        for piece in text.split("&"):
            if "+" in piece:
                for name, _ in parse_qsl(piece, keep_blank_values=True):
                    data[name].plus = "%" not in piece
                    data[name].typed = of_body and " " in piece
    return data
