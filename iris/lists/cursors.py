"""Cursors: where a page starts. One says the order it belongs to, and the key of the first row.

A key is never null: what may be is sorted as something else (see keys.py).
"""

import base64
import json

from iris import problems
from iris.intake import types


class Cursor(types.Word):
    """A cursor, as a Link header gave it"""


def encode(sort, *keys):
    """Make a cursor: the order it belongs to and the key of the next row."""
    document = json.dumps([sort, *keys]).encode()
    return base64.urlsafe_b64encode(document).decode().rstrip("=")


def wrong():
    """Return the problem of a cursor that is none of the list's."""
    return problems.invalid({"cursor": "must be one that a Link header of this very list gave"})


def decode(cursor, sort, keys):
    """Read a cursor of so many keys into {key_0: value, …}."""
    try:
        document = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        made_for, *texts = json.loads(document, parse_int=str, parse_float=str)
        texts = [types.Text()(text) for text in texts]
    except (ValueError, TypeError, RecursionError):
        raise wrong() from None
    if made_for != sort or len(texts) != keys:
        raise wrong()
    return {f"key_{place}": text for place, text in enumerate(texts)}
