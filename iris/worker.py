"""gunicorn's worker, but for what it lacks: problems as JSON, and patience that ends.

Nothing of Iris's that could import gevent's victims is imported here: gunicorn's master reads this, too.
"""

import collections
import errno
import functools
import ipaddress
import logging
import random
import socket
import ssl
import time
from email.utils import formatdate

import gevent
from gevent import socket as gevent_socket
from gevent import ssl as gevent_ssl
from gunicorn import util
from gunicorn.http import wsgi
from gunicorn.workers import ggevent

from iris import bounds, counters
from iris.intake import client as addresses

log = logging.getLogger("iris")

# Seconds that a client may take to read a piece of an answer, and the bytes of one.
STALLED_SECONDS = 30
PIECE = 64 * 1024
# Seconds, and bytes, for which a client that is still sending is listened to: closing at once, what it
# was answered would be lost.
LINGER, MOST_AFTER = 2, 64 << 20
# Seconds that a client has to say how it wants to speak TLS.
GREETING_SECONDS = 10
# What browsers are told of whatever they get here: to take it for what it says it is, to show it in no frame,
# to load and run nothing for it, and not to tell others its address.
STRICT = "X-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\n"
TELLS_NOBODY = "Referrer-Policy: no-referrer\r\n"
# And what there is may be different a moment later, and is for who has this token: a cache in between keeps
# nothing of it, and a browser asks again, with the tag that it has.
KEPT_BY_NONE = "Cache-Control: private, no-cache\r\n"
LOADS_NOTHING = "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n"

# {greenlet: its Timeout} of the connections that wait for a request.
IDLE = {}

# How many of a worker's connections one address may have, a quarter of all; and how many each has.
MOST_OF_ONE, PEERS = 500, collections.Counter()

# What gunicorn refuses before the service sees it.
CODES = {
    400: "malformed_request",
    403: "malformed_request",
    414: "address_too_long",
    417: "expectation_failed",
    431: "headers_too_large",
    501: "unknown_transfer_coding",
}


class Client(gevent_socket.socket):
    """A client's socket; one that gevent has accepted is made one of these.

    Who sends faster than it is read would never let others have their turn. And who reads a large answer
    slowly has not stalled, so that the socket's time limit is for a piece.
    """

    __slots__ = ()

    def recv(self, *given):
        bounds.breathe()
        # How long a request may take to come is for whoever reads it to say.
        self.timeout = None
        found = super().recv(*given)
        # It has begun a request, which may be finished.
        IDLE.pop(gevent.getcurrent(), None)
        return found

    def sendall(self, data, *given):
        if len(data) <= PIECE:
            # Nearly always the kernel takes all of it at once, and gevent's way there is longer.
            try:
                sent = self._sock.send(data, *given)
            except BlockingIOError:
                sent = 0
            if sent == len(data):
                return
            data = memoryview(data)[sent:]
        # gevent's attribute: its settimeout() takes longer than to send an answer.
        self.timeout = STALLED_SECONDS
        for piece in bounds.pieces(memoryview(data), PIECE):
            super().sendall(piece, *given)


class TlsClient(gevent_ssl.SSLSocket):
    """The same of a client who speaks TLS."""

    __slots__ = ()

    def recv(self, *given):
        bounds.breathe()
        self.timeout = None
        found = super().recv(*given)
        IDLE.pop(gevent.getcurrent(), None)
        return found

    def sendall(self, data, *given):
        self.timeout = STALLED_SECONDS
        for piece in bounds.pieces(memoryview(data), PIECE):
            super().sendall(piece, *given)


def patient(context):
    """Give up who has connected by TLS and does not greet.

    context:  an ssl.SSLContext; returned.
    """
    wrap = context.wrap_socket

    def wrapped(sock, **more):
        with gevent.Timeout(GREETING_SECONDS, TimeoutError("no greeting")):
            return wrap(sock, **more)

    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.wrap_socket = wrapped
    return context


class Held(list):
    """What would be sent, kept."""

    sendall = list.append


class Answer(wsgi.Response):
    """gunicorn's answer; its head goes with the first piece of its body, in one call and one packet."""

    def default_headers(self):
        headers = super().default_headers()
        headers.append(STRICT)
        # Pages say for themselves what they load, and whom they tell; files, that they may be kept.
        said = {name for name, _ in self.headers}
        if "content-security-policy" not in said:
            headers.append(LOADS_NOTHING)
        if "referrer-policy" not in said:
            headers.append(TELLS_NOBODY)
        if "cache-control" not in said:
            headers.append(KEPT_BY_NONE)
        return headers

    def write(self, arg):
        if self.headers_sent:
            super().write(arg)
            return
        client, self.sock = self.sock, Held()
        try:
            super().write(arg)
        finally:
            held, self.sock = self.sock, client
        client.sendall(b"".join(held))


