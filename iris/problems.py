"""What goes wrong, and how it is told: RFC 9457's problem documents."""

import json

from iris import visible

# Every refusal there is, {code: (status, title)}: the only place that says which status goes with a code.
# docs/errors.md tells the same; what a client's program may do about one hangs on its code.
CODES = {
    "malformed_request": (400, "No HTTP that Iris understands"),
    "malformed_json": (400, "Not JSON"),
    "malformed_form": (400, "Not a form"),
    "malformed_body": (400, "Not a body that this address takes"),
    "body_truncated": (400, "The body ended early"),
    "unknown_parameter": (400, "A name that is unknown here"),
    "given_twice": (400, "Given twice"),
    "invalid_actor": (400, "Not a name of who acts"),
    "invalid_key": (400, "Not an Idempotency-Key"),
    "invalid_position": (400, "Not a position of the feed"),
    "no_such_condition": (400, "A condition that means nothing here"),
    "unauthorized": (401, "No token, or none that is good"),
    "forbidden": (403, "The token's role may not"),
    "cross_origin": (403, "A page of another site wants to write"),
    "no_such_route": (404, "Nothing at this address"),
    "no_such_ticket": (404, "No such ticket"),
    "no_such_comment": (404, "No such comment"),
    "no_such_link": (404, "No such link"),
    "no_such_event": (404, "No such event"),
    "no_such_change": (404, "No such change"),
    "no_such_person": (404, "No such person"),
    "no_such_token": (404, "No such token"),
    "no_such_hook": (404, "No such hook"),
    "no_such_tracker": (404, "No such tracker"),
    "method_not_allowed": (405, "This address does not take this method"),
    "not_acceptable": (406, "No such format"),
    "body_too_slow": (408, "The body took too long"),
    "transition_not_allowed": (409, "The workflow has no such transition"),
    "link_cycle": (409, "Links would lead in a circle"),
    "second_parent": (409, "There is a parent already"),
    "status_in_use": (409, "Tickets are in this status"),
    "changed_since": (409, "It was changed again since"),
    "conflict": (409, "Something is in the way"),
    "version_moved_on": (412, "The ticket has changed meanwhile"),
    "body_too_large": (413, "Too many bytes"),
    "too_many_rows": (413, "Too many rows"),
    "address_too_long": (414, "The address is too long"),
    "unsupported_media_type": (415, "Not a type that is taken here"),
    "expectation_failed": (417, "An expectation that Iris does not know"),
    "invalid_value": (422, "A value of a wrong type, or out of its rule"),
    "key_reused": (422, "The Idempotency-Key was another request's"),
    "condition_required": (428, "Say which version you have seen"),
    "too_many_attempts": (429, "Too many attempts to come in"),
    "too_many_requests": (429, "Too many requests"),
    "headers_too_large": (431, "The headers are too large"),
    "internal_error": (500, "A mistake in Iris"),
    "unknown_transfer_coding": (501, "A transfer coding that Iris does not know"),
    "database_unavailable": (503, "The database is away"),
    "database_refused": (503, "The database does not let Iris in"),
    "database_busy": (503, "The database is busy"),
    "database_full": (503, "The database's disk is full"),
    "database_slow": (503, "The database took too long"),
    "database_not_ready": (503, "The database is not what this Iris needs"),
    "too_many_streams": (503, "Too many streams"),
}

# Where the codes may occur that more than a few routes have in common; a route names the others
# (routes.refuses), but for those that its parameters tell of.
ANYWHERE = (
    "malformed_request",
    "malformed_json",
    "malformed_form",
    "malformed_body",
    "body_truncated",
    "unknown_parameter",
    "given_twice",
    "not_acceptable",
    "body_too_slow",
    "body_too_large",
    "address_too_long",
    "unsupported_media_type",
    "expectation_failed",
    "headers_too_large",
    "internal_error",
    "unknown_transfer_coding",
)
OF_TOKENS = ("unauthorized", "forbidden", "too_many_attempts", "too_many_requests")
OF_WRITES = (
    "invalid_actor",
    "invalid_key",
    "no_such_condition",
    "cross_origin",
    "conflict",
    "key_reused",
)
OF_STREAMS = ("too_many_streams",)
# Wherever the database is asked.
OF_THE_DATABASE = (
    "database_unavailable",
    "database_refused",
    "database_busy",
    "database_full",
    "database_slow",
    "database_not_ready",
)


class Json(str):
    """JSON as PostgreSQL wrote it: not everything in it survives Python."""


def _json(value):
    """Return a value as JSON for people: letters as they are, but for what a terminal obeys."""
    text = visible.escaped(json.dumps(value, ensure_ascii=False))
    return text.encode(errors="backslashreplace").decode()


class Problem(Exception):
    """An answer that is no success, as RFC 9457 has it.

    code:     a stable word for programs, one of CODES; it settles status and title.
    detail:   a sentence for people.
    headers:  {name: value} of the answer.
    more:     errors ({field: message}), hint, allowed, current, index, as fits.
    """

    def __init__(self, code, detail, headers=None, **more):
        super().__init__(detail)
        self.code, self.detail = code, detail
        self.status, self.title = CODES[code]
        self.headers, self.more = headers or {}, more

    def given(self):
        """Return what there is beside status, code and detail."""
        return {name: value for name, value in self.more.items() if value is not None}

    def document(self, request_id):
        """Return the problem as JSON text, in the order that people read it."""
        document = {
            "type": f"urn:iris:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            **self.given(),
            "request_id": request_id,
        }
        parts = (
            f"{json.dumps(name)}: {value if isinstance(value, Json) else _json(value)}"
            for name, value in document.items()
        )
        return f"{{{', '.join(parts)}}}"


class Stale(Problem):
    """The ticket has another version than the caller expects.

    current:  the ticket as JSON text, which is a part of the answer.
    """

    def __init__(self, ticket_id, version, current):
        super().__init__(
            "version_moved_on",
            f"ticket {ticket_id} is at version {version} by now",
            headers={"ETag": f'"{version}"'},
            hint="Look at it as it is now, and try again with its version in If-Match.",
            current=Json(current),
        )


def mistake():
    """Return the 500 for what is nobody else's fault."""
    detail = "this is a mistake in Iris; its log has more under this request_id"
    return Problem("internal_error", detail)


def no_such(thing, number):
    """Return the 404 for a ticket or comment that is not there."""
    return Problem(f"no_such_{thing}", f"there is no {thing} {number}")


def invalid(errors):
    """Return the 422 for values of a wrong type.

    errors:   {field: message}.
    """
    return Problem(
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
    return Problem("invalid_value", f"row {index}: {detail}", index=index, errors=[mistake])
