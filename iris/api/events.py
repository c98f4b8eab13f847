"""Routes: history and the feed."""

from iris import events, feed, formats, problems
from iris.api import ROUTE, drawn, listed, lists, look
from iris.formats import json, terminal
from iris.intake import auth, bodies, routes, types
from iris.intake.negotiation import LOOK

PARAMETERS = events.LIST.parameters()
FEED = {"after", "wait", "limit"}


@ROUTE.get("/tickets/{ticket_id}/history")
@lists(events)
@routes.takes(**PARAMETERS)
def history(request, response, **given):
    """List what happened to a ticket, newest first, also after it was deleted.

    curl 0.0.0.0:8000/tickets/1/history
    """
    return _listed(given, request, response)


@ROUTE.get("/events")
@routes.offers(formats.STREAM, *(each.media for each in formats.LISTS.values()))
@lists(events)
@routes.refuses("invalid_position", "no_such_ticket")
@routes.heeds("Last-Event-ID")
@routes.takes(
    after=types.about("The position in the feed that it is read on from", types.Number(0)),
    wait=types.about("Seconds to wait for something new, with after", types.Number(0, 60)),
    **PARAMETERS,
)
def index(request, response, **given):
    """List what happened, newest first; or read the feed: after=<position>, wait=<seconds>.

    curl -N -H 'Accept: text/event-stream' '0.0.0.0:8000/events?after=0'
    """
    if request.context.format == "stream":
        _only(given, {"after"})
        response.content_type = formats.STREAM
        response.set_header("Cache-Control", "no-store")
        response.set_header("X-Accel-Buffering", "no")
        response.stream = feed.stream(_last(request, given), auth.goes_on(request))
        return None
    if "after" not in given:
        _only(given, PARAMETERS)
        return _listed(given, request, response)
    form = request.context.format
    _only(given, FEED | {*LOOK, "tz"} if form == "text" else FEED)
    if form not in ("json", "text"):
        detail = "the feed comes as JSON, text/event-stream or text/plain"
        raise problems.Problem("not_acceptable", detail)
    position = given["after"]
    piece = feed.wait(position, given.get("limit", 50), given.get("wait", 0), auth.goes_on(request))
    if piece:
        position = piece[-1][0]
    response.set_header("Link", f'<{request.context.here(after=position)}>; rel="next"')
    rows = [body for _, body in piece]
    if form == "json":
        return json.array(rows)
    columns = ("position", *events.LIST.shown)
    return drawn(response, terminal.table(rows, columns, events.LIST.times, look(given)))


def _listed(given, request, response):
    return listed(events, given, request, response, data={"of": given.get("ticket_id")})


def _last(request, given):
    """Return the position that a stream starts from: a reconnecting reader knows best."""
    header = request.get_header("Last-Event-ID")
    # Empty, it is none: nothing has been told yet.
    if not header:
        return given.get("after", 0)
    try:
        return types.Number(0)(bodies.Untyped(header))
    except ValueError as error:
        raise problems.Problem("invalid_position", f"Last-Event-ID {error}") from None


def _only(given, known):
    for name in given:
        if name not in known:
            what = "the feed" if name in PARAMETERS else "a list; it goes with after"
            raise problems.Problem(
                "unknown_parameter",
                f"{name} is not for {what}",
                errors={name: f"is not for {what}"},
            )