wsgi.Response = Answer


@functools.lru_cache(1)
def _date(second):
    return formatdate(second, usegmt=True)


# To write the time of every answer took longer than to send it.
util.http_date = lambda: _date(int(time.time()))


class Waiting(gevent.Timeout):
    """How long a connection waits for a request; IDLE has it until one begins."""

    def __enter__(self):
        IDLE[gevent.getcurrent()] = self
        return super().__enter__()

    def __exit__(self, *error):
        IDLE.pop(gevent.getcurrent(), None)
        return super().__exit__(*error)


def write_problem(client, status, reason, detail):
    """Answer what can't be read as a request; gunicorn calls this."""
    from iris import problems  # noqa: PLC0415 (not in the master)
    from iris.formats import problem as problem_format  # noqa: PLC0415

    number = f"{random.getrandbits(128):032x}"
    log.warning("%s %s %s: %s", number, status, reason, detail)
    code = CODES.get(status)
    problem = problems.Problem(code, detail or reason) if code else problems.mistake()
    # What began to be read as one has no time of its own.
    counters.answered(None, None, str(problem.status), 0)
    body = f"{problem.document(number)}\n".encode()
    head = (
        f"HTTP/1.1 {problem_format.line(problem)}\r\nConnection: close\r\n"
        f"Content-Type: {problem_format.PROBLEM}\r\nContent-Length: {len(body)}\r\n"
        f"X-Request-Id: {number}\r\n{STRICT}{TELLS_NOBODY}{KEPT_BY_NONE}{LOADS_NOTHING}\r\n"
    )
    util.write_nonblock(client, head.encode() + body)
    util.close_graceful(client, LINGER, MOST_AFTER)


util.write_error = write_problem


def is_unread(reader):
    """Whether there is more of a body, by gunicorn's reader of it."""
    return bool(getattr(reader, "length", 0) or getattr(reader, "parser", None))


def is_many(peer):
    """Whether an address stands for many: a proxy's that is trusted, or this machine's own."""
    try:
        return ipaddress.ip_address(peer).is_loopback or addresses.is_trusted(peer)
    except ValueError:
        return True


class Worker(ggevent.GeventWorker):
    """A worker that gives up readers who stall, and knows when a connection is of no more use."""

    def timeout_ctx(self):
        """Wait for a request as long as connections are kept, or until the worker is told to stop."""
        # One whose answer ends after the worker has been told to stop, such as a stream, is not kept at all.
        return Waiting(self.cfg.keepalive if self.alive else 0, False)

    def handle_exit(self, sig, frame):
        super().handle_exit(sig, frame)
        gevent.spawn(self._hang_up)

    def _hang_up(self):
        for greenlet, waiting in list(IDLE.items()):
            gevent.kill(greenlet, waiting)

    def handle(self, listener, client, addr):
        # Of a socket in the file system there is no address.
        peer = addr[0] if isinstance(addr, tuple) else ""
        if PEERS[peer] >= MOST_OF_ONE and not is_many(peer):
            log.warning("%s has %s connections to this worker, and gets no more", peer, MOST_OF_ONE)
            client.close()
            return
        PEERS[peer] += 1
        try:
            self._handle(listener, client, addr)
        finally:
            PEERS[peer] -= 1
            if not PEERS[peer]:
                del PEERS[peer]

    def _handle(self, listener, client, addr):
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):
            # Else the kernel takes megabytes for who stalls, and then, of who is slow, nothing for long.
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, 2 * PIECE)
        client.__class__ = TlsClient if isinstance(client, gevent_ssl.SSLSocket) else Client
        super().handle(listener, client, addr)

    def handle_request(self, listener_name, req, sock, addr):
        # A connection may bring its requests faster than they are answered.
        bounds.breathe()
        if is_unread(req.body.reader):
            # What is left of a body would have to be read, whatever its length, before the next request; so
            # the answer says that it is the last one.
            asked = req.should_close()
            req.should_close = lambda: asked or req.must_close or is_unread(req.body.reader)
        try:
            super().handle_request(listener_name, req, sock, addr)
        except StopIteration:
            util.close_graceful(sock, LINGER, MOST_AFTER)
            raise
        except TimeoutError:
            log.info(
                "%s took nothing for %s s and was given up: %s", addr[0], STALLED_SECONDS, req.uri
            )
            raise ConnectionResetError(errno.ECONNRESET, "the reader has stalled") from None
