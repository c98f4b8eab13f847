"""What is counted for Prometheus, over all workers.

A piece of memory that gunicorn's master makes and its workers share, with a slot for each of them. A worker
adds to its own slot, and nobody else does, so that nothing is locked; whoever is asked adds all slots up. Who
comes after a worker that is gone, however it went, has its slot and counts on from there: nothing is lost, no
sum falls.

Nothing of Iris's that could import gevent's victims is imported here: gunicorn's master reads this, too.
"""

import contextlib
import mmap
import os
from bisect import bisect_left
from time import perf_counter_ns, time
from typing import NamedTuple

from iris import problems

# Slots: 64 workers are the most there may be, and as many that finish while others take over; the last one is
# for all who find none.
SLOTS = 200
# Routes there may be; and the bytes of a name in the table of those that have been met, METHOD PATH.
ROUTES, NAME = 128, 96
# Statuses that are told apart, by their place; the first one stands for all others.
STATUSES = (0, 200, 201, 204, 303, 304, *sorted({status for status, _ in problems.CODES.values()}))
# Seconds up to which a duration falls into each bucket; into one more, whatever took longer.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_NANOSECONDS = tuple(round(seconds * 1e9) for seconds in BUCKETS)
# Cells of a histogram: its buckets, and the sum of what fell into them, in nanoseconds.
_HISTOGRAM = len(BUCKETS) + 2

# What a worker has just now: when a worker has gone, nothing of it is left.
NOW = (ALIVE, IN_FLIGHT, FEEDS, LISTS, USED, OPEN, MOST) = range(7)
# Whether anybody ever counted here; and what has happened.
BEGUN, WAITS, WAITED, OPENED = range(7, 11)
# Heavy reads: on a standby, on the primary; those for which a standby was waited for, how long, and in vain.
ON_STANDBY, ON_PRIMARY, CAME_LATER, WAITED_FOR, GIVEN_UP = range(11, 16)
STATEMENTS = 16
_STATUS_CELLS = STATEMENTS + _HISTOGRAM
_TIME_CELLS = _STATUS_CELLS + ROUTES * len(STATUSES)
CELLS = _TIME_CELLS + ROUTES * _HISTOGRAM

# The table of routes comes first; the first of them is none.
NONE = "other none"
_memory = mmap.mmap(-1, ROUTES * NAME + SLOTS * CELLS * 8)
_all = memoryview(_memory)[ROUTES * NAME :].cast("Q")


def _slot(number):
    return _all[number * CELLS : (number + 1) * CELLS]


# This process's own. What is no worker, such as a test, has the first one.
MINE = _slot(0)
# When the service began, in seconds since 1970.
BEGAN = time()
# {(method, path as routes have it): its row}.
_rows = {}
# {status as HTTP has it: its place}.
_place = {str(status): place for place, status in enumerate(STATUSES)}


# Workers ------------------------------------------------------------------------------------------

# Slots that no worker has: the master's to give.
_free = list(range(SLOTS - 2, -1, -1))


def give(worker):
    """Give a worker that is about to be forked its slot; the master calls this.

    worker:   gunicorn's; it has the number from now on.
    """
    worker.slot = _free.pop() if _free else SLOTS - 1


def take(worker):
    """Count in a worker's slot from now on; the worker calls this when it has been forked."""
    global MINE  # noqa: PLW0603 (one a process)
    MINE = _slot(worker.slot)
    _forget(MINE)
    MINE[ALIVE] = MINE[BEGUN] = 1


def take_back(worker):
    """Keep what a worker that is gone has counted for the next one; the master calls this."""
    _forget(_slot(worker.slot))
    if worker.slot != SLOTS - 1:
        _free.append(worker.slot)


def _forget(cells):
    for cell in NOW:
        cells[cell] = 0


# Counting -----------------------------------------------------------------------------------------


def names():
    """Return the routes that have been known so far, {row: METHOD PATH}."""
    found = {0: NONE}
    for row in range(1, ROUTES):
        name = _memory[row * NAME : (row + 1) * NAME].rstrip(b"\0")
        if not name:
            break
        found[row] = name.decode()
    return found


