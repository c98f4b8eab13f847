"""Routes: undo."""

import json

from iris import counted, undo
from iris.api import ROUTE, said
from iris.described import shapes
from iris.intake import auth, routes, types

NUMBER = types.Number()


@ROUTE.put("/undo")
@ROUTE.post("/undo")
@routes.gives(shapes.Many(shapes.ANYTHING))
@routes.refuses(
    "no_such_event",
    "no_such_change",
    "no_such_ticket",
    "changed_since",
    "link_cycle",
    "second_parent",
)
@routes.takes_one_of("event_id", "change")
@routes.how(dry_run=routes.DRY_RUN)
@routes.takes(
    event_id=types.about("The event to take back", NUMBER),
    change=types.about("The change to take back, all of it", types.Number()),
)
def put(request, response, event_id=None, change=None, dry_run=False):
    """Take back an event, or a whole change, by new events that carry `undoes`; dry_run=true to look first.

    curl -X PUT -d change=12 0.0.0.0:8000/undo
    """
    found = undo.undo(event_id, change, auth.writer(request), dry_run)
    number = len(json.loads(found))
    done = "would be taken back, and none was" if dry_run else "taken back"
    return said(request, response, found, f"{counted.of(number, 'event')} {done}", "/events")
