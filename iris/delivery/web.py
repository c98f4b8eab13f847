"""Sending by HTTP, as Standard Webhooks 1.0.0 has it."""

import contextlib
import http.client
import math
import select
import socket
import ssl
import time
from email.utils import parsedate_to_datetime
from urllib.parse import quote, urlsplit

import gevent

from iris import __version__
from iris.delivery import addresses, failing
from iris.delivery.message import Answer, signature

# Seconds that a try may take in all, and then that the rest of its answer may.
SECONDS, REST_SECONDS = 20, 2
# Bytes of an answer that are read, characters of it that are kept, and seconds that a receiver may ask for.
MOST, SHOWN, LONGEST = 16 * 1024, 300, 86_400
GONE = 410
# What may stand in a path and a query as it is.
PLAIN = "!$%&'()*+,/:;=?@-._~"


class _Connection(http.client.HTTPConnection):
    """A connection to what a name was resolved to."""

    def __init__(self, host, port, context):
        super().__init__(host, port)
        self.context = context

    def connect(self):
        error = OSError("it has no address")
        for family, where in addresses.resolve(self.host, self.port):
            made = socket.socket(family, socket.SOCK_STREAM)
            try:
                # As a whole try may take; a name may have several addresses.
                made.settimeout(SECONDS)
                made.connect(where)
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.sock = made
                if self.context:
                    self.sock = self.context.wrap_socket(made, server_hostname=self.host)
                return
            except OSError as failed:
                error = failed
                made.close()
        raise error

    def is_good(self):
        """Whether it is open still; who has hung up can be heard."""
        if self.sock is None:
            return False
        poll = select.poll()
        poll.register(self.sock, select.POLLIN | select.POLLHUP | select.POLLERR)
        return not poll.poll(0)


class Receiver:
    """Who listens at an http or https URL; its connection is kept from one message to the next."""

    def __init__(self, url):
        parts = urlsplit(url)
        host = parts.hostname
        if not host.isascii():
            host = host.encode("idna").decode()
        context = ssl.create_default_context() if parts.scheme == "https" else None
        default = 443 if context else 80
        self.connection = _Connection(host, parts.port or default, context)
        self.path = quote(parts.path or "/", PLAIN)
        if parts.query:
            self.path += f"?{quote(parts.query, PLAIN)}"

    def send(self, message):
        """Send a message, once.

        Returns:  a message.Answer.
        """
        try:
            with gevent.Timeout(SECONDS, TimeoutError(f"no answer within {SECONDS} s")):
                response = self._ask(message)
        except (OSError, ValueError, addresses.Inside, http.client.HTTPException) as error:
            # None of them says more than what an address or a certificate is.
            self.close()
            return Answer(False, _plain(failing.words(error)))
        return self._answer(response)

    def _ask(self, message):
        timestamp = int(time.time())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"Iris/{__version__}",
            "webhook-id": message.id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature(message, timestamp),
        }
        body = message.body.encode()
        is_kept = self.connection.is_good()
        if not is_kept:
            self.close()
        for again in (False, True):
            try:
                self.connection.request("POST", self.path, body, headers)
                return self.connection.getresponse()
            except (ConnectionError, http.client.BadStatusLine):
                # Who keeps a connection may end it just now, and has read nothing then.
                self.close()
                if again or not is_kept:
                    raise
        return None

    def _answer(self, response):
        text = b""
        try:
            with gevent.Timeout(REST_SECONDS, TimeoutError()):
                text = response.read(MOST)
        except (OSError, http.client.HTTPException):
            self.close()
        if not response.isclosed():
            # There is more, which nobody wants to read.
            self.close()
        words = f"{response.status} {response.reason}"
        if text:
            words += f": {text.decode(errors='replace')}"
        return Answer(
            200 <= response.status < 300,
            _plain(words),
            response.status,
            _wait(response.getheader("Retry-After")),
            response.status == GONE,
        )

    def close(self):
        self.connection.close()


def _plain(text):
    """Return a text in one line, without what a terminal or PostgreSQL would not take."""
    shown = "".join(each if each.isprintable() else " " for each in text[:SHOWN])
    return " ".join(shown.split())


def _wait(header):
    """Return the seconds of Retry-After, or None."""
    if not header:
        return None
    seconds = None
    if header.isascii() and header.isdigit():
        seconds = int(header[:10])
    else:
        with contextlib.suppress(ValueError, TypeError, OverflowError):
            seconds = math.ceil(parsedate_to_datetime(header).timestamp() - time.time())
    return None if seconds is None else min(max(seconds, 0), LONGEST)
