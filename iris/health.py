"""The statement behind /db-check."""

import json
import time

from sqlalchemy import column, func, select, table

from iris import database, errors

# The revision of the schema that this code is written for; tests hold it to the migrations.
REVISION = "0001"

VERSIONS = table("alembic_version", column("version_num"))
CHECK = database.compiled(
    select(
        select(VERSIONS.c.version_num).scalar_subquery(),
        func.current_setting("server_version"),
        func.pg_is_in_recovery(),
    )
)


def read():
    """Ask the database how it is.

    Returns:  a JSON object, as text.
    Raises:   Problem 503 when its schema is another than this Iris needs.
    Source:   one SELECT.
    """
    start = time.perf_counter()
    revision, server, standby = database.run(CHECK, {})
    if revision != REVISION:
        raise errors.Problem(
            503,
            "database_not_ready",
            f"the database's schema is at revision {revision}, this Iris needs {REVISION}",
            headers={"Retry-After": "10"},
            hint="Run `iris db upgrade`.",
        )
    answer = {
        "database": "ok",
        "server": f"PostgreSQL {server}",
        "read_only": standby,
        "revision": revision,
        "milliseconds": round((time.perf_counter() - start) * 1000, 1),
    }
    return json.dumps(answer)
