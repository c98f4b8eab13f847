"""Routes: links."""

import falcon

from iris import links
from iris.api import ROUTE, said
from iris.formats import terminal
from iris.intake import auth, routes, types

KEY = {
    "ticket_id": types.Number(),
    "kind": types.of(links.TABLE.c.kind),
    "other_id": types.Number(),
}


@ROUTE.put("/tickets/{ticket_id}/links/{kind}/{other_id}", status=falcon.HTTP_204)
@ROUTE.post("/tickets/{ticket_id}/links/{kind}/{other_id}", status=falcon.HTTP_204)
@routes.refuses("link_cycle", "second_parent")
@routes.takes(**KEY)
def put(request, response, ticket_id, kind, other_id):
    """Link a ticket to another: blocks, duplicates, parent (which is the other) or relates.

    curl -X PUT 0.0.0.0:8000/tickets/1/links/blocks/2
    """
    links.create(ticket_id, kind, other_id, auth.writer(request))
    return said(
        request,
        response,
        None,
        f"ticket {ticket_id} {_is(kind)} {other_id}",
        f"/tickets/{ticket_id}",
    )


@ROUTE.put("/tickets/{ticket_id}/links", status=falcon.HTTP_204)
@ROUTE.post("/tickets/{ticket_id}/links", status=falcon.HTTP_204)
@routes.refuses("link_cycle", "second_parent", "no_such_ticket")
@routes.takes(**KEY)
def put_by_body(request, response, ticket_id, kind, other_id):
    """Link a ticket to another that the body names, as a form does.

    curl -X PUT -d kind=blocks -d other_id=2 0.0.0.0:8000/tickets/1/links
    """
    return put(request, response, ticket_id, kind, other_id)


@ROUTE.delete("/tickets/{ticket_id}/links/{kind}/{other_id}", status=falcon.HTTP_204)
@routes.refuses("no_such_link")
@routes.takes(**KEY)
def remove(request, response, ticket_id, kind, other_id):
    """Unlink two tickets.

    curl -X DELETE 0.0.0.0:8000/tickets/1/links/blocks/2
    """
    links.remove(ticket_id, kind, other_id, auth.writer(request))
    words = f"ticket {ticket_id} no longer {_is(kind)} {other_id}"
    return said(request, response, None, words, f"/tickets/{ticket_id}")


def _is(kind):
    """Return what a link is called at its ticket."""
    return terminal.LINKS[kind][0]
