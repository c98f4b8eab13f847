"""`iris undo`."""

from iris.client import USAGE, Failed, asking, words

EXAMPLES = """
  iris log                                   # the first column is the number of the change
  iris undo 12 --dry-run                     # what would happen
  iris undo 12                               # all that change 12 did, however many tickets it was
  iris undo event_id=17                      # one event alone
"""


def declare(parser):
    """Say which arguments there are."""
    parser.add_argument(
        "words", nargs="+", metavar="CHANGE | event_id=NUMBER", help="what to take back"
    )
    parser.add_argument("-n", "--dry-run", action="store_true", help="only say what would happen")
    asking.declare(parser, drawn=False)


def run(arguments):
    """Take a change back, all of it or nothing; an undo can be undone, too."""
    pairs, numbers = words.split(arguments.words)
    if len(numbers) > 1:
        raise Failed(USAGE, "one change at a time")
    for word in numbers:
        if not (word.isascii() and word.isdigit()):
            hint = "iris log shows them in its first column"
            raise Failed(USAGE, f"{word} is no number of a change\nhint: {hint}")
    pairs += [("change", number) for number in numbers]
    pairs += [("dry_run", "true")] * arguments.dry_run
    return asking.put("/undo", pairs, arguments)
