"""What browsers need that others don't: they send forms, and say nothing by methods and headers.

Of a form in a page, names that begin with _ are for what goes with a request, not for its route:

    _method   DELETE, where the form says POST, for it can't say more
    _key      its Idempotency-Key, so that who clicks twice does it once
    _version  its If-Match, where the route takes none in its body
    _back     the page to go to when it is done, as seen from `/`

Nobody else has them: to who wants no page they are unknown names as any other.
"""

import re
from functools import lru_cache

from falcon.vendor import mimeparse

from iris import problems
from iris.intake import bodies

FORM = "application/x-www-form-urlencoded"
# What Accept may prefer; where it doesn't care, a page comes last.
ASKED = ("text/html", "text/plain", "application/problem+json", "application/json")
OWN = {
    "_method": re.compile("DELETE|PUT|PATCH"),
    "_key": re.compile("[!-~]{1,200}"),
    "_version": re.compile("[0-9]{1,18}"),
    # A path of Iris's own: nothing that begins with a slash or has a colon before its query.
    "_back": re.compile(r"(?:[\w.-](?:[\w./-]|%[0-9A-F]{2})*)?(?:\?[^\s#\\]*)?"),
}
# In the query of the page that one comes to: the change that was made.
DONE = "_done"


@lru_cache(100)
def _prefers_pages(accept):
    try:
        return mimeparse.best_match(ASKED, accept) == ASKED[0]
    except ValueError:
        return False


def wants_page(request):
    """Whether who asks wants a page: by format=html, or by Accept."""
    form = (request._params or {}).get("format")
    return form == "html" if form is not None else _prefers_pages(request.accept)


def begin(request):
    """Take what is a browser's own out of a request; its query has been read.

    Raises:   Problem 400, 408, 413.
    """
    if request.method == "GET":
        done = request._params.get(DONE, "")
        if re.fullmatch("[0-9]{1,18}", done, re.ASCII) and wants_page(request):
            request.context.done = int(done)
            del request._params[DONE]
    elif (
        request.method == "POST"
        and (request.content_type or "").startswith(FORM)
        and wants_page(request)
    ):
        _take(request)


def _take(request):
    request.context.body = bodies.body(request)
    try:
        text = request.context.body.decode()
    except UnicodeDecodeError as error:
        raise problems.Problem("malformed_body", f"the body is not UTF-8: {error}") from None
    given = {name: _unbroken(each) for name, each in bodies.parse_form(text, True).items()}
    own = {name: given.pop(name) for name in OWN if name in given}
    for name, value in own.items():
        if not OWN[name].fullmatch(value):
            raise problems.Problem("unknown_parameter", f"this is no {name}: {value[:100]}")
    request.context.form, request.context.own = given, own
    request.method = own.get("_method", request.method)
    if own.get("_key"):
        request.env.setdefault("HTTP_IDEMPOTENCY_KEY", str(own["_key"]))
    if "_version" in own:
        request.env.setdefault("HTTP_IF_MATCH", f'"{own["_version"]}"')


def _unbroken(value):
    """Return a value with the line breaks that it had before a browser made CR LF of them."""
    if "\r" not in value:
        return value
    made = bodies.Untyped(value.replace("\r\n", "\n"))
    made.plus, made.typed = value.plus, value.typed
    return made


def filled(form):
    """Return what somebody filled in of a form that makes something new; the rest is as it usually is.

    form:     {name: text}.
    """
    return {name: value for name, value in form.items() if value != ""}


def as_usual(request, usual):
    """Put into a page's query what it has unless its address says otherwise.

    usual:    {name: text} of the route.
    """
    if usual and request.method == "GET" and wants_page(request):
        for name, text in usual.items():
            request._params.setdefault(name, bodies.Untyped(text))


def without_blanks(request, known):
    """Leave out of a page's query what a form of filters has left empty: request.context.left_open.

    known:    the names that the route takes.
    """
    query, request.context.left_open = request._params, ()
    if query and request.method == "GET" and "" in query.values() and wants_page(request):
        request.context.left_open = {
            name for name, value in query.items() if value == "" and name in known
        }
        for name in request.context.left_open:
            del query[name]
