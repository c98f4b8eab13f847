"""The service as gunicorn serves it: one Hug API, what every request goes through, and its errors."""

import difflib
import logging
import random
import re
from functools import lru_cache
from urllib.parse import urlencode, urlsplit

import falcon
import hug
import psycopg2
from falcon.vendor import mimeparse

from iris import api, bodies, errors, formats, inputs
from iris.api import comments, events, health, links, tickets, workflow

__all__ = ["app", "comments", "events", "health", "links", "tickets", "workflow"]

log = logging.getLogger("iris")

FIELD = "fields."
STREAM = events.STREAM


class Intake:
    """What every request goes through before its route sees it, and after."""

    def process_request(self, request, response):
        """Name the request, read its query, and refuse what no route wants."""
        given = request.env.get("HTTP_X_REQUEST_ID", "")
        fits = re.fullmatch(r"[\w.-]{1,64}", given, re.ASCII)
        request.context.request_id = given if fits else f"{random.getrandbits(128):032x}"
        response.set_header("X-Request-Id", request.context.request_id)
        request.context.head = request.method == "HEAD"
        if request.context.head:
            request.method = "GET"
        # falcon has read the query already, but bends what it can't decode.
        request._params = bodies.parse_form(request.query_string) if request.query_string else {}
        origin = request.env.get("HTTP_ORIGIN")
        writes = request.method not in ("GET", "OPTIONS")
        # A page somewhere on the web must not file tickets with the reader's browser.
        if origin and writes and urlsplit(origin).netloc != request.env.get("HTTP_HOST"):
            raise errors.Problem(403, "cross_origin", f"pages of {origin} may not write here")

    def process_resource(self, request, response, resource, params):
        """Gather a route's parameters from query and body; the path's win."""
        route = getattr(resource, f"on_{request.method.lower()}", None)
        known = getattr(route, "input_transformations", None)
        for name, value in params.items():
            if name.endswith("_id") and not re.fullmatch(r"[0-9]{1,18}", value, re.ASCII):
                raise errors.no_such(name.removesuffix("_id").replace("other", "ticket"), value)
            params[name] = bodies.Typed(value)
        if known is None:
            bodies.body(request)
            return
        many = getattr(route.interface.spec, "takes_many", False)
        raw = bodies.body(request, bodies.MAX_BULK if many else bodies.MAX_BODY)
        query, given, request.context.rows = request._params, {}, None
        if raw:
            given = bodies.parse(raw, request.content_type, many)
        if isinstance(given, list):
            request.context.rows, given = given, {}
        twice = query.keys() & given.keys()
        if twice:
            name = min(twice)
            raise errors.Problem(
                400, "given_twice", f"{name} is given in the query and in the body"
            )
        request.context.here = lambda **more: _here(request.path, query, more)
        given = {**query, **given}
        if "fields" in known and known["fields"].__class__ is inputs.Pairs:
            _gather_fields(given)
        _choose_format(request, given, getattr(route.interface.spec, "offers", inputs.JSON))
        _refuse_unknown(given, known)
        for name in params:
            given.pop(name, None)
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
        if request.context.get("head"):
            request.method = "HEAD"
            if hasattr(response.stream, "close"):
                response.stream.close()
                response.stream = None
            if response.data is not None:
                response.set_header("Content-Length", str(len(response.data)))


@lru_cache
def _formats(offers):
    """Return {name: media type} of what a route offers."""
    names = {media: name for name, media in formats.MEDIA.items()} | {STREAM: "stream"}
    return {names[media]: media for media in offers}


@lru_cache(100)
def _preferred(accept, offers):
    """Return the name of the format that an Accept header likes best, or None."""
    try:
        media = mimeparse.best_match(offers, accept)
    except ValueError:
        return None
    return next((name for name, known in _formats(offers).items() if known == media), None)


def _choose_format(request, given, offers):
    """Settle the format of the answer: what ?format= says, else what Accept prefers."""
    known = _formats(offers)
    name = given.pop("format", None) if len(offers) > 1 else None
    if name is None:
        name = _preferred(request.accept, offers)
    if name not in known:
        detail = f"this comes as {', '.join(reversed(known.values()))}"
        hint = f"format= takes {', '.join(reversed(known))}." if len(known) > 1 else None
        raise errors.Problem(406, "not_acceptable", detail, hint=hint)
    request.context.format = name


def _here(path, query, more):
    """Return this request's address with some of its parameters changed."""
    return f"{path}?{urlencode({**query, **more})}"


def _gather_fields(given):
    """Collect fields.NAME=text into one parameter, fields."""
    if "fields" in given:
        raise errors.Problem(
            400, "unknown_parameter", "fields is no filter by itself", hint="Use fields.NAME=value."
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
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        wrong[name[:100]] = (
            f"is unknown here; did you mean {near[0]}?" if near else "is unknown here"
        )
    raise errors.Problem(
        400,
        "unknown_parameter",
        "; ".join(f"{name} {message}" for name, message in wrong.items()),
        errors=wrong,
        hint=f"Known are: {', '.join(sorted(known))}" if known else "Nothing is taken here.",
    )


# Errors -------------------------------------------------------------------------------------------

FALCON = {
    405: ("method_not_allowed", "this address does not take this method"),
    400: ("malformed_request", None),
}


def on_problem(request, response, problem, params):
    formats.write_problem(problem, request, response)


def on_falcon(request, response, error, params):
    status = int(error.status[:3])
    code, detail = FALCON.get(status, ("http_error", None))
    headers = dict(error.headers or {})
    if status == 405 and "GET" in headers.get("Allow", ""):
        headers["Allow"] = headers["Allow"].replace("GET", "GET, HEAD", 1)
    detail = detail or error.description or error.title
    on_problem(request, response, errors.Problem(status, code, detail, headers), params)


def on_database(request, response, error, params):
    problem = errors.from_database(error, request.context.get("given") or {})
    if problem is None:
        on_crash(request, response, error, params)
        return
    if problem.status == 503:
        log.warning("%s %s: %s", request.context.request_id, problem.code, str(error).strip())
    on_problem(request, response, problem, params)


def on_crash(request, response, error, params):
    log.exception("%s %s %s", request.context.get("request_id"), request.method, request.path)
    detail = "this is a mistake in Iris; its log has more under this request_id"
    on_problem(request, response, errors.Problem(500, "internal_error", detail), params)


def on_missing(request, response, **params):
    """Nothing is here"""
    # Not falcon.HTTPNotFound: Hug would call this once more for that.
    raise errors.Problem(404, "no_such_route", f"there is nothing at {request.path}")


hug.not_found(api=api.API)(on_missing)


@hug.startup(api=api.API)
def wire(interface):
    """Set what Hug leaves to falcon: errors, the last one named that fits is asked."""
    # Otherwise every route is also served under /v<anything>/.
    interface.http.versions = (None,)
    server = interface.http.falcon
    server.req_options.strip_url_path_trailing_slash = True
    for kind, handler in (
        (Exception, on_crash),
        (falcon.HTTPError, on_falcon),
        (psycopg2.Error, on_database),
        (errors.Problem, on_problem),
    ):
        server.add_error_handler(kind, handler)


api.API.http.add_middleware(Intake())
app = api.API.http.server(None)
