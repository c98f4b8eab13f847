"""Alembic, for databases that already exist: what `iris db` does."""

from pathlib import Path

import psycopg2
from alembic import command, op
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

FOLDER = Path(__file__).parent.parent / "postgres" / "migrations"


def config(connection=None):
    """Return Alembic's configuration, bound to a SQLAlchemy connection where there is one."""
    made = Config()
    made.set_main_option("script_location", str(FOLDER))
    made.attributes["connection"] = connection
    return made


def known():
    """Return every revision that this Iris knows."""
    return {script.revision for script in ScriptDirectory.from_config(config()).walk_revisions()}


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


def run(statements):
    """Run SQL as it stands, in a migration: in it, neither : nor % mean anything to Python."""
    op.execute(text(statements.replace(":", "\\:")))


def script(start, revision, *, down=False):
    """Print the SQL that would do it, for the owner's psql.

    start:    the revision the database is at.
    """
    path = f"{start or 'base'}:{revision}"
    (command.downgrade if down else command.upgrade)(config(), path, sql=True)
