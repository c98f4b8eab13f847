"""Routes: what happened on what somebody watches."""

import json

from iris import inbox
from iris.api import ROUTE, listed, lists, said
from iris.described import shapes
from iris.intake import auth, routes, types


@ROUTE.get("/inbox")
@lists(inbox)
@routes.heeds("Iris-Actor")
@routes.refuses("no_such_ticket")
@routes.takes(**inbox.PARAMETERS)
def index(request, response, **given):
    """List what happened on what you watch since you last looked, not by you, in the order of the feed.

    curl -H 'Iris-Actor: alice' '0.0.0.0:8000/inbox?format=text'
    """
    whose = auth.actor(request)
    given["after"] = inbox.start(whose, given.get("after"))
    # Whoever marks it as read meanwhile: all pages are of one inbox.
    onwards = {"after": given["after"]}
    data = {"whose": whose}
    return listed(inbox, given, request, response, onwards, data=data, whose=whose)


@ROUTE.put("/inbox")
@ROUTE.post("/inbox")
@routes.gives(
    shapes.Record(
        "InboxRead",
        {"position": shapes.Told("How far it is read: a position of the feed", shapes.NUMBER)},
    )
)
@routes.takes(
    position=types.about(
        "The last position of the feed that was seen; of all that there is, unless given",
        types.Nullable(types.Number(0), True),
    )
)
def put(request, response, position=None):
    """Say how far you have read your inbox: to a position; set back, all since is new again.

    curl -X PUT -H 'Iris-Actor: alice' -d position=17 0.0.0.0:8000/inbox
    """
    row = inbox.mark(position, auth.writer(request))
    words = f"read up to position {json.loads(row)['position']}"
    return said(request, response, row, words, "/inbox")
