"""JSON and NDJSON: PostgreSQL makes them; here they are only passed on."""

import json

import hug
from sqlalchemy import Text, cast, func, literal_column

from iris import bounds


def line(row):
    """Return the expression for a row of a subquery as a line of NDJSON."""
    return cast(func.row_to_json(literal_column(f'"{row.name}"')), Text)


def array(rows):
    """Return JSON objects, each as text, as a JSON array, a line each."""
    rows = list(rows)
    if sum(map(len, rows)) <= bounds.ITEM:
        # As nearly all pages are; it takes less time than to ask whether others want a turn.
        return ("[" + ", \n ".join(rows) + "]\n").encode()
    made = []
    for row in rows:
        made.append(row.encode())
        bounds.breathe()
    return b"[" + b", \n ".join(made) + b"]\n"


@hug.format.content_type("application/json")
def as_json(content, request=None, response=None):
    """JSON"""
    if content is None:
        return None
    if isinstance(content, bytes):
        # Made to be sent; it may be packed.
        return content
    if isinstance(content, str):
        content = content.encode()
    else:
        content = json.dumps(content, ensure_ascii=False, allow_nan=False).encode()
    # A terminal likes its line to end.
    return content if content.endswith(b"\n") else content + b"\n"
