"""Problems, as RFC 9457 writes them."""

import re
from http import HTTPStatus

import hug
from falcon.vendor import mimeparse

from iris import problems
from iris.formats import fitting, terminal
from iris.intake import forms
from iris.visible import safe
from iris.web import pages

PROBLEM, JSON, TEXT = "application/problem+json", "application/json", "text/plain"
REASONS = {status.value: status.phrase for status in HTTPStatus}


def line(problem):
    """Return what the status line says: `404 Not Found`."""
    return f"{problem.status} {REASONS[problem.status]}"


def write(problem, request, response):
    """Make a response the telling of a Problem."""
    response.status = line(problem)
    _hint_at_plus(problem, request)
    response.body, response.stream = None, None
    if "Accept" not in (response.get_header("Vary") or ""):
        response.append_header("Vary", "Accept")
    if request.context.get("format") == "html" or forms.wants_page(request):
        response.data = pages.problem(problem, request, response)
    elif _is_for_people(request):
        response.data = sentences(problem, _width(request)).encode()
        response.content_type = "text/plain; charset=utf-8"
    else:
        response.data = problem.document(request.context.get("request_id")).encode() + b"\n"
        response.content_type = PROBLEM
    for name, value in problem.headers.items():
        response.set_header(name, value)


def _hint_at_plus(problem, request):
    """Say of a refused value what became of its +."""
    errors, hint = problem.more.get("errors"), problem.more.get("hint")
    if isinstance(errors, dict):
        given = request.context.get("given") or {}
        for name in errors:
            if getattr(given.get(name), "plus", False):
                problem.more["hint"] = (f"{hint}. " if hint else "") + (
                    f"A + in a query or a form is a blank; to send a +: --data-urlencode '{name}=…'"
                    " (with -G in a query), or %2B."
                )


def _is_for_people(request):
    """Whether somebody reads this at a terminal: by format=text, or by Accept."""
    if request.context.get("format") == "text" or (request._params or {}).get("format") == "text":
        return True
    try:
        liked = [mimeparse.quality(media, request.accept) for media in (TEXT, PROBLEM, JSON)]
        return liked[0] > max(liked[1:])
    except ValueError:
        return False


def _width(request):
    """Return how wide a problem as text is to be; None for a line a sentence, as where nobody has said it."""
    given = {**(request._params or {}), **(request.context.get("look") or {})}.get("width")
    known = re.fullmatch("[0-9]{2,3}", str(given), re.ASCII)
    least, most = terminal.WIDTHS
    return int(given) if known and least <= int(given) <= most else None


def sentences(problem, width=None):
    """Return a problem as text: what is wrong, then a hint, as psql says them.

    width:    cells across; None: each is a line, however long.
    """
    hint, errors = problem.more.get("hint"), problem.more.get("errors")
    allowed = problem.more.get("allowed")
    if allowed and not hint:
        hint = f"Allowed are: {', '.join(allowed)}"
    # Of many rows, those that are wrong beside the first one.
    rows = errors[1:] if isinstance(errors, list) else []
    others = [f"row {row['index']}: {row['detail']}" for row in rows]
    lines = [problem.detail, *others, *([f"hint: {hint}"] if hint else [])]
    if width:
        lines = [piece for each in lines for piece in fitting.broken(each, width)]
    return "".join(f"{safe(each)}\n" for each in lines)


@hug.format.content_type(PROBLEM)
def as_invalid(data, request=None, response=None):
    """What Hug's types refused"""
    wrong = {
        name: "is required" if message.startswith("Required parameter ") else message
        for name, message in data["errors"].items()
    }
    problem = problems.invalid(wrong)
    kinds = [request.context.known.get(name) for name in wrong]
    if len(kinds) == 1 and hasattr(kinds[0], "known"):
        # Also for programs, such as what completes what is typed.
        problem.more["allowed"] = list(kinds[0].known)
    write(problem, request, response)
    return response.data
