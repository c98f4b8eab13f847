"""Routes: where to begin."""

import json

from iris import __version__, counts, welcome
from iris.api import API, ROUTE, drawn, page
from iris.described import shapes
from iris.formats import terminal
from iris.intake import auth, places, routes
from iris.web import keys

# What describes all of this to programs, shows it to people, and says whether Iris is there (RFC 8631).
LINKS = {"service-desc": "openapi.json", "service-doc": "docs", "status": "health"}


# Text comes last: it is what `*/*` means here, for who asks like this wants to read.
@ROUTE.get("/")
@routes.offers("text/html", "application/json", "text/plain")
@routes.gives(
    shapes.Record(
        "Start",
        {
            "iris": shapes.Told("Its version", shapes.TEXT),
            "about": shapes.Told("What this is", shapes.TEXT),
            "links": shapes.Told(
                "What can be read without knowing more: {name: address relative to this one}",
                shapes.Map(shapes.TEXT),
            ),
            "routes": shapes.Told(
                "Every route there is",
                shapes.Many(
                    shapes.Record(
                        "StartRoute",
                        {
                            "method": shapes.Told("GET, PUT and so on", shapes.TEXT),
                            "path": shapes.Told(
                                "Its address, with {NAME} for what differs", shapes.TEXT
                            ),
                            "does": shapes.Told("What it does", shapes.TEXT),
                        },
                    )
                ),
            ),
        },
    ),
    ("Link",),
)
@routes.takes()
def start(request, response):
    """Say what this is and what to type; as JSON, which routes there are; to a browser, how things stand.

    curl 0.0.0.0:8000
    """
    if request.context.format == "text":
        return drawn(response, welcome.page(places.typed(request), auth.WANTED))
    if request.context.format == "html":
        typed = welcome.page(places.typed(request), auth.WANTED)
        how = counts.read(auth.actor(request))
        return page(request, response, "start.html", counts=how, typed=typed)
    response.set_header("Link", ", ".join(f'<{href}>; rel="{rel}"' for rel, href in LINKS.items()))
    found = [
        {
            "method": method,
            "path": path,
            "does": by_version[None].interface.spec.__doc__.split("\n")[0],
        }
        for path, methods in sorted(API.http.routes[""].items())
        for method, by_version in sorted(methods.items())
    ]
    # What can be read without knowing more, by its address relative to this one.
    links = {
        route["path"].lstrip("/"): route["path"].lstrip("/")
        for route in found
        if route["method"] == "GET" and route["path"] != "/" and "{" not in route["path"]
    }
    told = {"iris": __version__, "about": welcome.ABOUT, "links": links, "routes": found}
    return json.dumps(told, indent=1)


@ROUTE.get("/help")
@routes.offers("text/html", "application/json", "text/plain")
@routes.gives(
    shapes.Many(
        shapes.Record(
            "Key",
            {
                "keys": shapes.Told(
                    "What to press; of several keys one after the other, with blanks between",
                    shapes.TEXT,
                ),
                "does": shapes.Told("What that does", shapes.TEXT),
            },
        )
    )
)
@routes.asks_nobody
@routes.takes()
def helped(request, response):
    """Say which keys the pages heed, and what to type; as JSON, the keys alone.

    curl 0.0.0.0:8000/help
    """
    typed = welcome.page(places.typed(request), auth.WANTED)
    if request.context.format == "html":
        return page(request, response, "help.html", KEYS=keys.KEYS, typed=typed)
    found = [{"keys": each, "does": does} for each, does in keys.KEYS]
    if request.context.format == "text":
        shown = terminal.table(map(json.dumps, found), ("keys", "does"))
        return drawn(response, f"{typed}\nKeys, in a browser:\n\n{shown}")
    return json.dumps(found)
