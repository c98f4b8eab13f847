"""What a route answers with, in JSON or for a person: what is no list and no ticket is drawn here."""

import json

import hug

from iris.formats import fitting, terminal
from iris.formats.json import as_json
from iris.visible import safe
from iris.web import pages

# Cells between the names of what a document has and what they are.
GAP = 2


@hug.format.content_type("application/json")
def answer(content, request=None, response=None):
    """JSON, or text where that is asked for"""
    is_drawn = content is not None and request.context.get("format") == "text"
    if is_drawn and response.content_type == "application/json":
        response.content_type = "text/plain; charset=utf-8"
        content = document(content, look(request)).encode()
    if (
        content is not None
        and not isinstance(content, bytes)
        and request.context.get("format") == "html"
    ):
        content = pages.document(request, response, content)
    return as_json(content)


def look(request):
    """Return how an answer is to look whose route leaves that to others."""
    asked = request.context.get("look") or {}
    return terminal.Look(asked.get("width", fitting.WIDTH), color=asked.get("color") == "always")


def document(text, look):
    """Return a JSON object as text, a name and what it is a line; what is empty is left out."""
    told = {name: terminal.plain(value) for name, value in terminal.read(text).items()}
    told = {name: value for name, value in told.items() if value}
    most = look.width // 2 - GAP
    indent = min(most, max((len(name) for name in told), default=0) + 1) + GAP
    made = []
    for name, value in told.items():
        head = fitting.fit(safe(f"{name}:"), indent - GAP) + " " * GAP
        first, *others = fitting.broken(value[: terminal.HEAD], look.width - indent) or [""]
        made += [look.paint(head, terminal.BOLD) + first, *(" " * indent + each for each in others)]
    return "".join(f"{line}\n" for line in made)


def workflow(text, look):
    """Return the workflow as a table: the statuses in their order, and where a ticket may go from each."""
    found = terminal.read(text)
    rows = (
        json.dumps({**each, "next": found["transitions"].get(each["status"], [])})
        for each in found["statuses"]
    )
    return terminal.table(rows, ("status", "is_open", "next"), look=look)
