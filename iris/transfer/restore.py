"""An export, back into an empty Iris; what the rules would not have let in is refused by its line."""

import graphlib
import json

from iris import models
from iris.transfer import export, files, writing

# What only the database writes of a ticket.
KEPT = ["ticket_id", *models.names(models.Ticket, "kept")]
# A row has to say what it makes: a value of another type would be bent, a name that isn't known left out.
INSERT = """
    INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT made.* FROM staged
        CROSS JOIN LATERAL (SELECT entry -> 'row' AS given OFFSET 0) AS it
        CROSS JOIN jsonb_populate_record(NULL::{table}, {stored}) AS made{beside}
        CROSS JOIN LATERAL (SELECT {told} AS told OFFSET 0) AS again
        WHERE name = '{name}' AND line BETWEEN %(first)s AND %(last)s
            AND (told = given OR refuse((SELECT key || ' is not as an export gives it'
                FROM jsonb_object_keys(told || given) AS key
                WHERE told -> key IS DISTINCT FROM given -> key ORDER BY key LIMIT 1), '', ''))
            AND pg_temp.fits(made)
"""
# What is made of a given row, and what it would be given as, where a table has it otherwise than an export.
# Of a ticket whose long texts were changed, what it was filed with is not what it has.
RETOLD = """
    CREATE TEMPORARY TABLE retold ON COMMIT DROP AS
        SELECT DISTINCT entry -> 'row' -> 'ticket_id' AS ticket_id FROM staged WHERE name = 'events'
            AND entry -> 'row' ->> 'kind' IN ('changed', 'deleted')
            AND entry -> 'row' -> 'changes' ?| referred();
    CREATE INDEX ON retold (ticket_id);
    ANALYZE retold
"""
STORED = {"events": "given - 'kept' || pg_temp.packed(given)"}
BESIDE = {"events": " CROSS JOIN jsonb_populate_record(NULL::places, given) AS placed"}
TOLD = {"events": "exported(made, placed.position, placed.digest, {changes})::jsonb"}
# Where each is what it is said to be already.
PLACES = """
    DELETE FROM places;
    INSERT INTO places SELECT placed.position, placed.event_id, coalesce(placed.digest, '')
        FROM staged CROSS JOIN jsonb_populate_record(NULL::places, entry -> 'row') AS placed
        WHERE name = 'events' AND placed.position IS NOT NULL ORDER BY placed.position
"""


def read(url, path, say):
    """Read an export into an Iris that is empty.

    url:      a libpq connection string of the database's owner.
    path:     the export's, or - for stdin.
    say:      a function that takes a sentence for the person at the terminal.
    Raises:   Refused, and nothing has changed; psycopg2.Error likewise.
    """
    progress = files.Progress(say)
    with (
        files.opened(path) as file,
        writing.connected(url) as cursor,
        writing.rules_off(cursor),
    ):
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
        _stage(cursor, files.Reading(file, progress, line=2))
        cursor.execute("SELECT name, count(*) FROM staged GROUP BY name")
        counts = dict(cursor.fetchall())
        for name in export.TABLES:
            if counts.get(name, 0) != header[name]:
                raise files.Refused(
                    f"the file is not whole: it should have {header[name]} {name}"
                    f" and has {counts.get(name, 0)}"
                )
        cursor.execute("DELETE FROM transitions; DELETE FROM statuses")
        cursor.execute(files.sql("fits"))
        cursor.execute(RETOLD)
        changes = export.told_changes(cursor, "made")
        for name in export.TABLES:
            progress(f"{name}: {header[name]} rows")
            cursor.execute("SELECT min(line), max(line) FROM staged WHERE name = %s", (name,))
            first, last = cursor.fetchone()
            statement = _insertion(name, changes)
            if first is not None and (wrong := _insert(cursor, statement, first, last)):
                line, words = wrong
                raise files.Refused(f"line {line}: {words}")
        cursor.execute(PLACES)
        progress("looking whether the history fits")
        _check(cursor, header["position"])
        progress("looking whether its digests fit")
        _prove(cursor, header["digest"])
        # Whatever this server counts, changes go on behind those of the export.
        cursor.execute("REFRESH MATERIALIZED VIEW change_base_set; SELECT find_waiting()")
        progress("the words for searching")
        cursor.execute(files.sql("searches"))
    say("imported " + export.counts(header))


def _insertion(name, changes):
    """Return the statement that writes rows of a table; changes are export.told_changes() of made."""
    return INSERT.format(
        name=name,
        table=export.STORED.get(name, name),
        stored=STORED.get(name, "given"),
        beside=BESIDE.get(name, ""),
        told=TOLD.get(name, "to_jsonb(made)").replace("{changes}", changes),
    )


