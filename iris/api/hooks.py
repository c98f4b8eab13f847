"""Routes: who is told."""

import json
from types import SimpleNamespace

import falcon

from iris import hooks, models
from iris.api import ROUTE, address, listed, lists, page, read, said
from iris.described import shapes
from iris.formats import terminal
from iris.intake import auth, routes, types
from iris.web import conditions

NUMBER = types.Number()
HOOK = shapes.Row(models.Hook)
# The answer that shows a secret which was made for it.
MADE = shapes.Row(
    models.Hook,
    "HookMade",
    {
        "secret": {
            **shapes.TEXT,
            "description": "What its deliveries are signed with; shown this once",
        }
    },
    optional=("secret",),
)
# A list needs LIST and page().
DELIVERIES = SimpleNamespace(LIST=hooks.DELIVERIES, page=hooks.tries)
# Deliveries on a hook's page.
LATE = 10
# What was read may be sent back.
KEPT = {
    name: types.concerning(hooks.TABLE.c[name], types.Given())
    for name in hooks.LIST.columns
    if name not in (*hooks.WRITABLE, "hook_id")
}


def _page(request, response, row):
    """Answer with a hook as a page, and with what it was told of late; with its secret if that is new."""
    hook = terminal.read(row)
    shown = {"hook_id": hook["hook_id"], "limit": LATE}
    tries = list(read(hooks.tries(shown, role=auth.role(request)).rows))
    # What has its secret is the answer to a form that can't be sent once more, and is kept nowhere.
    is_new = request.method != "GET"
    known = {"hook": hook, "tries": tries, "is_new": is_new}
    return page(request, response, "hook.html", again=not is_new, **known)


@ROUTE.get("/hooks")
@lists(hooks)
@routes.takes(**hooks.LIST.parameters())
def index(request, response, **given):
    """List hooks, by number: what each gets, how far it is, and why it waits.

    curl '0.0.0.0:8000/hooks?format=text'
    """
    return listed(hooks, given, request, response, role=auth.role(request))


@ROUTE.put("/hooks", status=falcon.HTTP_201)
@ROUTE.post("/hooks", status=falcon.HTTP_201)
@routes.gives(headers=("Location",), status_201=MADE)
@routes.takes_form(conditions.new)
@routes.takes(**hooks.FILTERS, **hooks.WRITABLE)
def put(request, response, **given):
    """Have a URL told of what happens from now on: of all, of some kinds, or of tickets that a filter finds.

    curl -X PUT -d url=https://ci.example.org/iris -d kind=created,changed -d label=ops 0.0.0.0:8000/hooks
    """
    row, number = hooks.create(given, auth.writer(request))
    response.status = falcon.HTTP_201
    if request.context.format == "html":
        return _page(request, response, row)
    response.set_header("Location", address(request, f"/hooks/{number}"))
    secret = json.loads(row).get("secret", "it was")
    words = f"hook {number} is told from now on; its secret is shown once: {secret}"
    return said(request, response, row, words)


@ROUTE.get("/hooks/{hook_id}")
@routes.gives(HOOK)
@routes.takes(hook_id=NUMBER)
def one(request, response, hook_id):
    """Read one hook.

    curl 0.0.0.0:8000/hooks/1
    """
    row = hooks.one(hook_id, auth.role(request))
    return _page(request, response, row) if request.context.format == "html" else row


@ROUTE.put("/hooks/{hook_id}")
@ROUTE.patch("/hooks/{hook_id}")
@ROUTE.post("/hooks/{hook_id}")
@routes.gives(MADE)
@routes.takes_form(conditions.document)
@routes.takes(hook_id=NUMBER, **hooks.FILTERS, **hooks.WRITABLE, **KEPT)
def change(request, response, hook_id, **given):
    """Change a hook: position=0 sends all again, secret=new rotates its secret, state=stopped stops it.

    curl -X PUT -d position=0 0.0.0.0:8000/hooks/1
    """
    given = {name: value for name, value in given.items() if name not in KEPT}
    row = hooks.change(hook_id, given, auth.writer(request))
    secret = json.loads(row).get("secret")
    if request.context.format == "html" and "secret" in given:
        return _page(request, response, row)
    more = f"; its new secret is shown once: {secret}" if secret else ""
    words = f"hook {hook_id} changed{more}"
    return said(request, response, row, words, f"/hooks/{hook_id}")


@ROUTE.delete("/hooks/{hook_id}", status=falcon.HTTP_204)
@routes.takes(hook_id=NUMBER)
def remove(request, response, hook_id):
    """Delete a hook: it is told nothing any more.

    curl -X DELETE 0.0.0.0:8000/hooks/1
    """
    hooks.remove(hook_id, auth.writer(request))
    return said(request, response, None, f"hook {hook_id} deleted", "/hooks")


@ROUTE.get("/hooks/{hook_id}/deliveries")
@lists(DELIVERIES)
@routes.takes(**hooks.DELIVERIES.parameters())
def deliveries(request, response, **given):
    """List what was sent to a hook and what it answered, the last first: the latest thousand tries.

    curl '0.0.0.0:8000/hooks/1/deliveries?format=text'
    """
    return listed(DELIVERIES, given, request, response, role=auth.role(request))
