"""What a route says of itself: which parameters it takes, and what it answers with."""

from functools import lru_cache

from iris.intake import types

# What every route offers, unless it says otherwise: somebody may sit at a terminal. What has no
# text or page of its own is drawn by formats/told.py.
JSON = "application/json"
EACH = ("text/html", "text/plain", JSON)
# Of what writes: whether only to say what would happen.
DRY_RUN = types.about("Only to say what would happen", types.Flag())


def takes(**kinds):
    """Say what a route takes, {name: type}: names not in here are refused.

    Hug reads types from annotations; this writes them there, so that they can come from models.
    """

    def decorate(function):
        function.__annotations__.update(kinds)
        return function

    return decorate


def how(**kinds):
    """Say what a route that writes takes in its query beside a body: how to go about it, {name: type}."""

    def decorate(function):
        function.__dict__["how"] = tuple(kinds)
        return takes(**kinds)(function)

    return decorate


def takes_one_of(*names):
    """Say of which parameters, all that its body has, a route takes exactly one."""

    def decorate(function):
        function.__dict__["one_of"] = names
        return function

    return decorate


def gives(shape=None, headers=(), **others):
    """Say what a route answers with, for its description (iris/described/).

    shape:    of iris.described.shapes, what its usual answer shows; None for nothing.
    headers:  names of headers.SHOWN that its answers have beside those that all have.
    others:   {"status_201": shape} of its other answers.
    """

    def decorate(function):
        function.__dict__["gives"] = (shape, others)
        function.__dict__["headers"] = headers
        return function

    return decorate


def heeds(*names):
    """Say which headers of requests a route heeds, names of headers.TAKEN."""

    def decorate(function):
        function.__dict__["heeds"] = names
        return function

    return decorate


def refuses(*codes):
    """Say why a route may refuse, beside what any may refuse: codes of problems.CODES."""

    def decorate(function):
        function.__dict__["refuses"] = codes
        return function

    return decorate


def offers(*media):
    """Say which media types a route can answer with; JSON is one in any case.

    media:    the last one is what `*/*` means; JSON, unless it is among the others.
    """

    def decorate(function):
        function.__dict__["offers"] = media if JSON in media else (*media, JSON)
        return function

    return decorate


def serves(*media):
    """Say that a route answers with what it has, whatever is asked for: a page, a picture, a file.

    media:    the media types of its answers.
    """

    def decorate(function):
        function.__dict__["serves"] = media
        return function

    return decorate


def asks_nobody(function):
    """Say that a route does not ask the database."""
    function.__dict__["asks_nobody"] = True
    return function


def takes_many(function):
    """Say that a route takes a list of objects, too, which it finds in request.context.rows."""
    function.__dict__["takes_many"] = True
    return function


def takes_form(read):
    """Say that a page's form for a route has fields of its own.

    read:     ({name: text}) → {name: text}, what it means for the route.
    """

    def decorate(function):
        function.__dict__["takes_form"] = read
        return function

    return decorate


def page_has(**usual):
    """Say what a route's page has unless its address says otherwise, {name: text}: a browser's first look."""

    def decorate(function):
        function.__dict__["page_has"] = usual
        return function

    return decorate


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
