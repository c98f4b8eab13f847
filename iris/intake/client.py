"""Who is at the other end of a connection: the peer, or whom a proxy that is trusted names; and who acts.

gunicorn's master reads this, too, so that nothing of gevent's may be imported here.
"""

import ipaddress
import re

from iris import settings

PROXIES = settings.get("IRIS_PROXIES")
# What would make two words or two lines of one, or move a terminal's cursor.
UNFIT = re.compile(r'[\s"%\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]')


def is_trusted(text):
    """Whether an address is a proxy's that is to be believed."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return any(address in network for network in PROXIES)


def address(environ):
    """Return the client's address.

    Each proxy writes at the end of X-Forwarded-For whom it has heard; what stands before the first that
    nobody trusted wrote is the client's own invention.

    environ:  of WSGI.
    """
    at = environ.get("REMOTE_ADDR") or "-"
    if not PROXIES or not is_trusted(at):
        return at
    for named in reversed(environ.get("HTTP_X_FORWARDED_FOR", "").split(",")):
        try:
            at = str(ipaddress.ip_address(named.strip().strip("[]")))
        except ValueError:
            return at
        if not is_trusted(at):
            return at
    return at


def actor(environ):
    """Return who acts, as one word of a log: who was found to, or whom the header names; or `-`."""
    name = environ.get("iris.actor") or environ.get("HTTP_IRIS_ACTOR")
    if not name:
        return "-"
    if "iris.actor" not in environ:
        # As it came: a header's bytes reach WSGI as Latin-1.
        name = name.encode("latin-1", "replace").decode("utf-8", "replace")[:100]
    return UNFIT.sub(lambda found: f"%{ord(found[0]):02X}", name) if not name.isalnum() else name
