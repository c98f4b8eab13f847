"""Routes: what changed."""

from iris import changes, surroundings
from iris.api import ROUTE, listed, lists
from iris.database.statements import ZONE
from iris.intake import routes


@ROUTE.get("/changes")
@lists(changes)
@routes.page_has(since="monday")
@routes.takes(**changes.PARAMETERS)
def index(request, response, since, **given):
    """List the tickets that differ between since= and until= (now), and in what; as text, to read out.

    curl '0.0.0.0:8000/changes?since=monday&format=text'
    """
    ends = changes.moments(since, given.get("until"), given.get("tz", ZONE))
    given |= dict(zip(("since", "until"), ends, strict=True))
    if request.context.format == "text":
        # As it happened.
        given.setdefault("sort", "last")
    ends = {name: given[name] for name in ("since", "until")}
    data = {}
    if request.context.format == "html":
        data = {"around": surroundings.read(), "ends": tuple(ends.values())}
    return listed(changes, given, request, response, onwards=ends, data=data)
