"""The statement behind /db-check."""

import json
import time

from sqlalchemy import column, func, select, table

from iris import models
from iris.database import engine, refusals
from iris.described import shapes

VERSIONS = table("alembic_version", column("version_num"))
PLACES = models.Place.__table__


def waiting(most):
    """Return when events were that have no position yet, as a SELECT.

    most:     how many are enough: if nobody ever reads the feed, all events wait.
    """
    at = column("at", models.StoredEvent.__table__.c.at.type)
    return select(func.waiting_events(most).table_valued(at, name="waiting").c.at).limit(most)


WAITING = waiting(1000).subquery()
CHECK = select(
    select(VERSIONS.c.version_num).scalar_subquery(),
    func.current_setting("server_version"),
    func.pg_is_in_recovery(),
    select(func.coalesce(func.max(PLACES.c.position), 0)).scalar_subquery(),
    select(func.encode(PLACES.c.digest, "hex"))
    .order_by(PLACES.c.position.desc())
    .limit(1)
    .scalar_subquery(),
    select(func.count()).select_from(WAITING).scalar_subquery(),
    func.coalesce(
        func.extract("epoch", func.now() - select(func.min(WAITING.c.at)).scalar_subquery()), 0
    ),
)

SHAPE = shapes.Record(
    "DatabaseCheck",
    {
        "database": shapes.Told("ok, or the answer is a 503", {"const": "ok"}),
        "server": shapes.Told("PostgreSQL's version", shapes.TEXT),
        "read_only": shapes.Told("Whether it is a standby, which takes no writes", shapes.FLAG),
        "revision": shapes.Told("Of its schema", shapes.TEXT),
        "feed": shapes.Told(
            "How far the feed has got",
            shapes.Record(
                "FeedCheck",
                {
                    "position": shapes.Told("The last one that the feed has given", shapes.NUMBER),
                    "digest": shapes.Told(
                        "Of the event there, and so of all before it: what to note elsewhere",
                        shapes.Maybe(shapes.TEXT),
                    ),
                    "waiting": shapes.Told(
                        "How many events have no position yet, counted up to 1,000", shapes.NUMBER
                    ),
                    "seconds": shapes.Told(
                        "For how long the oldest of them has waited", {"type": "number"}
                    ),
                },
            ),
        ),
        "milliseconds": shapes.Told("How long the database took", {"type": "number"}),
    },
)


def read():
    """Ask the database how it is.

    Returns:  a JSON object, as text.
    Raises:   Problem 503 when its schema is another than this Iris needs.
    Source:   one SELECT.
    """
    start = time.perf_counter()
    with engine.POOL.session() as session:
        revision, server, standby, position, digest, waiting, seconds = session.execute(CHECK).one()
    if problem := refusals.misfit(revision):
        raise problem
    answer = {
        "database": "ok",
        "server": f"PostgreSQL {server}",
        "read_only": standby,
        "revision": revision,
        # Events that nobody has read yet have no position.
        "feed": {
            "position": position,
            # Noted elsewhere, it shows for ever whether what happened until then is as it was.
            "digest": digest,
            "waiting": waiting,
            "seconds": round(float(seconds), 1),
        },
        "milliseconds": round((time.perf_counter() - start) * 1000, 1),
    }
    return json.dumps(answer)
