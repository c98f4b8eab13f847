"""Lines of a terminal: texts of anybody's, cut and broken so that they fit, counted in cells."""

import re
import textwrap

import wcwidth

from iris import bounds
from iris.visible import safe

WIDTH = 100
# Characters that are looked at for one cell of a table: marks and blanks take no room, but time.
CELL = 16 * WIDTH
# Characters that are measured at once. A longer word is broken anyway.
WINDOW = 4 * WIDTH


def one_line(text):
    """Return as much of a text as a cell may need, as one line."""
    line = safe(" ".join(text[:CELL].split()))
    return line if len(text) <= CELL else line + "…"


def fit(cell, width):
    if wcwidth.width(cell) > width:
        cell = wcwidth.clip(cell, 0, width - 1) + "…"
    return wcwidth.ljust(cell, width)


def wrapped(text, width=WIDTH):
    """Return text broken into lines that fit, its own line breaks kept; none looks like a comment's head."""
    lines = []
    for line in text.splitlines():
        made = broken(line, width) or [""]
        if any(each.startswith("--") for each in made):
            made = [f" {each}" for each in broken(line, width - 1)]
        lines += made
    return "\n".join(lines)


def broken(text, width=WIDTH):
    """Break one line into lines that fit: as wcwidth.wrap() does, in time that grows only with the text."""
    made, line, room = [], "", width

    def end():
        nonlocal line, room
        if line := line.rstrip(" "):
            made.append(line)
        line, room = "", width

    for piece, goes_on in _chunks(safe(text.expandtabs())):
        chunk, cells = piece, wcwidth.width(piece)
        while cells > room and (cells > width or goes_on) and chunk != " " * cells:
            part = _fitting(chunk, room)
            line += part
            end()
            chunk = chunk[len(part) :]
            cells = wcwidth.width(chunk)
        if cells > room:
            end()
        if line or not made or chunk != " " * cells:
            line, room = line + chunk, room - cells
    end()
    return made


def _chunks(text):
    """Yield blanks, words and parts of words: (what it is, whether a word goes on with it)."""
    for found in re.finditer(" +|[^ ]+", text):
        bounds.breathe()
        word = found[0]
        if word[0] == " ":
            yield word, False
            continue
        start = 0
        while len(word) - start > WINDOW:
            piece = word[start : start + WINDOW]
            piece = piece[: wcwidth.grapheme_boundary_before(piece, WINDOW)] or piece
            yield piece, start > 0
            start += len(piece)
            bounds.breathe()
        for part in filter(None, textwrap.TextWrapper.wordsep_re.split(word[start:])):
            yield part, start > 0
            start = 0


def _fitting(chunk, room):
    """Return the part of a long word that fits, up to a hyphen if there is one."""
    end, used = 0, 0
    for cluster in wcwidth.iter_graphemes(chunk):
        used += wcwidth.width(cluster)
        if used > room:
            break
        end += len(cluster)
    hyphen = chunk.rfind("-", 0, end) + 1
    return chunk[:hyphen] if chunk[:hyphen].strip("-") else chunk[:end]
