"""`iris comment`."""

from iris.client import USAGE, Failed, asking, editor, words

EXAMPLES = """
  iris comment 3 'It works again'
  iris comment 3                             # write it in $EDITOR
  make 2>&1 | iris comment 3 -F -            # the same from stdin, or from a file
"""


def declare(parser):
    """Say which arguments there are."""
    parser.add_argument("number", metavar="NUMBER", type=words.number, help="of a ticket")
    parser.add_argument("words", nargs="*", default=[], metavar="TEXT", help="what to say")
    parser.add_argument("-F", "--file", metavar="FILE", help="what to say; - is stdin")
    asking.declare(parser, drawn=False)


def run(arguments):
    """Comment on a ticket."""
    path = f"/tickets/{arguments.number}/comments"
    if arguments.words and arguments.file is not None:
        raise Failed(USAGE, "the text is given twice")
    if arguments.words:
        return asking.put(path, [], arguments, " ".join(arguments.words))
    text, kept = editor.text(arguments.file)
    with kept:
        return asking.put(path, [], arguments, text)
