"""`iris link`."""

from iris.client import asking, words

EXAMPLES = """
  iris link 3 blocks 4                       # 4 waits for 3; iris ls blocked=true
  iris link 3 parent 1                       # 3 is a part of 1
  iris link 3 relates 5                      # also: duplicates
  iris link 3 relates 5 --remove
"""


def declare(parser):
    """Say which arguments there are."""
    parser.add_argument("number", metavar="NUMBER", type=words.number, help="of a ticket")
    parser.add_argument("kind", metavar="KIND", help=", ".join(words.LINKS))
    parser.add_argument("other", metavar="OTHER", type=words.number, help="number of another")
    parser.add_argument("-r", "--remove", action="store_true", help="unlink them")
    asking.declare(parser, drawn=False)


def run(arguments):
    """Link a ticket to another, or unlink them."""
    path, kind = f"/tickets/{arguments.number}/links", arguments.kind
    if arguments.remove:
        path = f"{path}/{words.encoded(kind)}/{arguments.other}"
        return asking.put(path, [], arguments, method="DELETE")
    return asking.put(path, [("kind", kind), ("other_id", arguments.other)], arguments)
