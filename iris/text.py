"""Answers as a person in a terminal likes to read them: tables, and a ticket as a letter."""

import json
import unicodedata

import wcwidth

WIDTH = 100
NARROWEST = 8


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
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else plain(value)


def moment(text):
    """Return a time of the API as 2026-11-20 18:25."""
    return text and text[:16].replace("T", " ")


def safe(text):
    """Return text without what would move a terminal's cursor or hide what is there."""
    return "".join(
        "\ufffd"
        if unicodedata.category(char) in ("Cc", "Cf", "Zl", "Zp") and char != "\u200d"
        else char
        for char in text
    )


def table(rows, columns, times=()):
    """Return rows as an aligned table of at most 100 cells across.

    rows:     [{column: JSON value}].
    columns:  which to show, in this order.
    times:    which of them are times.
    """
    lines = [list(columns)]
    for row in rows:
        cells = (moment(row[name]) or "" if name in times else plain(row[name]) for name in columns)
        lines.append([safe(" ".join(cell.split())) for cell in cells])
    widths = [max(map(wcwidth.width, cells)) for cells in zip(*lines, strict=True)]
    while sum(widths) + 2 * len(widths) - 2 > WIDTH and max(widths) > NARROWEST:
        widths[widths.index(max(widths))] -= 1
    made = []
    for cells in lines:
        fitted = (_fit(cell, width) for cell, width in zip(cells, widths, strict=True))
        made.append("  ".join(fitted).rstrip())
    return "\n".join(made) + "\n"


def _fit(cell, width):
    if wcwidth.width(cell) > width:
        cell = wcwidth.clip(cell, 0, width - 1) + "…"
    return wcwidth.ljust(cell, width)


def wrapped(text):
    """Return text broken into lines that fit, its own line breaks kept."""
    lines = []
    for line in text.splitlines():
        lines += wcwidth.wrap(safe(line.expandtabs()), WIDTH) or [""]
    return "\n".join(lines)


def letter(ticket):
    """Return one ticket, with its comments and links, as a letter.

    ticket:   the ticket as the API has it.
    """
    number = ticket["ticket_id"]
    state = [ticket["status"], ticket["priority"]]
    if ticket["due"]:
        state.append(f"due {moment(ticket['due'])}")
    if ticket["closed"]:
        state.append(f"closed {moment(ticket['closed'])}")
    heads = {
        "From": f"{ticket['reporter']}, {moment(ticket['created'])}",
        "To": ticket["assignee"],
        "State": ", ".join(state),
        "Labels": plain(ticket["labels"]),
        "Fields": plain(ticket["fields"]),
        "Links": ", ".join(_link(number, link) for link in ticket["links"]),
        "Version": f"{ticket['version']}, {moment(ticket['updated'])}",
    }
    lines = [wrapped(f"Ticket {number}: {ticket['title']}")]
    for name, value in heads.items():
        if value:
            wrap = wcwidth.wrap(safe(value), WIDTH - 9) or [""]
            lines += [f"{name + ':':<9}{wrap[0]}", *(" " * 9 + more for more in wrap[1:])]
    if ticket["description"]:
        lines += ["", wrapped(ticket["description"])]
    for comment in ticket["comments"]:
        head = f"-- {safe(comment['author'])}, {moment(comment['created'])} "
        lines += ["", wcwidth.ljust(head, WIDTH, fillchar="-"), wrapped(comment["body"])]
    return "\n".join(lines) + "\n"


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
