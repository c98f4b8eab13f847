"""A deliverer: takes hooks for which there is something, and has a courier tell each of them.

Any number of them may run: each hook is taken by one at a time, for some seconds that it keeps adding to.
"""

import json
import logging
import os
import socket
import time
import uuid

import gevent
from gevent.event import Event
from sqlalchemy import Text, bindparam, cast, func, literal_column, select
from sqlalchemy.dialects.postgresql import JSONB

from iris.database import silence, statements
from iris.delivery.courier import Courier
from iris.delivery.failing import said
from iris.delivery.ledger import Ledger
from iris.delivery.messages import BEFORE, Reader
from iris.mail.postman import Postman

log = logging.getLogger("iris")

# Seconds between two looks, while there are hooks and while there are none.
LOOK, SELDOM = 0.2, 1
# Seconds for which a hook is taken, and between two times of adding to them.
HELD, KEEP = 15, 4
# Hooks that are told at once.
MOST = 1000
# Seconds that what is in flight has when an end is wanted.
PATIENCE = 8
# Threads that look names up: a name whose server does not answer holds one of them.
LOOKUPS = 100

DUE = statements.compiled(
    select(literal_column("feed_end"), literal_column("due")).select_from(
        func.hooks_due(bindparam("holder"), bindparam("most"), bindparam("seconds"))
    )
)
KEPT = statements.compiled(
    select(literal_column("hook_id")).select_from(
        func.keep_hooks(
            bindparam("holder"), cast(cast(bindparam("held"), Text), JSONB), bindparam("seconds")
        )
    )
)


class Deliverer:
    """One of them.

    is_alive: false from when an end is wanted.
    end:      how far the feed is.
    news:     an Event that is set, and replaced by another, when the feed has gone on.
    """

    def __init__(self):
        self.holder = f"{socket.gethostname()} {os.getpid()} {uuid.uuid4().hex[:8]}"
        self.is_alive, self.news, self.end = True, Event(), 0
        self.couriers, self.kept = {}, 0
        self.reader, self.ledger = Reader(), Ledger(self.holder, self._lose)
        self.wanted = Event()

    def stop(self):
        """Want an end: what is in flight is finished, hooks are given back."""
        self.is_alive = False
        self.wanted.set()
        self._tell()

    def run(self):
        """Tell hooks until an end is wanted."""
        gevent.get_hub().threadpool.maxsize = LOOKUPS
        helpers = [gevent.spawn(each) for each in (self.reader.run, self.ledger.run, silence.watch)]
        postman = gevent.spawn(Postman(self.holder, lambda: self.is_alive).run)
        failed = False
        while self.is_alive:
            try:
                is_any = self._look()
                failed = False
            except Exception as error:
                if not failed:
                    said(log, "hooks wait for the database", error)
                is_any, failed = False, True
            self.wanted.wait(LOOK if is_any else SELDOM)
        others = [greenlet for _, greenlet in self.couriers.values()]
        gevent.joinall([*others, postman], timeout=PATIENCE)
        gevent.killall(helpers)
        self.ledger.write()

    def _look(self):
        """Take what is due; return whether any hook is active."""
        now = time.monotonic()
        if self.couriers and now - self.kept > KEEP:
            self._keep()
        room = MOST - len(self.couriers)
        given = {"holder": self.holder, "most": room, "seconds": HELD}
        row = statements.run(DUE, given, before=BEFORE)
        if row is None:
            return False
        end, due = row
        for hook in due:
            self._send(Courier(hook, self, now + HELD))
        if end != self.end:
            self.end = end
            self._tell()
        return True

    def _send(self, courier):
        greenlet = gevent.spawn(self._run, courier)
        self.couriers[courier.key] = courier, greenlet

    def _run(self, courier):
        try:
            courier.run()
        except Exception as error:
            # The hook is taken again, by whoever is there, when its time is over.
            said(log, f"hook {courier.key[0]}", error)
        finally:
            self.couriers.pop(courier.key, None)

    def _keep(self):
        """Keep the hooks that there are couriers for; whose hook is another's by now ends."""
        self.kept = now = time.monotonic()
        held = json.dumps([{"hook_id": hook, "epoch": epoch} for hook, epoch in self.couriers])
        given = {"holder": self.holder, "held": held, "seconds": HELD}
        kept = {row[0] for row in statements.rows(KEPT, given, before=BEFORE)}
        for key, (courier, _) in list(self.couriers.items()):
            if key[0] in kept:
                courier.until = now + HELD
            else:
                self._lose(key)

    def _lose(self, key):
        if key in self.couriers:
            self.couriers[key][0].is_lost = True
            self._tell()

    def _tell(self):
        news, self.news = self.news, Event()
        news.set()
