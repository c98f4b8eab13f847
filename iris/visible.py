"""Texts that anybody may have written, on their way to a terminal."""

import unicodedata


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
