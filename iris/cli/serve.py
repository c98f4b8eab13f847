"""`iris serve`: the service alone."""

import os
import sys
from pathlib import Path

import psycopg2

from iris import location, settings
from iris.cli import common

CONFIG = Path(__file__).parent.parent / "gunicorn.conf.py"


def gunicorn():
    """Return the command that serves, of this package, whatever else is called iris where it is run."""
    return [sys.executable, "-P", "-m", "iris.master", "-c", str(CONFIG), "iris.app:app"]


def run(arguments):
    """Serve, on a database that is there."""
    settings.check()
    where = location.dsn()
    if not settings.names_a_server():
        os.environ["DATABASE_URL"] = where
    if settings.get("IRIS_AUTH") == "token":
        try:
            common.tokens(where)
        except psycopg2.Error as error:
            # It may come later; requests say so until then.
            common.say(f"who may come in can't be asked yet: {str(error).strip()}")
    os.execv(sys.executable, gunicorn())
