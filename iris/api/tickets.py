"""Routes: tickets."""

import falcon

from iris import auth, inputs, tickets
from iris.api import ROUTE, paged

NUMBER = inputs.Number()


@ROUTE.get("/tickets")
@inputs.takes(**tickets.LIST)
def index(request, response, **given):
    """List tickets, newest first.

    curl '0.0.0.0:8000/tickets?status=open,active&sort=-priority&columns=ticket_id,title'
    """
    return paged(tickets.page(given), request, response)


@ROUTE.put("/tickets")
@ROUTE.post("/tickets")
@inputs.takes(ticket_id=NUMBER, **tickets.WRITABLE)
def put(request, response, ticket_id=None, **given):
    """File a ticket; or change one, given its ticket_id.

    curl -X PUT -d title='A new ticket' 0.0.0.0:8000/tickets
    """
    if ticket_id is not None:
        return tickets.change(ticket_id, given, auth.actor(request))
    row, number = tickets.create(given, auth.actor(request))
    response.status = falcon.HTTP_201
    response.set_header("Location", f"/tickets/{number}")
    return row


@ROUTE.get("/tickets/{ticket_id}")
@inputs.takes(ticket_id=NUMBER)
def one(ticket_id):
    """Read one ticket with its comments, oldest first, and its links.

    curl 0.0.0.0:8000/tickets/1
    """
    return tickets.one(ticket_id)[0]


@ROUTE.get("/ticket")
@inputs.takes(tid=NUMBER)
def by_number(tid):
    """Read one ticket, by another name.

    curl '0.0.0.0:8000/ticket?tid=1'
    """
    return tickets.one(tid)[0]


@ROUTE.put("/tickets/{ticket_id}")
@ROUTE.patch("/tickets/{ticket_id}")
@ROUTE.post("/tickets/{ticket_id}")
@inputs.takes(ticket_id=NUMBER, **tickets.WRITABLE)
def change(request, ticket_id, **given):
    """Change what is given of a ticket; null empties a column.

    curl -X PUT -d status=active 0.0.0.0:8000/tickets/1
    """
    return tickets.change(ticket_id, given, auth.actor(request))


@ROUTE.delete("/tickets/{ticket_id}", status=falcon.HTTP_204)
@inputs.takes(ticket_id=NUMBER)
def remove(request, ticket_id):
    """Delete a ticket with its comments and links.

    curl -X DELETE 0.0.0.0:8000/tickets/1
    """
    tickets.remove(ticket_id, auth.actor(request))
