"""Routes: tickets."""

import json

import falcon

from iris import counted, formats, models, problems, surroundings, tickets
from iris.api import ROUTE, address, drawn, listed, lists, look, said, tagged, ticket_page, versions
from iris.database.statements import ZONE
from iris.described import shapes
from iris.formats import letters
from iris.intake import auth, routes, types
from iris.intake import rows as many
from iris.intake.negotiation import LOOK
from iris.lists import tickets as ticket_list
from iris.web import board

NUMBER = types.Number()
TICKET = shapes.Row(models.Ticket)
WHOLE = shapes.Row(
    models.Ticket,
    "TicketWhole",
    {
        "next": shapes.Told(
            "The statuses it may go to; null where the workflow of that moment lacked its own",
            shapes.Maybe(shapes.Many(shapes.TEXT)),
        ),
        "comments": shapes.Told(
            "What was said of it, oldest first", shapes.Many(shapes.Row(models.Comment))
        ),
        "links": shapes.Told("Its links, from either end", shapes.Many(shapes.Row(models.Link))),
    },
)
# Of a dry run: what each row would make of what.
TRIED = shapes.Record(
    "TicketTried",
    {
        "index": shapes.Told("Which row, from 0", shapes.NUMBER),
        "before": shapes.Told(
            "The ticket as it is; null for one that would be filed", shapes.Maybe(TICKET)
        ),
        "after": shapes.Told("The ticket as it would be", TICKET),
    },
)
# Why a ticket is not changed.
CHANGED = ("no_such_ticket", "transition_not_allowed", "version_moved_on", "condition_required")


@ROUTE.get("/tickets")
@lists(ticket_list, formats.TICKETS)
@routes.takes(**ticket_list.PARAMETERS, **board.PARAMETERS)
def index(request, response, **given):
    """List tickets, newest first.

    curl '0.0.0.0:8000/tickets?status=open,active&sort=-priority&columns=ticket_id,title'
    """
    view, by = given.pop("view", "list"), given.pop("by", "status")
    if request.context.format != "html":
        return listed(ticket_list, given, request, response)
    data = {"around": surroundings.read(given.get("as_of"), given.get("tz", ZONE))}
    if view == "board":
        usual = board.usual(given, request.context.left_open)
        request.context.usual = {name: board.said(value) for name, value in usual.items()}
        given |= {name: value for name, value in usual.items() if value is not None}
        data |= {"template": "board.html", "by": by}
    return listed(ticket_list, given, request, response, data=data)


@ROUTE.put("/tickets")
@ROUTE.post("/tickets")
@routes.gives(
    shapes.Either((TICKET, shapes.Many(TICKET), shapes.Many(TRIED))),
    ("ETag", "Location"),
    status_201=TICKET,
)
@routes.refuses(*CHANGED, "too_many_rows")
@routes.heeds("If-Match")
@routes.takes_many
@routes.takes_text(tickets.written)
@routes.how(dry_run=routes.DRY_RUN, tz=types.Zone())
@routes.takes(ticket_id=NUMBER, **tickets.WRITABLE)
def put(request, response, ticket_id=None, dry_run=False, tz=ZONE, **given):
    """File a ticket; or change one, given its ticket_id; or many of both, as a list.

    What stands in the query beside a list is given for each of its rows.

    curl -X PUT --data-urlencode 'title=A new ticket' 0.0.0.0:8000/tickets
    """
    rows = request.context.rows
    beside = tickets.row(given, ticket_id)
    if dry_run and rows is None:
        rows = json.dumps([beside])
    elif rows is not None and beside:
        rows = many.each_with(rows, beside)
    if rows is not None:
        if auth.REQUIRE_IF_MATCH and not dry_run and many.change(rows):
            raise auth.condition_required()
        found = tickets.put(rows, auth.writer(request), dry_run, tz)
        number = 0 if found == "[]" else found.count("\n") + 1
        done = "would be written, and none was" if dry_run else "written"
        words = f"{counted.of(number, 'ticket')} {done}{_passed_over(given)}"
        return said(request, response, found, words, "/tickets")
    if ticket_id is not None:
        return change(request, response, ticket_id, tz, **given)
    row, version, number = tickets.create(given, auth.writer(request), tz)
    response.status = falcon.HTTP_201
    response.set_header("Location", address(request, f"/tickets/{number}"))
    tagged(response, version)
    words = f"ticket {number} filed{_passed_over(given)}"
    return said(request, response, row, words, f"/tickets/{number}")


