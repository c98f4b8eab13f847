"""Statistics as people in a terminal like to read them: bars and sparklines."""

import wcwidth

from iris.formats import fitting, terminal
from iris.visible import safe

# Eighths of a cell, from the left; and from below.
ACROSS, UP = " ▏▎▍▌▋▊▉█", "▁▂▃▄▅▆▇█"
# Rows of each table, and cells of their longest bar and name.
ROWS, BAR, NAMED = 10, 40, 24


def span(hours):
    """Return a number of hours as people say it: 40 min, 5.2 h, 12 d; – for none."""
    if hours is None:
        return "–"
    if hours < 1:
        return f"{hours * 60:.0f} min"
    if hours < 48:
        return f"{hours:.1f} h"
    return f"{hours / 24:.1f} d" if hours < 2400 else f"{hours / 24:,.0f} d"


def bar(value, most, cells):
    """Return a bar whose length is to so many cells as a value is to the greatest of them."""
    eighths = round(value * cells * 8 / most) if most else 0
    whole, rest = divmod(max(eighths, 1) if value > 0 else 0, 8)
    return "█" * whole + (ACROSS[rest] if rest else "")


def sparkline(values):
    """Return a line of as many cells as there are values; a point is for none."""
    most = max(values, default=0)
    return "".join(UP[min(7, int(value * 8 / most))] if value > 0 else "·" for value in values)


def _table(head, rows, look, most):
    """Yield lines: a name, numbers, and a bar of a value.

    rows:     [(name, the numbers as texts, value)].
    most:     the value of the longest bar.
    """
    names = [safe(name) for name, _, _ in rows]
    wide = min(NAMED, max(map(wcwidth.width, [head[0], *names])))
    texts = [head[1:], *(numbers for _, numbers, _ in rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    room = max(0, min(BAR, look.width - wide - sum(widths) - 2 * len(widths) - 2))
    for place, (name, numbers) in enumerate(zip([head[0], *names], texts, strict=True)):
        cells = [text.rjust(width) for text, width in zip(numbers, widths, strict=True)]
        drawn = bar(rows[place - 1][2], most, room) if place else ""
        line = "  ".join([fitting.fit(name, wide), *cells, drawn]).rstrip()
        yield look.paint(line, terminal.BOLD) if not place else line


def _kinds(found, kind, look):
    rows = found[kind][:ROWS]
    if not rows:
        return
    yield ""
    yield from _table(
        (kind, "open", "all"),
        [
            (each[kind] or "(nobody)", (f"{each['open']:,}", f"{each['tickets']:,}"), each["open"])
            for each in rows
        ],
        look,
        max(each["open"] for each in rows),
    )
    if len(found[kind]) > ROWS:
        yield f"… {len(found[kind]) - ROWS}{'' if len(found[kind]) < 50 else ' or'} more"


def _weeks(found, look):
    weeks, open_ = found["weeks"], {each["status"] for each in found["status"] if each["is_open"]}
    lines = {
        "filed": [week["filed"] for week in weeks],
        "closed": [week["closed"] for week in weeks],
        "open": [
            sum(many for status, many in week["status"].items() if status in open_)
            for week in weeks
        ],
    }
    numbers = {
        name: f"{values[-1] if name == 'open' else sum(values):,}" for name, values in lines.items()
    }
    wide = max(map(len, numbers.values()))
    room = max(1, look.width - wide - 10)
    shown = weeks[-room:]
    yield ""
    yield look.paint(
        f"Week by week, from that of {shown[0]['week']} to that of {shown[-1]['week']}",
        terminal.BOLD,
    )
    for name, values in lines.items():
        yield f"{name:<6}  {numbers[name]:>{wide}}  {sparkline(values[-room:])}"


def _took(title, found, number, look):
    """Yield a table of how long things took, by status."""
    if found:
        yield ""
        yield from _table(
            (title, number, "half within", "85 of 100"),
            [
                (
                    each["status"],
                    (f"{each[number]:,}", span(each["median"]), span(each["p85"])),
                    each["p85"],
                )
                for each in found
            ],
            look,
            max(each["p85"] for each in found),
        )


def page(found, look=terminal.PLAIN):
    """Return statistics as text.

    found:    what stats() gave.
    look:     a terminal.Look.
    """
    when = terminal.moment(found["as_of"], look.zone)
    lines = [
        look.paint(
            f"{found['tickets']:,} tickets, {found['open']:,} of them open, {found['overdue']:,} overdue;"
            f" {when}",
            terminal.BOLD,
        ),
        "",
        *_table(
            ("status", "tickets"),
            [
                (each["status"], (f"{each['tickets']:,}",), each["tickets"])
                for each in found["status"]
            ],
            look,
            max(each["tickets"] for each in found["status"]),
        ),
    ]
    for kind in ("priority", "assignee", "label"):
        lines += _kinds(found, kind, look)
    lines += _weeks(found, look)
    took = found["hours_to_close"]
    closed = f"Closed in these weeks: {took['tickets']:,}"
    if took["tickets"]:
        closed += f"; half were open for {span(took['median'])} at most, 85 of 100 for {span(took['p85'])}"
    lines += ["", *fitting.broken(closed, look.width)]
    lines += _took("in a status", found["hours_in_status"], "stays", look)
    lines += _took("open since", found["hours_open"], "tickets", look)
    if look.zone != "UTC":
        lines += ["", f"Times are in {look.zone}."]
    return "\n".join(lines) + "\n"
