"""Who is asking. With IRIS_AUTH=none everyone may do everything, and says who they are; else a token says it.

What somebody may is not asked here: their statements run under their role, and PostgreSQL refuses.
"""

import base64
import binascii
import hashlib
import ipaddress
import json
import logging
import math
import secrets
import unicodedata

from iris import bounds, current, formats, meters, problems, rights, settings
from iris.database import callers, writing
from iris.intake import chosen, client, types

log = logging.getLogger("iris")

ANONYMOUS = "anonymous"
REQUIRE_IF_MATCH = settings.get("IRIS_REQUIRE_IF_MATCH")
# Whether everybody has to show a token; and how many requests a minute one is good for, None for any number.
WANTED = settings.get("IRIS_AUTH") == "token"
RATE = settings.get("IRIS_RATE")
# How browsers, calendars and feed readers ask for a name and a password.
BASIC = 'Basic realm="Iris", charset="UTF-8"'
# What needs none: whether there is anybody, and what even the page that asks for a token is drawn with.
OPEN = ("/health", "/assets/{version}/{asset}")
# Of failed attempts, from one address, in so many seconds.
ATTEMPTS, ATTEMPT_SECONDS = 10, 60
# Formats that programs ask for which know no other way in than Basic.
SUBSCRIBED = {name for name, each in formats.TICKETS.items() if each.publish}


# Who comes in ---------------------------------------------------------------------------------------


def enter(request, response):
    """Find out who is asking: request.context.caller, a callers.Caller.

    Raises:   Problem 400, 401, 429; psycopg2.Error.
    """
    path = request.path
    is_open = path == "/health" or path.startswith(("/assets/", "/unsubscribe/"))
    if is_open or request.method == "OPTIONS" or chosen.is_outside():
        # Who asks whether there is anybody, browsers before they send a token, and mail programs.
        return
    # For the log: nobody, whatever Iris-Actor says.
    request.env["iris.actor"] = "-"
    digest = _sent(request)
    caller = digest and callers.remembered(digest)
    if caller is None:
        _slow_down(request)
    caller = digest and callers.find(digest)
    if caller is None:
        raise _refused(request)
    if "HTTP_IRIS_ACTOR" in request.env:
        raise problems.Problem(
            "invalid_actor",
            f"Iris-Actor is for an Iris without tokens: by yours, you are {caller.actor}",
        )
    request.context.caller = caller
    request.env["iris.actor"] = caller.actor
    if RATE is not None:
        _count(caller, response)


def _sent(request):
    """Return the SHA-256 of the token that was sent, or None."""
    kind, _, given = request.env.get("HTTP_AUTHORIZATION", "").partition(" ")
    given = given.strip()
    if kind.lower() == "basic":
        try:
            given = base64.b64decode(given, validate=True).decode().partition(":")[2]
        except ValueError:
            return None
    elif kind.lower() != "bearer":
        return None
    return hashlib.sha256(given.encode("utf-8", "surrogateescape")).digest() if given else None


def _address(request):
    """Return what attempts are counted by; of IPv6, a household has 2**64 addresses."""
    text = client.address(request.env)
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return text
    if address.version == 6:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return text


def _slow_down(request):
    """Refuse to look at a token from where too many were sent that are none."""
    wait, _, _ = meters.FAILURES.take(_address(request), ATTEMPTS, ATTEMPT_SECONDS, cost=0)
    if wait:
        raise problems.Problem(
            "too_many_attempts",
            "too many tokens came from your address that are none",
            headers={"Retry-After": str(math.ceil(wait))},
        )


def _refused(request):
    """Count a failed attempt; return the 401."""
    by_password = "text/html" in request.env.get("HTTP_ACCEPT", "") or (
        request._params.get("format") in SUBSCRIBED
    )
    way = BASIC if by_password else 'Bearer realm="Iris"'
    if "HTTP_AUTHORIZATION" in request.env:
        meters.FAILURES.take(_address(request), ATTEMPTS, ATTEMPT_SECONDS)
        log.warning(
            "%s refused %s: no such token",
            request.context.request_id,
            client.address(request.env),
        )
        detail = "this token is none, or none any more"
    else:
        detail = "this Iris wants to know who you are"
    send = (
        "Load this again and give a token as the password, with any name"
        if by_password
        else "Send a token: -H 'Authorization: Bearer TOKEN', or -u :TOKEN"
    )
    return problems.Problem(
        "unauthorized",
        detail,
        headers={"WWW-Authenticate": way},
        hint=f"{send}; whoever runs this Iris makes one by `iris token add NAME`.",
    )


