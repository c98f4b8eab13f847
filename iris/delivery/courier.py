"""A courier tells one hook, one event after the other, for as long as there is something to tell."""

import json
import random
import time
from urllib.parse import urlsplit

from iris import counters
from iris.delivery import web
from iris.delivery.message import Message
from iris.mail import receiver

# What sends to a kind of address: a class of receivers, of (url), with send(message) → Answer and close().
RECEIVERS = {"http": web.Receiver, "https": web.Receiver, "mailto": receiver.Receiver}
# Seconds between two tries of an event, ten tries over three days; by chance a fifth more or less, so that
# those who failed together don't come back together.
PAUSES = (20, 120, 600, 2400, 7200, 21_600, 43_200, 72_000, 111_600)
TRIES = len(PAUSES) + 1
JITTER = 0.2
# Seconds for which a hook is kept where there is nothing new.
LINGER = 3
# Seconds between two notes of how far a hook is that is only passed by.
NOTED = 5
# Events behind the feed's end from where on the past is written down before it is read.
BEHIND = 1000


class Courier:
    """Tells one hook.

    hook:     as hooks_due() gave it.
    office:   the deliverer: reader, ledger, end, news, is_alive.
    until:    until when nobody else has the hook, by the monotonic clock; the deliverer sets it on.
    """

    def __init__(self, hook, office, until):
        self.hook, self.office, self.until = hook, office, until
        self.key = hook["hook_id"], hook["epoch"]
        self.position, self.tried = hook["position"], hook["tried"]
        self.wanted = (
            json.dumps(hook["filter"], sort_keys=True, ensure_ascii=False),
            tuple(hook["kind"]),
        )
        self.receiver, self.is_lost = None, False
        self.noted = time.monotonic()

    def run(self):
        """Tell what there is to tell; then give the hook back."""
        try:
            while self.goes_on():
                seen, behind = self.office.news, self.office.end - self.position
                try:
                    piece = self._read(behind) if behind > 0 else None
                except ValueError as error:
                    reason = f"its filter means nothing: {error}"
                    self._settle(state="stopped", reason=reason, ends=True)
                    return
                if piece is None:
                    if not seen.wait(LINGER):
                        break
                elif not self._tell(piece):
                    return
            self._settle(ends=True)
        finally:
            if self.receiver:
                self.receiver.close()

    def goes_on(self):
        """Whether it may go on: the hook is its own still, and nobody wants an end."""
        return self.office.is_alive and not self.is_lost and time.monotonic() < self.until

    def _read(self, behind):
        return self.office.reader.read(self.position, *self.wanted, behind > BEHIND)

    def _tell(self, piece):
        """Tell a piece of the feed; return whether to go on."""
        for event in piece.events:
            if not self.goes_on():
                return True
            self._pass(event.position - 1)
            if not self._try(event):
                return False
        self._pass(piece.end)
        return True

    def _pass(self, position):
        """Go on to a position; nothing is to be told until there."""
        if position > self.position:
            self.position, self.tried = position, 0
            if time.monotonic() - self.noted > NOTED:
                self._settle()

    def _try(self, event):
        """Try to tell an event; return whether to go on with the next one."""
        hook_id, _ = self.key
        message = Message(
            f"iris_{hook_id}_{event.position}_{event.digest}",
            event.position,
            event.kind,
            event.actor,
            event.body,
            tuple(self.hook["secrets"]),
        )
        began = time.monotonic()
        if self.receiver is None:
            self.receiver = RECEIVERS[urlsplit(self.hook["url"]).scheme](self.hook["url"])
        answer = self.receiver.send(message)
        now = time.monotonic()
        self.tried += 1
        outcome, facts = self._outcome(answer)
        counters.tried(outcome)
        tried = {
            "position": event.position,
            "at": now,
            "tried": self.tried,
            "outcome": outcome,
            "status": answer.status,
            "took": round((now - began) * 1000),
            "answer": answer.words,
        }
        goes_on = outcome in ("accepted", "parked")
        if goes_on:
            self.position, self.tried = event.position, 0
        self._settle([tried], ends=not goes_on, **facts)
        return goes_on

    def _outcome(self, answer):
        """Return what comes of an answer: of models.DeliveryOutcome, and what the hook is from now on."""
        if answer.accepted:
            return "accepted", {}
        if answer.gone:
            return "disabled", {"state": "disabled", "reason": answer.words}
        if self.tried < TRIES:
            pause = PAUSES[self.tried - 1] * random.uniform(1 - JITTER, 1 + JITTER)
            return "failed", {"wait": max(pause, answer.wait or 0), "reason": answer.words}
        if self.hook["on_failure"] == "stop":
            reason = f"given up after {TRIES} tries: {answer.words}"
            return "stopped", {"state": "stopped", "reason": reason}
        return "parked", {}

    def _settle(self, tries=(), ends=False, **facts):
        facts = {"position": self.position, "tried": self.tried, "ends": ends, **facts}
        self.noted = time.monotonic()
        entry = self.office.ledger.note(self.key, facts, tries)
        if ends:
            entry.written.wait()
