"""Everything out and in again: `iris export` and `iris import`.

An export is NDJSON: a header, then a line for each row of each table, in a fixed order and without
the time, so that two exports of the same Iris are the same to the byte. An import runs as the owner
of the database with the triggers off, as a history is not to be lived through a second time;
constraints stay on. It is one transaction.
"""

import contextlib
import json
import re
import sys
import time

import psycopg2
import psycopg2.errors

# What is exported, and in which order; names are sorted alike in every locale.
TABLES = {
    "statuses": "position",
    "transitions": 'from_status COLLATE "C", to_status COLLATE "C"',
    "tickets": "ticket_id",
    "comments": "ticket_id, comment_id",
    "links": "ticket_id, kind, other_id",
    "events": "event_id",
}
# A JSON text has neither character in it, so its lines pass through COPY as they are.
RAW = r"(FORMAT csv, QUOTE E'\x01', DELIMITER E'\x02')"
# What a row can be refused for; the last two: too deep, and too many words.
MISTAKES = (
    psycopg2.DataError,
    psycopg2.IntegrityError,
    psycopg2.errors.StatementTooComplex,
    psycopg2.errors.ProgramLimitExceeded,
)

HEADER = """
    SELECT (SELECT version_num FROM alembic_version) AS revision,
        (SELECT coalesce(max(position), 0) FROM events) AS position, {}
""".format(", ".join(f"(SELECT count(*) FROM {name}) AS {name}" for name in TABLES))

SEARCHES = """
    INSERT INTO searches SELECT ticket_id, 0, ticket_words(title, description, labels) FROM tickets;
    INSERT INTO searches SELECT ticket_id, comment_id, to_tsvector('simple', body) FROM comments
"""

# New numbers come after the highest ever used, also by what was deleted.
NUMBERS = """
    SELECT setval('tickets_ticket_id_seq', greatest(last_value, highest)) FROM tickets_ticket_id_seq,
        greatest((SELECT max(ticket_id) FROM tickets), (SELECT max(ticket_id) FROM events),
            (SELECT max(other_id) FROM events)) AS highest WHERE highest IS NOT NULL;
    SELECT setval('comments_comment_id_seq', greatest(last_value, highest)) FROM comments_comment_id_seq,
        greatest((SELECT max(comment_id) FROM comments), (SELECT max(comment_id) FROM events)) AS highest
        WHERE highest IS NOT NULL;
    SELECT setval('events_event_id_seq', greatest(last_value, highest)) FROM events_event_id_seq,
        (SELECT max(event_id) FROM events) AS found(highest) WHERE highest IS NOT NULL;
"""


class Refused(SystemExit):
    """An import that can't be; its words go to stderr, and nothing has changed."""

    def __init__(self, words):
        super().__init__(f"iris: {words}")


class Progress:
    """Says how far it is, once a second and not before the first one is over."""

    def __init__(self, say):
        self.say, self.next = say, time.monotonic() + 1

    def __call__(self, sentence):
        if time.monotonic() >= self.next:
            self.say(sentence)
            self.next = time.monotonic() + 1


class Reading:
    """A file that says how much of it has been read."""

    def __init__(self, file, progress):
        self.file, self.progress, self.bytes = file, progress, 0

    def read(self, size):
        self.progress(f"{self.bytes // 1_000_000} MB read")
        data = self.file.read(size)
        self.bytes += len(data)
        return data


# Out ----------------------------------------------------------------------------------------------


def export(url, out, say):
    """Write all there is, but for searches and kept answers, as NDJSON.

    url:      a libpq connection string; the role iris will do.
    out:      a binary file.
    say:      a function that takes a sentence for the person at the terminal.
    Source:   one snapshot of the database; PostgreSQL makes the JSON.
    """
    progress, written = Progress(say), 0
    connection = psycopg2.connect(url, application_name="export", client_encoding="UTF8")
    with contextlib.closing(connection):
        connection.set_session("REPEATABLE READ", readonly=True)
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL timezone TO 'UTC'; SET LOCAL statement_timeout TO 0")
            cursor.execute(HEADER)
            names = [column.name for column in cursor.description]
            header = dict(zip(names, cursor.fetchone(), strict=True))
        out.write(json.dumps({"iris": "export", **header}).encode() + b"\n")
        total = sum(header[name] for name in TABLES)
        for name, order in TABLES.items():
            with connection.cursor("export") as cursor:
                # A row may have some hundred thousand characters.
                cursor.itersize = 200
                cursor.execute(
                    f"""SELECT '{{"table": "{name}", "row": ' || row_to_json({name})::text || '}}'"""
                    f" FROM {name} ORDER BY {order}"
                )
                for (line,) in cursor:
                    out.write(line.encode() + b"\n")
                    written += 1
                    progress(f"{written} of {total} rows")
        out.flush()
    say("exported " + ", ".join(f"{header[name]} {name}" for name in TABLES))


