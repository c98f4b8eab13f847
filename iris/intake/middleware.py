"""What every request goes through before its route sees it, and after."""

import contextlib
import difflib
import random
import re
from urllib.parse import urlencode

import falcon

from iris import bounds, problems
from iris.database import statements
from iris.intake import (
    auth,
    bodies,
    chosen,
    cross,
    forms,
    negotiation,
    places,
    routes,
    types,
)

FIELD = "fields."
# Bytes of a request's first line beside the address, and of the longest cursor; what fits whatever is in it.
BESIDE, CURSOR, SURELY_SHORT = len("HEAD  HTTP/1.1"), 400, 2000


class Intake:
    """What every request goes through before its route sees it, and after."""

    def process_request(self, request, response):
        """Name the request, read its query, and refuse what no route wants."""
        given = request.env.get("HTTP_X_REQUEST_ID", "")
        fits = re.fullmatch(r"[\w.-]{1,64}", given, re.ASCII)
        request.context.request_id = given if fits else f"{random.getrandbits(128):032x}"
        response.set_header("X-Request-Id", request.context.request_id)
        bodies.begin(request)
        chosen.look(request)
        request.context.head = request.method == "HEAD"
        if request.context.head:
            request.method = "GET"
        # falcon has read the query already, but bends what it can't decode.
        request._params = bodies.parse_form(request.query_string) if request.query_string else {}
        if "HTTP_HOST" not in request.env and request.env["SERVER_PROTOCOL"] == "HTTP/1.1":
            raise problems.Problem("malformed_request", "a request of HTTP/1.1 has a Host")
        cross.guard(request, response)
        forms.begin(request)
        if auth.WANTED and not response.complete:
            auth.enter(request, response)

    def process_resource(self, request, response, resource, params):
        """Gather a route's parameters from query and body; the path's win."""
        route = getattr(resource, f"on_{request.method.lower()}", None)
        # What counters count it by, for no client can invent one.
        request.env["iris.route"] = request.uri_template
        if request.method not in falcon.COMBINED_METHODS:
            # falcon would say that the request is malformed.
            known = [
                each for each in falcon.HTTP_METHODS if hasattr(resource, f"on_{each.lower()}")
            ]
            raise falcon.HTTPMethodNotAllowed([*sorted(known), "OPTIONS"])
        known = getattr(route, "input_transformations", None)
        request.context.known = known
        for name, value in params.items():
            if name.endswith("_id") and not re.fullmatch(r"[0-9]{1,18}", value, re.ASCII):
                raise problems.no_such(name.removesuffix("_id").replace("other", "ticket"), value)
            params[name] = bodies.Untyped(value)
        if known is None:
            bodies.body(request)
            return
        spec = route.interface.spec
        many = getattr(spec, "takes_many", False)
        raw = bodies.body(request, bodies.MAX_BULK if many else bodies.MAX_BODY)
        forms.without_blanks(request, known)
        forms.as_usual(request, getattr(spec, "page_has", None))
        form, query, request.context.rows = request.context.get("form"), request._params, None
        given = getattr(spec, "takes_form", dict)(form) if form else {}
        if raw and form is None:
            split = getattr(spec, "takes_text", None)
            given = bodies.parse(raw, request.content_type, many, split)
        if isinstance(given, str):
            request.context.rows, given = given, {}
        twice = query.keys() & given.keys()
        if twice:
            name = min(twice)
            raise problems.Problem("given_twice", f"{name} is given in the query and in the body")
        request.context.here = lambda **more: (
            f"?{urlencode({**query, **more}, safe=places.LEFT, encoding='utf-8')}"
        )
        if "cursor" in known and len(request.query_string) > SURELY_SHORT:
            _fits(request)
        # A format is asked for, not written: in what is to be kept it is a name as any other.
        reads = request.method == "GET"
        asked = {**query, **given} if reads else {**query}
        if not hasattr(spec, "serves"):
            negotiation.choose(request, response, asked, getattr(spec, "offers", routes.EACH))
            negotiation.look(request, asked, known)
        given = asked if reads else {**asked, **given}
        if "fields" in known and known["fields"].__class__ is types.Pairs:
            _gather_fields(given)
        has_formats = reads and known and not hasattr(spec, "serves")
        _refuse_unknown(given, [*known, "format"] if has_formats else known)
        for name in params:
            given.pop(name, None)
        if given and not routes.times(route).isdisjoint(given):
            _say_where(given, routes.times(route), response)
        # Hug reads a body only where there is one left to read.
        request._params = request.context.given = given
        request.env["CONTENT_LENGTH"] = ""

    def process_response(self, request, response, resource, succeeded):
        """Answer HEAD without a body but with its length, and 204 without a type."""
        if response.status[:3] in ("204", "304"):
            response.content_type = None
        writer = request.context.get("writer")
        if writer is not None and writer.replayed:
            response.set_header("Idempotent-Replayed", "true")
        if request.method == "OPTIONS" and response.get_header("Allow"):
            response.set_header(
                "Allow", response.get_header("Allow").replace("GET", "GET, HEAD", 1)
            )
        if request.context.get("head"):
            request.method = "HEAD"
            if hasattr(response.stream, "close"):
                response.stream.close()
                response.stream = None
            if response.data is not None:
                response.set_header("Content-Length", str(len(response.data)))


def _fits(request):
    """Refuse a query of whose answer the next page could not be asked for.

    Raises:   Problem 414.
    """
    room = bounds.ADDRESS - BESIDE - CURSOR - len(request.path)
    if len(request.context.here(cursor="")) > room:
        detail = f"the address of the next page would be longer than {bounds.ADDRESS:,} bytes"
        raise problems.Problem("address_too_long", detail, hint="Ask for fewer values at once.")


def _say_where(given, names, response):
    """Say in the answer by which time zone it was read what named none."""
    if any(
        isinstance(given.get(name), str) and not types.ANYWHERE.search(given[name])
        for name in names
    ):
        with contextlib.suppress(ValueError):
            response.set_header("Iris-Timezone", types.Zone()(given.get("tz", statements.ZONE)))


def _gather_fields(given):
    """Collect fields.NAME=text into one parameter, fields."""
    if "fields" in given:
        raise problems.Problem(
            "unknown_parameter", "fields is no filter by itself", hint="Use fields.NAME=value."
        )
    pairs = [
        (name.removeprefix(FIELD), given.pop(name))
        for name in list(given)
        if name.startswith(FIELD)
    ]
    if pairs:
        given["fields"] = sorted(pairs)


def _refuse_unknown(given, known):
    unknown = [name for name in given if name not in known]
    if not unknown:
        return
    wrong = {}
    for name in unknown[:20]:
        near = difflib.get_close_matches(name[:100], known, n=1, cutoff=0.5)
        wrong[name[:100]] = (
            f"is unknown here; did you mean {near[0]}?" if near else "is unknown here"
        )
    hint = f"Known are: {', '.join(sorted(known))}" if known else "Nothing is taken here."
    if any(bodies.TORN.search(name) for name in unknown if given[name] == ""):
        hint = f"This looks like a text that was torn at its &. {bodies.ENCODE}"
    raise problems.Problem(
        "unknown_parameter",
        "; ".join(f"{name} {message}" for name, message in wrong.items()),
        errors=wrong,
        hint=hint,
        allowed=sorted(known),
    )
