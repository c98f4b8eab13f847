"""Routes: what Iris says of itself."""

import falcon

from iris import problems
from iris.api import API, ROUTE, address
from iris.described import document, page, shapes
from iris.intake import routes, types
from iris.web import assets

DOCUMENT = document.Document(API.http.routes[""])


@ROUTE.get("/openapi.json")
@routes.serves("application/json")
@routes.takes()
@routes.gives(shapes.ANYTHING, ("ETag",), status_304=None)
@routes.heeds("If-None-Match")
def openapi(request, response):
    """Describe all of this as OpenAPI 3.1: routes, parameters, bodies, answers and problems.

    curl 0.0.0.0:8000/openapi.json
    """
    kept = DOCUMENT.get()
    return sent(request, response, kept.tag, kept.plain, kept.packed)


@ROUTE.get("/docs")
@routes.serves("text/html")
@routes.asks_nobody
@routes.takes()
def docs(request, response):
    """Show a page to read this and to try it, in a browser.

    curl 0.0.0.0:8000/docs
    """
    response.content_type = "text/html; charset=utf-8"
    response.set_header("Content-Security-Policy", page.POLICY)
    return page.page(address(request, ""))


@ROUTE.get("/docs/{file}")
@routes.serves("text/javascript", "text/css")
@routes.gives(shapes.MEDIA, ("ETag",), status_304=None)
@routes.refuses("no_such_route")
@routes.heeds("If-None-Match")
@routes.asks_nobody
@routes.takes(file=types.about("Its name", types.Word()))
def docs_file(request, response, file):
    """Give a file of that page.

    curl 0.0.0.0:8000/docs/page.js
    """
    if file not in page.TYPES:
        raise problems.Problem("no_such_route", f"/docs has no file {file}")
    response.content_type = page.TYPES[file]
    return sent(request, response, *page.file(file))


@ROUTE.get("/assets/{version}/{asset}")
@routes.serves(*assets.KINDS.values())
@routes.gives(shapes.MEDIA, ("ETag",), status_304=None)
@routes.refuses("no_such_route")
@routes.heeds("If-None-Match")
@routes.asks_nobody
@routes.takes(
    version=types.about("The digest of all of them", types.Word()),
    asset=types.about("Its name", types.Word()),
)
def asset_file(request, response, version, asset):
    """Give a file that pages load; its address changes whenever it does.

    curl 0.0.0.0:8000/assets/now/iris.css
    """
    if asset not in assets.files():
        raise problems.Problem("no_such_route", f"/assets has no file {asset}")
    response.content_type = assets.kind(asset)
    made = sent(request, response, *assets.files()[asset])
    if version == assets.digest():
        response.set_header("Cache-Control", "public, max-age=31536000, immutable")
    return made


def sent(request, response, tag, plain, packed):
    """Answer with what is kept, packed for who takes that; or with 304 to who has it already."""
    response.set_header("ETag", tag)
    response.set_header("Cache-Control", "no-cache")
    response.append_header("Vary", "Accept-Encoding")
    if tag.removeprefix("W/") in (request.get_header("If-None-Match") or ""):
        response.status = falcon.HTTP_304
        return None
    if "gzip" in (request.get_header("Accept-Encoding") or ""):
        response.set_header("Content-Encoding", "gzip")
        return packed
    return plain
