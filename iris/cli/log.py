"""`iris log`."""

from iris.client import USAGE, Failed, asking, screen, words

EXAMPLES = """
  iris log                                   # what happened, newest first
  iris log 3                                 # to ticket 3, also if it is gone
  iris log actor=me at_after=monday
  iris log source=psql kind=deleted limit=5
  iris log change=12                         # all that one change did; iris undo 12 takes it back
"""
# By the first of these it is taken back. By which door it came is left out where there is no room for it.
COLUMNS, ROOMY = "change,at,actor,source,ticket_id,kind,changes", 100


def declare(parser):
    """Say which arguments there are."""
    parser.add_argument(
        "words", nargs="*", default=[], metavar="NUMBER | NAME=VALUE", help="of a ticket; a filter"
    )
    asking.declare(parser)


def run(arguments):
    """Show what happened: to a ticket, or to all."""
    pairs, numbers = words.split(arguments.words)
    if len(numbers) > 1:
        raise Failed(USAGE, f"{numbers[1]} is no NAME=VALUE")
    pairs, columns = words.filters(pairs), COLUMNS
    path = f"/tickets/{words.number(numbers[0])}/history" if numbers else "/events"
    if numbers:
        columns = columns.replace("ticket_id,", "")
    if (screen.width() or ROOMY) < ROOMY:
        columns = columns.replace("source,", "")
    given = dict(pairs)
    if not arguments.json and given.get("format", "text") == "text" and "columns" not in given:
        pairs.append(("columns", columns))
    return asking.get(path, pairs, arguments, table=True)
