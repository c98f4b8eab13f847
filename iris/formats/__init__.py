"""How answers are written: one table of the formats that lists come in."""

from collections.abc import Callable
from typing import NamedTuple

from iris import problems
from iris.formats import atom, csv, ics, json, terminal


class Format(NamedTuple):
    """A format of lists.

    media:    its media type.
    line:     of one that is streamed, and so gives everything that matches: (subquery) → the expression
              of a row as a line; else None.
    heading:  of one that is streamed: (columns) → what comes before the first row.
    render:   of one that comes page by page: (rows as JSON texts, columns, which of them are times, how
              it is to look) → the answer.
    drawn:    whether it is for eyes: what a list shows unless asked for more, and how much more there is.
    publish:  of one that people subscribe to: (rows as JSON texts, an entries.Asked) → the answer.
    page:     whether it is a page for a browser, which a template draws.
    usual:    parameters that it has unless the request has others, {name: value}.
    """

    media: str
    line: Callable | None = None
    heading: Callable = lambda columns: ""
    render: Callable | None = None
    drawn: bool = False
    publish: Callable | None = None
    page: bool = False
    usual: dict = {}


LISTS = {
    "html": Format("text/html", drawn=True, page=True),
    "ndjson": Format("application/x-ndjson", line=json.line),
    "tsv": Format("text/tab-separated-values", line=csv.tsv_line, heading=csv.tsv_heading),
    "csv": Format("text/csv", line=csv.csv_line, heading=csv.csv_heading),
    "text": Format("text/plain", render=terminal.table, drawn=True),
    # The last one is what `*/*` means.
    "json": Format("application/json", render=lambda rows, columns, times, look: json.array(rows)),
}
# Of tickets also these. A calendar asks for no second page: the latest days of all that have one.
DUE = {"due_after": "0001-01-01", "sort": "-due", "limit": 1000}
TICKETS = {
    "ics": Format("text/calendar", publish=ics.calendar, usual=DUE),
    "atom": Format("application/atom+xml", publish=atom.feed),
    **LISTS,
}
# CSV of which no field is a formula to a spreadsheet: csv=safe.
SAFE = LISTS["csv"]._replace(line=csv.safe_line)
# Parameters that only one format has a use for.
ONLY_FOR = {"csv": "csv", "width": "text", "color": "text"}
# The feed's own.
STREAM = "text/event-stream"
# What the API speaks, {name: media type}.
MEDIA = {"stream": STREAM, **{name: each.media for name, each in TICKETS.items()}}


def of(name, given):
    """Return the Format of a list.

    name:     of TICKETS.
    given:    {name: value} of the request.
    Raises:   Problem 400 where it asks for safe CSV and no CSV, and the like.
    """
    for parameter, form in ONLY_FOR.items():
        if parameter in given and name != form:
            raise only_for(parameter)
    if TICKETS[name].publish and "columns" in given:
        wrong = f"is not for format={name}, which has its own"
        raise problems.Problem("unknown_parameter", f"columns {wrong}", errors={"columns": wrong})
    return SAFE if "csv" in given else TICKETS[name]


def only_for(parameter):
    """Return the Problem 400 of a parameter of ONLY_FOR, where another format is asked for."""
    wrong = f"is for format={ONLY_FOR[parameter]}"
    return problems.Problem("unknown_parameter", f"{parameter} {wrong}", errors={parameter: wrong})
