"""What commands share: a voice, and a look at the database."""

import contextlib
import signal
import sys

from iris import visible


def say(sentence):
    """Tell the person at the terminal what is going on."""
    print(visible.safe(f"iris: {sentence}", kept="\n"), file=sys.stderr, flush=True)


def show(text):
    """Print what was asked for; what stands in it may be anybody's."""
    print(visible.safe(text, kept="\n"), flush=True)


def show_json(text):
    """Print JSON."""
    print(visible.escaped(text), flush=True)


def end_by_signal():
    """Let SIGTERM and SIGHUP end a command as Ctrl-C does: in a sentence, with everything cleared up."""

    def stop(number, frame):
        raise SystemExit("iris: stopped")

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)


def tokens(url, make=False):
    """Say how somebody gets in, where nobody can yet.

    url:      a libpq connection string of the role iris.
    make:     whether to make the first token, and to print it once, on stdout.
    Raises:   psycopg2.Error.
    """
    from iris import libpq  # noqa: PLC0415 (takes its time, which those who speak HTTP have not)

    connection = libpq.connect(url, application_name="iris", connect_timeout=5)
    connection.autocommit = True
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT name FROM tokens)")
        if cursor.fetchone()[0]:
            return
        if not make:
            say("nobody has a token yet; make the first one:  iris token add NAME --role admin")
            return
        cursor.execute("SELECT add_token('admin', 'admin') ->> 'token'")
        say("nobody had a token yet; this is the first admin's, and is shown once:")
        show(cursor.fetchone()[0])


def revision_of(url):
    """Return the revision of a database, or None where it has none.

    url:      a libpq connection string; any role that may read will do.
    Raises:   psycopg2.Error.
    """
    from iris import libpq  # noqa: PLC0415

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
