"""`iris restore`."""

import json

from iris import counted, location
from iris.cli import common
from iris.transfer import backup

EXAMPLES = """
  IRIS_DATA=/srv/iris iris restore iris.dump # iris up there goes on with it
  ssh elsewhere cat iris.dump | iris restore -
"""


def declare(parser):
    """Say which arguments there are."""
    parser.add_argument("file", metavar="FILE", help="a backup; - is stdin")
    parser.add_argument("--json", action="store_true", help="tell what was done as JSON")


def run(arguments):
    """Read a backup into an empty Iris, or into a database with nothing of Iris in it."""
    common.end_by_signal()
    said = backup.read(location.dsn(owner=True), arguments.file, common.say)
    if arguments.json:
        common.show_json(json.dumps(said))
    else:
        common.say(
            f"restored {counted.of(said['tickets'], 'ticket')}, {counted.of(said['comments'], 'comment')}"
            f" and {counted.of(said['events'], 'event')};"
            f" the feed goes on after {said['position']}"
        )
    if said["made"]:
        common.say(f"this server lacked the roles {', '.join(said['made'])}: they were made")
    if said["without_password"]:
        common.say(
            f"{' and '.join(said['without_password'])} can't log in by password yet:"
            " ALTER ROLE … PASSWORD '…'"
        )
    if said["logins"]:
        common.say(
            f"this server lacks the logins of the tokens {', '.join(said['logins'])}, which come in over HTTP"
            " only until, for each, SELECT add_login('NAME', 'a password')"
        )
    if said["left"]:
        common.say(
            "not granted, for this server lacks the role (make it, then say this in psql as the owner):"
        )
        for statement in said["left"]:
            common.say(f"    {statement}")
    return 0
