"""Routes: what Prometheus scrapes."""

from iris import metrics
from iris.api import ROUTE
from iris.intake import routes


@ROUTE.get("/metrics")
@routes.serves("text/plain")
def scrape(response):
    """Tell Prometheus what has been counted, over all workers.

    curl 0.0.0.0:8000/metrics
    """
    response.content_type = metrics.MEDIA
    return metrics.text()
