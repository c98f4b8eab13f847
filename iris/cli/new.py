"""`iris new`."""

from iris.client import asking, editor, words

EXAMPLES = """
  iris new Printer on fire
  iris new 'Printer on fire' priority=urgent assignee=me due='friday 17:00' labels=hardware,smoke
  iris new                                   # write it in $EDITOR: the first line is the title
  iris new -F note.txt labels=inbox          # the same from a file; -F - from stdin
  git log -1 | iris new -F -

Columns: title, description, status, assignee, reporter, priority (low, normal, high, urgent), labels
(a,b), fields (JSON), due (friday 17:00).
"""


def declare(parser):
    """Say which arguments there are."""
    parser.add_argument(
        "words", nargs="*", metavar="TITLE | NAME=VALUE", help="its title, and columns"
    )
    parser.add_argument("-F", "--file", metavar="FILE", help="title and description; - is stdin")
    parser.add_argument(
        "-e", "--edit", action="store_true", help="write the description in $EDITOR"
    )
    asking.declare(parser, drawn=False)


def run(arguments):
    """File a ticket."""
    pairs, title = words.split(arguments.words)
    pairs, title = asking.named(pairs), " ".join(title)
    has_title = title or any(name == "title" for name, _ in pairs)
    if arguments.file is None and not arguments.edit and has_title:
        return asking.put("/tickets", [*pairs, *([("title", title)] if title else [])], arguments)
    text, kept = editor.text(arguments.file, f"{title}\n\n" if title else "", title=True)
    with kept:
        return asking.put("/tickets", pairs, arguments, text)
