"""Those who hold up others: somebody's transaction in psql, which has locked what a request waits for."""

import logging
import time

import gevent
from sqlalchemy import func, select

from iris import current
from iris.database import statements, writing

log = logging.getLogger("iris")

# Seconds between two times of asking, in a worker.
SECONDS = 5
FREE = statements.compiled(select(func.free_holders()))


class Holders:
    """What a worker knows about them: when it asked last."""

    def __init__(self):
        self.asked = -SECONDS

    def free(self):
        """Have the database end those who hold up others for too long, without waiting for it.

        Call it when something was waited for in vain. Source: free_holders(), which says what is too long.
        """
        if time.monotonic() - self.asked >= SECONDS:
            self.asked = time.monotonic()
            gevent.spawn(current.carried(_free))


HOLDERS = current.each(Holders)


def _free():
    try:
        (freed,) = statements.run(FREE, {}, before=writing.AS_ITSELF)
    except Exception as error:
        log.warning("who holds up others can't be asked: %s", str(error).strip())
        return
    if freed:
        log.warning("ended %s sessions that held up others in a transaction of theirs", freed)
