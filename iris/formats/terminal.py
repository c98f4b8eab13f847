"""Answers as a person in a terminal likes to read them: how they look, values as text, tables.

A text may be long and made of anything, so what is drawn of it is bounded: of a cell a table shows a line;
of a head so many characters. Time grows with them, no faster.
"""

import json
import re
import time
import zoneinfo
from datetime import UTC, datetime
from typing import NamedTuple

import wcwidth

from iris import bounds, models
from iris.formats import fitting

# What width= may be.
WIDTHS = (20, 500)
NARROWEST = 8
# And in a terminal where not even that fits.
CUT = 3
# Cells of a time, to the minute and by its day.
MINUTE, DAY = 16, 10
# What somebody reads a table for; of its width this has so many hundredths, if it needs them.
MAIN, MAINLY = ("title", "body", "changes"), 25
# Characters of a head of what is drawn, such as links and fields of a letter.
HEAD = 20_000
# What is nested deeper than this is not shown.
DEEPEST = 32

# What is drawn in which colour, where that is wanted: by ANSI's numbers.
BOLD, RED, YELLOW = 1, 31, 33
COLORS = {"urgent": RED, "high": YELLOW}


# Spans of time: how many seconds, and what they are called.
SPANS = (
    (365 * 86400, "y"),
    (30 * 86400, "mo"),
    (7 * 86400, "w"),
    (86400, "d"),
    (3600, "h"),
    (60, "min"),
)

# Times that are kept to the hour, of which it would be wrong to say how long ago they were.
HOURLY = ("used",)
# Which column of a ticket comes before which.
ORDER = {column.name: place for place, column in enumerate(models.Ticket.__table__.c)}
# What is a time of what changed, by its column.
TIMED = ("due", "expires")


class Look(NamedTuple):
    """How an answer is to look.

    width:    cells across.
    zone:     the time zone that times are shown in.
    color:    whether there are colours.
    last:     a line to end with, if any.
    """

    width: int = fitting.WIDTH
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
    return as_json(value) if isinstance(value, list | dict) else plain(value)


def as_json(value):
    """Return a JSON value as JSON, its numbers as they were."""
    if isinstance(value, list):
        return f"[{', '.join(map(as_json, value))}]"
    if isinstance(value, dict):
        return (
            f"{{{', '.join(f'{as_json(name)}: {as_json(item)}' for name, item in value.items())}}}"
        )
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


def in_order(changes):
    """Return what changed, [(column, [old, new])], as a ticket's columns stand, not in JSON's order."""
    return sorted(changes.items(), key=lambda each: ORDER.get(each[0], len(ORDER)))


def timed(name, value, zone):
    """Return a value of what changed, a time of it as times are shown."""
    if name not in TIMED or not isinstance(value, str):
        return value
    try:
        return moment(datetime.fromisoformat(value).astimezone(UTC).isoformat(), zone)
    except (ValueError, OverflowError):
        return value


def ago(text):
    """Return a time of the API as just now, 3 h ago, or in 3 h."""
    seconds = time.time() - datetime.fromisoformat(text).timestamp()
    if 0 <= seconds < 60:
        return "just now"
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
            short.append([fitting.one_line(cell) for cell, _ in cells])
            long.append([fitting.one_line(cell) for _, cell in cells])
            colors.append(painted)
        bounds.breathe()
    lines, widths = long, _widths(long, look.width)
    if _across(widths) > look.width:
        lines, widths = short, _shrunk(short, columns, times, look.width)
    made = []
    for cells, painted in zip(lines, colors, strict=True):
        fitted = (
            look.paint(
                fitting.fit(cell[:DAY] if name in times and width < MINUTE else cell, width), code
            )
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
    """Return widths that fit: the widest give way, a time to its day, what a table is read for last.

    Where that is still too wide, columns' names are cut, then what stands in them, and numbers never.
    """
    whole, mainly = _widths(lines, width), width * MAINLY // 100
    least = [mainly if name in MAIN else max(NARROWEST, len(name)) for name in columns]
    for day in (MINUTE, DAY):
        widths = [
            min(day, mine) if name in times else mine
            for name, mine in zip(columns, whole, strict=True)
        ]
        ends = [
            mine if name in times else end
            for name, mine, end in zip(columns, widths, least, strict=True)
        ]
        _give_way(widths, ends, width)
        if _across(widths) <= width:
            return widths
    cells = [[line[place] for line in lines[1:]] for place in range(len(columns))]
    is_number = [all(cell.isdecimal() for cell in each if cell) for each in cells]
    # A part of a day says nothing, so days stay longer than other cells.
    for most, day, main in (
        (width, DAY, mainly),
        (NARROWEST, DAY, mainly),
        (CUT, DAY, mainly),
        (CUT, CUT, mainly),
        (CUT, CUT, CUT),
    ):
        for place, name in enumerate(columns):
            value = max(map(wcwidth.width, cells[place]), default=0)
            if not is_number[place]:
                value = main if name in MAIN else min(value, day if name in times else most)
            ends[place] = max(CUT, value)
        _give_way(widths, ends, width)
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
            line.append((when, when if name in HOURLY else f"{when} ({ago(value)})"))
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
    for name, value in in_order(changes):
        if not isinstance(value, list) or len(value) != 2:
            yield f"{name}: {_short(value)}"
            continue
        old, new = (plain(timed(name, each, zone)) for each in value)
        if old or new:
            yield f"{name}: {new}" if not old else f"{name}: {old} → {new or '–'}"


def _color(row, name):
    """Return the colour of a cell, 0 for none."""
    if name in ("priority", "title"):
        return COLORS.get(row.get("priority"), 0)
    late = name == "due" and row.get("due") and not row.get("closed")
    return RED if late and datetime.fromisoformat(row["due"]).timestamp() < time.time() else 0


def titled(ticket, look):
    """Return a ticket's number and title as lines; a title without blanks begins beside the number, too."""
    head = f"Ticket {ticket['ticket_id']}: "
    first, *others = fitting.broken(ticket["title"], look.width - len(head)) or [""]
    return [
        look.paint(line, BOLD)
        for line in (head + first, *(" " * len(head) + each for each in others))
    ]


# What a link is called at its ticket, and at the other one.
LINKS = {
    "blocks": ("blocks", "is blocked by"),
    "duplicates": ("duplicates", "is duplicated by"),
    "parent": ("has the parent", "is the parent of"),
    "relates": ("relates to", "relates to"),
}


def linked(number, link):
    """Return what a link says at the ticket of this number."""
    here, there = LINKS[link["kind"]]
    if link["ticket_id"] == number:
        return f"{here} {link['other_id']}"
    return f"{there} {link['ticket_id']}"
