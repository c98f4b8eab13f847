"""What runs beside the service, as long as it does: a deliverer, in a process of its own.

No request waits for it.

gunicorn's master reads this: nothing that could import gevent's victims is imported here.
"""

import os
import subprocess
import sys
import threading
import time

from iris import counters, settings

# Seconds before one that has ended is started again: at first, and at most.
FIRST, LONGEST = 1, 30
# Seconds between two looks whether it still runs.
LOOK = 0.2
# Seconds that it has to end.
PATIENCE = 10


# A worker that is forked while a process begins would keep the other end of the pipe by which that is
# known, and who begins it would wait for the worker's end: one at a time.
_forking = threading.Lock()
os.register_at_fork(
    before=_forking.acquire, after_in_parent=_forking.release, after_in_child=_forking.release
)


class Deliverer:
    """The process, and who starts it again."""

    def __init__(self):
        self.process, self.is_wanted = None, False

    def start(self):
        """Have it run from now on, if the settings want one; one that runs already goes on."""
        if settings.get("IRIS_DELIVER") and not self.is_wanted:
            self.is_wanted = True
            # It ends when nobody has the other end any more, however that comes.
            self.pipe, _ours = os.pipe()
            heard, self.told = os.pipe()
            self._begin()
            threading.Thread(target=counters.hear, args=(heard,), daemon=True).start()
            threading.Thread(target=self._run, daemon=True).start()

    def _begin(self):
        self.began = time.monotonic()
        with _forking:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "iris.cli", "deliver"],
                env={
                    **os.environ,
                    settings.WHILE_OPEN: str(self.pipe),
                    settings.COUNTED_BY: str(self.told),
                },
                pass_fds=[self.pipe, self.told],
            )

    def _run(self):
        pause = FIRST
        while self.is_wanted:
            # Not by wait(): gunicorn, too, asks for whichever child has ended, and where it was first,
            # one that waits for this one is not woken before another ends.
            while self.process.poll() is None:
                time.sleep(LOOK)
            lasted = time.monotonic() - self.began
            pause = FIRST if lasted > LONGEST else min(2 * pause, LONGEST)
            if self.is_wanted:
                time.sleep(pause)
            if self.is_wanted:
                self._begin()

    def stop(self):
        """Have it finish what is in flight, and end."""
        self.is_wanted = False
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()


DELIVERER = Deliverer()
