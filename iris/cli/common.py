"""What commands share: a voice, and a look at the database."""

import signal
import sys

from iris import libpq, visible


def say(sentence):
    """Tell the person at the terminal what is going on."""
    print(visible.safe(f"iris: {sentence}", kept="\n"), file=sys.stderr, flush=True)


def show(text):
    """Print what was asked for; what stands in it may be anybody's."""
    print(visible.safe(text, kept="\n"), flush=True)


def end_by_signal():
    """Let SIGTERM and SIGHUP end a command as Ctrl-C does: in a sentence, with everything cleared up."""

    def stop(number, frame):
        raise SystemExit("iris: stopped")

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)


def revision_of(url):
    """Return the revision of a database, or None where it has none.

    url:      a libpq connection string; any role that may read will do.
    Raises:   psycopg2.Error.
    """
    connection = libpq.connect(url, connect_timeout=5)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass('public.alembic_version') IS NOT NULL")
            if not cursor.fetchone()[0]:
                return None
            cursor.execute("SELECT version_num FROM public.alembic_version")
            return cursor.fetchone()[0]
    finally:
        connection.close()
