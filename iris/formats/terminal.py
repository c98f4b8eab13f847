"""Answers as a person in a terminal likes to read them: tables, and a ticket as a letter.

A text may be long and made of anything, so what is drawn of it is bounded: of a cell a table shows a line;
a letter shows so many characters, and says how many more there are. Time grows with them, no faster.
"""

import json
import re
import textwrap
import time
import zoneinfo
from datetime import UTC, datetime
from typing import NamedTuple

import wcwidth

from iris import bounds, counted
from iris.visible import safe

WIDTH = 100
# What width= may be.
WIDTHS = (20, 500)
NARROWEST = 8
# Cells of a time, to the minute and by its day.
MINUTE, DAY = 16, 10
# What somebody reads a table for; of its width this has so many hundredths, if it needs them.
MAIN, MAINLY = ("title", "body", "changes"), 25
# Characters that are looked at for one cell of a table: marks and blanks take no room, but time.
CELL = 16 * WIDTH
# Characters of a letter: any description, and comments until it is full.
LETTER = 200_000
# Characters of each of its heads, such as links and fields.
HEAD = 20_000
# Characters that are measured at once. A longer word is broken anyway.
WINDOW = 4 * WIDTH
# What is nested deeper than this is not shown.
DEEPEST = 32

# What is drawn in which colour, where that is wanted: by ANSI's numbers.
BOLD, RED, YELLOW = 1, 31, 33
COLORS = {"urgent": RED, "high": YELLOW}

MORE = "… {}; format=json shows all"


# Spans of time: how many seconds, and what they are called.
SPANS = (
    (365 * 86400, "y"),
    (30 * 86400, "mo"),
    (7 * 86400, "w"),
    (86400, "d"),
    (3600, "h"),
    (60, "min"),
)

# What is a time of what changed, by its column.
TIMED = ("due", "expires")

# Of what is no column: comments and links.
DECODER = json.JSONDecoder()


class Look(NamedTuple):
    """How an answer is to look.

    width:    cells across.
    zone:     the time zone that times are shown in.
    color:    whether there are colours.
    last:     a line to end with, if any.
    """

    width: int = WIDTH
    zone: str = "UTC"
    color: bool = False
    last: str = ""

    def paint(self, text, code):
        return f"\x1b[{code}m{text}\x1b[0m" if self.color and code else text


PLAIN = Look()


class Number(str):
    """A number as PostgreSQL wrote it: Python knows fewer of them, and writes some differently."""


def _whole(text):
    return int(text) if len(text) < 20 else Number(text)


def read(text):
    """Read JSON that PostgreSQL wrote, of any depth and with any number.

    Returns:  its value; numbers are int or Number, and "…" stands for what is nested too deeply.
    """
    if text.count("[") + text.count("{") > DEEPEST:
        text = _shallow(text)
    return json.loads(text, parse_int=_whole, parse_float=Number)


def _shallow(text):
    """Return JSON with "…" in place of what is nested too deeply."""
    made, depth, start = [], 0, 0
    for found in re.finditer(r'"(?:[^"\\]++|\\.)*+"|[\[{\]}]', text):
        if found[0] in ("[", "{"):
            depth += 1
            if depth == DEEPEST:
                made.append(text[start : found.start()] + '"…"')
        elif found[0] in ("]", "}"):
            if depth == DEEPEST:
                start = found.end()
            depth -= 1
    return "".join(made) + text[start:]


def plain(value):
    """Return a JSON value as text, lists and objects short."""
    if value is None:
        return ""
    if isinstance(value, list):
        return ", ".join(plain(item) for item in value)
    if isinstance(value, dict):
        return "; ".join(f"{name}: {_short(item)}" for name, item in value.items())
    return str(value) if not isinstance(value, bool) else str(value).lower()


def _short(value):
    """Return a value of an object: of [old, new] both, of anything nested its JSON."""
    if isinstance(value, list) and len(value) == 2:
        old, new = (plain(item) or "–" for item in value)
        return f"{old} → {new}"
    return _json(value) if isinstance(value, list | dict) else plain(value)


