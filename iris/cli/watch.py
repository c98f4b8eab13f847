"""`iris watch`."""

from iris import visible
from iris.cli import common
from iris.client import USAGE, Failed, asking, following, place, screen, words

EXAMPLES = """
  iris watch                                 # from now on; next time from where you left off
  iris watch 3                               # one ticket alone
  iris watch actor=alice,bob kind=created
  iris watch --from 0 > all.txt              # from the beginning
  iris watch --json --position FILE | ...    # for a program of yours, with a position of its own
"""
# Characters of a value.
BRIEF = 60
# What is done to comments, in words that go on with the ticket; all else is done to the ticket itself.
DONE = {
    "commented": "commented on",
    "comment_changed": "changed a comment on",
    "comment_deleted": "deleted a comment on",
}


def declare(parser):
    """Say which arguments there are."""
    parser.add_argument(
        "words",
        nargs="*",
        default=[],
        metavar="NUMBER | NAME=VALUE",
        help=f"of a ticket; only events that have this: {', '.join(following.CHOSEN)}",
    )
    parser.add_argument("--json", action="store_true", help="an event a line, as JSON")
    parser.add_argument(
        "--from",
        dest="start",
        metavar="POSITION",
        help="where to start, whatever is kept: now, 0 for the beginning, or an event's position",
    )
    parser.add_argument(
        "--position",
        metavar="FILE",
        help="what keeps how far you are; one for each address and filter",
    )


def run(arguments):
    """Tell what happens, as it happens: killed and started again, it goes on where it was."""
    import json  # noqa: PLC0415 (takes its time)

    start = arguments.start
    if start is not None and start != "now" and not (start.isascii() and start.isdigit()):
        raise Failed(USAGE, "--from is now, or a position: a whole number")
    where, chosen = place.find(), _chosen(arguments.words)
    kept = following.Position(arguments.position or following.path(where, chosen))
    if start or kept.at is None:
        kept.keep(following.end() if start in (None, "now") else int(start))
    if screen.is_terminal():
        common.say("what happens is told as it happens; Ctrl-C ends it")
    for position, text in following.events(where, kept.at, common.say):
        event = json.loads(text)
        if all(_meets(event, *each) for each in chosen):
            told = visible.escaped(text) if arguments.json else screen.safe(line(event))
            kept.printing(position, f"{told}\n".encode(), screen.write)
        else:
            kept.keep(position)
    return 0


def _chosen(typed):
    """Return what an event has to have: [(name, whether none of them, values)]."""
    pairs, numbers = words.split(typed)
    pairs += [("ticket_id", words.number(number)) for number in numbers]
    found = []
    for name, value in words.filters(pairs):
        if name not in following.CHOSEN:
            raise Failed(USAGE, f"{name} is unknown here; there are {', '.join(following.CHOSEN)}")
        values = value.removeprefix("!").split(",")
        if name == "actor":
            values = [asking.me() if each == "me" else each.strip('"') for each in values]
        # What no event can have would be waited for in vain.
        if name == "kind":
            asking.document("/events", [(name, ",".join(values)), ("limit", "1")])
        if name in ("ticket_id", "change") and not all(map(words.is_number, values)):
            raise Failed(USAGE, f"{name} must be a whole number")
        if name == "ticket_id":
            for number in values:
                asking.document(f"/tickets/{number}/history", [("limit", "1")])
        found.append((name, value.startswith("!"), tuple(values)))
    return found


def _meets(event, name, is_excluded, values):
    return (str(event[name]) in values) != is_excluded


def line(event):
    """Return an event as a line.

    event:    as the feed has it.
    """
    of = f" ticket {event['ticket_id']}" if event["ticket_id"] else ""
    changes = event["changes"] or {}
    if event["kind"] in ("created", "deleted") and "title" in changes:
        told = _brief(next(value for value in changes["title"] if value is not None))
    elif event["kind"] in ("linked", "unlinked"):
        told = " ".join(str(next(filter(None, changes[name]))) for name in ("kind", "other_id"))
    elif event["kind"] in DONE and changes.keys() == {"body"}:
        old, new = changes["body"]
        told = _brief(old) if new is None else _change(old, new)
    else:
        told = "; ".join(f"{name}: {_change(*pair)}" for name, pair in changes.items())
    undoes = f" (undoes {event['undoes']})" if event["undoes"] else ""
    when = event["at"][:19].replace("T", " ")
    did = DONE.get(event["kind"], event["kind"])
    return " ".join(f"{when}  {event['actor']}  {did}{of}{undoes}: {told}".split("\n"))


def _change(old, new):
    return _brief(new) if old in (None, [], {}) else f"{_brief(old)} → {_brief(new)}"


def _brief(value):
    """Return as much of a value as one line has room for."""
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    text = "–" if value in (None, "", {}) else " ".join(str(value).split())
    return text if len(text) <= BRIEF else f"{text[:BRIEF]}…"
