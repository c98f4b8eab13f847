"""What goes wrong, and how it is told: RFC 9457's problem documents."""

import json


class Json(str):
    """JSON as PostgreSQL wrote it: not everything in it survives Python."""


class Problem(Exception):
    """An answer that is no success, as RFC 9457 has it.

    status:   the HTTP status, a number.
    code:     a stable word for programs.
    detail:   a sentence for people.
    headers:  {name: value} of the answer.
    more:     errors ({field: message}), hint, allowed, current, index, as fits.
    """

    def __init__(self, status, code, detail, headers=None, **more):
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
        self.headers, self.more = headers or {}, more

    def given(self):
        """Return what there is beside status, code and detail."""
        return {name: value for name, value in self.more.items() if value is not None}

    def document(self, request_id):
        """Return the problem as JSON text, in the order that people read it."""
        document = {
            "type": f"urn:iris:problem:{self.code}",
            "title": self.code.replace("_", " ").capitalize(),
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            **self.given(),
            "request_id": request_id,
        }
        parts = (
            f"{json.dumps(name)}: {value if isinstance(value, Json) else json.dumps(value)}"
            for name, value in document.items()
        )
        return f"{{{', '.join(parts)}}}"


class Stale(Problem):
    """The ticket has another version than the caller expects.

    current:  the ticket as JSON text, which is a part of the answer.
    """

    def __init__(self, ticket_id, version, current):
        super().__init__(
            412,
            "version_moved_on",
            f"ticket {ticket_id} is at version {version} by now",
            headers={"ETag": f'"{version}"'},
            hint="Look at it as it is now, and try again with its version in If-Match.",
            current=Json(current),
        )


def mistake():
    """Return the 500 for what is nobody else's fault."""
    detail = "this is a mistake in Iris; its log has more under this request_id"
    return Problem(500, "internal_error", detail)


def no_such(thing, number):
    """Return the 404 for a ticket or comment that is not there."""
    return Problem(404, f"no_such_{thing}", f"there is no {thing} {number}")


def invalid(errors):
    """Return the 422 for values of a wrong type.

    errors:   {field: message}.
    """
    return Problem(
        422,
        "invalid_value",
        "; ".join(f"{name} {message}" for name, message in errors.items()),
        errors=errors,
    )


def bad_row(index, name, message):
    """Return the 422 for one row of many, of which one value can't even be told to the database.

    index:    the row's, from 0.
    """
    detail = f"{name} {message}".strip()
    mistake = {"index": index, "detail": detail, "code": "invalid_value", "errors": {name: message}}
    return Problem(422, "invalid_value", f"row {index}: {detail}", index=index, errors=[mistake])
