"""How often things happen, counted over all workers.

A meter is a piece of memory that gunicorn's master makes and its workers share. For each who is counted it
keeps one time: until when what they have had is paid for (the generic cell rate algorithm).
"""

import hashlib
import mmap
import struct
import time

_SLOT = struct.Struct("=Qd")
# Who is counted at once; and where else one is looked for whose place is taken.
SLOTS, TRIES = 8192, 8


class Meter:
    """Counts for each who is counted, by a name."""

    def __init__(self):
        self._memory = mmap.mmap(-1, SLOTS * _SLOT.size)

    def take(self, who, most, seconds, cost=1):
        """Count something of somebody's, unless it is too much.

        who:      text.
        most:     how much is allowed in so many seconds; also at once.
        cost:     how much it is; 0 only asks whether 1 would do.
        Returns:  (seconds to wait until it would be allowed, 0 where it was; how much more is left;
                  seconds until all of it is).
        """
        tag = int.from_bytes(hashlib.blake2b(who.encode(), digest_size=8).digest(), "big") or 1
        now = time.monotonic()
        place, paid = self._find(tag, now)
        paid = max(paid, now) + cost * seconds / most
        over = paid - now - (seconds if cost else seconds - seconds / most)
        # A hair's breadth is a rounding.
        if over > 1e-6:
            return over, 0, seconds
        if cost:
            _SLOT.pack_into(self._memory, place, tag, paid)
        return 0, int((seconds - (paid - now)) * most / seconds + 1e-6), paid - now

    def _find(self, tag, now):
        """Return (the place of one who is counted, until when theirs is paid); who finds none shares one."""
        for step in range(TRIES):
            place = (tag + step) % SLOTS * _SLOT.size
            owner, paid = _SLOT.unpack_from(self._memory, place)
            if owner == tag:
                return place, paid
            if paid <= now:
                return place, 0
        return place, paid


# Attempts to come in that failed, by address; requests, by token.
FAILURES, REQUESTS = Meter(), Meter()