def _insert(cursor, statement, first, last):
    """Write the rows that stand in these lines; return None, or the first bad line and why."""
    cursor.execute("SAVEPOINT inserting")
    try:
        cursor.execute(statement, {"first": first, "last": last})
    except writing.MISTAKES as error:
        cursor.execute("ROLLBACK TO inserting; RELEASE inserting")
        if first == last:
            return first, writing.words_of(error)[0]
        middle = (first + last) // 2
        return _insert(cursor, statement, first, middle) or _insert(
            cursor, statement, middle + 1, last
        )
    cursor.execute("RELEASE inserting")
    return None


def _check(cursor, position):
    """Refuse what no single row shows: no status at all, a circle of links, a history that does not fit."""
    cursor.execute("SELECT EXISTS (TABLE statuses)")
    if not cursor.fetchone()[0]:
        raise files.Refused("line 1: a workflow needs at least one status")
    for kind in ("blocks", "parent"):
        cursor.execute("SELECT ticket_id, other_id FROM links WHERE kind = %s", (kind,))
        graph = graphlib.TopologicalSorter()
        for ticket_id, other_id in cursor:
            graph.add(ticket_id, other_id)
        try:
            graph.prepare()
        except graphlib.CycleError as error:
            # It names each after what comes before it.
            other_id, ticket_id, *_ = error.args[1]
            row = {"ticket_id": ticket_id, "kind": kind, "other_id": other_id}
            raise files.Refused(
                f"line {_line(cursor, 'links', row)}: a circle of links of the kind {kind}"
            ) from None
    cursor.execute("SET LOCAL work_mem TO '256MB'")
    # What ANALYZE would know; plans for tables without any rows would take for ever.
    cursor.execute(f"ANALYZE {', '.join(export.WRITTEN)}")
    if wrong := _misfit(cursor):
        name, row, words = wrong
        what = ", ".join(f"{column} {value}" for column, value in row.items())
        raise files.Refused(f"line {_line(cursor, name, row)}: {words} ({what})")
    cursor.execute("SELECT coalesce(max(position), 0) FROM places")
    if cursor.fetchone()[0] != position:
        raise files.Refused(f"line 1: {position} is not the last position of its events")


def _prove(cursor, digest):
    """Refuse events that are not what they were when they got their digests.

    digest:   the last one, as the header says. None: whoever made the file begins anew.
    """
    if digest is None:
        cursor.execute("SELECT renew_digests()")
        return
    cursor.execute("SELECT event_id, why FROM verify_events()")
    if wrong := cursor.fetchone():
        event_id, why = wrong
        line = 1 if event_id is None else _line(cursor, "events", {"event_id": event_id})
        raise files.Refused(f"line {line}: {why} (event_id {event_id})")
    cursor.execute("SELECT encode(digest, 'hex') FROM places ORDER BY position DESC LIMIT 1")
    if cursor.fetchone() != (digest,):
        raise files.Refused(f"line 1: {digest} is not the last digest of its events")


def _misfit(cursor):
    cursor.execute(files.sql("history"), {"kept": KEPT, "defaults": defaults(cursor)})
    return cursor.fetchone()


def misfit(cursor):
    """Look whether the history leads to what is there.

    cursor:   of the database's owner, in a transaction that is rolled back.
    Returns:  (table, the columns by which a row of it is known, what is wrong with it in words), or None.
    """
    cursor.execute("SET LOCAL work_mem TO '256MB'")
    cursor.execute(files.sql("fits"))
    return _misfit(cursor)


def _line(cursor, name, row):
    """Return the last line of a table that has these columns."""
    cursor.execute(
        "SELECT max(line) FROM staged WHERE name = %s AND entry -> 'row' @> %s",
        (name, json.dumps(row)),
    )
    return cursor.fetchone()[0]


def defaults(cursor):
    """Return what columns of a ticket have that nobody gave, as JSON {column: value}."""
    cursor.execute(
        "SELECT attname, pg_get_expr(adbin, adrelid) FROM pg_attrdef"
        " JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum"
        " WHERE adrelid = 'tickets'::regclass AND attgenerated = ''"
    )
    values = "".join(f", '{name}', {expression}" for name, expression in cursor.fetchall())
    cursor.execute(f"SELECT jsonb_build_object({values[2:]})::text")
    return cursor.fetchone()[0]


def _header(line):
    """Read the first line of an export, or refuse."""
    try:
        header = json.loads(line)
        if header["iris"] == "export" and all(
            type(header[name]) is int for name in ("position", *export.TABLES)
        ):
            return {"revision": None, "digest": None, **header}
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
    except writing.MISTAKES as error:
        words, line = writing.words_of(error)
        raise files.Refused(f"line {line + 1} is no JSON: {words}" if line else words) from None
    if file.ended:
        raise files.Refused(f"line {file.line} is no JSON: a control character")
    cursor.execute(
        "SELECT line FROM staged WHERE coalesce(name, '') <> ALL (%s)"
        " OR jsonb_typeof(entry -> 'row') IS DISTINCT FROM 'object' ORDER BY line LIMIT 1",
        (list(export.TABLES),),
    )
    if wrong := cursor.fetchone():
        raise files.Refused(f"line {wrong[0]} is no row of an export")
