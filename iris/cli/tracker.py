"""`iris tracker`: many trackers, a database each, spread over servers."""

import json
import sys

from iris import settings
from iris.cli import common

EXAMPLES = """
  iris tracker add acme                        # on the server with the most room
  iris tracker list
  IRIS_TRACKER=acme iris token add alice --role admin
  iris tracker move acme --to db2              # while it is in use
"""
COLUMNS = ("tracker", "server", "size", "connections", "per_second")


def declare(parser):
    """Say which arguments there are."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    text = "make a tracker; with IRIS_AUTH=token its first admin's token is printed once, on stdout"
    made = actions.add_parser("add", help=text, description=text)
    made.add_argument(
        "name", metavar="NAME", help="its database's, its login's, and a part of its address"
    )
    made.add_argument("--on", metavar="SERVER", help="HOST, HOST:PORT or URL, one of IRIS_SERVERS")
    made.add_argument("--json", action="store_true", help="tell what was made as JSON")
    text = "say which trackers there are, where, how large, and how busy in the last second"
    made = actions.add_parser("list", help=text, description=text)
    made.add_argument("--json", action="store_true", help="as JSON")
    text = (
        "move a tracker to another server while it is in use; its writers wait less than a second"
    )
    made = actions.add_parser("move", help=text, description=text)
    made.add_argument("name", metavar="NAME")
    made.add_argument(
        "--to", metavar="SERVER", required=True, help="HOST, HOST:PORT or URL, one of IRIS_SERVERS"
    )
    made.add_argument(
        "--keep", action="store_true", help="leave what was there where it was, closed to everybody"
    )
    made.add_argument("--json", action="store_true", help="tell what was done as JSON")
    text = "remove a tracker, after a backup of it"
    made = actions.add_parser("remove", help=text, description=text)
    made.add_argument("name", metavar="NAME")
    made.add_argument("--yes", action="store_true", help="don't ask")
    made.add_argument(
        "--backups", metavar="FOLDER", help="where the backup goes, if not to IRIS_BACKUPS"
    )
    made.add_argument("--no-backup", action="store_true", help="make none")


def run(arguments):
    """Make, list, move and remove trackers, a database each, spread over servers."""
    settings.check()
    if not settings.get("IRIS_TRACKERS"):
        raise settings.Wrong(
            "IRIS_TRACKERS", "is not set: the folder that the map of trackers is kept in"
        )
    common.end_by_signal()
    does = {"add": _add, "list": _list, "move": _move, "remove": _remove}
    return does[arguments.action](arguments)


def _add(arguments):
    from iris.trackers import making, servers  # noqa: PLC0415 (Alembic takes its time)

    server = servers.named(arguments.on) if arguments.on else None
    made = making.add(arguments.name, server, settings.get("IRIS_AUTH") == "token")
    if arguments.json:
        common.show_json(json.dumps(made))
        return 0
    common.say(
        f"{made['name']} is on {made['server']}: /t/{made['name']}/ or {made['name']}.… by name"
    )
    if made["token"]:
        common.say("its first admin's token, which is shown once:")
        common.show(made["token"])
    return 0


def _list(arguments):
    from iris.trackers import making  # noqa: PLC0415

    found = making.listed()
    if arguments.json:
        common.show_json(json.dumps(found))
        return 0
    from iris.formats import terminal  # noqa: PLC0415

    rows = []
    for each in found:
        size = each.pop("bytes")
        each["size"] = None if size is None else f"{size / 1_000_000:.1f} MB"
        rows.append(json.dumps(each))
    common.show(terminal.table(rows, COLUMNS, set()).removesuffix("\n"))
    return 0


def _move(arguments):
    from iris.trackers import moving, servers  # noqa: PLC0415

    target = servers.named(arguments.to)
    waited = moving.move(arguments.name, target, common.say, arguments.keep)
    if arguments.json:
        told = {"name": arguments.name, "server": str(target), "waited": round(waited, 3)}
        common.show_json(json.dumps(told))
    return 0


def _remove(arguments):
    from iris.trackers import making  # noqa: PLC0415

    folder = None
    if not arguments.no_backup:
        folder = arguments.backups or settings.get("IRIS_BACKUPS")
        if not folder:
            raise settings.Wrong(
                "IRIS_BACKUPS",
                "is not set: where the backup goes; or say --backups FOLDER or --no-backup",
            )
    where = making.place(arguments.name)
    if not arguments.yes:
        if not sys.stdin.isatty():
            common.say("nobody can be asked here: say --yes")
            return 2
        common.say(
            f"this removes {arguments.name} on {where} with all its tickets; type its name to go on:"
        )
        if sys.stdin.readline().strip() != arguments.name:
            common.say("nothing was removed")
            return 1
    path = making.remove(arguments.name, folder, common.say)
    common.say(f"{arguments.name} is removed" + (f"; all of it is in {path}" if path else ""))
    return 0