# In -----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def opened(path):
    if path == "-":
        yield sys.stdin.buffer
        return
    try:
        file = open(path, "rb")  # noqa: SIM115 (closed below)
    except OSError as error:
        raise Refused(f"{path} can't be read: {error.strerror}") from None
    with file:
        yield file


@contextlib.contextmanager
def rules_off(url):
    """Give a cursor in a transaction that writes what triggers otherwise do, alone."""
    connection = psycopg2.connect(url, application_name="import", client_encoding="UTF8")
    with contextlib.closing(connection), connection, connection.cursor() as cursor:
        cursor.execute("SET LOCAL timezone TO 'UTC'; SET LOCAL statement_timeout TO 0")
        cursor.execute(f"LOCK TABLE {', '.join(TABLES)} IN SHARE ROW EXCLUSIVE MODE")
        for name in TABLES:
            cursor.execute(f"ALTER TABLE {name} DISABLE TRIGGER USER")
        yield cursor
        for name in TABLES:
            cursor.execute(f"ALTER TABLE {name} ENABLE TRIGGER USER")
        cursor.execute(f"ANALYZE searches, {', '.join(TABLES)}")
        cursor.execute(NUMBERS)


def words_of(error):
    """Return PostgreSQL's own words, and the line of a COPY that they are about, or None."""
    found = re.search(r"^COPY \w+, line (\d+)", error.diag.context or "", re.MULTILINE)
    words = error.diag.message_primary
    if error.diag.message_detail and isinstance(error, psycopg2.DataError):
        words += f" ({error.diag.message_detail})"
    return words, int(found[1]) if found else None


def restore(url, path, say):
    """Read an export into an Iris that is empty.

    url:      a libpq connection string of the database's owner.
    path:     the export's, or - for stdin.
    say:      a function that takes a sentence for the person at the terminal.
    Raises:   Refused, and nothing has changed; psycopg2.Error likewise.
    """
    progress = Progress(say)
    with opened(path) as file, rules_off(url) as cursor:
        header = _header(file.readline())
        cursor.execute("SELECT version_num FROM alembic_version")
        (revision,) = cursor.fetchone()
        if header["revision"] != revision:
            raise Refused(
                f"the export is of revision {header['revision']}, this database is at {revision}"
            )
        cursor.execute("SELECT EXISTS (TABLE tickets) OR EXISTS (TABLE events)")
        if cursor.fetchone()[0]:
            raise Refused("there are tickets or events already: an export goes into an empty Iris")
        _stage(cursor, Reading(file, progress))
        cursor.execute("SELECT name, count(*) FROM staged GROUP BY name")
        counts = dict(cursor.fetchall())
        for name in TABLES:
            if counts.get(name, 0) != header[name]:
                raise Refused(
                    f"the file is not whole: it should have {header[name]} {name}"
                    f" and has {counts.get(name, 0)}"
                )
        cursor.execute("DELETE FROM transitions; DELETE FROM statuses")
        for name in TABLES:
            progress(f"{name}: {header[name]} rows")
            try:
                cursor.execute(
                    f"INSERT INTO {name} OVERRIDING SYSTEM VALUE SELECT made.* FROM staged,"
                    f" jsonb_populate_record(NULL::{name}, entry -> 'row') AS made WHERE name = %s",
                    (name,),
                )
            except MISTAKES as error:
                raise Refused(f"{name}: {words_of(error)[0]}") from None
        progress("the words for searching")
        cursor.execute(SEARCHES)
    say("imported " + ", ".join(f"{header[name]} {name}" for name in TABLES))


def _header(line):
    """Read the first line of an export, or refuse."""
    try:
        header = json.loads(line)
        if header["iris"] == "export" and all(type(header[name]) is int for name in TABLES):
            return {"revision": None, **header}
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    raise Refused("this is no export of Iris: line 1 is not its header")


def _stage(cursor, file):
    cursor.execute(
        "CREATE TEMPORARY TABLE staged (line bigint GENERATED ALWAYS AS IDENTITY (START 2), entry jsonb,"
        " name text GENERATED ALWAYS AS (entry ->> 'table') STORED) ON COMMIT DROP"
    )
    try:
        cursor.copy_expert(f"COPY staged (entry) FROM STDIN {RAW}", file)
    except psycopg2.DataError as error:
        words, line = words_of(error)
        raise Refused(f"line {line + 1} is no JSON: {words}" if line else words) from None
    cursor.execute(
        "SELECT line FROM staged WHERE coalesce(name, '') <> ALL (%s)"
        " OR jsonb_typeof(entry -> 'row') IS DISTINCT FROM 'object' ORDER BY line LIMIT 1",
        (list(TABLES),),
    )
    if wrong := cursor.fetchone():
        raise Refused(f"line {wrong[0]} is no row of an export")
