"""What commands share: a voice, and where the database is."""

import sys

import psycopg2

from iris import embedded, settings


def say(sentence):
    """Tell the person at the terminal what is going on."""
    print(f"iris: {sentence}", file=sys.stderr, flush=True)


def where(owner=False):
    """Return the URL of the database in use: the server that settings name, else the embedded one.

    owner:    as its owner, not as iris.
    """
    if owner and settings.get("IRIS_OWNER_URL"):
        return settings.get("IRIS_OWNER_URL")
    if settings.names_a_server():
        if owner:
            raise settings.Wrong(
                "IRIS_OWNER_URL", "is not set: the libpq URL of the database's owner"
            )
        return settings.dsn()
    server = embedded.Server(settings.get("IRIS_DATA"))
    if not server.is_ready():
        raise embedded.Failed(
            f"no database runs in {server.folder}: start it with `make up`, or set IRIS_DB_HOST"
        )
    return server.url("postgres" if owner else "iris")


def revision_of(url):
    """Return the revision of a database, or None where it has none.

    url:      a libpq connection string; any role that may read will do.
    Raises:   psycopg2.Error.
    """
    connection = psycopg2.connect(url, connect_timeout=5)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass('public.alembic_version') IS NOT NULL")
            if not cursor.fetchone()[0]:
                return None
            cursor.execute("SELECT version_num FROM public.alembic_version")
            return cursor.fetchone()[0]
    finally:
        connection.close()
