"""Texts that anybody may have written, on their way to a terminal."""

import re
import unicodedata

# What JSON leaves as it is, and terminals obey.
OBEYED = re.compile("[\x7f-\x9f]")


def safe(text, kept=""):
    """Return text without what would move a terminal's cursor or hide what is there.

    kept:     characters that may stay, such as a line break between sentences.
    """
    return "".join(
        "\ufffd"
        if unicodedata.category(char) in ("Cc", "Cf", "Zl", "Zp")
        and char != "\u200d"
        and char not in kept
        else char
        for char in text
    )


def escaped(text):
    """Return JSON text in which nothing stands that a terminal obeys; it says the same."""
    return OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
