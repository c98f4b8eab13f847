"""The service, for tests on busy machines: it waits for a standby for as long as it takes."""

from iris.database import standbys

standbys.PATIENCE = 30

from iris.app import app  # noqa: E402, F401
