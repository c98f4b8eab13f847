"""An export, back into an empty Iris."""

import json

import psycopg2

from iris.transfer import export, files, writing


def read(url, path, say):
    """Read an export into an Iris that is empty.

    url:      a libpq connection string of the database's owner.
    path:     the export's, or - for stdin.
    say:      a function that takes a sentence for the person at the terminal.
    Raises:   Refused, and nothing has changed; psycopg2.Error likewise.
    """
    progress = files.Progress(say)
    with files.opened(path) as file, writing.rules_off(url) as cursor:
        header = _header(file.readline())
        cursor.execute("SELECT version_num FROM alembic_version")
        (revision,) = cursor.fetchone()
        if header["revision"] != revision:
            raise files.Refused(
                f"the export is of revision {header['revision']}, this database is at {revision}"
            )
        cursor.execute("SELECT EXISTS (TABLE tickets) OR EXISTS (TABLE events)")
        if cursor.fetchone()[0]:
            raise files.Refused(
                "there are tickets or events already: an export goes into an empty Iris"
            )
        _stage(cursor, files.Reading(file, progress))
        cursor.execute("SELECT name, count(*) FROM staged GROUP BY name")
        counts = dict(cursor.fetchall())
        for name in export.TABLES:
            if counts.get(name, 0) != header[name]:
                raise files.Refused(
                    f"the file is not whole: it should have {header[name]} {name}"
                    f" and has {counts.get(name, 0)}"
                )
        cursor.execute("DELETE FROM transitions; DELETE FROM statuses")
        for name in export.TABLES:
            progress(f"{name}: {header[name]} rows")
            try:
                cursor.execute(
                    f"INSERT INTO {name} OVERRIDING SYSTEM VALUE SELECT made.* FROM staged,"
                    f" jsonb_populate_record(NULL::{name}, entry -> 'row') AS made WHERE name = %s",
                    (name,),
                )
            except writing.MISTAKES as error:
                raise files.Refused(f"{name}: {writing.words_of(error)[0]}") from None
        progress("the words for searching")
        cursor.execute(files.sql("searches"))
    say("imported " + ", ".join(f"{header[name]} {name}" for name in export.TABLES))


def _header(line):
    """Read the first line of an export, or refuse."""
    try:
        header = json.loads(line)
        if header["iris"] == "export" and all(type(header[name]) is int for name in export.TABLES):
            return {"revision": None, **header}
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    raise files.Refused("this is no export of Iris: line 1 is not its header")


def _stage(cursor, file):
    cursor.execute(
        "CREATE TEMPORARY TABLE staged (line bigint GENERATED ALWAYS AS IDENTITY (START 2), entry jsonb,"
        " name text GENERATED ALWAYS AS (entry ->> 'table') STORED) ON COMMIT DROP"
    )
    try:
        cursor.copy_expert(f"COPY staged (entry) FROM STDIN {writing.RAW}", file)
    except psycopg2.DataError as error:
        words, line = writing.words_of(error)
        raise files.Refused(f"line {line + 1} is no JSON: {words}" if line else words) from None
    cursor.execute(
        "SELECT line FROM staged WHERE coalesce(name, '') <> ALL (%s)"
        " OR jsonb_typeof(entry -> 'row') IS DISTINCT FROM 'object' ORDER BY line LIMIT 1",
        (list(export.TABLES),),
    )
    if wrong := cursor.fetchone():
        raise files.Refused(f"line {wrong[0]} is no row of an export")
