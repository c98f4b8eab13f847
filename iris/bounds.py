"""What keeps one request from holding up all others of its worker.

A worker serves on one thread, so that whatever computes without waiting holds up everybody. Hence the rule:
work whose size a client or the stored data decide goes on in pieces, each of a few milliseconds, with a
breathe() between them; and what can't be cut into pieces is limited. tests/test_bounds.py holds it.
"""

import json
import re
import time

import gevent

# Seconds that a request may have to wait for what others compute, whatever they were given.
LONGEST_WAIT = 1
# Seconds after which a piece of work lets others have their turn.
SLICE = 0.005
# Characters or bytes of an item of a long list: a row of a body, a comment of a ticket.
ITEM = 1 << 20
# Bytes of a request's first line.
ADDRESS = 8190

# When somebody last let others have their turn.
LAST = [0]
BLANK = re.compile(r"[ \t\r\n]*")


def breathe():
    """Let others have their turn, if nobody has for a while; if not, it costs next to nothing."""
    if time.monotonic() - LAST[0] > SLICE:
        # Not 0: others who compute would come before those for whom something has arrived.
        gevent.sleep(1e-6)
        LAST[0] = time.monotonic()


def pieces(data, size):
    """Yield text or bytes in pieces of a size."""
    for start in range(0, len(data), size):
        breathe()
        yield data[start : start + size]


def skip(text, at):
    """Return where the next character of a text is that JSON does not call blank."""
    end = at
    while (end := BLANK.match(text, at, at + ITEM).end()) - at == ITEM:
        at = end
        breathe()
    return end


class TooLarge(ValueError):
    """An item has more than ITEM characters."""


def items(text, at, decode):
    """Read a JSON array item by item.

    text:     what has the array in it.
    at:       where its first item begins, after the bracket.
    decode:   (text, at) → (a value that begins there, where it ends), as JSONDecoder.raw_decode().
    Yields:   (value, start, end).
    Returns:  where the array ends, behind the bracket.
    Raises:   ValueError; TooLarge.
    """
    base, window = at, text[at : at + 2 * ITEM]
    at = skip(text, at)
    while text[at : at + 1] != "]":
        if at + ITEM > base + len(window) < len(text):
            base, window = at, text[at : at + 2 * ITEM]
        try:
            value, end = decode(window, at - base)
        except json.JSONDecodeError as error:
            is_cut = base + len(window) < len(text) and (
                error.msg.startswith("Unterminated") or error.pos > len(window) - 16
            )
            if is_cut:
                raise TooLarge from None
            raise ValueError(f"{error.msg} at character {base + error.pos}") from None
        start, at = at, base + end
        if at - start > ITEM:
            raise TooLarge
        yield value, start, at
        breathe()
        at = skip(text, at)
        if text[at : at + 1] == ",":
            at = skip(text, at + 1)
        elif text[at : at + 1] != "]":
            raise ValueError(f"Expecting ',' or ']' at character {at}")
    return at + 1
