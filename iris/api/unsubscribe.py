"""Routes: the end of somebody's mail, by the address that a mail of theirs has for it. It needs no token."""

import falcon

from iris import people, problems
from iris.api import ROUTE, drawn
from iris.intake import routes, types

KEY = {
    "person_id": types.about("Whose mail it is", types.Number()),
    "seal": types.about("What proves that they were told this address", types.Word()),
}


@ROUTE.get("/unsubscribe/{person_id}/{seal}")
@routes.serves("text/html")
@routes.takes(**KEY)
def ask(response, person_id, seal):
    """Ask whether somebody wants no more mail; programs that look at links end nothing by looking.

    curl 0.0.0.0:8000/unsubscribe/1/0123456789abcdef0123
    """
    response.content_type = "text/html; charset=utf-8"
    return (
        '<!doctype html><html lang="en"><title>Iris</title>'
        '<form method="post"><button>No more mail</button></form></html>'
    )


@ROUTE.put("/unsubscribe/{person_id}/{seal}")
@ROUTE.post("/unsubscribe/{person_id}/{seal}")
@routes.serves("text/plain")
@routes.refuses("no_such_person")
@routes.takes(
    **KEY, **{"List-Unsubscribe": types.about("One-Click, as mail programs say", types.Given())}
)
def end(request, response, person_id, seal, **given):
    """End somebody's mail, as one click in a mail program does (RFC 8058).

    curl -X POST -d List-Unsubscribe=One-Click 0.0.0.0:8000/unsubscribe/1/0123456789abcdef0123
    """
    if people.unsubscribe(person_id, seal) is None:
        raise problems.Problem("no_such_person", "this address was told nobody")
    response.status = falcon.HTTP_200
    return drawn(
        response, "You get no more mail. PUT /people/me with digest=now or daily brings it back.\n"
    )
