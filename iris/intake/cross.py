"""Pages of other origins that may use Iris: what their browser asks and is told (CORS)."""

import falcon

from iris.intake import headers

# Of an answer, what a page's script may see beside the body; of a request, what it may send.
SHOWN, TAKEN = (", ".join(each) for each in (headers.SHOWN, headers.TAKEN))


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
