"""The service with less patience, for the test of slow bodies."""

from iris.intake import bodies

bodies.BODY_SECONDS = 1

from iris.app import app  # noqa: E402

__all__ = ["app"]
