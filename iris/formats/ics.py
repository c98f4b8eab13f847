"""What is due, for calendars: RFC 5545.

An event a ticket, at the time it is due, which takes no time of anybody's. No VTODO: of the calendars that
people subscribe by, Google's, Outlook's and Apple's show none.
"""

import zoneinfo
from datetime import datetime, time

from iris import __version__, bounds
from iris.formats import entries, terminal

# Octets of a line, without its end.
LINE = 75
# 1 is the highest, 9 the lowest.
PRIORITIES = {"urgent": 1, "high": 3, "normal": 5, "low": 9}
HEAD = (
    "BEGIN:VCALENDAR",
    "VERSION:2.0",
    f"PRODID:-//Iris//Iris {__version__}//EN",
    "METHOD:PUBLISH",
    "X-WR-CALNAME:Iris",
    # How often to look again: RFC 7986's word for it, and an older one.
    "REFRESH-INTERVAL;VALUE=DURATION:PT15M",
    "X-PUBLISHED-TTL:PT15M",
)


def calendar(rows, asked):
    """Return tickets as a calendar; those without a due date have no day in it.

    rows:     [ticket as JSON text].
    asked:    an entries.Asked.
    """
    made = list(map(folded, HEAD))
    for text in rows:
        ticket = terminal.read(text)
        if ticket["due"]:
            made += map(folded, _event(ticket, asked.zone))
        bounds.breathe()
    made.append(b"END:VCALENDAR\r\n")
    return b"".join(made)


def _event(ticket, zone):
    """Yield the lines of a ticket."""
    title = f"{'✓ ' * bool(ticket['closed'])}#{ticket['ticket_id']} {ticket['title']}"
    told = f"{entries.state(ticket)}\n\n{entries.description(ticket)}".strip()
    updated = _stamp(ticket["updated"])
    yield "BEGIN:VEVENT"
    yield f"UID:{entries.identity(ticket)}"
    yield f"DTSTAMP:{updated}"
    yield f"CREATED:{_stamp(ticket['created'])}"
    yield f"LAST-MODIFIED:{updated}"
    yield f"SEQUENCE:{ticket['version']}"
    yield f"DTSTART{_day(ticket['due'], zone) or ':' + _stamp(ticket['due'])}"
    yield f"SUMMARY:{escaped(title)}"
    yield f"DESCRIPTION:{escaped(told)}"
    if ticket["labels"]:
        yield f"CATEGORIES:{','.join(map(escaped, ticket['labels']))}"
    yield f"PRIORITY:{PRIORITIES[ticket['priority']]}"
    yield "TRANSP:TRANSPARENT"
    yield "END:VEVENT"


def _stamp(text):
    """Return a time of the API, which is UTC, as calendars have it."""
    return f"{text[:19].replace('-', '').replace(':', '')}Z"


def _day(text, zone):
    """Return a time that is a midnight as the day that begins then; None for any other."""
    try:
        there = datetime.fromisoformat(text).astimezone(zoneinfo.ZoneInfo(zone))
    except OverflowError:
        return None
    if there.time() != time():
        return None
    return f";VALUE=DATE:{there.date().isoformat().replace('-', '')}"


def escaped(text):
    """Return a text as the value of a property."""
    text = entries.clean(text)
    for char, written in (("\\", "\\\\"), (";", "\\;"), (",", "\\,"), ("\n", "\\n")):
        text = text.replace(char, written)
    return text


def folded(line):
    """Return a line as bytes with its end, broken where it is too long, between characters."""
    data = line.encode()
    pieces, start, room = [], 0, LINE
    while len(data) - start > room:
        end = start + room
        while data[end] & 0xC0 == 0x80:
            end -= 1
        pieces.append(data[start:end])
        # A blank goes on with it.
        start, room = end, LINE - 1
    return b"\r\n ".join([*pieces, data[start:]]) + b"\r\n"
