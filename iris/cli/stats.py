"""`iris stats`."""

from iris.client import USAGE, Failed, asking, words

EXAMPLES = """
  iris stats                                 # how many, by whom, how long, week by week
  iris stats label=hardware weeks=8
  iris stats as_of='7 days ago'
"""


def declare(parser):
    """Say which arguments there are."""
    parser.add_argument(
        "words", nargs="*", default=[], metavar="NAME=VALUE", help="a filter, as of iris ls"
    )
    asking.declare(parser)


def run(arguments):
    """Count tickets, what was filed and closed week by week, and how long it took."""
    pairs, others = words.split(arguments.words)
    if others:
        raise Failed(USAGE, f"{others[0]} is no NAME=VALUE\nhint: iris stats label=hardware")
    return asking.get("/stats", words.filters(pairs), arguments)
