"""What a receiver is given, and what it gives back."""

import base64
import hmac
from typing import NamedTuple


class Message(NamedTuple):
    """One event on its way to one hook: the same at each try, but for when that is.

    id:       the same at all tries, and no other message's.
    position: the event's in the feed.
    kind:     what happened, of models.EventKind.
    actor:    who did it.
    body:     JSON text.
    secrets:  what it is signed with, each whsec_…
    """

    id: str
    position: int
    kind: str
    actor: str
    body: str
    secrets: tuple


class Answer(NamedTuple):
    """What came of a try.

    accepted: whether the receiver has it now.
    words:    what was answered, or what went wrong.
    status:   of HTTP, or None where nothing was answered.
    wait:     seconds that the receiver asks for, or None.
    gone:     whether it wants nothing ever again.
    """

    accepted: bool
    words: str
    status: int | None = None
    wait: float | None = None
    gone: bool = False


def signature(message, timestamp):
    """Return the header webhook-signature of a message, by each of its secrets.

    timestamp: seconds since 1970, a whole number.
    """
    signed = f"{message.id}.{timestamp}.{message.body}".encode()
    keys = (base64.b64decode(secret.removeprefix("whsec_")) for secret in message.secrets)
    made = (base64.b64encode(hmac.digest(key, signed, "sha256")).decode() for key in keys)
    return " ".join(f"v1,{each}" for each in made)
