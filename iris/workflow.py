"""The statements behind the workflow; PostgreSQL's functions do it all, for psql, too."""

import json

from sqlalchemy import Text, bindparam, cast, func, select

from iris import derived, models
from iris.database import engine, statements, writing
from iris.described import shapes

READ = select(cast(func.workflow(), Text))
READ_THEN = select(cast(func.workflow_as_of(derived.AS_OF), Text))
WRITE = statements.compiled(
    select(cast(func.set_workflow(bindparam("document")), Text).label("body"))
)

SHAPE = shapes.Record(
    "Workflow",
    {
        "statuses": shapes.Told(
            "The statuses in their order; tickets start in the first",
            shapes.Many(
                shapes.Record(
                    "WorkflowStatus",
                    {
                        "status": shapes.Value(models.Status.__table__.c.status),
                        "is_open": shapes.Told("Whether tickets in it are open", shapes.FLAG),
                    },
                ),
                least=1,
            ),
        ),
        "transitions": shapes.Told(
            "Where tickets may go: {from: [to]}", shapes.Map(shapes.Many(shapes.TEXT))
        ),
    },
)


def read(as_of=None, zone=statements.ZONE):
    """Return the workflow as JSON text.

    as_of:    the moment to read it at, or None for now.
    zone:     the time zone of that, where it names none.
    """
    with engine.POOL.session() as session:
        if as_of is None:
            return session.scalar(READ)
        return session.scalar(READ_THEN, {"as_of": as_of, "zone": zone})


def write(document, writer):
    """Replace the workflow.

    document: a dictionary like read() gives.
    Returns:  the workflow as JSON text.
    Raises:   psycopg2.Error where a rule refuses it.
    Source:   one SELECT of set_workflow().
    """
    return writing.write(WRITE, {"document": json.dumps(document)}, writer)[0]
