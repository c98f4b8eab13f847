"""What a route says of itself: which parameters it takes, and what it answers with."""

from functools import lru_cache

# What every route offers, unless it says otherwise: somebody may sit at a terminal. What has no
# text of its own is drawn by formats/told.py.
JSON = "application/json"
EACH = ("text/plain", JSON)


def takes(**types):
    """Say what a route takes, {name: type}: names not in here are refused.

    Hug reads types from annotations; this writes them there, so that they can come from models.
    """

    def decorate(function):
        function.__annotations__.update(types)
        return function

    return decorate


def offers(*media, json=True):
    """Say which media types a route can answer with; JSON is one, unless that would make no sense.

    media:    the last one is what `*/*` means; JSON, unless it is among the others.
    """

    def decorate(function):
        is_whole = JSON in media or not json
        function.__dict__["offers"] = media if is_whole else (*media, JSON)
        return function

    return decorate


def takes_many(function):
    """Say that a route takes a list of objects, too, which it finds in request.context.rows."""
    function.__dict__["takes_many"] = True
    return function


def takes_text(split):
    """Say that a route takes plain text, too.

    split:    (text) → {name: value}, what the text means there.
    """

    def decorate(function):
        function.__dict__["takes_text"] = split
        return function

    return decorate


@lru_cache
def times(route):
    """Return the names of the parameters of a route that are times."""
    return frozenset(
        name
        for name, kind in route.input_transformations.items()
        if getattr(kind, "is_time", False)
    )
