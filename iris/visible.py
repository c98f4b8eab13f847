"""Texts that anybody may have written, on their way to a terminal or a page."""

import re
import unicodedata

# What JSON leaves as it is, and terminals obey.
OBEYED = re.compile("[\x7f-\x9f]")
# Characters that are known, at most: a text may have any of them.
MOST_KNOWN = 20_000


class _Seen(dict):
    """What is shown of each character, by its number: itself, or that there is one which can't be seen."""

    def __missing__(self, number):
        char = chr(number)
        # Half a surrogate pair is in no encoding.
        odd = unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") and char != "\u200d"
        shown = "\ufffd" if odd else char
        if len(self) < MOST_KNOWN:
            self[number] = shown
        return shown


_SEEN = _Seen()


def safe(text, kept=""):
    """Return text without what would move a terminal's cursor or hide what is there.

    kept:     characters that may stay, such as a line break between sentences.
    """
    if text.isprintable():
        return text
    if not kept:
        return text.translate(_SEEN)
    parts = re.split(f"([{re.escape(kept)}]+)", text)
    return "".join(part if place % 2 else part.translate(_SEEN) for place, part in enumerate(parts))


def escaped(text):
    """Return JSON text in which nothing stands that a terminal obeys; it says the same."""
    return OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
