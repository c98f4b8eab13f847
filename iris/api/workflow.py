"""Routes: the workflow."""

from iris import workflow
from iris.api import ROUTE, drawn, page, said
from iris.database.statements import ZONE
from iris.formats import charts, graph, terminal, told
from iris.intake import auth, routes, types
from iris.lists.tickets import AS_OF
from iris.web import ways


@ROUTE.get("/workflow")
@routes.gives(workflow.SHAPE)
@routes.takes(as_of=AS_OF, tz=types.Zone())
def read(request, response, as_of=None, tz=ZONE):
    """Show the statuses, in their order, and which may follow which; as_of= shows those of some moment.

    curl 0.0.0.0:8000/workflow
    """
    found = workflow.read(as_of, tz)
    if request.context.format != "html":
        return _shown(request, response, found)
    shown = terminal.read(found)
    told = {"rows": ways.rows(shown), "texts": ways.texts(shown), "size": graph.size(shown)}
    return page(request, response, "workflow.html", workflow=shown, **told)


@ROUTE.get("/workflow.svg")
@routes.serves(charts.MEDIA)
@routes.takes(as_of=AS_OF, tz=types.Zone())
def picture(request, response, as_of=None, tz=ZONE):
    """Draw the workflow: its statuses in their order, ways on to the right, ways back to the left.

    curl -o workflow.svg 0.0.0.0:8000/workflow.svg
    """
    charts.served(response)
    return graph.draw(terminal.read(workflow.read(as_of, tz)))


@ROUTE.put("/workflow")
@ROUTE.post("/workflow")
@routes.gives(workflow.SHAPE)
@routes.refuses("status_in_use")
@routes.takes_form(ways.document)
@routes.takes(**{name: types.Json(of) for name, of in workflow.SHAPE.fields.items()})
def write(request, response, **given):
    """Replace the workflow; a status that tickets are in can't be dropped.

    curl -X PUT -H 'Content-Type: application/json' -d @workflow.json 0.0.0.0:8000/workflow
    """
    found = workflow.write(given, auth.writer(request))
    if request.context.format == "html":
        return said(request, response, found, "", "/workflow")
    return _shown(request, response, found)


def _shown(request, response, document):
    if request.context.format != "text":
        return document
    return drawn(response, told.workflow(document, told.look(request)))
