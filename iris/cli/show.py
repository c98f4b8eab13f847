"""`iris show`."""

from iris.client import USAGE, Failed, asking, words

EXAMPLES = """
  iris show 3
  iris show 3 as_of=yesterday
  iris show 3 --json                         # next: where it may go
"""


def declare(parser):
    """Say which arguments there are."""
    parser.add_argument("number", metavar="NUMBER", type=words.number, help="of a ticket")
    parser.add_argument(
        "words", nargs="*", default=[], metavar="NAME=VALUE", help="as_of=TIME, tz=ZONE"
    )
    asking.declare(parser)


def run(arguments):
    """Show a ticket with its comments and links."""
    pairs, others = words.split(arguments.words)
    if others:
        raise Failed(USAGE, f"{others[0]} is no NAME=VALUE\nhint: iris show 3 as_of=yesterday")
    return asking.get(f"/tickets/{arguments.number}", pairs, arguments)