def _count(caller, response):
    """Count a request; say in headers how many are left."""
    who = json.dumps([current.TRACKER.get(), caller.name])
    wait, left, whole = meters.REQUESTS.take(who, RATE, 60)
    headers = {
        "RateLimit-Policy": f'"token";q={RATE};w=60',
        "RateLimit": f'"token";r={left};t={math.ceil(whole)}',
    }
    response.set_headers(headers)
    if wait:
        raise problems.Problem(
            "too_many_requests",
            f"{caller.name} has sent more than {RATE} requests a minute",
            headers={**headers, "Retry-After": str(math.ceil(wait))},
        )


def goes_on(request):
    """Return a function that tells whether who asks may go on, for answers that take long; None for ever."""
    caller = request.context.get("caller")
    if caller is None:
        return chosen.is_there if current.MANY else None
    return lambda: callers.is_still(caller)


def forbidden(request, words):
    """Return the 403 for what PostgreSQL did not permit, or None where nobody's token is to blame.

    An admin is refused nothing by a database that is as it should be.

    words:    PostgreSQL's.
    """
    caller = request.context.get("caller")
    if caller is None or caller.role == rights.ROLES[-1]:
        return None
    right = rights.lacking(caller.role, request.method, request.uri_template)
    return problems.Problem(
        "forbidden",
        words,
        sqlstate="42501",
        hint=f"The role {right.role} may {right.does}; {caller.name} is a {caller.role}."
        if right
        else None,
    )


# Who acts -------------------------------------------------------------------------------------------


def actor(request):
    """Return who acts: by their token, else the header Iris-Actor, else the name of Basic, else `anonymous`.

    Raises:   Problem 400.
    """
    if WANTED:
        return request.context.caller.actor
    header = request.env.get("HTTP_IRIS_ACTOR")
    try:
        # A header's bytes reach WSGI as Latin-1; curl sends a terminal's UTF-8.
        name = _named(request) if header is None else _called(header.encode("latin-1").decode())
    except UnicodeError:
        name = ""
    if name is None:
        return ANONYMOUS
    if not 1 <= len(name) <= 100 or not name.isprintable():
        raise problems.Problem(
            "invalid_actor", "Iris-Actor must be 1 to 100 printable characters of UTF-8"
        )
    # For the access log.
    request.env["iris.actor"] = name
    return name


def _called(name):
    """Return a name of who acts as actor() in SQL has it."""
    return unicodedata.normalize("NFC", name).strip(types.BLANKS)


def _named(request):
    """Return the name that Basic gives, for browsers have no header of their own; None without one.

    Raises:   UnicodeError.
    """
    kind, _, given = request.env.get("HTTP_AUTHORIZATION", "").partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        return _called(base64.b64decode(given.strip()).decode().partition(":")[0]) or None
    except binascii.Error:
        return None


def name_wanted(request):
    """Return the 401 by which a browser asks somebody for their name, or None where they said it."""
    if WANTED or actor(request) != ANONYMOUS:
        return None
    return problems.Problem(
        "unauthorized",
        "here everybody is who they say they are: say any name, without a password",
        headers={"WWW-Authenticate": BASIC},
    )


def role(request):
    """Return the role of whose token it is, under which their statements run; None where none is wanted."""
    caller = request.context.get("caller")
    return caller.role if caller else None


def with_names(given, request):
    """Return the filters of a request with who acts in the place of `me`.

    given:    {name: value}, validated.
    Raises:   Problem 400, also where nobody is called `me`: what is no name is none whatever is asked for.
    """
    me = actor(request)

    def known(value):
        return me if isinstance(value, types.Me) else value

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
    if key is None and request.context.format == "html":
        # Who does something in a page is told which change it was, and may take it back.
        key = secrets.token_urlsafe(12)
    if key is not None:
        if not 1 <= len(key) <= 200 or not key.isascii() or not key.isprintable():
            raise problems.Problem(
                "invalid_key", "Idempotency-Key must be 1 to 200 printable ASCII characters"
            )
        what = [request.method, request.path, request.env.get("HTTP_IF_MATCH")]
        what += [request.context.given, _digest(request.context.rows)]
        digest = _digest(json.dumps(what, sort_keys=True))
    request.context.writer = writing.Writer(actor(request), key, digest, role(request))
    return request.context.writer