def _json(value):
    """Return a JSON value as JSON, its numbers as they were."""
    if isinstance(value, list):
        return f"[{', '.join(map(_json, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_json(name)}: {_json(item)}' for name, item in value.items())}}}"
    return value if isinstance(value, Number) else json.dumps(value, ensure_ascii=False)


def moment(text, zone="UTC"):
    """Return a time of the API as 2026-11-20 18:25."""
    if not text or zone == "UTC":
        return text and text[:16].replace("T", " ")
    try:
        return f"{datetime.fromisoformat(text).astimezone(zoneinfo.ZoneInfo(zone)):%Y-%m-%d %H:%M}"
    except OverflowError:
        # The first and the last day that there is.
        return moment(text)


def _timed(name, value, zone):
    """Return a value of what changed, a time of it as times are shown."""
    if name not in TIMED or not isinstance(value, str):
        return value
    try:
        return moment(datetime.fromisoformat(value).astimezone(UTC).isoformat(), zone)
    except (ValueError, OverflowError):
        return value


def ago(text):
    """Return a time of the API as 3 h ago, or in 3 h."""
    seconds = time.time() - datetime.fromisoformat(text).timestamp()
    size, unit = next(each for each in SPANS if abs(seconds) >= each[0] or each[1] == "min")
    span = f"{int(abs(seconds) // size)} {unit}"
    return f"{span} ago" if seconds >= 0 else f"in {span}"


def table(rows, columns, times=(), look=PLAIN):
    """Return rows as an aligned table; of what changed, each change in a line of its own.

    rows:     [row as JSON text].
    columns:  which to show, in this order.
    times:    which of them are times: they have how long ago beside them, where there is room.
    look:     a Look.
    """
    short, long, colors = [list(columns)], [list(columns)], [[BOLD] * len(columns)]
    for text in rows:
        row = read(text)
        painted = [_color(row, name) for name in columns]
        for cells in _cells(row, columns, times, look.zone):
            short.append([_one_line(cell) for cell, _ in cells])
            long.append([_one_line(cell) for _, cell in cells])
            colors.append(painted)
        bounds.breathe()
    lines, widths = long, _widths(long, look.width)
    if _across(widths) > look.width:
        lines, widths = short, _shrunk(short, columns, times, look.width)
    made = []
    for cells, painted in zip(lines, colors, strict=True):
        fitted = (
            look.paint(fit(cell[:DAY] if name in times and width < MINUTE else cell, width), code)
            for name, cell, width, code in zip(columns, cells, widths, painted, strict=True)
        )
        made.append("  ".join(fitted).rstrip())
        bounds.breathe()
    if look.last:
        made.append(look.last)
    if look.zone != "UTC" and any(name in times for name in columns):
        made.append(f"Times are in {look.zone}.")
    return "\n".join(made) + "\n"


def _widths(lines, most):
    return [min(most, max(map(wcwidth.width, cells))) for cells in zip(*lines, strict=True)]


def _shrunk(lines, columns, times, width):
    """Return widths that fit: the widest give way, a time to its day, what a table is read for last."""
    widths = _widths(lines, width)
    least = [
        width * MAINLY // 100 if name in MAIN else max(NARROWEST, len(name)) for name in columns
    ]
    for day in (MINUTE, DAY):
        for place, name in enumerate(columns):
            if name in times and widths[place] > day:
                widths[place] = day
        ends = [
            min(day, widths[place]) if name in times else least[place]
            for place, name in enumerate(columns)
        ]
        _give_way(widths, ends, width)
        if _across(widths) <= width:
            break
    _give_way(widths, [NARROWEST] * len(widths), width)
    return widths


def _give_way(widths, least, width):
    """Narrow the widest columns until all fit, none below its least."""
    while _across(widths) > width:
        wide = [(mine, -place) for place, mine in enumerate(widths) if mine > least[place]]
        if not wide:
            return
        widths[-max(wide)[1]] -= 1


def _across(widths):
    return sum(widths) + 2 * len(widths) - 2


