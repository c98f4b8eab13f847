"""Alembic, for databases that already exist: what `iris db` does."""

from pathlib import Path

import psycopg2
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

FOLDER = Path(__file__).parent.parent / "postgres" / "migrations"


def config(connection=None):
    """Return Alembic's configuration, bound to a SQLAlchemy connection where there is one."""
    made = Config()
    made.set_main_option("script_location", str(FOLDER))
    made.attributes["connection"] = connection
    return made


def head():
    """Return the revision that this Iris needs."""
    return ScriptDirectory.from_config(config()).get_current_head()


def known():
    """Return every revision that this Iris knows."""
    return {script.revision for script in ScriptDirectory.from_config(config()).walk_revisions()}


def current(url):
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


def move(url, revision, *, down=False):
    """Bring a database's schema to a revision, in one transaction.

    url:      of the database's owner.
    Raises:   psycopg2.Error, sqlalchemy.exc.DBAPIError.
    """
    engine = create_engine(
        "postgresql+psycopg2://", creator=lambda: psycopg2.connect(url), poolclass=NullPool
    )
    with engine.begin() as connection:
        # Two who upgrade at once: the second finds nothing left to do.
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('iris db'))")
        (command.downgrade if down else command.upgrade)(config(connection), revision)


def script(start, revision, *, down=False):
    """Print the SQL that would do it, for the owner's psql.

    start:    the revision the database is at.
    """
    path = f"{start or 'base'}:{revision}"
    (command.downgrade if down else command.upgrade)(config(), path, sql=True)
