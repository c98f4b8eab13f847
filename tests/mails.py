"""A mail server that keeps what it is given, and refuses whom it is told to."""

import email
import time
from email import policy

from aiosmtpd.controller import Controller


class Keeping:
    """What aiosmtpd asks of each mail.

    letters:  (to, an EmailMessage) of all that was taken: with `raw`, its `sender` on the way, and whether it
              came by TLS, `is_private`.
    refusing: {address: what is answered to it}; the answers to the mail itself under "data", None to hang up.
    tries:    how many mails came to their end.
    """

    def __init__(self):
        self.letters, self.refusing, self.tries = [], {}, 0

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address in self.refusing:
            return self.refusing[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        self.tries += 1
        if "data" in self.refusing:
            if self.refusing["data"] is None:
                server.transport.abort()
            return self.refusing["data"] or "421 gone"
        made = email.message_from_bytes(envelope.content, policy=policy.default)
        made.raw, made.sender = envelope.content, envelope.mail_from
        made.is_private = session.ssl is not None
        self.letters.append((envelope.rcpt_tos[0], made))
        return "250 OK"


class Server(Controller):
    """A mail server on a port of its own."""

    def __init__(self, **more):
        super().__init__(Keeping(), hostname="127.0.0.1", port=0, **more)

    def _trigger_server(self):
        # The port is the system's choice, which is known by now.
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()

    def to(self, address, number, seconds=30):
        """Wait until so many mails have come to an address; return them."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = [letter for to, letter in self.handler.letters if to == address]
            if len(found) >= number:
                return found
            time.sleep(0.05)
        raise AssertionError(f"{len(found)} mails to {address}, not {number}")
