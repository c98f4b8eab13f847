"""What schemathesis can't know of a request from its schema alone: words with a meaning, and what goes together.

Only what is sent is settled here; every answer is looked at by every check.
"""

import json
import uuid

import requests
import schemathesis
from hypothesis import strategies
from schemathesis.core import NotSet

WORDS = {
    "moment": strategies.sampled_from(["2031-12-01", "2031-12-01T12:00:00+01:00", "tomorrow"]),
    "time-zone": strategies.sampled_from(["Europe/Berlin", "UTC"]),
    "json": strategies.dictionaries(strategies.text("abc"), strategies.integers()).map(json.dumps),
    "title-and-description": strategies.just("A title\n\nand a description"),
    "query": strategies.lists(strategies.text("abc", min_size=1), min_size=1, max_size=32).map(
        " ".join
    ),
}
for name, strategy in WORDS.items():
    schemathesis.openapi.format(name, strategy)
# A parameter, and what has to stand beside it.
NEEDS = {"width": ("format", "text"), "color": ("format", "text"), "csv": ("format", "csv")}


def whole(value):
    """Write whole numbers without a point, as Iris wants them."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: whole(each) for name, each in value.items()}
    return [whole(each) for each in value] if isinstance(value, list) else value


def asked(query):
    """Take from a query what does not go with the rest of it, and add what has to."""
    # A cursor is another list's: what reads on is tested elsewhere. Nobody waits here.
    for name in ("cursor", "wait"):
        query.pop(name, None)
    if "after" in query:
        # The feed takes no filters.
        for other in query.keys() - {"after", "limit"}:
            del query[other]
    for name, (other, value) in NEEDS.items():
        if name in query:
            # Only the last one of two that go with different formats.
            for others in NEEDS.keys() - {name}:
                query.pop(others, None)
            query[other] = value
    if query.get("format") in ("ics", "atom"):
        # They have columns of their own.
        query.pop("columns", None)
    if "rank" in query.get("sort", ""):
        query["q"] = "a"
    if "columns" in query:
        query["columns"] = ",".join(dict.fromkeys(query["columns"].split(",")))


@schemathesis.hook
def before_call(context, case, kwargs):
    """Make what goes together of a request that its schema allows."""
    if case.meta and not case.meta.generation.mode.is_positive:
        return
    asked(case.query or {})
    ends = case.path_parameters or {}
    number = ends.get("ticket_id")
    for there in (ends, case.body) if number is not None else ():
        if isinstance(there, dict) and str(there.get("other_id")) == str(number):
            # No ticket is linked to itself: what stands beside what, no schema says.
            there["other_id"] = int(number) % 20 + 1
    if "Idempotency-Key" in (case.headers or {}):
        case.headers["Idempotency-Key"] = str(uuid.uuid4())
    if case.path == "/tickets":
        # If-Match is for one ticket that is there.
        (case.headers or {}).pop("If-Match", None)
    if not isinstance(case.body, NotSet):
        # What is set is looked at anew, and none would be taken for a mistake.
        case.body = whole(case.body)
    if case.path == "/people/{name}" and case.method in ("PUT", "POST", "PATCH"):
        # Whoever is not there yet needs one; that it bounced, only the mail server says.
        given = case.body if isinstance(case.body, dict) else {}
        case.body = given | {"mail": "alice@example.org", "state": "active"}
        case.media_type = case.media_type or "application/json"
    if isinstance(case.body, dict) and case.path == "/inbox":
        # How far the feed has come is not known.
        case.body.pop("position", None)
    if isinstance(case.body, dict) and case.path.startswith("/hooks"):
        # schemathesis itself reads URLs that come back, and ends at http://[8B2cA].
        case.body["url"] = "https://ci.example.org/iris"
        for name in ("filter", "position", "secret"):
            case.body.pop(name, None)
    if case.path == "/workflow" and case.method != "GET":
        case.body = requests.get(f"{case.operation.base_url}/workflow").json()
