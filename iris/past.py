"""The past is written on before it is read: what past_tickets lacks takes longer to put together."""

import contextlib
import time

import psycopg2
from sqlalchemy import bindparam, func, select

from iris import current
from iris.database import statements, writing

# Seconds between two looks of a worker, and how many events are written at one: some 50 ms.
PAUSE, MOST = 1, 2000
WRITE = statements.compiled(select(func.write_past(bindparam("most"))))


class _Turn:
    """When this worker looks again."""

    def __init__(self):
        self.next = 0.0


_TURN = current.each(_Turn)


def write():
    """Write the past on, unless this worker has done so just now; reading it is right without.

    Source:   one SELECT of write_past(), at most once a second.
    """
    if time.monotonic() < _TURN.next:
        return
    _TURN.next = time.monotonic() + PAUSE
    # Such as where somebody holds what it needs: who only reads is not refused for that.
    with contextlib.suppress(psycopg2.Error):
        statements.run(WRITE, {"most": MOST}, before=writing.LOCALLY)
