"""Problems, as RFC 9457 writes them."""

from http import HTTPStatus

import hug

from iris import problems

PROBLEM = "application/problem+json"
REASONS = {status.value: status.phrase for status in HTTPStatus}


def write(problem, request, response):
    """Make a response the telling of a Problem."""
    document = problem.document(request.context.get("request_id"))
    response.status = f"{problem.status} {REASONS.get(problem.status, 'Problem')}"
    response.body, response.stream = None, None
    response.data = document.encode() + b"\n"
    response.content_type = PROBLEM
    for name, value in problem.headers.items():
        response.set_header(name, value)


@hug.format.content_type(PROBLEM)
def as_invalid(data, request=None, response=None):
    """What Hug's types refused"""
    wrong = {
        name: "is required" if message.startswith("Required parameter ") else message
        for name, message in data["errors"].items()
    }
    write(problems.invalid(wrong), request, response)
    return response.data
