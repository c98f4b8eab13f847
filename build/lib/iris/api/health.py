"""Routes: how Iris is."""

from iris import health
from iris.api import ROUTE


@ROUTE.get("/health")
def alive():
    """Answer, as long as the process does.

    curl 0.0.0.0:8000/health
    """
    return '{"status": "ok"}'


@ROUTE.get("/db-check")
def database():
    """Ask the database: its version, and whether its schema is this Iris's.

    curl 0.0.0.0:8000/db-check
    """
    return health.read()
