"""How far each hook has come, written down for all of them at once, some times a second.

What was accepted and is not written yet when a deliverer is killed is sent once more, as the same message: at
least once is promised, and a statement for each message would cost the database more than all else.
"""

import json
import logging
import time

import gevent
from gevent.event import AsyncResult
from sqlalchemy import Text, bindparam, cast, func, literal_column, select
from sqlalchemy.dialects.postgresql import JSONB

from iris.database import statements
from iris.delivery.failing import said
from iris.delivery.messages import BEFORE

log = logging.getLogger("iris")

# Seconds between two times of writing.
SECONDS = 0.1
SETTLE = statements.compiled(
    select(
        literal_column("hook_id"), literal_column("epoch"), literal_column("is_held")
    ).select_from(
        func.settle_hooks(bindparam("holder"), cast(cast(bindparam("told"), Text), JSONB))
    )
)
# To lose the last of it costs nothing but sending that again.
LOSABLE = BEFORE + "SELECT set_config('synchronous_commit', 'off', true); "


class Entry:
    """What is to be written of a hook.

    facts:    {name: value} of the hook's columns, as settle_hooks() takes them.
    tries:    [{…}] of deliveries, each with `at` by the monotonic clock.
    written:  an AsyncResult: whether the hook is held still.
    """

    def __init__(self):
        self.facts, self.tries, self.written = {}, [], AsyncResult()

    def told(self, now):
        """Return it as settle_hooks() takes it."""
        tries = [{**each, "ago": max(0, now - each["at"])} for each in self.tries]
        return {**self.facts, "tries": tries}


class Ledger:
    """What is not written yet, {(hook_id, epoch): Entry}.

    holder:   the deliverer.
    lost:     ((hook_id, epoch)) is called of a hook that is somebody else's by now.
    """

    def __init__(self, holder, lost):
        self.holder, self.lost, self.entries = holder, lost, {}
        self.failed = False

    def note(self, key, facts, tries=()):
        """Note how far a hook has come.

        key:      (hook_id, epoch).
        Returns:  the Entry, whose written tells when it is.
        """
        entry = self.entries.setdefault(key, Entry())
        entry.facts = {"hook_id": key[0], "epoch": key[1], **facts}
        entry.tries += tries
        return entry

    def run(self):
        """Write, for ever."""
        while True:
            gevent.sleep(SECONDS)
            self.write()

    def write(self):
        """Write all that there is; what can't be written is kept for the next time."""
        if not self.entries:
            return
        entries, self.entries = self.entries, {}
        now = time.monotonic()
        told = json.dumps([entry.told(now) for entry in entries.values()], ensure_ascii=False)
        try:
            given = {"holder": self.holder, "told": told}
            found = statements.rows(SETTLE, given, before=LOSABLE)
            rows = {(hook_id, epoch): is_held for hook_id, epoch, is_held in found}
            self.failed = False
        except Exception as error:
            if not self.failed:
                said(log, "what was delivered can't be written yet", error)
            rows, self.failed = {}, True
        for key, entry in entries.items():
            if key in rows:
                if not rows[key]:
                    self.lost(key)
                entry.written.set(rows[key])
            else:
                self._keep(key, entry)

    def _keep(self, key, entry):
        """Put back what could not be written, before what has come since."""
        newer = self.entries.setdefault(key, entry)
        if newer is not entry:
            newer.tries = entry.tries + newer.tries
            newer.written.rawlink(lambda written: entry.written.set(written.value))
