"""README and docs/ as the tests read them: one text, and what is typed in it and printed."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
README, INDEX = ROOT / "README.md", ROOT / "docs" / "README.md"


def pages():
    """Return the paths of README and of the pages of docs/, in the order of its index."""
    return [
        README,
        INDEX,
        *(INDEX.parent / name for name in re.findall(r"\]\((\w+\.md)\)", INDEX.read_text())),
    ]


def text():
    """Return all of them as one text."""
    return "\n".join(path.read_text() for path in pages())


class Typed(NamedTuple):
    """Something that is typed.

    where:    the page.
    door:     "sh" or "psql".
    command:  what is typed.
    printed:  what is printed below it; "" where nothing is shown.
    """

    where: str
    door: str
    command: str
    printed: str


PROMPT = re.compile(r"(?:\$ |(?=curl |printf |git log ))(?P<sh>.*)|iris=> (?P<psql>.*)")


def typed(path):
    """Yield what a page types, in order."""
    lines = path.read_text().split("\n")
    door, command, printed = None, "", []
    for place, line in enumerate([*lines, ""]):
        code = line[4:] if line.startswith("    ") else None
        if not code and door and not line and printed:
            # What is printed may have a blank line in it.
            following = next((each for each in lines[place + 1 :] if each), "")
            if following.startswith("    ") and not PROMPT.match(following[4:]):
                printed.append("")
                continue
        found = PROMPT.match(code or "")
        unfinished = command.endswith(("|", "\\")) or (code or "").startswith("iris-> ")
        if code and door and not printed and unfinished:
            command += "\n" + code.removeprefix("iris-> ").strip()
        elif found or not code:
            if door:
                yield Typed(path.name, door, command, "\n".join(printed))
            door, command, printed = None, "", []
            if found:
                door, command = found.lastgroup, found[found.lastgroup]
        elif door:
            printed.append(code)


# What is another each time.
VARIES = (
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(\+\d\d(:\d\d)?|Z)?", "TIME"),
    (r"\((in )?\d+ \w+( ago)?\)", "AGO"),
    (r"\b[0-9a-f]{64}\b", "DIGEST"),
    (r"\b[0-9a-f]{32}\b", "ID"),
    (r"cursor=[\w%-]+", "CURSOR"),
    (r"\bline \d+\b", "LINE"),
    (r"\bticket \d+ filed\b", "FILED"),
    (r"-{4,}", "----"),
    (r" {2,}", "  "),
    (r"(change\"?: ?)\d+", r"\1N"),
)


def same(printed):
    """Return what is printed without what is another each time, and without the blanks at the ends of lines."""
    for pattern, word in VARIES:
        printed = re.sub(pattern, word, printed)
    return [line.rstrip() for line in printed.strip().splitlines()]
