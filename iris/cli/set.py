"""`iris set`."""

from iris.client import USAGE, Failed, asking, editor, words

EXAMPLES = """
  iris set 3 status=active assignee=me
  iris set 3 4 7 status=closed               # several at once: all of them, or none
  iris set 3 assignee= due=tomorrow          # nothing after = empties a column
  iris set 3 add_label=smoke remove_label=inbox
  iris set 3 version=5 status=closed         # only if it is still at version 5
  iris set 3 -e                              # title and description in $EDITOR

Columns: title, description, status, assignee, reporter, priority (low, normal, high, urgent), labels
(a,b), fields (JSON), due (friday 17:00).
"""


def declare(parser):
    """Say which arguments there are."""
    parser.add_argument("number", metavar="NUMBER", type=words.number, help="of a ticket")
    parser.add_argument(
        "words",
        nargs="*",
        default=[],
        metavar="NUMBER | NAME=VALUE",
        help="of another; a column, and what it is to be",
    )
    parser.add_argument("-F", "--file", metavar="FILE", help="title and description; - is stdin")
    parser.add_argument(
        "-e", "--edit", action="store_true", help="title and description in $EDITOR"
    )
    asking.declare(parser, drawn=False)


def run(arguments):
    """Change a ticket, or several at once."""
    pairs, others = words.split(arguments.words)
    for word in others:
        if not words.is_number(word):
            hint = "A column, and what it is to be: iris set 3 status=closed"
            raise Failed(USAGE, f"{word} is no NAME=VALUE\nhint: {hint}")
    path, pairs = f"/tickets/{arguments.number}", asking.named(pairs)
    if not (arguments.edit or arguments.file):
        if not pairs:
            raise Failed(USAGE, "nothing is to be set\nhint: iris set 3 status=active, or -e")
        if others:
            numbers = dict.fromkeys([arguments.number, *map(words.number, others)])
            rows = ", ".join(f'{{"ticket_id": {int(number)}}}' for number in numbers)
            return asking.put("/tickets", pairs, arguments, f"[{rows}]", asking.JSON)
        return asking.put(path, pairs, arguments)
    if others:
        raise Failed(USAGE, "what is written in an editor or a file is one ticket's")
    now = asking.document(path)
    begin = f"{now['title']}\n\n{now['description'] or ''}".rstrip() + "\n"
    text, kept = editor.text(arguments.file, begin, title=True)
    with kept:
        return asking.put(path, pairs, arguments, edited(text, now["version"]), asking.JSON)


def edited(text, version):
    """Return what was written as what a ticket is to be, JSON: if it still has this version."""
    import json  # noqa: PLC0415 (not every change needs it)

    title, _, rest = text.strip("\r\n").partition("\n")
    description = rest.strip("\r\n") or None
    return json.dumps({"title": title.strip(), "description": description, "version": version})
