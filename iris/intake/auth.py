"""Who is asking. With IRIS_AUTH=none everyone may do everything, and says who they are."""

import hashlib
import json

from iris import bounds, problems, settings
from iris.database import writing
from iris.intake import types

ANONYMOUS = "anonymous"
REQUIRE_IF_MATCH = settings.get("IRIS_REQUIRE_IF_MATCH")


def actor(request):
    """Return who acts: the header Iris-Actor, else `anonymous`.

    Raises:   Problem 400.
    """
    header = request.env.get("HTTP_IRIS_ACTOR")
    if header is None:
        return ANONYMOUS
    try:
        # A header's bytes reach WSGI as Latin-1; curl sends a terminal's UTF-8.
        name = header.encode("latin-1").decode().strip()
    except UnicodeError:
        name = ""
    if not 1 <= len(name) <= 100 or not name.isprintable():
        raise problems.Problem(
            "invalid_actor", "Iris-Actor must be 1 to 100 printable characters of UTF-8"
        )
    return name


def with_names(given, request):
    """Return the filters of a request with who acts in the place of `me`.

    given:    {name: value}, validated.
    Raises:   Problem 400.
    """

    def known(value):
        return actor(request) if isinstance(value, types.Me) else value

    return {
        name: value._replace(values=[known(each) for each in value.values])
        if isinstance(value, types.Chosen)
        else value
        for name, value in given.items()
    }


def condition_required():
    """Return the 428 for a change by somebody who doesn't say what they have seen."""
    return problems.Problem(
        "condition_required",
        "here, who changes a ticket says which version they have seen",
        hint='Read the ticket, and send its version along: If-Match: "3"; or If-Match: *, for any.',
    )


def _digest(text):
    if text is None:
        return None
    made = hashlib.sha256()
    for piece in bounds.pieces(text, 1 << 20):
        made.update(piece.encode())
    return made.hexdigest()


def writer(request, conditional=False, seen=False):
    """Return the writing.Writer behind a request.

    conditional: whether If-Match is heeded; where it is not, it is refused.
    seen:     whether a version in the body says the same.
    Raises:   Problem 400; 428 where it is heeded and a setting requires it.
    """
    if "HTTP_IF_MATCH" in request.env and not conditional:
        raise problems.Problem(
            "no_such_condition", "If-Match is for changing or deleting one ticket"
        )
    if conditional and REQUIRE_IF_MATCH and not seen and "HTTP_IF_MATCH" not in request.env:
        raise condition_required()
    key, digest = request.env.get("HTTP_IDEMPOTENCY_KEY"), None
    if key is not None:
        if not 1 <= len(key) <= 200 or not key.isascii() or not key.isprintable():
            raise problems.Problem(
                "invalid_key", "Idempotency-Key must be 1 to 200 printable ASCII characters"
            )
        what = [request.method, request.path, request.env.get("HTTP_IF_MATCH")]
        what += [request.context.given, _digest(request.context.rows)]
        digest = _digest(json.dumps(what, sort_keys=True))
    request.context.writer = writing.Writer(actor(request), key, digest)
    return request.context.writer
