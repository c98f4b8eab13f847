"""Records of a CSV as people and trackers write them, and of a TSV as PostgreSQL does."""

import re
from typing import NamedTuple

from iris.transfer import files

DELIMITERS = ",;\t|"
# Excel's own first line.
SEPARATOR = re.compile(r"sep=(.)(?:\r\n|\r|\n)")
ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "b": "\b", "f": "\f", "v": "\v"}
ESCAPED = re.compile(r"\\(.)", re.DOTALL)


class Record(NamedTuple):
    """One record.

    line:     where it begins.
    cells:    texts; None where there is nothing, not even quotes.
    raw:      as it stands in the file.
    """

    line: int
    cells: list
    raw: str


def records(text):
    """Yield the records of a CSV; the first of them says which character is between its cells.

    text:     a texts.Text.
    Raises:   files.Refused where quotes don't fit.
    """
    while len(text.window) < 10 and text.more():
        pass
    if found := SEPARATOR.match(text.window):
        delimiter, blanks = found[1], False
        text.take(found.end())
    else:
        delimiter, blanks = _delimiter(text)
    # Possessive, so that a long cell takes no more than its time; blanks before a quote are none of the
    # cell's where the header has them after each delimiter.
    space, between = " *+" if blanks else "", re.escape(delimiter)
    cell = re.compile(
        rf'{space}(?:"([^"]*+(?:""[^"]*+)*+)"|(?!")([^{between}\r\n]*+))({between}|\r\n|\r|\n|\Z)'
    )
    spoilt = re.compile(rf'{space}"[^"]*+(?:""[^"]*+)*+"[^{between}\r\n"]')
    while True:
        if text.at == len(text.window) and not text.more():
            return
        line, cells, at = text.line, [], text.at
        while True:
            found = cell.match(text.window, at)
            # What ends where the window does may go on.
            if (found is None or found.end() == len(text.window)) and not text.ended:
                if found is None and spoilt.match(text.window, at):
                    _refuse(line, text, at, "a quoted cell goes on behind its quote")
                at -= text.at
                text.more()
                at += text.at
                continue
            if found is None:
                spoils = spoilt.match(text.window, at)
                words = "a quoted cell goes on behind its quote"
                _refuse(line, text, at, words if spoils else "a quote has no end")
            quoted, plain, end = found.groups()
            cells.append((plain or None) if quoted is None else quoted.replace('""', '"'))
            at = found.end()
            if end != delimiter:
                break
        yield Record(line, cells, text.take(at))


def copied(text):
    """Yield the records of a TSV as COPY and Iris write it: \\N for nothing, \\t and \\n inside of cells."""
    while True:
        end = text.window.find("\n", text.at)
        if end < 0:
            if text.more():
                continue
            if text.at == len(text.window):
                return
            end = len(text.window) - 1
        line, raw = text.line, text.take(end + 1)
        yield Record(line, [_plain(cell) for cell in raw.rstrip("\r\n").split("\t")], raw)


def _plain(cell):
    if cell == "\\N":
        return None
    if "\\" not in cell:
        return cell
    return ESCAPED.sub(lambda found: ESCAPES.get(found[1], found[1]), cell)


def _refuse(line, text, at, words):
    line += text.window.count("\n", text.at, at)
    raise files.Refused(f"line {line}: this is no CSV: {words}")


def _delimiter(text):
    """Return what stands between the cells of the first line, and whether blanks follow it."""
    while "\n" not in text.window and "\r" not in text.window and text.more():
        pass
    head = re.match(r'(?:"(?:[^"]|"")*"|[^"\r\n])*', text.window)[0]
    bare = re.sub(r'"(?:[^"]|"")*"', "x", head)
    delimiter = max(DELIMITERS, key=bare.count)
    others = bare.split(delimiter)[1:]
    return delimiter, bool(others) and all(cell.startswith(" ") for cell in others)
