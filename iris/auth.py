"""Who is asking. With IRIS_AUTH=none everyone may do everything, and says who they are."""

from iris import errors

ANONYMOUS = "anonymous"


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
        raise errors.Problem(
            400, "invalid_actor", "Iris-Actor must be 1 to 100 printable characters of UTF-8"
        )
    return name
