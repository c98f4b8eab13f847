"""Handing mails to a mail server, one after the other over one connection."""

import contextlib
import ipaddress
import smtplib
import ssl
from urllib.parse import unquote

from iris import settings
from iris.delivery.message import Answer
from iris.mail import addresses

SECONDS = 30
# Characters of what a server said that are kept.
SHOWN = 300


class Post:
    """A mail server, connected to when there is something for it."""

    def __init__(self):
        self.server = None

    def send(self, letter, to):
        """Hand a mail over.

        letter:   an EmailMessage.
        to:       an address.
        Returns:  a message.Answer; gone where the server says that there is no such address.
        """
        try:
            self._connect()
            data = letter.as_bytes()
            self.server.sendmail(addresses.own(), [to], data)
        except smtplib.SMTPRecipientsRefused as refused:
            code, words = next(iter(refused.recipients.values()))
            self._forget()
            # It was the recipient that was refused, and for good.
            return Answer(False, _words(code, words), code, gone=500 <= code < 600)
        except smtplib.SMTPResponseException as error:
            self.close()
            return Answer(False, _words(error.smtp_code, error.smtp_error), error.smtp_code)
        except (OSError, smtplib.SMTPException, ValueError) as error:
            self.close()
            return Answer(False, _one_line(str(error) or type(error).__name__))
        return Answer(True, "taken", 250)

    def _connect(self):
        if self.server is not None:
            try:
                if self.server.noop()[0] == 250:
                    return
            except (OSError, smtplib.SMTPException):
                pass
            self.close()
        self.server = connect()

    def _forget(self):
        with contextlib.suppress(OSError, smtplib.SMTPException):
            self.server.rset()

    def close(self):
        """Say goodbye, if there is anybody."""
        server, self.server = self.server, None
        if server is not None:
            with contextlib.suppress(OSError, smtplib.SMTPException):
                server.quit()
            server.close()


def connect():
    """Connect to the mail server of IRIS_SMTP_URL, and sign in where it names somebody.

    Raises:   OSError, smtplib.SMTPException.
    """
    where = settings.get("IRIS_SMTP_URL")
    context = ssl.create_default_context()
    if where.scheme == "smtps":
        server = smtplib.SMTP_SSL(
            where.hostname, where.port or 465, timeout=SECONDS, context=context
        )
    else:
        server = smtplib.SMTP(where.hostname, where.port or 587, timeout=SECONDS)
    try:
        server.ehlo()
        is_private = where.scheme == "smtps"
        if not is_private and server.has_extn("starttls") and not _is_here(where.hostname):
            server.starttls(context=context)
            server.ehlo()
            is_private = True
        if where.username:
            if not is_private and not _is_here(where.hostname):
                raise smtplib.SMTPException(
                    "it offers no STARTTLS, and a password is not sent for all to read"
                )
            server.login(unquote(where.username), unquote(where.password or ""))
    except BaseException:
        server.close()
        raise
    return server


def _is_here(host):
    """Whether nobody else can listen on the way to a host."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _words(code, said):
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    return _one_line(f"{code} {text}")


def _one_line(text):
    shown = "".join(each if each.isprintable() else " " for each in text[:SHOWN])
    return " ".join(shown.split())
