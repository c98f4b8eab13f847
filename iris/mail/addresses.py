"""The addresses that mail comes back to: reply+TICKET.PERSON.SEAL@…, unsubscribe+ and bounce+PERSON.SEAL@."""

import re

from iris import settings

REPLY = re.compile(r"reply\+([0-9]{1,18})\.([0-9]{1,18})\.([0-9a-f]{20})", re.IGNORECASE)
UNSUBSCRIBE = re.compile(r"unsubscribe\+([0-9]{1,18})\.([0-9a-f]{20})", re.IGNORECASE)
BOUNCE = re.compile(r"bounce\+([0-9]{1,18})\.([0-9a-f]{20})", re.IGNORECASE)


def own():
    """Return the address that Iris mails from."""
    return settings.get("IRIS_MAIL_FROM")


def domain():
    """Return the domain of it."""
    return own().partition("@")[2]


def reply(ticket_id, person_id, seal):
    """Return the address by which a person replies to a ticket."""
    return f"reply+{ticket_id}.{person_id}.{seal}@{domain()}"


def bounce(person_id, seal):
    """Return the address that a mail to a person comes from on its way, to which it goes back undelivered."""
    return f"bounce+{person_id}.{seal}@{domain()}"


def unsubscribe(person_id, seal):
    """Return the address and, where it is known where people find Iris, the page that end a person's mail."""
    found = [f"mailto:unsubscribe+{person_id}.{seal}@{domain()}?subject=unsubscribe"]
    public = settings.get("IRIS_PUBLIC_URL")
    if public:
        # What programs prefer is named first.
        found.insert(0, f"{public}/unsubscribe/{person_id}/{seal}")
    return found
