"""Routes: who hears of a ticket."""

import falcon

from iris import models, watchers
from iris.api import ROUTE, listed, lists, said
from iris.intake import auth, routes, types

KEY = {
    "ticket_id": types.Number(),
    "who": types.concerning(
        models.WATCHES.c.who, types.about("Their name; me is who asks", types.Word())
    ),
}


@ROUTE.get("/tickets/{ticket_id}/watchers")
@lists(watchers)
@routes.takes(**watchers.LIST.parameters())
def index(request, response, **given):
    """List who hears of a ticket, by name, and who has left it (muted).

    curl 0.0.0.0:8000/tickets/1/watchers
    """
    return listed(watchers, given, request, response)


@ROUTE.put("/tickets/{ticket_id}/watchers/{who}", status=falcon.HTTP_204)
@ROUTE.post("/tickets/{ticket_id}/watchers/{who}", status=falcon.HTTP_204)
@routes.takes(**KEY)
def put(request, response, ticket_id, who):
    """Have somebody hear of a ticket: oneself, or, who may write, anybody.

    curl -X PUT 0.0.0.0:8000/tickets/1/watchers/me
    """
    writer = auth.writer(request)
    who = _named(who, writer)
    watchers.join(ticket_id, who, writer)
    words = f"{who} watches ticket {ticket_id}"
    return said(request, response, None, words, f"/tickets/{ticket_id}")


@ROUTE.delete("/tickets/{ticket_id}/watchers/{who}", status=falcon.HTTP_204)
@routes.takes(**KEY)
def remove(request, response, ticket_id, who):
    """Have somebody hear of a ticket no more, whoever calls them there; until they join it.

    curl -X DELETE 0.0.0.0:8000/tickets/1/watchers/me
    """
    writer = auth.writer(request)
    who = _named(who, writer)
    watchers.leave(ticket_id, who, writer)
    words = f"{who} no longer watches ticket {ticket_id}"
    return said(request, response, None, words, f"/tickets/{ticket_id}")


def _named(who, writer):
    return writer.actor if who == "me" else who