def _cells(row, columns, times, zone):
    """Yield the lines of a row, each a list of (cell, the same at more length)."""
    told = row.get("changes") if "changes" in columns else None
    changes = list(_changes(told, zone)) if isinstance(told, dict) else []
    line = []
    for name in columns:
        value = row[name]
        if name in times and value:
            when = moment(value, zone)
            line.append((when, f"{when} ({ago(value)})"))
        else:
            line.append((changes[0] if changes and name == "changes" else plain(value),) * 2)
    yield line
    for change in changes[1:]:
        yield [(change if name == "changes" else "",) * 2 for name in columns]


def _changes(changes, zone):
    """Yield what changed, {column: [old, new]}, as texts; what was and is empty did not."""
    if changes.keys() == {"kind", "other_id"}:
        kind, other = (before or now for before, now in changes.values())
        yield f"{LINKS[kind][0]} {other}"
        return
    for name, value in changes.items():
        if not isinstance(value, list) or len(value) != 2:
            yield f"{name}: {_short(value)}"
            continue
        old, new = (plain(_timed(name, each, zone)) for each in value)
        if old or new:
            yield f"{name}: {new}" if not old else f"{name}: {old} → {new or '–'}"


def _color(row, name):
    """Return the colour of a cell, 0 for none."""
    if name in ("priority", "title"):
        return COLORS.get(row.get("priority"), 0)
    late = name == "due" and row.get("due") and not row.get("closed")
    return RED if late and datetime.fromisoformat(row["due"]).timestamp() < time.time() else 0


def _one_line(text):
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


def changes(rows, look=PLAIN):
    """Return what changed as one reads it out: of each ticket who did what, from what to what, and when last.

    rows:     [row of changes_between() as JSON text].
    look:     a Look.
    """
    made = []
    for text in rows:
        row = read(text)
        made += _titled(row, look)
        who = f"{_and(row['actors'])}, {moment(row['last'], look.zone)}"
        made += [f"    {line}" for line in broken(who[:HEAD], look.width - 4)]
        for done in _done(row, look.zone):
            first, *others = broken(done[:HEAD], look.width - 6) or [""]
            made += [f"    - {first}", *(f"      {other}" for other in others)]
        made.append("")
        bounds.breathe()
    if not rows:
        made += ["Nothing changed.", ""]
    if look.last:
        made += [look.last, ""]
    if rows and look.zone != "UTC":
        made += [f"Times are in {look.zone}.", ""]
    return "\n".join(made)


def _titled(ticket, look):
    """Return a ticket's number and title as lines; a title without blanks begins beside the number, too."""
    head = f"Ticket {ticket['ticket_id']}: "
    first, *others = broken(ticket["title"], look.width - len(head)) or [""]
    return [
        look.paint(line, BOLD)
        for line in (head + first, *(" " * len(head) + each for each in others))
    ]


def _and(words):
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last


def _done(row, zone):
    """Yield what was done to a ticket, a sentence each."""
    if row["kind"] == "deleted":
        yield "deleted it"
    elif row["kind"] == "created":
        yield _filed(row, zone)
    else:
        yield from _changed(row["changes"], zone)
    number = row["comments"]
    if number:
        yield counted.of(abs(number), "more comment" if number > 0 else "fewer comment")
    for sign in ("added", "removed"):
        for link in row["links"][sign]:
            yield ("" if sign == "added" else "no longer ") + _link(row["ticket_id"], link)
    if row["kind"] == "changed" and not (row["changes"] or number or any(row["links"].values())):
        yield "comments were rewritten"


def _filed(row, zone):
    """Return what one says of a new ticket: what is not as it is with all of them, or is in its title."""
    now = {name: new for name, (_, new) in row["changes"].items()}
    told = [now["priority"]] if now["priority"] != "normal" else []
    if now.get("assignee"):
        told.append(f"for {now['assignee']}")
    if now.get("due"):
        told.append(f"due {_timed('due', now['due'], zone)}")
    if now.get("labels"):
        told.append(f"labels {plain(now['labels'])}")
    if now["status"] != "open":
        told.append(f"now {now['status']}")
    return "filed it" + (f": {', '.join(map(_brief, told))}" if told else "")


