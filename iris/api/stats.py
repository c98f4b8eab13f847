"""Routes: statistics, and pictures of them."""

import json

from iris import formats, stats, surroundings
from iris.api import ROUTE, drawn, look, page
from iris.database.statements import ZONE
from iris.formats import bars, charts
from iris.intake import auth, routes, types
from iris.intake.negotiation import LOOK


@ROUTE.get("/stats")
@routes.gives(stats.SHAPE)
@routes.takes(**stats.PARAMETERS, **LOOK)
def index(request, response, **given):
    """Count tickets, what was filed and closed week by week, and how long it took; as text with bars.

    curl '0.0.0.0:8000/stats?label=hardware&format=text'
    """
    formats.of(request.context.format, given)
    found = stats.read(auth.with_names(given, request))
    if request.context.format == "text":
        return drawn(response, bars.page(json.loads(found), look(given)))
    if request.context.format != "html":
        return found
    around = surroundings.read(given.get("as_of"), given.get("tz", ZONE))
    told = {"stats": json.loads(found), "around": around, "charts": charts.TITLES}
    return page(request, response, "stats.html", **told)


@ROUTE.get("/stats.svg")
@routes.serves(charts.MEDIA)
@routes.takes(
    chart=types.about("What to draw; flow, unless given", types.OneOf(charts.CHARTS)),
    **stats.PARAMETERS,
)
def picture(request, response, chart="flow", **given):
    """Draw a picture: flow, age, cycle or throughput.

    curl -o flow.svg '0.0.0.0:8000/stats.svg?chart=flow'
    """
    given = auth.with_names(given, request)
    read = stats.spread if chart in charts.SPREAD else stats.read
    charts.served(response)
    return charts.draw(chart, json.loads(read(given)))
