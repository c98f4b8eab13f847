"""`iris import`."""

import json

from iris import location, settings
from iris.cli import common
from iris.transfer import foreign, restore, shapes

EXAMPLES = """
  iris import all.ndjson                     # what iris export wrote, into an empty Iris
  iris import --from jira --dry-run all.csv  # what would come of it
  iris import --from github issues.json      # once more later: what has changed there comes as changes
  gunzip < all.ndjson.gz | iris import -
"""


def declare(parser):
    """Say which arguments there are."""
    parser.add_argument(
        "--from", dest="kind", choices=tuple(shapes.ALL), help="not an export, but another's"
    )
    parser.add_argument(
        "--map", dest="map_path", metavar="FILE", help="what columns, statuses and people are here"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print the map in effect and say what would be done"
    )
    parser.add_argument("--encoding", help="of the file, such as cp1252; else UTF-8, or UTF-16")
    parser.add_argument(
        "--skip-bad", action="store_true", help="leave bad rows in FILE.bad and import the others"
    )
    parser.add_argument(
        "--again", action="store_true", help="import those, too, that were deleted here since"
    )
    parser.add_argument("file", metavar="FILE", help="- is stdin")


def run(arguments):
    """Read an export into an empty Iris; or tickets of other trackers into any."""
    given = vars(arguments)
    if not arguments.kind:
        for name in ("skip_bad", "again", "dry_run", "map_path", "encoding"):
            if given[name]:
                option = "--" + name.removesuffix("_path").replace("_", "-")
                raise settings.Wrong(option, "goes with --from only: an export is taken whole")
        restore.read(location.dsn(owner=True), arguments.file, common.say)
        return 0
    table = foreign.take(
        location.dsn(owner=True),
        arguments.file,
        arguments.kind,
        common.say,
        skip_bad=arguments.skip_bad,
        dry_run=arguments.dry_run,
        again=arguments.again,
        map_path=arguments.map_path,
        encoding=arguments.encoding,
    )
    if arguments.dry_run:
        common.show(json.dumps(table.table, indent=2, ensure_ascii=False))
    return 0
