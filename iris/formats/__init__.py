"""How answers are written: one table of the formats that lists come in."""

from collections.abc import Callable
from typing import NamedTuple

from iris.formats import csv, json, terminal


class Format(NamedTuple):
    """A format of lists.

    media:    its media type.
    line:     of one that is streamed, and so gives everything that matches: (subquery) → the expression
              of a row as a line; else None.
    heading:  of one that is streamed: (columns) → what comes before the first row.
    render:   of one that comes page by page: (rows as JSON texts, columns, which of them are times) →
              the answer.
    """

    media: str
    line: Callable | None = None
    heading: Callable = lambda columns: ""
    render: Callable | None = None


LISTS = {
    "ndjson": Format("application/x-ndjson", line=json.line),
    "tsv": Format("text/tab-separated-values", line=csv.tsv_line, heading=csv.tsv_heading),
    "csv": Format("text/csv", line=csv.csv_line, heading=csv.csv_heading),
    "text": Format("text/plain", render=terminal.table),
    # The last one is what `*/*` means.
    "json": Format("application/json", render=lambda rows, columns, times: json.array(rows)),
}
# The feed's own.
STREAM = "text/event-stream"
# What the API speaks, {name: media type}.
MEDIA = {"stream": STREAM, **{name: each.media for name, each in LISTS.items()}}
