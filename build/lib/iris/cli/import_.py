"""`iris import`."""

from iris import location, settings
from iris.cli import common
from iris.transfer import foreign, restore


def declare(parser):
    """Say which arguments there are."""
    parser.add_argument(
        "--from", dest="kind", choices=tuple(foreign.KINDS), help="not an export, but another's"
    )
    parser.add_argument(
        "--skip-bad", action="store_true", help="leave bad rows in FILE.bad and import the others"
    )
    parser.add_argument("file", metavar="FILE", help="- is stdin")


def run(arguments):
    """Read an export into an empty Iris; or tickets of other trackers into any."""
    if arguments.kind:
        foreign.take(
            location.dsn(owner=True), arguments.file, arguments.kind, common.say, arguments.skip_bad
        )
    elif arguments.skip_bad:
        raise settings.Wrong("--skip-bad", "goes with --from only: an export is taken whole")
    else:
        restore.read(location.dsn(owner=True), arguments.file, common.say)
    return 0
