"""Rows of a CSV."""

import csv
import re

import psycopg2

from iris.transfer import files, writing

# The columns of a CSV that mean something; where `false`, an empty text is as good as none.
COLUMNS = {
    "title": True, "description": True, "assignee": True, "status": False, "reporter": False,
    "priority": False, "labels": False, "fields": False, "due": False, "created": False,
    "updated": False, "closed": False,
}  # fmt: skip


def stage(cursor, file):
    """Stage a CSV with a header; PostgreSQL reads it, so that nothing in it is bent.

    Returns:  ({}, a function that writes the records of some places to a file).
    """
    head = []

    def lines():
        while line := file.readline():
            head.append(line)
            yield line.decode("utf-8-sig" if len(head) == 1 else "utf-8")

    try:
        names = next(csv.reader(lines(), strict=True), [])
    except (ValueError, csv.Error) as error:
        raise files.Refused(f"line 1 is no header of a CSV: {error}") from None
    for name in names:
        if not name or "\x00" in name or names.count(name) > 1:
            raise files.Refused(f'line 1: each column needs a name of its own, "{name}" is none')
    if "title" not in names:
        raise files.Refused("line 1: there is no column title")
    columns = [f"c{number}" for number in range(len(names))]
    cursor.execute(
        "CREATE TEMPORARY TABLE records (place bigint GENERATED ALWAYS AS IDENTITY,"
        f" {', '.join(f'{column} text' for column in columns)}) ON COMMIT DROP"
    )
    try:
        cursor.copy_expert(f"COPY records ({', '.join(columns)}) FROM STDIN (FORMAT csv)", file)
    except psycopg2.DataError as error:
        words, line = writing.words_of(error)
        words = re.sub(r'"c(\d+)"', lambda found: f'"{names[int(found[1])]}"', words)
        line = _start(file, line + len(head)) if line else "?"
        raise files.Refused(f"line {line}: {words}") from None

    def values(known):
        return ", ".join(
            column if COLUMNS.get(name, True) else f"nullif({column}, '')"
            for name, column in zip(names, columns, strict=True)
            if (name in COLUMNS) == known
        )

    cursor.execute(
        f"""
        INSERT INTO foreigners
        SELECT place, 'line ' || line, entry::text, jsonb_build_object('imported',
            encode(sha256(convert_to(entry::text, 'UTF8')), 'hex')
            -- The same again in one file is another ticket.
            || coalesce('-' || nullif(row_number() OVER (PARTITION BY entry ORDER BY place), 1), ''))
        FROM (SELECT place,
                %s + place + coalesce(sum(length(whole) - length(replace(whole, E'\\n', '')))
                    OVER (ORDER BY place ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS line,
                '{{"reporter": "import"}}'
                || jsonb_strip_nulls(jsonb_object(%s, ARRAY[{values(True)}]::text[]))
                || jsonb_build_object('extra', (SELECT coalesce(jsonb_object_agg(key, value), '{{}}')
                    FROM jsonb_each_text(jsonb_object(%s, ARRAY[{values(False)}]::text[]))
                    WHERE value <> '')) AS entry
            FROM (SELECT records.*, array_to_string(ARRAY[{", ".join(columns)}], '') AS whole
                FROM records) AS read) AS made
        """,
        (len(head), [n for n in names if n in COLUMNS], [n for n in names if n not in COLUMNS]),
    )

    def write(bad, places):
        bad.write(b"".join(head))
        cursor.copy_expert(
            f"COPY (SELECT {', '.join(columns)} FROM records WHERE place IN ({', '.join(map(str, places))})"
            " ORDER BY place) TO STDOUT (FORMAT csv)",
            bad,
        )

    return {}, write


def _start(file, line):
    """Return where the record starts that reaches this line: a quote opens or closes, always."""
    if not file.seekable():
        return line
    file.seek(0)
    quotes, start = 0, 1
    for number, text in enumerate(file, 1):
        if number > line:
            break
        if quotes % 2 == 0:
            start = number
        quotes += text.count(b'"')
    return start
