"""Request smuggling: bytes of which one reader sees one request where another sees two.

Each case is what goes over one connection. Its requests carry the markers one, two, …; what hides in a
body or behind a bad line carries `smuggled`. However it is read: answers come in the order of the requests,
each with the marker of its own, and what hides is answered never.
"""

from wire import request

HIDDEN = request("GET", "/workflow", "smuggled")
ONE = request("GET", "/health", "one")
TWO = request("GET", "/tickets?limit=1", "two", close=True)
JSON = "Content-Type: application/json"
TICKET = b'{"title": "x"}'


def put(*headers, path="/tickets", method="PUT"):
    """Return the head of a write with whatever lengths."""
    return request(method, path, "one", JSON, *headers)


def chunked(*chunks):
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))


CHUNKED = "Transfer-Encoding: chunked"

CASES = {
    # Decent ones, which are answered both.
    "two at once": (ONE + TWO, 2),
    "a body and another": (request("PUT", "/tickets", "one", JSON, body=TICKET) + TWO, 2),
    "chunks and another": (put(CHUNKED) + chunked(TICKET) + TWO, 2),
    "a body that a GET doesn't want": (request("GET", "/health", "one", JSON, body=HIDDEN) + TWO, 2),
    "a body where no route is": (request("PUT", "/nothing", "one", JSON, body=HIDDEN) + TWO, 2),
    "a body where no method is": (request("DELETE", "/workflow", "one", JSON, body=HIDDEN) + TWO, 2),
    "a body for DELETE": (request("DELETE", "/tickets/77", "one", body=HIDDEN) + TWO, 2),
    "a body for HEAD": (request("HEAD", "/health", "one", body=HIDDEN) + TWO, 2),
    "a body of an unknown type": (request("PUT", "/tickets", "one", "Content-Type: a/b", body=HIDDEN) + TWO, 2),
    "a body that is no JSON": (request("PUT", "/tickets", "one", JSON, body=HIDDEN) + TWO, 2),
    "a body with a bad actor": (request("PUT", "/tickets", "one", "Iris-Actor: ", body=HIDDEN) + TWO, 2),
    "a body with a bad origin": (request("PUT", "/tickets", "one", "Origin: http://[", body=HIDDEN) + TWO, 2),
    "a body with a bad format": (request("PUT", "/tickets?format=a", "one", body=HIDDEN) + TWO, 2),
    "a body with a bad query": (request("PUT", "/tickets?a=1&a=2", "one", body=HIDDEN) + TWO, 2),
    "a body with a bad number": (request("PUT", "/tickets/abc", "one", body=HIDDEN) + TWO, 2),
    "a body that is too large": (request("PUT", "/comments", "one", body=HIDDEN * 20_000) + TWO, 2),
    "chunks that are too many": (put(CHUNKED, path="/comments") + chunked(HIDDEN * 20_000) + TWO, 2),
    "chunks that a GET doesn't want": (put(CHUNKED, path="/health", method="GET") + chunked(HIDDEN) + TWO, 2),
    "chunks where no route is": (put(CHUNKED, path="/nothing") + chunked(HIDDEN) + TWO, 2),
    "chunks with extensions": (put(CHUNKED) + b'e;a="b";c\r\n' + TICKET + b"\r\n0;c\r\n\r\n" + TWO, 2),
    "chunks with trailers": (put(CHUNKED) + chunked(TICKET)[:-2] + b"X-Request-Id: smuggled\r\n\r\n" + TWO, 2),
    "an upgrade": (request("GET", "/health", "one", "Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings") + TWO, 2),
    "a length of nothing": (request("GET", "/health", "one", "Content-Length: 0") + TWO, 2),
    "expecting to continue": (request("PUT", "/tickets", "one", JSON, "Expect: 100-continue", body=TICKET) + TWO, 2),
    # Ambiguous ones. The first may be answered or refused; nothing after it may be believed.
    "CL.TE": (put(CHUNKED, f"Content-Length: {len(HIDDEN) + 5}") + b"0\r\n\r\n" + HIDDEN, 1),
    "TE.CL": (put("Content-Length: 4", CHUNKED) + b"%x\r\n%b\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN), 1),
    "two lengths": (put("Content-Length: 0", f"Content-Length: {len(HIDDEN)}") + HIDDEN, 1),
    "two lengths, the other way": (put(f"Content-Length: {len(HIDDEN)}", "Content-Length: 0") + HIDDEN, 1),
    "a list of lengths": (put(f"Content-Length: {len(HIDDEN)}, 0") + HIDDEN, 1),
    "a signed length": (put(f"Content-Length: +{len(HIDDEN)}") + HIDDEN, 1),
    "a negative length": (put("Content-Length: -1") + HIDDEN, 1),
    "a length in hexadecimal": (put(f"Content-Length: {len(HIDDEN):#x}") + HIDDEN, 1),
    "a length with an underscore": (put(f"Content-Length: {len(HIDDEN) // 10}_{len(HIDDEN) % 10}") + HIDDEN, 1),
    "a length with other digits": (put("Content-Length: ٣".encode()) + HIDDEN, 1),
    "a length with a blank before the colon": (put(f"Content-Length : {len(HIDDEN)}") + HIDDEN, 1),
    "a length behind an underscore": (put(f"Content_Length: {len(HIDDEN)}", "Content-Length: 0") + TWO, 2),
    "a length with a vertical tab": (put(f"Content-Length: \x0b{len(HIDDEN)}") + HIDDEN, 1),
    "a huge length": (put("Content-Length: 18446744073709551616") + HIDDEN, 1),
    "chunked, in other words": (put("Transfer-Encoding: xchunked", "Content-Length: 0") + chunked(HIDDEN), 1),
    "chunked, with a tab": (put("Transfer-Encoding:\tchunked", "Content-Length: 0") + chunked(HIDDEN), 1),
    "chunked, with a vertical tab": (put("Transfer-Encoding: \x0bchunked", "Content-Length: 0") + chunked(HIDDEN), 1),
    "chunked, in quotes": (put('Transfer-Encoding: "chunked"', "Content-Length: 0") + chunked(HIDDEN), 1),
    "chunked, twice": (put(CHUNKED, CHUNKED) + chunked(HIDDEN) + TWO, 1),
    "chunked, then identity": (put(CHUNKED, "Transfer-Encoding: identity") + chunked(HIDDEN), 1),
    "identity, then chunked": (put("Transfer-Encoding: identity, chunked") + chunked(HIDDEN), 1),
    "chunked, then gzip": (put("Transfer-Encoding: chunked, gzip") + chunked(HIDDEN), 1),
    "chunked in HTTP/1.0": (put(CHUNKED).replace(b"HTTP/1.1", b"HTTP/1.0") + chunked(HIDDEN) + TWO, 1),
    "chunked by a folded line": (put("Transfer-Encoding:", " chunked", "Content-Length: 0") + chunked(HIDDEN), 1),
    "a folded line": (put("A: b", f"\tContent-Length: {len(HIDDEN)}") + HIDDEN, 1),
    "a first line that is folded": (b"PUT /tickets HTTP/1.1\r\n X-Request-Id: one\r\n\r\n" + HIDDEN, 1),
    "a line that ends in LF": (put().replace(b"\r\nX-", b"\nX-") + HIDDEN, 1),
    "a line that ends in CR": (put().replace(b"\r\nX-", b"\rX-") + HIDDEN, 1),
    "a head that ends in LF": (b"PUT /tickets HTTP/1.1\nX-Request-Id: one\n\n" + HIDDEN, 1),
    "a header with LF": (put("A: b\nTransfer-Encoding: chunked") + chunked(HIDDEN), 1),
    "a header with NUL": (put("A: b\0c") + HIDDEN, 1),
    "a header without a name": (put(": b") + HIDDEN, 1),
    "a header without a colon": (put("Content-Length") + HIDDEN, 1),
    "a name with a blank": (put("A b: c") + HIDDEN, 1),
    "chunks of no size": (put(CHUNKED) + b"\r\n" + HIDDEN, 1),
    "chunks of a signed size": (put(CHUNKED) + b"+0\r\n\r\n" + HIDDEN, 1),
    "chunks of a negative size": (put(CHUNKED) + b"-1\r\n\r\n" + HIDDEN, 1),
    "chunks of a size with 0x": (put(CHUNKED) + b"0x0\r\n\r\n" + HIDDEN, 1),
    "chunks of a size with an underscore": (put(CHUNKED) + b"0_0\r\n\r\n" + HIDDEN, 1),
    "chunks of a huge size": (put(CHUNKED) + b"f" * 100 + b"\r\n" + HIDDEN, 1),
    "chunks longer than they say": (put(CHUNKED) + b"1\r\n{}\r\n0\r\n\r\n" + HIDDEN, 1),
    "chunks that end in LF": (put(CHUNKED) + b"0\n\n" + HIDDEN, 1),
    "chunks with LF in an extension": (put(CHUNKED) + b"0;\nabc\r\n\r\n" + HIDDEN, 1),
    "chunks with endless extensions": (put(CHUNKED) + b"0;" + b"a" * 100_000 + b"\r\n\r\n" + HIDDEN, 1),
    "two hosts": (put("Host: other") + HIDDEN, 1),
    "no version": (b"GET /health\r\n\r\n" + HIDDEN, 0),
    "an old version": (b"GET /health HTTP/0.9\r\n\r\n" + HIDDEN, 0),
    "a new version": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + HIDDEN, 0),
    "a version that is none": (b"GET /health HTTP/1.10\r\nX-Request-Id: one\r\n\r\n" + HIDDEN, 1),
    "a blank in the address": (b"GET /health x HTTP/1.1\r\nX-Request-Id: one\r\n\r\n" + HIDDEN, 1),
    "a long first line": (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nX-Request-Id: one\r\n\r\n" + HIDDEN, 1),
    "a long header": (put("A: " + "x" * 20_000) + HIDDEN, 1),
    "many headers": (put(*(f"A{n}: b" for n in range(200))) + HIDDEN, 1),
    "a megabyte of headers": (put(*(f"A{n}: {'x' * 8000}" for n in range(130))) + HIDDEN, 1),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + HIDDEN, 0),
    "a proxy's greeting": (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n" + HIDDEN, 0),
    "nothing but ends of lines": (b"\r\n\r\n\r\n" * 50 + b"x", 0),
}  # fmt: skip
