"""The service with a second of patience in place of thirty, for the tests of who is slow."""

from iris import worker
from iris.intake import bodies

bodies.BODY_SECONDS = worker.STALLED_SECONDS = 1

from iris.app import app  # noqa: E402

__all__ = ["app"]
