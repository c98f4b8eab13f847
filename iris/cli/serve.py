"""`iris serve`: the service alone."""

import os
import sys
from pathlib import Path

import psycopg2

from iris import counted, current, location, problems, settings
from iris.cli import common

EXAMPLES = """
  IRIS_DB_HOST=db IRIS_USER=iris_service IRIS_SERVICE_PASS=… iris serve
  DATABASE_URL=postgresql://iris_service:…@db1,db2/iris iris serve

Settings are in the environment; .env.example has all of them, with their meaning.
"""

CONFIG = Path(__file__).parent.parent / "gunicorn.conf.py"


def gunicorn():
    """Return the command that serves, of this package, whatever else is called iris where it is run."""
    return [sys.executable, "-P", "-m", "iris.master", "-c", str(CONFIG), "iris.app:app"]


def _look(where):
    """Say what is wrong with the database, if anything is: it may be mended while Iris serves."""
    from iris.database import refusals  # noqa: PLC0415 (SQLAlchemy takes its time)

    try:
        if problem := refusals.misfit(common.revision_of(where)):
            common.say(
                f"{problem.detail}. {problem.more['hint']} Until then, every request is refused"
            )
        elif settings.get("IRIS_AUTH") == "token":
            common.tokens(where)
    except psycopg2.Error as error:
        problem = refusals.from_database(error) or problems.mistake()
        common.say(f"{problem.detail} ({str(error).strip()})")
        if problem.more.get("hint"):
            common.say(problem.more["hint"])


def run(arguments):
    """Serve, on a database that is there."""
    settings.check()
    if current.MANY:
        from iris.trackers import maps  # noqa: PLC0415 (only where there are many)

        common.say(
            f"serving {counted.of(len(maps.here().read()), 'tracker')} of {maps.here().databases}"
        )
        os.execv(sys.executable, gunicorn())
    where = location.dsn()
    # Of a tracker of many the map says where it is, at any time.
    if not settings.names_a_server() and not settings.get("IRIS_TRACKERS"):
        os.environ["DATABASE_URL"] = where
    _look(where)
    os.execv(sys.executable, gunicorn())
