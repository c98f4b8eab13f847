"""Many rows in one body: a JSON array, or NDJSON.

Here they are counted and read, one by one, so that others have their turn in between, and passed on as they
came. What they say, PostgreSQL looks at.
"""

import json
import re

from iris import bounds, problems
from iris.intake import strict

# Rows of one request; characters of all of them, with what the query adds to each.
MOST, MOST_TOGETHER = 50_000, 64 << 20
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


def each_with(text, more):
    """Return the rows of an array, each with what is given for all of them.

    text:     of array() or lines().
    more:     {name: value}, as JSON has it.
    Raises:   Problem 400 that names the row which has one of these, too; 413 if it becomes too much.
    """
    beside, made, size = json.dumps(more)[1:-1], [], 0
    for index, (row, start, end) in enumerate(_items(text)):
        given = text[start:end]
        # What is no object is none that something can be added to; the database says so.
        if isinstance(row, dict):
            if twice := row.keys() & more.keys():
                detail = f"row {index}: {min(twice)} is given in the query and in the body"
                raise problems.Problem("given_twice", detail, index=index)
            given = f"{{{beside}{', ' * bool(row)}{given[1:]}"
        size += len(given)
        if size > MOST_TOGETHER:
            raise problems.Problem(
                "body_too_large", "with what the query adds, the rows are too long"
            )
        made.append(given)
        bounds.breathe()
    return f"[{','.join(made)}]"


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
