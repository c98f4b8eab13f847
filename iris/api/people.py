"""Routes: who gets mail."""

import json
from urllib.parse import quote

import falcon

from iris import models, people, problems
from iris.api import ROUTE, listed, lists, page, said
from iris.database import writing
from iris.described import shapes
from iris.formats import terminal
from iris.intake import auth, routes, types

NAME = types.concerning(
    people.TABLE.c.name, types.about("Their name; me is who asks", types.Word())
)
PERSON = shapes.Row(models.Person)
# What was read may be sent back.
KEPT = {
    name: types.concerning(people.TABLE.c[name], types.Given())
    for name in people.LIST.columns
    if name not in (*people.WRITABLE, "name")
}


@ROUTE.get("/people")
@lists(people)
@routes.takes(**people.LIST.parameters())
def index(request, response, **given):
    """List who gets mail of what they watch, by name.

    curl '0.0.0.0:8000/people?format=text'
    """
    return listed(people, given, request, response, role=auth.role(request))


@ROUTE.get("/people/{name}")
@routes.gives(PERSON)
@routes.heeds("Iris-Actor")
@routes.refuses("no_such_person")
@routes.takes(name=NAME)
def one(request, response, name):
    """Say how somebody gets mail: oneself, or, for admins, anybody.

    curl -H 'Iris-Actor: alice' 0.0.0.0:8000/people/me
    """
    writer = writing.Writer(auth.actor(request), role=auth.role(request))
    name = _named(name, writer)
    if request.context.format != "html":
        return people.one(name, writer)
    return page(request, response, "person.html", whose=name, person=_known(name, writer))


@ROUTE.put("/people/{name}")
@ROUTE.patch("/people/{name}")
@ROUTE.post("/people/{name}")
@routes.gives(PERSON)
@routes.takes(name=NAME, **people.WRITABLE, **KEPT)
def put(request, response, name, **given):
    """Say how somebody gets mail of what they watch: oneself, or, for admins, anybody. The rest stays.

    curl -X PUT -H 'Iris-Actor: alice' -d mail=alice@example.org -d digest=daily 0.0.0.0:8000/people/me
    """
    writer = auth.writer(request)
    given = {key: value for key, value in given.items() if key in people.WRITABLE}
    row = people.put(_named(name, writer), given, writer)
    made = json.loads(row)
    ways = {"none": "no mail", "now": "mail at once", "daily": "mail once a day"}
    how = ways[made["digest"]] if made["state"] == "active" else f"no mail: {made['state']}"
    words = f"{made['name']} gets {how}, at {made['mail']}"
    return said(request, response, row, words, f"/people/{quote(name, safe='')}")


@ROUTE.delete("/people/{name}", status=falcon.HTTP_204)
@routes.refuses("no_such_person")
@routes.takes(name=NAME)
def remove(request, response, name):
    """Forget somebody's address: oneself's, or, for admins, anybody's.

    curl -X DELETE -H 'Iris-Actor: alice' 0.0.0.0:8000/people/me
    """
    writer = auth.writer(request)
    name = _named(name, writer)
    people.remove(name, writer)
    return said(request, response, None, f"the address of {name} is forgotten", "/people/me")


def _known(name, writer):
    """Return how somebody gets mail, or None: on a page that is where one says so for the first time."""
    try:
        return terminal.read(people.one(name, writer))
    except problems.Problem as problem:
        if problem.code != "no_such_person":
            raise
        return None


def _named(name, writer):
    return writer.actor if name == "me" else name
