"""How answers are written. PostgreSQL makes JSON, CSV and TSV; here they are only passed on."""

import json
from http import HTTPStatus

import hug
from sqlalchemy import Text, case, cast, func, literal_column
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP

from iris import bounds, errors

PROBLEM = "application/problem+json"
REASONS = {status.value: status.phrase for status in HTTPStatus}

MEDIA = {
    "ndjson": "application/x-ndjson",
    "tsv": "text/tab-separated-values",
    "csv": "text/csv",
    "text": "text/plain",
    # The last one is what `*/*` means.
    "json": "application/json",
}
# These give everything that matches, without pages.
STREAMED = ("ndjson", "tsv", "csv")


def _as_text(column):
    """Return a column as the text that JSON has for it."""
    if isinstance(column.type, ARRAY | JSONB):
        return cast(func.to_jsonb(column), Text)
    if isinstance(column.type, TIMESTAMP):
        return func.to_jsonb(column).op("#>>")(literal_column("'{}'"))
    return cast(column, Text)


def _csv(column):
    """Return a column as a field of CSV, as COPY writes it: nothing for null, quotes where needed."""
    text = _as_text(column)
    special = text.op("~")(literal_column("'[\",\\r\\n]|^\\s|\\s$|^$|^\\\\\\.$'"))
    quoted = literal_column("'\"'").op("||")(func.replace(text, '"', '""')).op("||")('"')
    return func.coalesce(case((special, quoted), else_=text), "")


def _tsv(column):
    """Return a column as a field of TSV, as COPY writes it: \\N for null, \\t, \\n, \\r, \\\\."""
    text = _as_text(column)
    for char, written in (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r")):
        text = func.replace(text, char, written)
    return func.coalesce(text, "\\N")


def line(name, row):
    """Return the expression for a row as a line of a streamed format.

    name:     ndjson, csv or tsv.
    row:      a subquery.
    """
    if name == "ndjson":
        return cast(func.row_to_json(literal_column(f'"{row.name}"')), Text)
    field, separator = (_csv, ",") if name == "csv" else (_tsv, "\t")
    first, *others = (field(column) for column in row.c)
    for other in others:
        first = first.op("||")(separator).op("||")(other)
    return first


def heading(name, columns):
    """Return what a streamed format has before its first row."""
    separator = {"csv": ",", "tsv": "\t"}.get(name)
    return separator.join(columns) + "\n" if separator else ""


def array(rows):
    """Return JSON objects, each as text, as a JSON array, a line each."""
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
    if isinstance(content, str):
        content = content.encode()
    elif not isinstance(content, bytes):
        content = json.dumps(content, ensure_ascii=False, allow_nan=False).encode()
    # A terminal likes its line to end.
    return content if content.endswith(b"\n") else content + b"\n"


def write_problem(problem, request, response):
    """Make a response the telling of a Problem."""
    document = problem.document(request.context.get("request_id"))
    response.status = f"{problem.status} {REASONS.get(problem.status, 'Problem')}"
    response.body, response.stream = None, None
    response.data = document.encode() + b"\n"
    response.content_type = PROBLEM
    for name, value in problem.headers.items():
        response.set_header(name, value)


@hug.format.content_type(PROBLEM)
def as_invalid(data, request=None, response=None):
    """What Hug's types refused"""
    wrong = {
        name: "is required" if message.startswith("Required parameter ") else message
        for name, message in data["errors"].items()
    }
    write_problem(errors.invalid(wrong), request, response)
    return response.data
