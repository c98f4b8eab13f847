"""`iris changes`."""

from iris.client import asking, words

EXAMPLES = """
  iris changes                               # in the last seven days
  iris changes monday                        # or 2026-12-01, yesterday, -2h, 3 days ago
  iris changes monday assignee=alice until=friday
"""
SINCE = "7 days ago"


def declare(parser):
    """Say which arguments there are."""
    parser.add_argument(
        "words",
        nargs="*",
        default=[],
        metavar="SINCE | NAME=VALUE",
        help=f"{SINCE}, unless given; a filter",
    )
    asking.declare(parser)


def run(arguments):
    """Tell what is different now from then, as one reads it out."""
    pairs, since = words.split(arguments.words)
    if since or all(name != "since" for name, _ in pairs):
        pairs.append(("since", " ".join(since) or SINCE))
    return asking.get("/changes", words.filters(pairs), arguments)
