"""JSON, strictly read: nothing is dropped, bent or taken for something else."""

import json
from decimal import Decimal

from iris import bounds

MAX_DEPTH = 32
# Digits of a whole number: with more, Python takes too long.
MAX_DIGITS = 4300


def read(text):
    """Read JSON: no NaN, no name twice, no number that would change, at most 32 deep.

    Raises:   ValueError.
    """
    value, end = decode(text, bounds.BLANK.match(text).end())
    if bounds.BLANK.match(text, end).end() < len(text):
        raise json.JSONDecodeError("Extra data", text, end)
    return value


def decode(text, at):
    """Read the JSON value that begins at a place in a text.

    Returns:  (the value, where it ends).
    Raises:   ValueError.
    """
    try:
        value, end = DECODER.raw_decode(text, at)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    _depth(value)
    return value, end


def _constant(name):
    raise ValueError(f"{name} is no JSON")


def _whole(text):
    bounds.breathe()
    if len(text) > MAX_DIGITS:
        raise ValueError(f"the number {text[:40]}… has too many digits; send it as text")
    return int(text)


def _float(text):
    bounds.breathe()
    value = float(text)
    try:
        kept = Decimal(repr(value)) == Decimal(text)
    except ArithmeticError:  # an exponent that not even a Decimal has
        kept = False
    if not kept:
        raise ValueError(f"the number {text[:40]} would lose digits; send it as text")
    return value


def _pairs(pairs):
    bounds.breathe()
    data = dict(pairs)
    if len(data) < len(pairs):
        raise ValueError("a name is given twice")
    return data


DECODER = json.JSONDecoder(
    parse_constant=_constant, parse_int=_whole, parse_float=_float, object_pairs_hook=_pairs
)


def _depth(value, depth=0):
    if not isinstance(value, dict | list) or not value:
        return
    if depth == MAX_DEPTH:
        raise ValueError("nested too deeply")
    bounds.breathe()
    for item in value.values() if isinstance(value, dict) else value:
        # Most are none of both, and not worth a call.
        if isinstance(item, dict | list):
            _depth(item, depth + 1)


def clean(text):
    """Return text that PostgreSQL can keep: no NUL, no half of a surrogate pair.

    Raises:   ValueError with a message that reads on after the text's name.
    """
    if "\0" in text:
        raise ValueError("must not contain a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("must not contain half a surrogate pair") from None
    return str(text)


def texts(value):
    """Yield every text in a JSON value, names included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        bounds.breathe()
        for item in [*value.keys(), *value.values()] if isinstance(value, dict) else value:
            yield from texts(item)