def _passed_over(given):
    """Say which columns were given that nobody gives, for people, who may have meant something by them."""
    names = [name for name in given if name in tickets.KEPT + tickets.TOLD and name != "version"]
    return f"; passed over, for Iris keeps them by itself: {', '.join(names)}" if names else ""


def read(request, response, ticket_id, as_of=None, tz=ZONE, **given):
    """Answer with one ticket, or with 304 to who has it already."""
    if request.context.format == "html":
        return ticket_page.whole(request, response, ticket_id, as_of, tz)
    header = request.get_header("If-None-Match")
    seen = versions(header)
    row, version = tickets.one(ticket_id, seen or (), as_of, tz)
    tagged(response, version)
    if row is None or (header and seen is None):
        response.status = falcon.HTTP_304
        return None
    if request.context.format == "text":
        return drawn(response, letters.letter(row, look({"tz": tz, **given})))
    formats.of(request.context.format, given)
    return row


@ROUTE.get("/tickets/{ticket_id}")
@routes.gives(WHOLE, ("ETag",), status_304=None)
@routes.heeds("If-None-Match")
@routes.takes(ticket_id=NUMBER, as_of=ticket_list.AS_OF, tz=types.Zone(), **LOOK)
def one(request, response, ticket_id, **given):
    """Read one ticket with its comments, oldest first, and its links; as it was at some time.

    curl '0.0.0.0:8000/tickets/1?as_of=yesterday'
    """
    return read(request, response, ticket_id, **given)


@ROUTE.get("/ticket")
@routes.gives(WHOLE, ("ETag",), status_304=None)
@routes.refuses("no_such_ticket")
@routes.heeds("If-None-Match")
@routes.takes(tid=NUMBER, as_of=ticket_list.AS_OF, tz=types.Zone(), **LOOK)
def by_number(request, response, tid, **given):
    """Read one ticket, by another name.

    curl '0.0.0.0:8000/ticket?tid=1'
    """
    return read(request, response, tid, **given)


@ROUTE.put("/tickets/{ticket_id}")
@ROUTE.patch("/tickets/{ticket_id}")
@ROUTE.post("/tickets/{ticket_id}")
@routes.gives(TICKET, ("ETag",))
@routes.refuses(*CHANGED)
@routes.heeds("If-Match")
@routes.how(tz=types.Zone())
@routes.takes(ticket_id=NUMBER, **tickets.WRITABLE)
def change(request, response, ticket_id, tz=ZONE, **given):
    """Change what is given of a ticket; null empties a column. If-Match: "3" or a version: only from that.

    curl -X PUT -d status=active 0.0.0.0:8000/tickets/1
    """
    header = request.get_header("If-Match")
    expected = versions(header)
    seen = header is None and given.get("version") is not None
    if seen:
        # It was read, and is sent back.
        expected = [given["version"]]
    writer = auth.writer(request, True, seen)
    try:
        row, version = tickets.change(ticket_id, given, writer, expected, tz)
    except problems.Stale as stale:
        if request.context.format != "html" or not seen:
            raise
        if ticket_page.lost(request, stale, ticket_id, given["version"]).is_done:
            # Who clicks twice comes second after themselves.
            return said(request, response, None, "", f"/tickets/{ticket_id}")
        raise
    tagged(response, version)
    words = f"ticket {ticket_id} is at version {version}{_passed_over(given)}"
    return said(request, response, row, words, f"/tickets/{ticket_id}")


@ROUTE.delete("/tickets/{ticket_id}", status=falcon.HTTP_204)
@routes.refuses("version_moved_on", "condition_required")
@routes.heeds("If-Match")
@routes.takes(ticket_id=NUMBER)
def remove(request, response, ticket_id):
    """Delete a ticket with its comments and links; its history stays.

    curl -X DELETE 0.0.0.0:8000/tickets/1
    """
    expected = versions(request.get_header("If-Match"))
    tickets.remove(ticket_id, auth.writer(request, True), expected)
    return said(
        request, response, None, f"ticket {ticket_id} deleted; its history stays", "/tickets"
    )
