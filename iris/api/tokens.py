"""Routes: who may come in."""

import json

import falcon

from iris import models, rights, tokens
from iris.api import ROUTE, listed, lists, page, said
from iris.described import shapes
from iris.intake import auth, forms, routes, types
from iris.web import pages


@ROUTE.get("/me")
@routes.heeds("Iris-Actor")
@routes.gives(
    shapes.Record(
        "Me",
        {
            "actor": shapes.Told("Who one is", shapes.TEXT),
            "role": shapes.Told("What one may do", {"type": "string", "enum": list(rights.ROLES)}),
            "token": shapes.Told(
                "The name of the token; null where nobody needs one", shapes.Maybe(shapes.TEXT)
            ),
            "expires": shapes.Told(
                "Until when it is good; null without an end", shapes.Maybe(shapes.TIME)
            ),
        },
    )
)
@routes.takes()
def me(request, response):
    """Say who one is, what one may do, and until when.

    curl 0.0.0.0:8000/me
    """
    caller = request.context.get("caller")
    told = {
        "actor": auth.actor(request),
        "role": caller.role if caller else "admin",
        "token": caller.name if caller else None,
        "expires": caller.expires.isoformat() if caller and caller.expires else None,
    }
    if request.context.format == "html":
        may = [each.does for each in rights.RIGHTS if rights.suffices(told["role"], each.role)]
        return page(request, response, "me.html", me=told, may=may)
    return json.dumps(told)


@ROUTE.get("/sign-in", status=falcon.HTTP_303)
@routes.serves("text/html")
@routes.heeds("Iris-Actor")
@routes.refuses("unauthorized")
@routes.asks_nobody
@routes.takes()
def sign_in(request, response):
    """Have a browser ask for a name where nobody needs a token, and go to what is known of whoever has one.

    curl -u alice: 0.0.0.0:8000/sign-in
    """
    wanted = auth.name_wanted(request)
    if wanted:
        raise wanted
    pages.done(request, response, "/me")


@ROUTE.get("/tokens")
@lists(tokens)
@routes.takes(**tokens.LIST.parameters())
def index(request, response, **given):
    """List tokens, by name: what each may do, and when it was last used, to the hour.

    curl 0.0.0.0:8000/tokens
    """
    return listed(tokens, given, request, response, role=auth.role(request))


@ROUTE.put("/tokens", status=falcon.HTTP_201)
@ROUTE.post("/tokens", status=falcon.HTTP_201)
@routes.gives(
    shapes.Row(
        models.Token,
        "TokenMade",
        {"token": {**shapes.TEXT, "description": "What its holder sends; shown this once"}},
        only=("name", "role", "actor", "created", "expires"),
        optional=("token",),
    )
)
@routes.takes_form(forms.filled)
@routes.takes(**tokens.WRITABLE)
def put(request, response, **given):
    """Make a token; the answer is the only one that ever shows it.

    curl -X PUT -d name=alice -d role=writer 0.0.0.0:8000/tokens
    """
    row = tokens.create(given, auth.writer(request))
    made = json.loads(row)
    if request.context.format == "html":
        shown = page(request, response, "token.html", token=made)
        response.set_header("Cache-Control", "no-store")
        return shown
    words = f"{made['actor']} comes in as {made['role']}; this is shown once: {made.get('token', 'it was')}"
    return said(request, response, row, words)


@ROUTE.delete("/tokens/{name}", status=falcon.HTTP_204)
@routes.refuses("no_such_token")
@routes.takes(name=types.about("Its name", types.Word()))
def remove(request, response, name):
    """Revoke a token.

    curl -X DELETE 0.0.0.0:8000/tokens/alice
    """
    tokens.revoke(name, auth.writer(request))
    return said(request, response, None, f"{name} is revoked", "/tokens")
