"""CSV and TSV, a row a line, made by PostgreSQL as its COPY would write them."""

from sqlalchemy import Text, case, cast, func, literal_column
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP


def _as_text(column):
    """Return a column as the text that JSON has for it."""
    if isinstance(column.type, ARRAY | JSONB):
        return cast(func.to_jsonb(column), Text)
    if isinstance(column.type, TIMESTAMP):
        return func.to_jsonb(column).op("#>>")(literal_column("'{}'"))
    return cast(column, Text)


def _csv(column):
    """Return a column as a field of CSV, as COPY writes it: nothing for null, quotes where needed."""
    return _quoted(_as_text(column))


def _safe(column):
    """Return a column as a field of CSV that a spreadsheet takes for text, whatever it begins with."""
    text = _as_text(column)
    formula = text.op("~")(literal_column("'^[-=+@\\t\\r]'"))
    return _quoted(case((formula, literal_column("''''").op("||")(text)), else_=text))


def _quoted(text):
    special = text.op("~")(literal_column("'[\",\\r\\n]|^\\s|\\s$|^$|^\\\\\\.$'"))
    quoted = literal_column("'\"'").op("||")(func.replace(text, '"', '""')).op("||")('"')
    return func.coalesce(case((special, quoted), else_=text), "")


def _tsv(column):
    """Return a column as a field of TSV, as COPY writes it: \\N for null, \\t, \\n, \\r, \\\\."""
    text = _as_text(column)
    for char, written in (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r")):
        text = func.replace(text, char, written)
    return func.coalesce(text, "\\N")


def _line(row, field, separator):
    first, *others = (field(column) for column in row.c)
    for other in others:
        first = first.op("||")(separator).op("||")(other)
    return first


def csv_line(row):
    """Return the expression for a row of a subquery as a line of CSV."""
    return _line(row, _csv, ",")


def safe_line(row):
    """Return the expression for a row of a subquery as a line of CSV for spreadsheets."""
    return _line(row, _safe, ",")


def tsv_line(row):
    """Return the expression for a row of a subquery as a line of TSV."""
    return _line(row, _tsv, "\t")


def csv_heading(columns):
    """Return the first line of a CSV."""
    return ",".join(columns) + "\n"


def tsv_heading(columns):
    """Return the first line of a TSV."""
    return "\t".join(columns) + "\n"
