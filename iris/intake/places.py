"""Where a request has come to, and how other places are seen from there."""

import re

# What may stand in a query as it is: a link must not get longer than what it goes on from, and nothing in
# it ends a shell's quotes.
LEFT = ",!:*()@/?$~"


def host(request):
    """Return HOST:PORT as who asks has it, to be typed again."""
    given = request.env.get("HTTP_HOST", "")
    return given if re.fullmatch(r"[\w.:\[\]-]{1,255}", given, re.ASCII) else "0.0.0.0:8000"


def typed(request):
    """Return HOST:PORT as curl needs it: without a scheme, that would take it for http."""
    return f"https://{host(request)}" if request.scheme == "https" else host(request)


def address(request, path):
    """Return a path as seen from a request's: under whatever prefix a proxy has put it, it leads there."""
    return "../" * (request.env["PATH_INFO"].count("/") - 1) + path.lstrip("/")
