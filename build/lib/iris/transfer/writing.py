"""Writing past the rules, as the database's owner: a history is not to be lived through once more.

Triggers are off, constraints stay on, and all is one transaction.
"""

import contextlib
import re

import psycopg2
import psycopg2.errors

from iris.transfer import files
from iris.transfer.export import TABLES

# A JSON text has neither character in it, so its lines pass through COPY as they are.
RAW = r"(FORMAT csv, QUOTE E'\x01', DELIMITER E'\x02')"
# What a row can be refused for; the last two: too deep, and too many words.
MISTAKES = (
    psycopg2.DataError,
    psycopg2.IntegrityError,
    psycopg2.errors.StatementTooComplex,
    psycopg2.errors.ProgramLimitExceeded,
)
# Whose words name the constraint only.
UNIQUE = psycopg2.errors.UniqueViolation


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
        cursor.execute(files.sql("numbers"))
        # Workflows have a history, too, and this one is where it goes on from.
        cursor.execute("UPDATE workflow_recorded SET document = workflow()")


def words_of(error):
    """Return PostgreSQL's own words, and the line of a COPY that they are about, or None."""
    found = re.search(r"^COPY \w+, line (\d+)", error.diag.context or "", re.MULTILINE)
    words = error.diag.message_primary
    if error.diag.message_detail and isinstance(error, (psycopg2.DataError, UNIQUE)):
        words += f" ({error.diag.message_detail})"
    return words, int(found[1]) if found else None
