"""Routes: links."""

import falcon

from iris import auth, inputs, links
from iris.api import ROUTE

KEY = {"ticket_id": inputs.Number(), "kind": inputs.Word(), "other_id": inputs.Number()}


@ROUTE.put("/tickets/{ticket_id}/links/{kind}/{other_id}", status=falcon.HTTP_204)
@ROUTE.post("/tickets/{ticket_id}/links/{kind}/{other_id}", status=falcon.HTTP_204)
@inputs.takes(**KEY)
def put(request, ticket_id, kind, other_id):
    """Link a ticket to another: blocks, duplicates, parent (which is the other) or relates.

    curl -X PUT 0.0.0.0:8000/tickets/1/links/blocks/2
    """
    links.create(ticket_id, kind, other_id, auth.writer(request))


@ROUTE.delete("/tickets/{ticket_id}/links/{kind}/{other_id}", status=falcon.HTTP_204)
@inputs.takes(**KEY)
def remove(request, ticket_id, kind, other_id):
    """Unlink two tickets.

    curl -X DELETE 0.0.0.0:8000/tickets/1/links/blocks/2
    """
    links.remove(ticket_id, kind, other_id, auth.writer(request))
