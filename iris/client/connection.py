"""One request over HTTP/1.1 and its answer, on a connection of its own. Redirects are not followed."""

import socket

from iris.client import AWAY, Failed

# Seconds to connect; to wait for the next byte of what reads, and of what writes, which may be much.
CONNECTING, READING, WRITING = 10, 60, 620
# Bytes of a line of an answer's head; how many of them.
LINE, LINES = 65536, 200


class Broken(Failed):
    """The connection ended before the answer did: nobody knows whether the request was heard."""

    def __init__(self, place, said):
        super().__init__(AWAY, f"{place.url} broke off: {said}")


class Answer:
    """An answer, of which the head has been read.

    status:   a number.
    headers:  {name in small letters: value}.
    """

    def __init__(self, place, connection, file):
        self.place, self.connection, self.file = place, connection, file
        self.status, self.headers = None, {}
        self.status, self.headers = self._head()
        while self.status < 200:
            self.status, self.headers = self._head()

    def _line(self):
        line = self.file.readline(LINE)
        if not line.endswith(b"\n"):
            begun = line or self.status
            raise Broken(self.place, "the answer is cut short" if begun else "no answer came")
        return line.decode("latin-1").rstrip("\r\n")

    def _head(self):
        version, _, rest = self._line().partition(" ")
        if not version.startswith("HTTP/1.") or not rest[:3].isdigit():
            raise Failed(AWAY, f"what answers at {self.place.url} speaks no HTTP")
        headers = {}
        for _ in range(LINES):
            name, _, value = self._line().partition(":")
            if not name:
                return int(rest[:3]), headers
            headers[name.strip().lower()] = value.strip()
        raise Failed(AWAY, f"what answers at {self.place.url} says too much")

    def pieces(self):
        """Yield the body as it comes, in bytes; the connection is closed after it.

        Raises:   Broken.
        """
        try:
            with self.connection, self.file:
                if "chunked" in self.headers.get("transfer-encoding", "").lower():
                    yield from self._chunks()
                elif self.status not in (204, 304):
                    yield from self._rest()
        except OSError as error:
            raise Broken(self.place, said(error)) from None

    def _chunks(self):
        while size := self._size():
            while size:
                piece = self.file.read1(min(size, LINE))
                if not piece:
                    raise Broken(self.place, "the answer is cut short")
                yield piece
                size -= len(piece)
            self._line()

    def _size(self):
        try:
            return int(self._line().partition(";")[0], 16)
        except ValueError:
            raise Broken(self.place, "the answer makes no sense") from None

    def _rest(self):
        length = self.headers.get("content-length")
        left = int(length) if length and length.isdigit() else None
        while left is None or left:
            piece = self.file.read1(LINE if left is None else min(left, LINE))
            if not piece:
                if left:
                    raise Broken(self.place, "the answer is cut short")
                return
            yield piece
            left = None if left is None else left - len(piece)

    def body(self):
        """Return the whole body."""
        return b"".join(self.pieces())


def said(error):
    """Return what an OSError is about, in words."""
    if isinstance(error, TimeoutError):
        return "it took too long"
    return (error.strerror or str(error)).lower() if isinstance(error, OSError) else str(error)


def connect(place):
    """Open a connection.

    Raises:   Failed.
    """
    try:
        # As bytes, for as a text Python would load its tables of other alphabets first.
        host = place.host.encode("ascii" if place.host.isascii() else "idna")
        connection = socket.create_connection((host, place.port), CONNECTING)
    except (OSError, UnicodeError) as error:
        words = f"nobody answers at {place.url}: {said(error)}"
        hint = "Is it up, and is this where? IRIS_URL says it; iris up starts one here."
        raise Failed(AWAY, f"{words}\nhint: {hint}") from None
    if not place.secure:
        return connection
    import ssl  # noqa: PLC0415 (takes its time)

    try:
        context = ssl.create_default_context(cafile=place.ca)
    except OSError as error:
        raise Failed(AWAY, f"IRIS_CA can't be used: {place.ca}: {said(error)}") from None
    try:
        return context.wrap_socket(connection, server_hostname=place.host)
    except ssl.SSLCertVerificationError as error:
        words = f"the certificate of {place.url} is not to be trusted: {error.verify_message}"
        hint = "IRIS_CA names a file with the certificate of an authority of your own."
        raise Failed(AWAY, f"{words}\nhint: {hint}") from None
    except OSError as error:
        # OpenSSL's reason, without where in its sources it was found.
        why = (getattr(error, "reason", None) or said(error)).replace("_", " ").lower()
        raise Failed(AWAY, f"{place.url} speaks no TLS: {why}") from None


def send(place, method, path, headers, body=b"", patience=READING):
    """Send a request; return its Answer.

    path:     with its query, as it is sent.
    headers:  {name: value}.
    patience: seconds to wait for the next byte of an answer.
    Raises:   Failed; Broken, where it may have been heard.
    """
    connection = connect(place)
    host = f"[{place.host}]" if ":" in place.host else place.host
    sent = {"Host": f"{host}:{place.port}", "Connection": "close", "User-Agent": "iris", **headers}
    if place.token:
        sent["Authorization"] = f"Bearer {place.token}"
    elif place.actor:
        sent["Iris-Actor"] = place.actor
    if body or method != "GET":
        sent["Content-Length"] = str(len(body))
    lines = [
        f"{method} {place.prefix}{path} HTTP/1.1",
        *(f"{name}: {value}" for name, value in sent.items()),
    ]
    try:
        connection.settimeout(patience)
        connection.sendall("\r\n".join([*lines, "", ""]).encode("utf-8", "replace") + body)
        return Answer(place, connection, connection.makefile("rb"))
    except OSError as error:
        raise Broken(place, said(error)) from None
