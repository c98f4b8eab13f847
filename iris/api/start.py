"""Routes: where to begin."""

import json

from iris import __version__, welcome
from iris.api import API, ROUTE, drawn
from iris.intake import auth, handlers, routes


# Text comes last: it is what `*/*` means here, for who asks like this wants to read.
@ROUTE.get("/")
@routes.offers("application/json", "text/plain")
@routes.takes()
def start(request, response):
    """Say what this is and what to type; as JSON, which routes there are.

    curl 0.0.0.0:8000
    """
    if request.context.format == "text":
        return drawn(response, welcome.page(handlers.host(request), auth.WANTED))
    found = [
        {
            "method": method,
            "path": path,
            "does": by_version[None].interface.spec.__doc__.split("\n")[0],
        }
        for path, methods in sorted(API.http.routes[""].items())
        for method, by_version in sorted(methods.items())
    ]
    return json.dumps({"iris": __version__, "routes": found}, indent=1)