def know(routes):
    """Give each route a row, or the one that it has already.

    Workers of the same code come to the same rows, also all at once; routes of other code, of before the
    service was reloaded, keep theirs.

    routes:   {(method, path)}.
    """
    known = {name: row for row, name in names().items()}
    for method, path in sorted(routes):
        name = f"{method} {path}"
        if name not in known:
            row = len(known)
            if row == ROUTES or len(name) > NAME:
                # Counted as none.
                continue
            _memory[row * NAME : row * NAME + len(name)] = name.encode()
            known[name] = row
        _rows[method, path] = known[name]
        if method == "GET":
            _rows["HEAD", path] = known[name]


def _observe(cells, start, took):
    cells[start + bisect_left(_NANOSECONDS, took)] += 1
    cells[start + _HISTOGRAM - 1] += took


def answered(method, path, status, took):
    """Count a request.

    path:     as routes have it, or None.
    status:   three digits, text.
    took:     nanoseconds.
    """
    row, cells = _rows.get((method, path), 0), MINE
    cells[_STATUS_CELLS + row * len(STATUSES) + _place.get(status, 0)] += 1
    _observe(cells, _TIME_CELLS + row * _HISTOGRAM, took)


def ran(took):
    """Count a statement that took so many nanoseconds."""
    _observe(MINE, STATEMENTS, took)


def counted(app):
    """Return a WSGI application that counts what another one answers, when it begins to.

    Not when all is sent: who has an answer finds it counted, whichever worker they ask.
    """
    in_flight = 0

    def call(environ, start_response):
        nonlocal in_flight
        began = perf_counter_ns()

        def start(status, *more):
            method, path = environ["REQUEST_METHOD"], environ.get("iris.route")
            answered(method, path, status[:3], perf_counter_ns() - began)
            return start_response(status, *more)

        in_flight += 1
        MINE[IN_FLIGHT] = in_flight
        try:
            return app(environ, start)
        finally:
            in_flight -= 1
            MINE[IN_FLIGHT] = in_flight

    return call


# The deliverer ------------------------------------------------------------------------------------

# It is a program of its own, which has none of this memory: it tells the master by a pipe, a byte for each
# try. What came of one, by the byte; of models.DeliveryOutcome.
OUTCOMES = ("accepted", "failed", "parked", "stopped", "disabled")
_tries = memoryview(mmap.mmap(-1, len(OUTCOMES) * 8)).cast("Q")
_told = None


def tell(pipe):
    """Tell of each try by a pipe from now on; the deliverer calls this."""
    global _told  # noqa: PLW0603 (one a process)
    _told = pipe
    # Nobody who has to be told waits for whoever counts.
    os.set_blocking(pipe, False)


def tried(outcome):
    """Tell what came of a try; where nobody counts, as beside `iris deliver` alone, of nothing."""
    if _told is not None:
        # Where the service is gone, so are its sums.
        with contextlib.suppress(OSError):
            os.write(_told, bytes([OUTCOMES.index(outcome)]))


def hear(pipe):
    """Count what the deliverer tells, for ever; the master has a thread for this."""
    while told := os.read(pipe, 4096):
        for place in told:
            _tries[place] += 1


def tries():
    """Return how many tries there were, {outcome: number}."""
    return dict(zip(OUTCOMES, _tries.tolist(), strict=True))


# Adding up ----------------------------------------------------------------------------------------


class Histogram(NamedTuple):
    """What fell into the buckets of a histogram.

    counts:   by bucket, and one more: what took longer than BUCKETS go.
    seconds:  the sum of all.
    """

    counts: list
    seconds: float


class Sums:
    """What all workers have counted until now."""

    def __init__(self):
        slots = (_slot(number) for number in range(SLOTS))
        self._cells = [
            sum(each) for each in zip(*(slot for slot in slots if slot[BEGUN]), strict=True)
        ] or MINE.tolist()

    def __getitem__(self, cell):
        return self._cells[cell]

    def _histogram(self, start):
        *counts, nanoseconds = self._cells[start : start + _HISTOGRAM]
        return Histogram(counts, nanoseconds / 1e9)

    def statements(self):
        """Return the Histogram of all statements."""
        return self._histogram(STATEMENTS)

    def requests(self):
        """Yield (method, path, {status: how many}, their Histogram) of each route that was asked for."""
        for row, name in names().items():
            start = _STATUS_CELLS + row * len(STATUSES)
            counts = self._cells[start : start + len(STATUSES)]
            if any(counts):
                by_status = {
                    status: many for status, many in zip(STATUSES, counts, strict=True) if many
                }
                yield *name.split(), by_status, self._histogram(_TIME_CELLS + row * _HISTOGRAM)
