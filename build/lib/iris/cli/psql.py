"""`iris psql`."""

import argparse
import os
import shutil

from iris import embedded, location, settings


def declare(parser):
    """Say which arguments there are."""
    parser.usage = "iris psql [--owner] [ARGUMENT …]"
    parser.add_argument("--owner", action="store_true", help="as the database's owner, not as iris")
    parser.add_argument(
        "arguments", nargs=argparse.REMAINDER, help="go to psql: -At -c 'TABLE statuses'"
    )


def run(arguments):
    """Open psql on the database in use."""
    url = location.dsn(arguments.owner)
    program = shutil.which("psql")
    if not settings.names_a_server() or program is None:
        program = str(embedded.binaries() / "psql")
    os.execve(program, [program, url, *arguments.arguments], {**os.environ, "PGAPPNAME": "psql"})
