"""Writing past the rules, as the database's owner: a history is not to be lived through once more.

Triggers are off, constraints stay on, and all is one transaction.
"""

import contextlib
import re

import psycopg2
import psycopg2.errors

from iris import libpq
from iris.transfer import files
from iris.transfer.export import WRITTEN

# A JSON text has neither character in it, so its lines pass through COPY as they are.
RAW = r"(FORMAT csv, QUOTE E'\x01', DELIMITER E'\x02')"
# What a row can be refused for; the last two: too deep, and too many words.
MISTAKES = (
    psycopg2.DataError,
    psycopg2.IntegrityError,
    psycopg2.errors.StatementTooComplex,
    psycopg2.errors.ProgramLimitExceeded,
)
# Constraints that have no words of their own, for triggers speak first as a rule: what a row is that
# breaks one.
CONSTRAINTS = {
    "statuses_pkey": "there is another status of this name",
    "statuses_position_key": "there is another status in this position",
    "transitions_pkey": "there is this transition already",
    "transitions_from_status_fkey": "from_status is none of the statuses",
    "transitions_to_status_fkey": "to_status is none of the statuses",
    "tickets_pkey": "there is another ticket of this number",
    "comments_pkey": "there is another comment of this number",
    "comments_ticket_id_fkey": "there is no such ticket",
    "links_pkey": "there is this link already",
    "watches_pkey": "they watch this ticket already",
    "links_parent_key": "the ticket has another parent",
    "links_ticket_id_fkey": "there is no ticket ticket_id",
    "links_other_id_fkey": "there is no ticket other_id",
    "events_pkey": "there is another event of this number",
}


@contextlib.contextmanager
def connected(url):
    """Give a cursor in a transaction of the database's owner."""
    connection = libpq.connect(url, application_name="import", client_encoding="UTF8")
    with contextlib.closing(connection), connection, connection.cursor() as cursor:
        cursor.execute(
            "SET LOCAL timezone TO 'UTC'; SET LOCAL bytea_output TO hex; SET LOCAL statement_timeout TO 0"
        )
        yield cursor


@contextlib.contextmanager
def rules_off(cursor):
    """Let a transaction write what triggers otherwise do, alone."""
    # Whatever an import calls its own tables, which would be found first.
    tables = [f"public.{name}" for name in WRITTEN]
    cursor.execute(f"LOCK TABLE {', '.join(tables)} IN SHARE ROW EXCLUSIVE MODE")
    for name in tables:
        cursor.execute(f"ALTER TABLE {name} DISABLE TRIGGER USER")
    yield
    for name in tables:
        cursor.execute(f"ALTER TABLE {name} ENABLE TRIGGER USER")
    cursor.execute(f"ANALYZE searches, {', '.join(tables)}")
    cursor.execute(files.sql("numbers"))
    # Workflows have a history, too, and this one is where it goes on from.
    cursor.execute(
        "UPDATE workflow_recorded SET document = workflow(), at = greatest(at,"
        " (SELECT max(at) FROM events WHERE kind = 'workflow_changed'))"
    )


def words_of(error):
    """Return what is wrong in words, and the line of a COPY that they are about, or None."""
    found = re.search(r"^COPY \w+, line (\d+)", error.diag.context or "", re.MULTILINE)
    words = error.diag.message_primary
    # Not a CHECK's: it refuses in words.
    if isinstance(error, (psycopg2.errors.UniqueViolation, psycopg2.errors.ForeignKeyViolation)):
        words = CONSTRAINTS.get(error.diag.constraint_name, words)
    if error.diag.message_detail and isinstance(error, psycopg2.DataError):
        words += f" ({error.diag.message_detail})"
    return words, int(found[1]) if found else None
