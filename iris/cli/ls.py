"""`iris ls`."""

from iris.client import USAGE, Failed, asking, words

EXAMPLES = """
  iris ls mine                               # open, and assigned to you, watched by you or naming you
  iris ls status=open,active sort=-priority
  iris ls 'q=net*' created_after=monday      # q: words, "a phrase", -not, or
  iris ls label!=wontfix unassigned=true     # != none of these
  iris ls label=='a, b'                      # == just this, whatever is in it
  iris ls as_of=yesterday columns=ticket_id,title,assignee
  iris ls format=csv > all.csv               # also ndjson, tsv, ics, atom

Filters: status, assignee, reporter, priority, label (several: a,b); open, unassigned, overdue, blocked
(=true); due_, created_, updated_, closed_ + before, after (=monday); q, mentions, commented_by, watched_by,
mine, age_over, idle_over (=7d), fields.NAME, linked, as_of. And sort, columns, limit, count, tz.
"""
MINE = [("mine", "true"), ("open", "true")]


def declare(parser):
    """Say which arguments there are."""
    parser.add_argument(
        "words",
        nargs="*",
        default=[],
        metavar="NAME=VALUE",
        help="a filter; mine: yours that are open",
    )
    asking.declare(parser)


def run(arguments):
    """List tickets, newest first."""
    pairs, others = words.split(arguments.words)
    for word in others:
        if word != "mine":
            hint = f"Words: iris ls q='{word}'; by status: iris ls status=open; yours: iris ls mine"
            if words.is_number(word):
                hint = f"One ticket: iris show {words.number(word)}"
            raise Failed(USAGE, f"{word} is no NAME=VALUE\nhint: {hint}")
    return asking.get(
        "/tickets", words.filters([*pairs, *MINE * bool(others)]), arguments, table=True
    )
