"""What every shape makes of a file: one item a ticket."""

import json
import re
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy.dialects.postgresql import TIMESTAMP

from iris import models, visible

TIMES = {each.name for each in models.Ticket.__table__.c if isinstance(each.type, TIMESTAMP)}
# Of the tickets that a text mentions, as many become links.
MENTIONS = 20
CODE = re.compile(r"```.*?```|`[^`\n]*`|^(?: {4}|\t)[^\n]*", re.DOTALL | re.MULTILINE)


class Link(NamedTuple):
    """A link to another ticket of the file, or of one before.

    kind:         as in the table links.
    is_turned:    whether it is the other one that blocks, duplicates, or has this one as its parent.
    names:        what the other one may be called; the first that is found will do.
    is_mentioned: whether a text says so by the way.
    """

    kind: str
    is_turned: bool
    names: list
    is_mentioned: bool = False


@dataclass(slots=True)
class Item:
    """A ticket as a file has it.

    shown:    where it stands in the file, for people.
    origin:   what it is known by when it comes again, {name: value}, a part of its `fields`; where nothing
              in the file tells tickets apart, a mere digest, and is_keyed is false.
    ticket:   {column: value}, of those columns that the file has; a status may be missing. Empty where it
              could not even be read.
    own:      the text of a JSON object with more `fields`, or None.
    comments: [{"author", "body", "created", "updated"}].
    names:    what links of this file may call it, [{name: value}], besides its origin.
    links:    [Link].
    wrong:    what is wrong with it, in words.
    raw:      what it was, as JSON has it.
    formerly: {"digest", "name", "key"}: what Iris 0.1.0 knew its row by, and its key with the name of that
              one's column, if it has one; None where 0.1.0 could not have read it.
    own_id:   the number that an Iris gave it: the same ticket, if it was also made at the same instant.
    """

    shown: str
    origin: dict
    ticket: dict = field(default_factory=dict)
    own: str | None = None
    comments: list = field(default_factory=list)
    names: list = field(default_factory=list)
    links: list = field(default_factory=list)
    wrong: list = field(default_factory=list)
    raw: object = None
    is_keyed: bool = True
    formerly: dict | None = None
    own_id: int | None = None

    def line(self, place, keep_raw):
        """Return it as a line for COPY."""
        # What PostgreSQL's JSON can't hold is a mistake of its row, found when that is read.
        origin = json.dumps(self.origin)
        if re.search(r"\\u0000|\\ud[89a-f]", origin):
            origin = json.dumps({"imported": f"row {place}"})
            self.wrong.append("what it is known by holds what no text here can")
        ticket = {name: value for name, value in self.ticket.items() if value is not None}
        entry = {
            "ticket": ticket,
            # Times in words, such as monday.
            "words": {name: ticket.pop(name) for name in TIMES & ticket.keys() if not _begun(ticket[name])},
            "given": list(self.ticket), "own": self.own, "comments": self.comments,
            "names": self.names, "links": [link._asdict() for link in self.links],
        }  # fmt: skip
        cells = (
            str(place), visible.safe(self.shown), json.dumps(entry) if self.ticket else "", origin,
            json.dumps(self.is_keyed), json.dumps(list(dict.fromkeys(self.wrong))),
            "" if self.own_id is None else str(self.own_id), json.dumps(self.raw) if keep_raw else "",
            json.dumps(self.formerly, ensure_ascii=False).replace("\\u0000", "") if self.formerly else "",
        )  # fmt: skip
        return "\x02".join(cells) + "\n"


def _begun(time):
    """Whether a time begins with a number, as all do but words."""
    return str(time)[:1].isdigit()


def add_mentions(item, pattern, names):
    """Link a ticket with those that its texts mention.

    pattern:  a regular expression whose group is what comes of the other one's key.
    names:    a function from that to what it may be called here.
    """
    found = {}
    texts = [item.ticket.get("title"), item.ticket.get("description")]
    for text in (*texts, *(each["body"] for each in item.comments)):
        if text and isinstance(text, str) and pattern.search(text):
            said = CODE.sub("", text)
            for match in pattern.finditer(said):
                before = said[max(match.start() - 20, 0) : match.start()].lower()
                kind = "duplicates" if before.rstrip().endswith("duplicate of") else "relates"
                if len(found) < MENTIONS or match[1] in found:
                    found.setdefault(match[1], kind)
    item.links += [Link(kind, False, names(other), True) for other, kind in found.items()]
