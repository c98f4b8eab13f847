"""Routes: comments."""

import falcon

from iris import comments, formats, models, titles
from iris.api import ROUTE, address, drawn, listed, lists, look, said
from iris.database.statements import ZONE
from iris.described import shapes
from iris.formats import letters, markdown
from iris.intake import auth, routes, types
from iris.intake.negotiation import LOOK
from iris.web import texts

NUMBER = types.Number()
COMMENT = shapes.Row(models.Comment)


@ROUTE.get("/comments")
@ROUTE.get("/tickets/{ticket_id}/comments")
@lists(comments)
@routes.refuses("no_such_ticket")
@routes.takes(**comments.LIST.parameters())
def index(request, response, **given):
    """List comments, newest first: all, or those of one ticket.

    curl '0.0.0.0:8000/comments?author=alice&q=printer'
    curl 0.0.0.0:8000/tickets/1/comments
    """

    def data(rows):
        written = [each.get("body") for each in rows]
        shown = titles.of(markdown.numbers(written))
        return {"of": given.get("ticket_id"), "texts": texts.Texts(request, shown)}

    return listed(comments, given, request, response, data=data)


@ROUTE.put("/comments")
@ROUTE.post("/comments")
@ROUTE.put("/tickets/{ticket_id}/comments")
@ROUTE.post("/tickets/{ticket_id}/comments")
@routes.gives(headers=("Location",), status_201=COMMENT)
@routes.refuses("no_such_ticket")
@routes.takes_text(comments.written)
@routes.takes(ticket_id=NUMBER, **comments.WRITABLE)
def put(request, response, ticket_id, **given):
    """Comment on a ticket.

    curl -X PUT --data-urlencode 'body=It works now' 0.0.0.0:8000/tickets/1/comments
    curl -X PUT -d ticket_id=1 --data-urlencode 'body=It works now' 0.0.0.0:8000/comments
    """
    row, number = comments.create(ticket_id, given, auth.writer(request))
    response.status = falcon.HTTP_201
    response.set_header("Location", address(request, f"/comments/{number}"))
    words = f"comment {number} on ticket {ticket_id} written"
    return said(request, response, row, words, f"/tickets/{ticket_id}")


@ROUTE.get("/comments/{comment_id}")
@routes.gives(COMMENT)
@routes.takes(comment_id=NUMBER, tz=types.Zone(), **LOOK)
def one(request, response, comment_id, tz=ZONE, **given):
    """Read one comment.

    curl 0.0.0.0:8000/comments/1
    """
    row = comments.one(comment_id)
    formats.of(request.context.format, given)
    if request.context.format != "text":
        return row
    return drawn(response, letters.comment(row, look({"tz": tz, **given})))


@ROUTE.put("/comments/{comment_id}")
@ROUTE.patch("/comments/{comment_id}")
@ROUTE.post("/comments/{comment_id}")
@routes.gives(COMMENT)
@routes.takes_text(comments.written)
@routes.takes(comment_id=NUMBER, ticket_id=types.Given(), **comments.CHANGEABLE)
def change(request, response, comment_id, ticket_id=None, **given):
    """Change the body of a comment; its author stays.

    curl -X PUT --data-urlencode 'body=It works again' 0.0.0.0:8000/comments/1
    """
    row = comments.change(comment_id, given, auth.writer(request))
    return said(request, response, row, f"comment {comment_id} changed", f"/comments/{comment_id}")


@ROUTE.delete("/comments/{comment_id}", status=falcon.HTTP_204)
@routes.takes(comment_id=NUMBER)
def remove(request, response, comment_id):
    """Delete a comment.

    curl -X DELETE 0.0.0.0:8000/comments/1
    """
    comments.remove(comment_id, auth.writer(request))
    return said(request, response, None, f"comment {comment_id} deleted", "/comments")
