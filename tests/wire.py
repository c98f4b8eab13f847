"""HTTP as bytes: what tests send that no decent client would, and what comes back, read strictly."""

import contextlib
import json
import socket
import sys
import time


class Broken(Exception):
    """What came back is no HTTP."""


class Answer:
    """One answer.

    head:     its head as it came, bytes.
    headers:  {name in lower case: value}; of several, the last.
    body:     bytes, without the framing.
    whole:    whether the body came to its end (a stream may be left before).
    """

    def __init__(self, head):
        self.head, self.body, self.whole = head, b"", True
        first, *lines = head.decode("latin-1").split("\r\n")
        version, _, rest = first.partition(" ")
        if version not in ("HTTP/1.1", "HTTP/1.0") or not rest[:3].isdigit():
            raise Broken(f"no status line: {first[:100]!r}")
        self.status, self.headers = int(rest[:3]), {}
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon or name != name.strip():
                raise Broken(f"no header: {line[:100]!r}")
            self.headers[name.lower()] = value.strip()

    @property
    def marker(self):
        """The request's id, by which an answer belongs to its request."""
        return self.headers.get("x-request-id")

    @property
    def kind(self):
        return self.headers.get("content-type", "").partition(";")[0]

    @property
    def json(self):
        # As one who has room for any number.
        return json.loads(self.body, parse_int=lambda text: int(text) if len(text) < 20 else text)


class Connection:
    """One connection, on which any bytes are sent and answers are read one by one."""

    def __init__(self, port, timeout=40):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb", 1 << 16)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def send(self, data):
        """Send bytes; what the other end did not want to have is its business."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def half_close(self):
        """Say that nothing more will come."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def _line(self):
        """Read a line; return it without its end, None where nothing comes any more."""
        try:
            line = self.file.readline()
        except ConnectionResetError:
            line = b""
        if line and not line.endswith(b"\r\n"):
            raise Broken(f"a line without its end: {line[:200]!r}")
        return line[:-2] if line else None

    def _bytes(self, count):
        try:
            data = self.file.read(count)
        except ConnectionResetError:
            data = b""
        if len(data) < count:
            raise Broken(f"{count - len(data)} bytes are missing")
        return data

    def _head(self):
        lines = [self._line()]
        while lines[-1]:
            lines.append(self._line())
        if lines[0] is not None and lines[-1] is None:
            raise Broken(f"it ended in the middle of {lines!r:.200}")
        return b"\r\n".join(lines[:-1])

    def answer(self, method="GET", most=sys.maxsize):
        """Read one answer to a request of this method; None where there is none any more.

        most:     bytes after which the rest of a stream is left alone; this ends the connection.
        Raises:   Broken; TimeoutError.
        """
        head = self._head()
        while head.startswith(b"HTTP/1.1 1"):
            head = self._head()
        if not head:
            return None
        answer = Answer(head)
        length = answer.headers.get("content-length")
        if method == "HEAD" or answer.status in (204, 304):
            return answer
        if answer.kind == "text/event-stream":
            answer.whole = False
        elif "chunked" in answer.headers.get("transfer-encoding", ""):
            if length is not None:
                raise Broken("both Content-Length and Transfer-Encoding")
            answer.body, answer.whole = self._chunks(most)
        elif length is not None:
            answer.body = self._bytes(int(length))
        else:
            answer.body = self.file.read()
        return answer

    def _size(self):
        line = self._line()
        if line is None:
            raise Broken("the chunks ended before their end")
        return int(line, 16)

    def _chunks(self, most):
        """Return (the bytes of all chunks, whether they came to their end)."""
        parts, have = [], 0
        while size := self._size():
            parts.append(self._bytes(size))
            have += size
            if self._bytes(2) != b"\r\n":
                raise Broken("a chunk without its end")
            if have > most:
                return b"".join(parts), False
        if self._line() != b"":
            raise Broken("more after the last chunk")
        return b"".join(parts), True

    def answers(self, *methods, seconds=10):
        """Read all answers until the other end has nothing more to say."""
        self.socket.settimeout(seconds)
        found, methods = [], list(methods)
        while (answer := self.answer(methods.pop(0) if methods else "GET")) is not None:
            found.append(answer)
        return found


def request(method, path, marker, *headers, body=None, close=False):
    """Return a request's bytes; marker is what its answer is known by.

    headers:  lines without their end, text in Latin-1 or bytes.
    body:     bytes, for which there will be a Content-Length; None for neither.
    """
    lines = [f"{method} {path} HTTP/1.1", "Host: iris", f"X-Request-Id: {marker}", *headers]
    if close:
        lines.append("Connection: close")
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    head = b"\r\n".join(
        line if isinstance(line, bytes) else line.encode("latin-1") for line in lines
    )
    return head + b"\r\n\r\n" + (body or b"")


def seconds_of(port, path="/health"):
    """Return how long an answer took, or None where there was none."""
    began = time.monotonic()
    try:
        with Connection(port, timeout=30) as connection:
            connection.send(request("GET", path, "health", close=True))
            answer = connection.answer()
    except OSError:
        return None
    return time.monotonic() - began if answer and answer.status == 200 else None
