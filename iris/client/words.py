"""What is typed after a command: NAME=VALUE, as in a list's address, and words that are none."""

from iris.client import USAGE, Failed

# What stands in an address as it is.
PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~,!:*@/")
# The kinds of links.
LINKS = ("blocks", "duplicates", "parent", "relates")


def encoded(text):
    """Return a text as it stands in a query or a form.

    Raises:   Failed, where it is no UTF-8.
    """
    try:
        data = text.encode()
    except UnicodeError:
        raise Failed(USAGE, f"{text.encode('utf-8', 'replace').decode()} is no UTF-8") from None
    return "".join(chr(byte) if byte in PLAIN else f"%{byte:02X}" for byte in data)


def query(pairs):
    """Return [(name, value)] as a query or a form."""
    return "&".join(f"{encoded(name)}={encoded(value)}" for name, value in pairs)


def quoted(value):
    """Return a value that stands for itself among several, whatever is in it."""
    doubled = value.replace('"', '""')
    return f'"{doubled}"'


def split(words):
    """Part NAME=VALUE from what is none; return ([(name, value)], [word])."""
    pairs, others = [], []
    for word in words:
        name, sign, value = word.partition("=")
        if sign and name and not any(char.isspace() for char in name):
            pairs.append((name, value))
        else:
            others.append(word)
    return pairs, others


def filters(pairs):
    """Return the filters that are meant.

    NAME!=VALUE is none of it, and NAME==VALUE that very value, whatever is in it; once more, any of them.

    Raises:   Failed.
    """
    found = {}
    for typed, given in pairs:
        name, exact = typed.removesuffix("!"), given.startswith("=")
        value = quoted(given[1:]) if exact else given
        before = found.setdefault(name, [])
        if before and not (exact and before[-1].endswith('"')):
            raise Failed(USAGE, f"{name} is given twice; several values are {name}=one,other")
        before.append(f"!{value}" if typed != name and not before else value)
    return [(name, ",".join(values)) for name, values in found.items()]


def is_number(text):
    """Whether a text is the number of a ticket, as it is typed: 3, or #3."""
    digits = text.removeprefix("#")
    return digits.isascii() and digits.isdigit() and len(digits) < 19


def number(text):
    """Return the number of a ticket, as it is typed: 3, or #3.

    Raises:   Failed.
    """
    if not is_number(text):
        raise Failed(USAGE, f"{text} is no number of a ticket")
    return text.removeprefix("#")
