"""The service as gunicorn serves it: one Hug API, what every request goes through, and its errors."""

import falcon
import hug
import psycopg2
from sqlalchemy import exc

from iris import api, counters, problems
from iris.api import (
    changes,
    comments,
    described,
    events,
    health,
    hooks,
    inbox,
    links,
    metrics,
    people,
    start,
    stats,
    ticket_page,
    tickets,
    tokens,
    undo,
    unsubscribe,
    watchers,
    workflow,
)
from iris.intake import chosen, handlers, middleware

__all__ = [
    "app",
    "changes",
    "comments",
    "described",
    "events",
    "health",
    "hooks",
    "inbox",
    "links",
    "metrics",
    "people",
    "start",
    "stats",
    "ticket_page",
    "tickets",
    "tokens",
    "undo",
    "unsubscribe",
    "watchers",
    "workflow",
]

hug.not_found(api=api.API)(handlers.on_missing)


@hug.startup(api=api.API)
def wire(interface):
    """Set what Hug leaves to falcon: errors, the last one named that fits is asked."""
    # Otherwise every route is also served under /v<anything>/.
    interface.http.versions = (None,)
    server = interface.http.falcon
    server.req_options.strip_url_path_trailing_slash = True
    for kind, handler in (
        (Exception, handlers.on_crash),
        (falcon.HTTPError, handlers.on_falcon),
        (psycopg2.Error, handlers.on_database),
        (exc.DBAPIError, handlers.on_database),
        (problems.Problem, handlers.on_problem),
    ):
        server.add_error_handler(kind, handler)


api.API.http.add_middleware(middleware.Intake())
counters.know(
    (method, path)
    for path, methods in api.API.http.routes[""].items()
    for method in methods
    if method != "OPTIONS"
)
app = counters.counted(chosen.choosing(api.API.http.server(None)))
