"""The addresses that mail comes back to: reply+TICKET.PERSON.SEAL@…, unsubscribe+ and bounce+PERSON.SEAL@.

Of many trackers each says its name first: reply+acme.3.1.…@, iris+acme@.
"""

import re

from iris import current, settings
from iris.trackers import maps

# The tracker, and what seals it for a person.
_OF, _SEAL = rf"(?:({maps.NAME.pattern})\.)?", r"([0-9]{1,18})\.([0-9a-f]{20})"
REPLY = re.compile(rf"reply\+{_OF}([0-9]{{1,18}})\.{_SEAL}", re.IGNORECASE)
UNSUBSCRIBE = re.compile(rf"unsubscribe\+{_OF}{_SEAL}", re.IGNORECASE)
BOUNCE = re.compile(rf"bounce\+{_OF}{_SEAL}", re.IGNORECASE)


def tracker():
    """Return the name of the tracker that is meant; None where there is but one."""
    return current.TRACKER.get() or settings.get("IRIS_TRACKER")


def own():
    """Return the address that Iris mails from."""
    local, _, domain = settings.get("IRIS_MAIL_FROM").partition("@")
    return f"{local}+{tracker()}@{domain}" if tracker() else f"{local}@{domain}"


def to_own():
    """Return a pattern of that, in which the tracker's name may be missing."""
    local = re.escape(settings.get("IRIS_MAIL_FROM").partition("@")[0])
    return re.compile(rf"{local}(?:\+({maps.NAME.pattern}))?", re.IGNORECASE)


def domain():
    """Return the domain of it."""
    return settings.get("IRIS_MAIL_FROM").partition("@")[2]


def public():
    """Return where people find Iris, without a slash at the end; None where that is not known."""
    found = settings.get("IRIS_PUBLIC_URL")
    return f"{found}/t/{tracker()}" if found and tracker() else found


def _of(*parts):
    return ".".join(str(each) for each in (tracker(), *parts) if each is not None)


def reply(ticket_id, person_id, seal):
    """Return the address by which a person replies to a ticket."""
    return f"reply+{_of(ticket_id, person_id, seal)}@{domain()}"


def bounce(person_id, seal):
    """Return the address that a mail to a person comes from on its way, to which it goes back undelivered."""
    return f"bounce+{_of(person_id, seal)}@{domain()}"


def unsubscribe(person_id, seal):
    """Return the address and, where it is known where people find Iris, the page that end a person's mail."""
    found = [f"mailto:unsubscribe+{_of(person_id, seal)}@{domain()}?subject=unsubscribe"]
    if public():
        # What programs prefer is named first.
        found.insert(0, f"{public()}/unsubscribe/{person_id}/{seal}")
    return found
