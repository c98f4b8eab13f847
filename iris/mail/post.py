"""Handing mails to a mail server, one after the other over one connection."""

import contextlib
import ipaddress
import smtplib
import ssl
from urllib.parse import unquote

import gevent

from iris import settings
from iris.delivery import failing
from iris.delivery.message import Answer
from iris.mail import statuses

# Seconds that each answer may take, and a mail in all.
SECONDS, ALL_SECONDS = 30, 40
# Characters of what a server said that are kept.
SHOWN = 300


class Post:
    """A mail server, connected to when there is something for it."""

    def __init__(self):
        self.server = None

    def send(self, letter, sender, to):
        """Hand a mail over.

        letter:   an EmailMessage.
        sender:   the address that it comes back to where it can't be delivered.
        to:       an address.
        Returns:  a message.Answer; gone where the server says that there is no such address.
        """
        try:
            with gevent.Timeout(ALL_SECONDS, TimeoutError(f"not taken within {ALL_SECONDS} s")):
                self._connect()
                self.server.sendmail(sender, [to], letter.as_bytes())
        except smtplib.SMTPRecipientsRefused as refused:
            code, said = next(iter(refused.recipients.values()))
            self._forget()
            words = _said(code, said)
            return Answer(False, words, code, gone=statuses.is_gone(code, words))
        except (OSError, smtplib.SMTPException, ValueError) as error:
            self.close()
            return Answer(False, words_of(error), getattr(error, "smtp_code", None))
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
            with (
                contextlib.suppress(OSError, smtplib.SMTPException),
                gevent.Timeout(1, TimeoutError()),
            ):
                server.quit()
            server.close()


def connect():
    """Connect to the mail server of IRIS_SMTP_URL, and sign in where it names somebody.

    Raises:   OSError, smtplib.SMTPException.
    """
    where = settings.get("IRIS_SMTP_URL")
    is_here, context = _is_here(where.hostname), ssl.create_default_context()
    if where.scheme == "smtps":
        port = where.port or 465
        server = smtplib.SMTP_SSL(where.hostname, port, timeout=SECONDS, context=context)
    else:
        server = smtplib.SMTP(where.hostname, where.port or 587, timeout=SECONDS)
    try:
        server.ehlo()
        is_private = is_here or where.scheme == "smtps"
        # One on this machine has no name to be certified; it is asked if it lets nobody sign in without.
        is_needed = where.username and not server.has_extn("auth")
        if where.scheme == "smtp" and server.has_extn("starttls") and (is_needed or not is_here):
            if is_here:
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            server.starttls(context=context)
            server.ehlo()
            is_private = True
        if where.username:
            if not is_private:
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


def words_of(error):
    """Return what went wrong with a mail server, in a line."""
    if isinstance(error, smtplib.SMTPResponseException):
        return _said(error.smtp_code, error.smtp_error)
    if isinstance(error, smtplib.SMTPServerDisconnected) and error.__context__:
        # Why, it says after that it is so.
        error = error.__context__
    return _one_line(failing.words(error))


def _said(code, said):
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    return _one_line(f"{code} {text}")


def _one_line(text):
    shown = "".join(each if each.isprintable() else " " for each in text[:SHOWN])
    return " ".join(shown.split())
