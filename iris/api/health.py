"""Routes: how Iris is."""

from iris import health
from iris.api import ROUTE
from iris.described import shapes
from iris.intake import routes


@ROUTE.get("/health")
@routes.gives(
    shapes.Record(
        "Health", {"status": shapes.Told("ok, as long as anything answers", {"const": "ok"})}
    )
)
@routes.asks_nobody
def alive():
    """Answer, as long as the process does.

    curl 0.0.0.0:8000/health
    """
    return '{"status": "ok"}'


@ROUTE.get("/db-check")
@routes.gives(health.SHAPE)
def database():
    """Ask the database: its version, and whether its schema is this Iris's.

    curl 0.0.0.0:8000/db-check
    """
    return health.read()
