"""The statements behind tickets."""

import json
from functools import lru_cache

from sqlalchemy import (
    BigInteger,
    Text,
    bindparam,
    cast,
    delete,
    func,
    insert,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP

from iris import derived, models, past, problems
from iris.database import standbys, statements, writing
from iris.intake import types

TABLE, EVENTS = derived.NOW.tickets, models.Event.__table__

# The database keeps these, whatever a client writes.
KEPT = models.names(models.Ticket, "kept")
# What a ticket can be given, {name: type}.
WRITABLE = {
    column.name: types.concerning(column, types.Given())
    if column.name in KEPT
    else types.of(column)
    for column in TABLE.columns
    if column.name != "ticket_id"
}
# Of what is sent back: the version that it was read as.
WRITABLE["version"] = types.concerning(TABLE.c.version, types.Nullable(types.Number(), True))
# What changes the labels, whatever they are by then.
RELABELLING = ("add_label", "remove_label")
WRITABLE |= {
    "add_label": types.about("Labels to add to what there are", types.SomeLabels()),
    "remove_label": types.about("Labels to take from what there are", types.SomeLabels()),
}
TIMES = {column.name for column in TABLE.columns if isinstance(column.type, TIMESTAMP)}
# What an answer tells of a ticket beside its columns, as told() in SQL has it: what was read may be sent
# back.
TOLD = ("comments", "links", "next", "age", "idle", "blocked_by")
WRITABLE |= dict.fromkeys(TOLD, types.about("What an answer told; passed over here", types.Given()))


def written(text):
    """Read a ticket as people write one: its first line is the title, the rest the description.

    text:     of any length; blank lines at its ends are no part of it.
    Returns:  {column: value}.
    """
    title, _, rest = text.strip("\r\n").partition("\n")
    return {"title": title.strip(types.BLANKS), "description": rest.strip("\r\n") or None}


# One ticket ---------------------------------------------------------------------------------------


def _one(function, *moment):
    found = function(bindparam("ticket_id"), *moment, bindparam("seen"))
    return statements.compiled(
        select(literal_column("body"), literal_column("version")).select_from(found)
    )


ONE, ONE_THEN = _one(func.read_ticket), _one(func.read_ticket_as_of, derived.AS_OF)
ROW = statements.row(TABLE).label("body")


def one(ticket_id, seen=(), as_of=None, zone=statements.ZONE):
    """Read one ticket with its comments, oldest first, and its links, of both directions.

    seen:     the versions that the caller has already.
    as_of:    the moment to read it at, or None for now.
    zone:     the time zone of that, where it names none.
    Returns:  (the ticket as JSON text, or None if its version has been seen; its version).
    Raises:   Problem 404.
    Source:   one SELECT, of read_ticket() or read_ticket_as_of(), and before the latter past.write().
    """
    if as_of is not None:
        past.write()
    values = {"ticket_id": ticket_id, "seen": list(seen), "as_of": as_of, "zone": zone}
    row = statements.run(ONE, values) if as_of is None else standbys.run(ONE_THEN, values)
    if row is None:
        raise problems.no_such("ticket", ticket_id)
    return row


def _set(names, labels):
    """Return what a statement sets, {column: expression}; a time may come in words.

    names:    of WRITABLE.
    labels:   the labels that there are, unless they are given, too.
    """
    made = {
        name: derived.moment(name, past=False) if name in TIMES else bindparam(name)
        for name in names
    }
    more, less = (made.pop(name, None) for name in RELABELLING)
    if more is not None or less is not None:
        made["labels"] = func.relabelled(
            *(cast(each, TABLE.c.labels.type) for each in (made.get("labels", labels), more, less))
        )
    return made


@lru_cache(1000)
def _insert(names):
    return statements.compiled(
        insert(TABLE)
        .values(_set(names, None))
        .returning(ROW, TABLE.c.version.label("version"), TABLE.c.ticket_id.label("ticket_id"))
    )


def _this(expected):
    """Return the conditions that pick one ticket, of the expected versions if there are any."""
    yield TABLE.c.ticket_id == bindparam("of_ticket")
    if expected:
        yield TABLE.c.version == func.any(cast(bindparam("expected"), ARRAY(BigInteger)))


@lru_cache(1000)
def _update(names, expected):
    # With nothing to change, this is still an UPDATE, which gives the ticket as it is.
    return statements.compiled(
        update(TABLE)
        .where(*_this(expected))
        .values(_set(names, TABLE.c.labels) or {"title": TABLE.c.title})
        .returning(ROW, TABLE.c.version.label("version"))
    )


@lru_cache
def _delete(expected):
    return statements.compiled(
        delete(TABLE).where(*_this(expected)).returning(TABLE.c.ticket_id.label("ticket_id"))
    )


def _write(text, ticket_id, values, expected, writer):
    """Run an UPDATE or DELETE of one ticket; say why, where there was none to be found."""
    values = {**values, "of_ticket": ticket_id, "expected": expected}
    row = writing.write(text, values, writer)
    if row is None and expected is not None:
        body, version = one(ticket_id)
        raise problems.Stale(ticket_id, version, body)
    if row is None:
        raise problems.no_such("ticket", ticket_id)
    return row


def _writes(given):
    return {name: value for name, value in given.items() if name not in KEPT + TOLD}


def create(given, writer, zone=statements.ZONE):
    """File a ticket.

    given:    {column: value}, of the right types.
    writer:   a writing.Writer.
    zone:     the time zone of times that name none.
    Returns:  (the ticket as JSON text, its version, its number).
    Raises:   psycopg2.Error where a rule refuses it.
    Source:   one INSERT … RETURNING.
    """
    # The title is there even if it was not given, so that the database says it is required.
    values = {"title": None, **_writes(given)}
    return writing.write(_insert(tuple(sorted(values))), {**values, "zone": zone}, writer)


def change(ticket_id, given, writer, expected=None, zone=statements.ZONE):
    """Change the given columns of one ticket.

    given:    {column: value}, of the right types; None empties a column.
    writer:   a writing.Writer.
    expected: the versions that it may have, or None for any.
    zone:     the time zone of times that name none.
    Returns:  (the ticket as JSON text, its version).
    Raises:   Problem 404; Stale; psycopg2.Error where a rule refuses it.
    Source:   one UPDATE … RETURNING.
    """
    values = _writes(given)
    text = _update(tuple(sorted(values)), expected is not None)
    return _write(text, ticket_id, {**values, "zone": zone}, expected, writer)


SINCE = statements.compiled(
    select(cast(EVENTS.c.changes, Text))
    .where(
        EVENTS.c.ticket_id == bindparam("ticket_id"),
        EVENTS.c.kind == literal_column("'changed'"),
        EVENTS.c.kept_version >= bindparam("version"),
    )
    .order_by(EVENTS.c.event_id.desc())
)


def changed_since(ticket_id, version):
    """Return {column: what it was at a version} of those that have been changed since.

    Source:   one SELECT, of events.
    """
    found = statements.rows(SINCE, {"ticket_id": ticket_id, "version": version})
    return {name: old for (text,) in found for name, (old, _) in json.loads(text).items()}


def remove(ticket_id, writer, expected=None):
    """Delete a ticket with its comments and links; its history stays.

    expected: the versions that it may have, or None for any.
    Raises:   Problem 404; Stale.
    Source:   one DELETE … RETURNING.
    """
    _write(_delete(expected is not None), ticket_id, {}, expected, writer)


# Many tickets -------------------------------------------------------------------------------------

# Seconds that many tickets may take.
MANY_SECONDS = 600
PUT = statements.compiled(
    select(
        cast(
            func.put_tickets(bindparam("rows"), bindparam("dry_run"), bindparam("zone")), Text
        ).label("body")
    )
)


def _type(name):
    return TABLE.c["labels" if name in RELABELLING else name].type


def row(given, ticket_id=None):
    """Return one ticket's columns as a row of many, {name: value} as JSON has it.

    given:    {column: value}, of the right types.
    """
    # JSON goes into the row as what it is, not as a text.
    made = {
        name: json.loads(value) if value and isinstance(_type(name), JSONB) else value
        for name, value in _writes(given).items()
    }
    return made if ticket_id is None else {"ticket_id": ticket_id, **made}


def put(rows, writer, dry_run=False, zone=statements.ZONE):
    """File and change many tickets, all or nothing.

    rows:     [{column: value}] of whatever came, JSON text; those with a ticket_id are changes.
    dry_run:  whether only to say what would happen.
    zone:     the time zone of times that name none.
    Returns:  the tickets as a JSON array, as text; of a dry run [{"index", "before", "after"}].
    Raises:   Problem 422; psycopg2.Error with SQLSTATE IR006 where rows are refused.
    Source:   one SELECT of put_tickets().
    """
    values = {"rows": rows, "dry_run": dry_run, "zone": zone}
    return writing.write(PUT, values, writer, seconds=MANY_SECONDS)[0]
