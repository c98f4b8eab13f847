"""Routes: undo."""

from iris import undo
from iris.api import ROUTE
from iris.intake import auth, routes, types

NUMBER = types.Number()


@ROUTE.put("/undo")
@ROUTE.post("/undo")
@routes.takes(event_id=NUMBER, change=NUMBER, dry_run=types.Flag())
def put(request, event_id=None, change=None, dry_run=False):
    """Take back an event, or a whole change, by new events that carry `undoes`; dry_run=true to look first.

    curl -X PUT -d change=12 0.0.0.0:8000/undo
    """
    return undo.undo(event_id, change, auth.writer(request), dry_run)
