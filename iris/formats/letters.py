"""A ticket as a letter, and a comment as it stands in one.

A letter shows so many characters, and says how many more there are. Time grows with them, no faster.
"""

import json

import wcwidth

from iris import bounds, counted
from iris.formats import fitting, terminal
from iris.formats.terminal import BOLD, HEAD, NARROWEST, PLAIN
from iris.visible import safe

# Characters of a letter: any description, and comments until it is full.
LETTER = 200_000
MORE = "… {}; format=json shows all"

# Of what is no column: comments and links.
DECODER = json.JSONDecoder()


class Letter:
    """A letter that is being written, until it is full.

    width:    cells across.
    room:     characters that it still takes of texts of any length.
    """

    def __init__(self, width):
        self.lines, self.room, self.width = [], LETTER, width

    def add(self, *lines):
        self.lines += lines

    def tell(self, text):
        """Write a text, or its beginning and how much more there is."""
        shown = text[: self.room]
        self.room -= len(shown)
        self.add(fitting.wrapped(shown, self.width))
        if len(shown) < len(text):
            self.add(MORE.format(counted.of(len(text) - len(shown), "more character")))

    def text(self):
        return "\n".join(self.lines) + "\n"


def parts(text):
    """Return one ticket as the API has it: (its columns, where its comments begin, where its links do).

    text:     JSON text; its comments may be many, and items() reads them one by one.
    """
    # Inside of JSON's texts no quote stands without a backslash, so these are what they look like.
    comments, links = text.index(',"comments":['), text.rindex(',"links":[')
    return terminal.read(text[:comments] + "}"), comments, links


def letter(text, look=PLAIN):
    """Return one ticket, with its comments and links, as a letter.

    text:     the ticket as the API has it, JSON text; its comments may be many.
    look:     a Look.
    """

    def when(text):
        return _when(text, look.zone)

    ticket, comments, links = parts(text)
    number = ticket["ticket_id"]
    state = [ticket["status"], ticket["priority"]]
    if ticket["due"]:
        state.append(f"due {when(ticket['due'])}")
    if ticket["closed"]:
        state.append(f"closed {when(ticket['closed'])}")
    heads = {
        "From": f"{ticket['reporter']}, {when(ticket['created'])}",
        "To": ticket["assignee"],
        "State": ", ".join(state),
        "Labels": terminal.plain(ticket["labels"]),
        "Fields": terminal.plain(ticket["fields"]),
        "Links": ", ".join(terminal.linked(number, link) for link in items(text, links)),
        "Version": f"{ticket['version']}, {when(ticket['updated'])}",
    }
    made = Letter(look.width)
    made.add(*terminal.titled(ticket, look))
    for name, value in heads.items():
        if value:
            first, *others = fitting.broken(value[:HEAD], look.width - 9) or [""]
            made.add(
                look.paint(f"{name + ':':<9}", BOLD) + first, *(" " * 9 + other for other in others)
            )
            if len(value) > HEAD:
                made.add(" " * 9 + MORE.format(counted.of(len(value) - HEAD, "more character")))
    if ticket["description"]:
        made.add("")
        made.tell(ticket["description"])
    told = 0
    for comment in items(text, comments):
        if not made.room:
            break
        _remark(made, comment, look)
        told += 1
    left = sum(1 for _ in items(text, comments)) - told if not made.room else 0
    if left:
        made.add("", f"… {counted.of(left, 'more comment')}; format=json shows all")
    if look.zone != "UTC":
        made.add("", f"Times are in {look.zone}.")
    return made.text()


def _when(text, zone):
    return f"{terminal.moment(text, zone)} ({terminal.ago(text)})"


def _remark(made, comment, look):
    """Write a comment into a Letter."""
    said = f", {_when(comment['created'], look.zone)} "
    room = max(look.width - len(said) - 3, NARROWEST)
    head = f"-- {fitting.fit(safe(comment['author']), room).rstrip()}{said}"
    made.add("", look.paint(wcwidth.ljust(head, look.width, fillchar="-"), BOLD))
    made.tell(comment["body"])


def comment(text, look=PLAIN):
    """Return one comment as it stands in its ticket's letter.

    text:     the comment as the API has it, JSON text.
    look:     a Look.
    """
    one, made = terminal.read(text), Letter(look.width)
    made.add(look.paint(f"Comment {one['comment_id']} on ticket {one['ticket_id']}", BOLD))
    _remark(made, one, look)
    if look.zone != "UTC":
        made.add("", f"Times are in {look.zone}.")
    return made.text()


def items(text, at):
    """Yield the items of a list that stands there in a ticket."""
    return (item for item, _, _ in bounds.items(text, text.index("[", at) + 1, DECODER.raw_decode))
