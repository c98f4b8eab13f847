"""`iris psql`."""

import argparse
import os
import shutil

from psycopg2.extensions import make_dsn, parse_dsn

from iris import embedded, location, settings

EXAMPLES = """
  iris psql                                  # as iris, under all the rules
  iris psql -At -c 'TABLE statuses'
  iris psql --owner                          # as who may change the schema
  iris psql -U bob                           # by a login that iris token add bob --psql has made
"""

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
        "arguments",
        nargs=argparse.REMAINDER,
        metavar="ARGUMENT",
        help="goes to psql: -At -c 'TABLE statuses'",
    )


def _take_user(typed):
    """Take -U NAME, however it is written, out of what is typed; return NAME, or None."""
    for place, word in enumerate(typed):
        if word in ("-U", "--username") and place + 1 < len(typed):
            name = typed[place + 1]
            del typed[place : place + 2]
            return name
        for start in ("--username=", "-U"):
            if word.startswith(start) and word != start:
                del typed[place]
                return word.removeprefix(start)
    return None


def _as(url, user):
    """Return a connection string for another login: psql heeds no -U beside a URL that has a user in it."""
    if user is None:
        return url
    parts = parse_dsn(url)
    if parts.get("user") != user:
        parts.pop("password", None)
    return make_dsn(**parts | {"user": user})


def run(arguments):
    """Open psql on the database in use."""
    typed = list(arguments.arguments)
    url = _as(location.dsn(arguments.owner), _take_user(typed))
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
    os.execve(program, [program, url, *typed], environment | {"PGAPPNAME": "psql"})
