"""`iris psql`."""

import argparse
import os
import shutil

from iris import embedded, location, settings

# What says where to connect, which the URL does; how psql looks and behaves stays as somebody has set it.
WHERE = {
    "PGHOST",
    "PGHOSTADDR",
    "PGPORT",
    "PGDATABASE",
    "PGUSER",
    "PGSERVICE",
    "PGTARGETSESSIONATTRS",
}


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
    if not settings.names_a_server():
        program = str(embedded.binaries() / "psql")
    elif program is None:
        try:
            program = str(embedded.binaries() / "psql")
        except embedded.Failed:
            raise embedded.Failed(
                "there is no psql here: install PostgreSQL's client; with docker-compose there is one beside"
                " the database, docker-compose exec pgdb psql -U iris iris"
            ) from None
    environment = {name: value for name, value in os.environ.items() if name not in WHERE}
    os.execve(program, [program, url, *arguments.arguments], environment | {"PGAPPNAME": "psql"})
