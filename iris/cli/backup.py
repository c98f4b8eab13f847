"""`iris backup`."""

import argparse
import json

from iris import location, settings
from iris.cli import common
from iris.transfer import backup

EXAMPLES = """
  iris backup iris.dump
  iris backup --keep 7 /var/backups/iris     # into a folder, of which the seven newest stay
  iris backup - | ssh elsewhere 'cat > iris.dump'
"""


def whole(text):
    """Read a number of backups to keep."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 100000):
        raise argparse.ArgumentTypeError("must be a whole number from 1 on")
    return int(text)


def declare(parser):
    """Say which arguments there are."""
    parser.add_argument(
        "file",
        metavar="FILE",
        nargs="?",
        help="- is stdout; with --keep, a folder; else IRIS_BACKUPS",
    )
    parser.add_argument(
        "--keep", type=whole, metavar="N", help="write into a folder, and keep the N newest there"
    )
    parser.add_argument("--json", action="store_true", help="tell what was done as JSON")


def run(arguments):
    """Write all of the database to a file, as pg_dump does, while people go on working."""
    path = arguments.file or (arguments.keep and settings.get("IRIS_BACKUPS"))
    if not path:
        raise settings.Wrong("backup", "needs a FILE, or --keep N and a folder (IRIS_BACKUPS)")
    common.end_by_signal()
    said = backup.write(location.dsn(owner=True), str(path), common.say, arguments.keep)
    if arguments.json and path != "-":
        common.show_json(json.dumps(said))
        return 0
    common.say(
        f"backed up to {said['file']}: {said['bytes'] / 1_000_000:.1f} MB in {said['seconds']} s,"
        f" revision {said['revision']}"
        + (f"; removed {', '.join(said['removed'])}" if said["removed"] else "")
    )
    return 0
