"""A postman brings people's inboxes by mail: at once, or once a day; in order, at least once.

As a hook, a person is a position in the feed: who is killed in between has noted all that was taken before.
"""

import logging
import random
import time

import gevent
from sqlalchemy import bindparam, cast, column, func, literal_column, select

from iris import models, settings
from iris.database import statements
from iris.delivery import courier
from iris.delivery.failing import said
from iris.delivery.messages import BEFORE
from iris.formats import terminal
from iris.mail import addresses, letters, post

log = logging.getLogger("iris")

# Seconds between two looks; people that are taken at once, and for how many seconds, of which so many must
# be left to begin one more mail.
LOOK, MOST, HELD, LEFT = 1, 10, 120, 45
# Rows of an inbox that are read at once, and of a day's mail.
PIECE, DAY = 50, 500

PEOPLE = (
    "person_id",
    "name",
    "mail",
    "digest",
    "epoch",
    "position",
    "tried",
    "feed_end",
    "seal",
    "bounce",
)
DUE = statements.compiled(
    select(*(literal_column(f'"{name}"') for name in PEOPLE)).select_from(
        func.people_due(bindparam("holder"), bindparam("most"), bindparam("seconds"))
    )
)
READ = statements.compiled(
    select(column("body")).select_from(
        func.mail_piece(
            bindparam("person_id"), bindparam("after"), bindparam("upto"), bindparam("most")
        )
    )
)
SETTLE = statements.compiled(
    select(
        func.settle_person(
            bindparam("holder"),
            bindparam("person_id"),
            bindparam("epoch"),
            bindparam("position"),
            bindparam("tried"),
            bindparam("wait"),
            cast(bindparam("state"), models.MailState),
            bindparam("reason"),
            bindparam("is_sent"),
            bindparam("ends"),
        )
    )
)


class Postman:
    """Who brings mail.

    holder:   the name of the deliverer that it is a part of.
    is_alive: () → whether to go on.
    """

    def __init__(self, holder, is_alive):
        self.holder, self.is_alive, self.post = holder, is_alive, post.Post()
        self.said = None

    def run(self):
        """Bring mail until an end is wanted; where no mail server is named, there is nothing to do."""
        if not settings.get("IRIS_SMTP_URL"):
            return
        failed = False
        while self.is_alive():
            found = []
            try:
                until = time.monotonic() + HELD - LEFT
                found = self._due()
                for person in found:
                    self._bring(person, until)
                failed = False
            except Exception as error:
                if not failed:
                    said(log, "mail waits", error)
                failed = True
            if not found:
                # Until there is something for somebody, the mail server need not wait.
                self.post.close()
            gevent.sleep(LOOK)

    def _due(self):
        given = {"holder": self.holder, "most": MOST, "seconds": HELD}
        rows = statements.rows(DUE, given, before=BEFORE)
        return [dict(zip(PEOPLE, row, strict=True)) for row in rows]

    def _bring(self, person, until):
        """Bring somebody what there is; then give them back."""
        goes_on, is_daily = True, person["digest"] == "daily"
        while goes_on and self.is_alive() and time.monotonic() < until:
            most = DAY + 1 if is_daily else PIECE
            given = {
                "person_id": person["person_id"],
                "after": person["position"],
                "upto": person["feed_end"],
                "most": most,
            }
            rows = [row[0] for row in statements.rows(READ, given, before=BEFORE)]
            if is_daily and rows:
                letter = letters.digest(person, rows[:DAY], len(rows) > DAY)
                goes_on = self._send(person, letter, person["feed_end"])
                break
            for group in _by_change(rows):
                letter = letters.happenings(person, group)
                goes_on = goes_on and self._send(person, letter, group[-1]["position"])
            if goes_on and len(rows) < most:
                person["position"] = person["feed_end"]
                break
        if goes_on:
            # Of a day without anything, too: the next one is a day later.
            self._settle(person, ends=True, is_sent=is_daily)

    def _send(self, person, letter, position):
        """Send somebody a mail, and note what came of it; return whether to go on."""
        sender = addresses.bounce(person["person_id"], person["bounce"])
        answer = self.post.send(letter, sender, person["mail"])
        self._say(answer)
        if answer.accepted:
            person["position"], person["tried"] = position, 0
            return self._settle(person, is_sent=True)
        person["tried"] += 1
        facts = {"reason": answer.words}
        if answer.gone:
            facts["state"] = "bounced"
        elif person["tried"] < courier.TRIES:
            spread = random.uniform(1 - courier.JITTER, 1 + courier.JITTER)
            facts["wait"] = courier.PAUSES[person["tried"] - 1] * spread
        else:
            # As a hook that parks: this one is given up, what comes after it is not.
            person["position"], person["tried"] = position, 0
        self._settle(person, ends=True, **facts)
        return False

    def _say(self, answer):
        """Say in the log what keeps mail from going, once while it is the same; of whom, the doctor says."""
        words = None if answer.accepted or answer.gone else answer.words
        if words and words != self.said:
            log.warning("mail waits: %s", words)
        self.said = words

    def _settle(self, person, **facts):
        told = {"wait": None, "state": None, "reason": None, "is_sent": False, "ends": False}
        given = {name: person[name] for name in ("person_id", "epoch", "position", "tried")}
        return statements.run(
            SETTLE, {**told, **given, **facts, "holder": self.holder}, before=BEFORE
        )[0]


def _by_change(rows):
    """Yield what goes into a mail each: what one change did to one ticket."""
    group = []
    for text in rows:
        row = terminal.read(text)
        if group and (row["ticket_id"], row["change"]) != (
            group[-1]["ticket_id"],
            group[-1]["change"],
        ):
            yield group
            group = []
        group.append(row)
    if group:
        yield group
