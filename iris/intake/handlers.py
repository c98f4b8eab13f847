"""Errors, whatever their kind, told as problems."""

import logging

from iris import problems
from iris.database import holders, refusals
from iris.formats import problem as problem_format
from iris.intake import auth, places

log = logging.getLogger("iris")

FALCON = {
    404: ("no_such_route", "there is nothing at this address"),
    405: ("method_not_allowed", "this address does not take this method"),
    400: ("malformed_request", None),
}


def on_problem(request, response, problem, params):
    problem_format.write(problem, request, response)


def on_falcon(request, response, error, params):
    status = int(error.status[:3])
    if status not in FALCON:
        on_crash(request, response, error, params)
        return
    code, detail = FALCON[status]
    headers = dict(error.headers or {})
    if status == 405 and "GET" in headers.get("Allow", ""):
        headers["Allow"] = headers["Allow"].replace("GET", "GET, HEAD", 1)
    detail = detail or error.description or error.title
    hint = f"It takes {headers['Allow']}." if "Allow" in headers else None
    on_problem(request, response, problems.Problem(code, detail, headers, hint=hint), params)


def on_database(request, response, error, params):
    given = {**(request.context.get("given") or {}), **params}
    problem = refusals.from_database(error, given, request.context.get("known") or {})
    if problem is None:
        on_crash(request, response, error, params)
        return
    if problem.more.get("sqlstate") == "42501":
        words = getattr(error, "orig", error).diag.message_primary
        problem = auth.forbidden(request, words) or problem
    if problem.status == 503:
        log.warning("%s %s: %s", request.context.request_id, problem.code, str(error).strip())
    if problem.more.get("sqlstate") == refusals.WAITED_IN_VAIN:
        holders.HOLDERS.free()
    on_problem(request, response, problem, params)


def on_crash(request, response, error, params):
    log.exception("%s %s %s", request.context.get("request_id"), request.method, request.path)
    on_problem(request, response, problems.mistake(), params)


def on_missing(request, response, **params):
    """Nothing is here"""
    # Not falcon.HTTPNotFound: Hug would call this once more for that.
    raise problems.Problem(
        "no_such_route",
        f"there is nothing at {request.path}",
        hint=f"What there is: curl {places.host(request)}",
    )
