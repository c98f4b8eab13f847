"""The headers that requests and answers may carry, beside those of HTTP itself."""

from typing import NamedTuple


class Header(NamedTuple):
    """A header.

    does:     what it is.
    pattern:  what its value must be like, where anything else is refused.
    """

    does: str
    pattern: str | None = None


# Of a request.
TAKEN = {
    "Authorization": Header(
        "Who comes in: Bearer and a token, or Basic with the token as password"
    ),
    "Content-Type": Header("What the body is"),
    "Idempotency-Key": Header(
        "1 to 200 printable characters: the same write with the same key is done once, and answered alike",
        "^[ -~]{0,199}[!-~]$",
    ),
    "If-Match": Header("The versions that may be changed, or *"),
    "If-None-Match": Header("The versions that need not be sent again"),
    "Iris-Actor": Header(
        "Who acts, where no token says it, up to 100 characters; else anonymous",
        "^ *[!-~]([ -~]{0,98}[!-~])? *$",
    ),
    "Last-Event-ID": Header("Of a stream: the position it goes on from", "^([0-9]{1,18})?$"),
    "X-Request-Id": Header("A name for the request, up to 64 letters, digits, dots and dashes"),
}

# Of an answer.
SHOWN = {
    "Content-Disposition": Header("The name of the file that it is"),
    "ETag": Header("The version that is shown"),
    "Idempotent-Replayed": Header(
        "true: this is the answer to an earlier request with the same key"
    ),
    "Iris-Timezone": Header("The time zone in which times were read that named none"),
    "Link": Header("Where the next page is, relative to this one"),
    "Location": Header("Where what was made is, relative to this address"),
    "RateLimit": Header("How many requests the token has left, and for how long"),
    "RateLimit-Policy": Header("How many requests it may send a minute"),
    "Retry-After": Header("In how many seconds to try again"),
    "Total-Count": Header("How many rows there are on all pages, where count=true"),
    "X-Request-Id": Header("The name of the request, for Iris's log"),
}
