"""`iris inbox`."""

from iris.client import USAGE, Failed, asking, words

EXAMPLES = """
  iris inbox                                 # what happened on what you watch since you last looked
  iris inbox --read                          # … and that is read now
  iris inbox after=0 ticket_id=3             # all that there ever was of ticket 3
  iris inbox --join 3                        # hear of ticket 3, too
  iris inbox --leave 3                       # hear no more of it, whoever calls you there

You watch what you filed, are to do, commented on, or are called in by @ and your name; and what you join.
"""


def declare(parser):
    """Say which arguments there are."""
    parser.add_argument("words", nargs="*", default=[], metavar="NAME=VALUE", help="a filter")
    parser.add_argument(
        "-r", "--read", action="store_true", help="say that it is read, all that is shown"
    )
    parser.add_argument("--join", metavar="NUMBER", type=words.number, help="watch a ticket")
    parser.add_argument("--leave", metavar="NUMBER", type=words.number, help="watch it no more")
    asking.declare(parser)


def run(arguments):
    """Tell what happened on what you watch since you last looked."""
    pairs, others = words.split(arguments.words)
    joined, left = arguments.join, arguments.leave
    if number := joined or left:
        if (joined and left) or pairs or others or arguments.read:
            raise Failed(USAGE, "a ticket is joined or left by itself\nhint: iris inbox --join 3")
        method = "PUT" if joined else "DELETE"
        return asking.put(f"/tickets/{number}/watchers/me", [], arguments, method=method)
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