def _changed(changes, zone):
    """Yield what a ticket has now and had then, of an object member by member."""
    for name, pair in changes.items():
        old, new = (_timed(name, each, zone) for each in pair)
        if not (isinstance(old, dict) and isinstance(new, dict)):
            yield f"{name}: {_pair(old, new)}"
            continue
        for key in sorted(old.keys() | new.keys()):
            if old.get(key) != new.get(key):
                yield f"{name}.{key}: {_pair(old.get(key), new.get(key))}"


def _brief(value):
    """Return as much of a value as one reads out."""
    text = " ".join(plain(value)[:CELL].split())
    return f"{text[: WIDTH // 2]}…" if len(text) > WIDTH // 2 else text or "–"


def _pair(old, new):
    return f"{_brief(old)} → {_brief(new)}"


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
        self.add(wrapped(shown, self.width))
        if len(shown) < len(text):
            self.add(MORE.format(counted.of(len(text) - len(shown), "more character")))

    def text(self):
        return "\n".join(self.lines) + "\n"


def letter(text, look=PLAIN):
    """Return one ticket, with its comments and links, as a letter.

    text:     the ticket as the API has it, JSON text; its comments may be many.
    look:     a Look.
    """

    def when(text):
        return _when(text, look.zone)

    # Inside of JSON's texts no quote stands without a backslash, so these are what they look like.
    comments, links = text.index(',"comments":['), text.rindex(',"links":[')
    ticket = read(text[:comments] + "}")
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
        "Labels": plain(ticket["labels"]),
        "Fields": plain(ticket["fields"]),
        "Links": ", ".join(_link(number, link) for link in _items(text, links)),
        "Version": f"{ticket['version']}, {when(ticket['updated'])}",
    }
    made = Letter(look.width)
    made.add(*_titled(ticket, look))
    for name, value in heads.items():
        if value:
            first, *others = broken(value[:HEAD], look.width - 9) or [""]
            made.add(
                look.paint(f"{name + ':':<9}", BOLD) + first, *(" " * 9 + other for other in others)
            )
            if len(value) > HEAD:
                made.add(" " * 9 + MORE.format(counted.of(len(value) - HEAD, "more character")))
    if ticket["description"]:
        made.add("")
        made.tell(ticket["description"])
    told = 0
    for comment in _items(text, comments):
        if not made.room:
            break
        _remark(made, comment, look)
        told += 1
    left = sum(1 for _ in _items(text, comments)) - told if not made.room else 0
    if left:
        made.add("", f"… {counted.of(left, 'more comment')}; format=json shows all")
    if look.zone != "UTC":
        made.add("", f"Times are in {look.zone}.")
    return made.text()


def _when(text, zone):
    return f"{moment(text, zone)} ({ago(text)})"


def _remark(made, comment, look):
    """Write a comment into a Letter."""
    said = f", {_when(comment['created'], look.zone)} "
    room = max(look.width - len(said) - 3, NARROWEST)
    head = f"-- {fit(safe(comment['author']), room).rstrip()}{said}"
    made.add("", look.paint(wcwidth.ljust(head, look.width, fillchar="-"), BOLD))
    made.tell(comment["body"])


def comment(text, look=PLAIN):
    """Return one comment as it stands in its ticket's letter.

    text:     the comment as the API has it, JSON text.
    look:     a Look.
    """
    one, made = read(text), Letter(look.width)
    made.add(look.paint(f"Comment {one['comment_id']} on ticket {one['ticket_id']}", BOLD))
    _remark(made, one, look)
    if look.zone != "UTC":
        made.add("", f"Times are in {look.zone}.")
    return made.text()


def _items(text, at):
    """Yield the items of a list that stands there in a ticket."""
    return (item for item, _, _ in bounds.items(text, text.index("[", at) + 1, DECODER.raw_decode))


# What a link is called at its ticket, and at the other one.
LINKS = {
    "blocks": ("blocks", "is blocked by"),
    "duplicates": ("duplicates", "is duplicated by"),
    "parent": ("has the parent", "is the parent of"),
    "relates": ("relates to", "relates to"),
}


def _link(number, link):
    here, there = LINKS[link["kind"]]
    if link["ticket_id"] == number:
        return f"{here} {link['other_id']}"
    return f"{there} {link['ticket_id']}"
