"""Many rows in one body: a JSON array, or NDJSON.

Here they are counted and read, one by one, so that others have their turn in between, and passed on as they
came. What they say, PostgreSQL looks at.
"""

import re

from iris import bounds, problems
from iris.intake import strict

# Rows of one request.
MOST = 50_000
# What may be a character that PostgreSQL can't keep, written as an escape.
UNKEEPABLE = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")


def array(text):
    """Read a JSON array of rows.

    Returns:  the array as it came.
    Raises:   Problem 400, 413, 422 that names the row by its index, from 0.
    """
    for _ in _rows(text, _items(text)):
        pass
    return text


def change(text):
    """Whether one of the rows of an array changes a ticket that is there, of whatever version.

    text:     of array() or lines().
    """
    found = False
    for row, _, _ in _items(text):
        found = found or (
            isinstance(row, dict)
            and row.get("ticket_id") is not None
            and type(row.get("version")) is not int
        )
        bounds.breathe()
    return found


def lines(text):
    """Read NDJSON.

    Returns:  the rows as a JSON array.
    Raises:   as array().
    """
    return f"[{','.join(_rows(text, _lines(text)))}]"


def _items(text):
    """Yield (value, start, end) of each item of an array, which is all that there is."""
    end = yield from bounds.items(text, text.index("[") + 1, strict.decode)
    if bounds.skip(text, end) < len(text):
        raise ValueError(f"there is more after its end, from character {end}")


def _lines(text):
    """Yield (value, start, end) of each line that is not blank."""
    start = bounds.skip(text, 0)
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        if end - start > bounds.ITEM:
            raise bounds.TooLarge
        yield strict.read(text[start:end]), start, end
        start = bounds.skip(text, end)


def _rows(text, found):
    """Yield the rows that were found, as they came; none is too large, or has what nobody can keep."""
    index = 0
    try:
        for value, start, end in found:
            row = text[start:end]
            if index == MOST:
                raise problems.Problem("too_many_rows", f"a request has at most {MOST:,} rows")
            if 4 * len(row) > bounds.ITEM and len(row.encode()) > bounds.ITEM:
                raise bounds.TooLarge
            if UNKEEPABLE.search(row):
                _keepable(index, value)
            yield row
            index += 1
            bounds.breathe()
    except bounds.TooLarge:
        detail = f"row {index} has more than {bounds.ITEM} bytes"
        raise problems.Problem("body_too_large", detail, index=index) from None
    except ValueError as error:
        detail = f"row {index} is no JSON: {error}"
        raise problems.Problem("malformed_json", detail, index=index) from None


def _keepable(index, row):
    for name, value in row.items() if isinstance(row, dict) else [("", row)]:
        try:
            for each in strict.texts([name, value]):
                strict.clean(each)
        except ValueError as error:
            raise problems.bad_row(index, name, str(error)) from None
