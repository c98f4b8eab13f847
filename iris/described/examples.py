"""Examples: the curl line that a route's docstring types, read back into values."""

import json
import re
import shlex
from urllib.parse import parse_qsl, urlsplit

PLACE = re.compile(r"\{(\w+)\}")


def of(route):
    """Return what a route's example gives, {name: value}; empty where all examples are other routes'.

    route:    an operations.Route.
    """
    lines = re.findall(r"^ *(curl .*)$", route.does.__doc__ or "", re.MULTILINE)
    return next(filter(None, (_given(line, route) for line in lines)), {})


def _given(line, route):
    """Return what a curl line gives; None where it is for another path of the same function."""
    given, address, words = {}, "", shlex.split(line)[1:]
    while words:
        word = words.pop(0)
        if word in ("-X", "-H"):
            words.pop(0)
        elif word in ("-d", "--data-urlencode"):
            name, _, value = words.pop(0).partition("=")
            given[name] = value
        elif word == "--json":
            given |= json.loads(words.pop(0))
        elif not word.startswith("-"):
            address = word
    path, query = urlsplit(f"//{address}")[2:4]
    found = re.fullmatch(PLACE.sub(r"(?P<\1>[^/]+)", route.path), path or "/")
    if not found:
        return None
    given |= {**dict(parse_qsl(query)), **found.groupdict()}
    return {name: typed(value) for name, value in given.items() if name in route.types}


def typed(value):
    """Return a value of a form as JSON has it, where it is a number or true or false."""
    if re.fullmatch(r"true|false|[0-9]{1,15}", str(value)):
        return json.loads(value)
    return value
