"""An export: everything there is as NDJSON, of one moment.

A header, then a line for each row of each table, in a fixed order and without the time, so that two
exports of the same Iris are the same to the byte.
"""

import contextlib
import json

from iris import counted, libpq, visible
from iris.transfer import files

# What is exported, and in which order; names are sorted alike in every locale.
TABLES = {
    "statuses": "position",
    "transitions": 'from_status COLLATE "C", to_status COLLATE "C"',
    "tickets": "ticket_id",
    "comments": "ticket_id, comment_id",
    "links": "ticket_id, kind, other_id",
    # Who joined and who left; the other watchers are seen by looking.
    "watches": 'ticket_id, who COLLATE "C"',
    # In the order of their digests; those that have none yet come last.
    "events": "position, event_id",
}
# Where it is stored, and a row of that as JSON, where either is another than its name says.
STORED = {"events": "stored_events"}
FROM = {"events": "stored_events LEFT JOIN places USING (event_id)"}
ROWS = {"events": "exported(stored_events, position, digest, {changes})"}
WRITTEN = (*(STORED.get(name, name) for name in TABLES), "places")
# Whose singular is shorter by two letters.
ES = ("statuses", "watches")
HEADER = """
    SELECT (SELECT version_num FROM alembic_version) AS revision,
        (SELECT coalesce(max(position), 0) FROM places) AS position,
        (SELECT encode(digest, 'hex') FROM places ORDER BY position DESC LIMIT 1) AS digest, {}
""".format(", ".join(f"(SELECT count(*) FROM {name}) AS {name}" for name in TABLES))


def counts(header):
    """Return how many rows of each table an export has by its header, in words."""
    singular = {name: name.removesuffix("es" if name.endswith(ES) else "s") for name in TABLES}
    return ", ".join(counted.of(header[name], singular[name], name) for name in TABLES)


def told_changes(cursor, event):
    """Return the SQL of the changes of an event, as text, of a row of stored_events by this name."""
    cursor.execute("SELECT told_changes(%s, 'text')", (event,))
    return cursor.fetchone()[0]


def write(url, out, say):
    """Write all there is, but for searches and kept answers, as NDJSON.

    url:      a libpq connection string; the role iris will do.
    out:      a binary file.
    say:      a function that takes a sentence for the person at the terminal.
    Source:   one snapshot of the database; PostgreSQL makes the JSON.
    """
    progress, written = files.Progress(say), 0
    connection = libpq.connect(url, application_name="export", client_encoding="UTF8")
    with contextlib.closing(connection):
        connection.set_session("REPEATABLE READ", readonly=True)
        with connection.cursor() as cursor:
            cursor.execute(
                "SET LOCAL timezone TO 'UTC'; SET LOCAL bytea_output TO hex;"
                " SET LOCAL statement_timeout TO 0"
            )
            cursor.execute(HEADER)
            names = [column.name for column in cursor.description]
            header = dict(zip(names, cursor.fetchone(), strict=True))
            changes = told_changes(cursor, "stored_events")
        out.write(json.dumps({"iris": "export", **header}).encode() + b"\n")
        total = sum(header[name] for name in TABLES)
        for name, order in TABLES.items():
            with connection.cursor("export") as cursor:
                # A row may have some hundred thousand characters.
                cursor.itersize = 200
                row = ROWS.get(name, f"row_to_json({name})::text").replace("{changes}", changes)
                cursor.execute(
                    f"""SELECT '{{"table": "{name}", "row": ' || {row} || '}}'"""
                    f" FROM {FROM.get(name, name)} ORDER BY {order}"
                )
                for (line,) in cursor:
                    out.write(visible.escaped(line).encode() + b"\n")
                    written += 1
                    progress(f"{written} of {total} rows")
        out.flush()
    say("exported " + counts(header))
