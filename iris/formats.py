"""How answers are written. PostgreSQL makes the JSON; here it is only passed on."""

import json
from http import HTTPStatus

import hug

from iris import errors

PROBLEM = "application/problem+json"
REASONS = {status.value: status.phrase for status in HTTPStatus}


@hug.format.content_type("application/json")
def as_json(content, request=None, response=None):
    """JSON"""
    if content is None:
        return None
    if isinstance(content, str):
        content = content.encode()
    elif not isinstance(content, bytes):
        content = json.dumps(content, ensure_ascii=False, allow_nan=False).encode()
    return content + b"\n"


def write_problem(problem, request, response):
    """Make a response the telling of a Problem."""
    document = problem.document(request.context.get("request_id"))
    response.status = f"{problem.status} {REASONS.get(problem.status, 'Problem')}"
    response.body, response.stream = None, None
    response.data = json.dumps(document).encode() + b"\n"
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
    write_problem(errors.invalid(wrong), request, response)
    return response.data
