"""`iris token`: who may come in, where IRIS_AUTH=token."""

import contextlib

import psycopg2
import psycopg2.extensions

from iris import libpq, location, rights
from iris.cli import common

EXAMPLES = """
  iris token add ada --role admin            # prints the token, once
  iris token add bob-phone --as bob --role reader --expires 2027-01-31
  iris token add carol --psql                # and a login for psql
  iris token list
  iris token revoke bob-phone
"""

COLUMNS = ("name", "role", "actor", "created", "expires", "used")
TIMES = {"created", "expires", "used"}
LIST = f"""
    SELECT row_to_json(token)::text FROM (SELECT {", ".join(COLUMNS)} FROM tokens ORDER BY name) AS token
"""
ADD = "SELECT add_token(%(name)s, %(role)s, %(actor)s, %(expires)s)"


def declare(parser):
    """Say which arguments there are."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    text = "make a token; it is printed once, on stdout, and kept nowhere"
    made = actions.add_parser("add", help=text, description=text)
    made.add_argument("name", metavar="NAME", help="its name, and who acts by it")
    made.add_argument("--role", choices=rights.ROLES, default="writer", help="writer, unless given")
    made.add_argument("--as", dest="actor", metavar="PERSON", help="who acts by it, if not NAME")
    made.add_argument("--expires", metavar="TIME", help="when it ends: 2027-01-31, tomorrow")
    made.add_argument(
        "--psql",
        action="store_true",
        help="make a login of the same name and role for psql, too, whose password is the token",
    )
    text = "say which tokens there are, and when each was last used"
    made = actions.add_parser("list", help=text, description=text)
    made.add_argument("--json", action="store_true", help="as JSON")
    text = "revoke a token: within five seconds it lets nobody in"
    made = actions.add_parser("revoke", help=text, description=text)
    made.add_argument("name", metavar="NAME")


def run(arguments):
    """Make, list and revoke tokens: who may come in, where IRIS_AUTH=token."""
    connection = libpq.connect(location.dsn(), application_name="iris", connect_timeout=5)
    connection.autocommit = arguments.action != "add"
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute("SET timezone TO 'UTC'")
        return {"add": _add, "list": _list, "revoke": _revoke}[arguments.action](cursor, arguments)


def _add(cursor, arguments):
    cursor.execute(ADD, vars(arguments))
    (made,) = cursor.fetchone()
    if arguments.psql:
        # As psql's \\password does it: what is sent, and may be logged, is no password.
        hidden = psycopg2.extensions.encrypt_password(
            made["token"], made["name"], cursor.connection, "scram-sha-256"
        )
        cursor.execute("SELECT add_login(%s, %s)", (made["name"], hidden))
    cursor.connection.commit()
    until = f" until {made['expires']}" if made["expires"] else ""
    common.say(f"{made['actor']} comes in as {made['role']}{until}; this is shown once:")
    common.show(made["token"])
    return 0


def _list(cursor, arguments):
    cursor.execute(LIST)
    rows = [row for (row,) in cursor.fetchall()]
    if arguments.json:
        common.show_json(f"[{', '.join(rows)}]")
        return 0
    from iris.formats import terminal  # noqa: PLC0415 (takes its time)

    common.show(terminal.table(rows, COLUMNS, TIMES).removesuffix("\n"))
    return 0


def _revoke(cursor, arguments):
    cursor.execute("DELETE FROM tokens WHERE name = %s", (arguments.name,))
    if not cursor.rowcount:
        common.say(f"there is no token {arguments.name!r}")
        return 3
    common.say(f"{arguments.name} is revoked")
    return 0
