"""`iris ls`."""

from iris.client import USAGE, Failed, asking, words

EXAMPLES = """
  iris ls mine                               # yours that are open
  iris ls status=open,active sort=-priority
  iris ls 'q=net*' created_after=monday      # q: words, "a phrase", -not, or
  iris ls label!=wontfix unassigned=true     # != none of these
  iris ls label=='a, b'                      # == just this, whatever is in it
  iris ls as_of=yesterday columns=ticket_id,title,assignee
  iris ls format=csv > all.csv               # also ndjson, tsv
"""
MINE = [("assignee", "me"), ("open", "true")]


def declare(parser):
    """Say which arguments there are."""
    parser.add_argument(
        "words", nargs="*", metavar="NAME=VALUE", help="a filter; mine: yours that are open"
    )
    asking.declare(parser)


def run(arguments):
    """List tickets, newest first."""
    pairs, others = words.split(arguments.words)
    for word in others:
        if word != "mine":
            what = f"{word} is no NAME=VALUE"
            raise Failed(USAGE, f"{what}\nhint: To look for words: iris ls q='{word}'")
    return asking.get(
        "/tickets", words.filters([*pairs, *MINE * bool(others)]), arguments, table=True
    )
