"""`iris inbox`."""

from iris.client import USAGE, Failed, asking, words

EXAMPLES = """
  iris inbox                                 # what happened on what you watch since you last looked
  iris inbox --read                          # … and that is read now
  iris inbox after=0 ticket_id=3             # all that there ever was of ticket 3
"""


def declare(parser):
    """Say which arguments there are."""
    parser.add_argument("words", nargs="*", default=[], metavar="NAME=VALUE", help="a filter")
    parser.add_argument(
        "-r", "--read", action="store_true", help="say that it is read, all that is shown"
    )
    asking.declare(parser)


def run(arguments):
    """Tell what happened on what you watch since you last looked."""
    pairs, others = words.split(arguments.words)
    if others:
        raise Failed(USAGE, f"{others[0]} is no NAME=VALUE\nhint: iris inbox ticket_id=3")
    pairs = words.filters(pairs)
    last = None
    if arguments.read:
        # Before it is shown: what comes meanwhile is shown next time.
        shown = asking.document("/inbox", [("columns", "position"), *pairs])
        last = shown[-1]["position"] if shown else None
    status = asking.get("/inbox", pairs, arguments)
    if last is not None:
        asking.put("/inbox", [("position", str(last))], arguments)
    return status
