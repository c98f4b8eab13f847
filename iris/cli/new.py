"""`iris new`."""

from iris.client import USAGE, Failed, asking, editor, words

EXAMPLES = """
  iris new Printer on fire
  iris new 'Printer on fire' priority=urgent assignee=me due='friday 17:00' labels=hardware,smoke
  iris new title='a=b is refused'            # a title with a = before any blank
  iris new                                   # write it in $EDITOR: the first line is the title
  iris new -F note.txt labels=inbox          # the same from a file; -F - from stdin
  git log -1 | iris new Broken by this -F -  # the title, and the description from stdin

Columns: title, description, status, assignee, reporter, priority (low, normal, high, urgent), labels
(a,b), fields (JSON), due (friday 17:00).
"""


def declare(parser):
    """Say which arguments there are."""
    parser.add_argument(
        "words", nargs="*", default=[], metavar="TITLE | NAME=VALUE", help="its title, and columns"
    )
    parser.add_argument(
        "-F",
        "--file",
        metavar="FILE",
        help="title and description, or with a title the description; - is stdin",
    )
    parser.add_argument(
        "-e", "--edit", action="store_true", help="write the description in $EDITOR"
    )
    asking.declare(parser, drawn=False)


def run(arguments):
    """File a ticket."""
    pairs, typed = words.split(arguments.words)
    titles = [" ".join(typed)] * bool(typed) + [value for name, value in pairs if name == "title"]
    if len(titles) > 1:
        raise Failed(USAGE, "the title is given twice")
    title = "".join(titles)
    pairs = asking.named([(name, value) for name, value in pairs if name != "title"])
    if arguments.file is None and not arguments.edit and titles:
        return asking.put("/tickets", [("title", title), *pairs], arguments)
    if "\n" in title:
        raise Failed(USAGE, "a title is one line")
    text, kept = editor.text(arguments.file, f"{title}\n\n" if title else "", title=True)
    if arguments.file is not None and title:
        text = f"{title}\n\n{text}"
    with kept:
        return asking.put("/tickets", pairs, arguments, text)
