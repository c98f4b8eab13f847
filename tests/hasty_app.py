"""The service with a second of patience in place of thirty, for the tests of who is slow."""

from iris import worker
from iris.database import silence
from iris.intake import bodies, chosen

bodies.BODY_SECONDS = worker.STALLED_SECONDS = 1
# Nor does it keep a tracker for longer than that.
chosen.IDLE, chosen.LOOK = 1, 0.2
# And a database that says nothing is given up a second after it should have.
silence.GRACE, silence.LOOK = 1, 0.2

from iris.app import app  # noqa: E402

__all__ = ["app"]
