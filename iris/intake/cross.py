"""Pages of other sites: they may not write with their reader's browser, unless they are named (CORS)."""

from urllib.parse import urlsplit

import falcon

from iris import problems, settings
from iris.intake import headers

# Pages of these may do what Iris's own may.
ORIGINS = settings.get("IRIS_ORIGINS") or frozenset()
HINT = (
    "Where these are Iris's own, behind a proxy, that has to pass Host on; others are named in"
    " IRIS_ORIGINS."
)
# Of an answer, what a page's script may see beside the body; of a request, what it may send.
SHOWN, TAKEN = (", ".join(each) for each in (headers.SHOWN, headers.TAKEN))


def guard(request, response):
    """Let pages of Iris's own and of ORIGINS write, and no others; who is no browser says neither header.

    Raises:   Problem 403.
    """
    origin, site = (request.env.get(f"HTTP_{name}") for name in ("ORIGIN", "SEC_FETCH_SITE"))
    if origin in ORIGINS:
        greet(request, response)
    elif request.method in ("GET", "OPTIONS") or site == "same-origin":
        # The browser itself says this, whatever a proxy in between has made of the Host.
        return
    elif origin and _host(origin) != request.env.get("HTTP_HOST"):
        detail = f"pages of {origin} may not write here"
        raise problems.Problem("cross_origin", detail, hint=HINT)
    elif not origin and site in ("cross-site", "same-site"):
        # A browser that does not tell which.
        raise problems.Problem("cross_origin", "pages of other sites may not write here", hint=HINT)


def _host(origin):
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


def greet(request, response):
    """Tell a browser that a page of a known origin may have the answer, and what it may ask for."""
    response.set_header("Access-Control-Allow-Origin", request.env["HTTP_ORIGIN"])
    response.append_header("Vary", "Origin")
    if request.method == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in request.env:
        response.set_header("Access-Control-Allow-Methods", "GET, HEAD, PUT, POST, PATCH, DELETE")
        response.set_header("Access-Control-Allow-Headers", TAKEN)
        response.set_header("Access-Control-Max-Age", "3600")
        response.status = falcon.HTTP_204
        response.complete = True
    else:
        response.set_header("Access-Control-Expose-Headers", SHOWN)
