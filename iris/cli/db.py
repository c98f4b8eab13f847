"""`iris db`: the schema of a database that already exists."""

import contextlib

import psycopg2
from psycopg2 import errors

from iris import current, libpq, location, schema, settings
from iris.cli import common

EXAMPLES = """
  iris db check
  iris db upgrade                            # also mends rules that somebody has changed
  iris db downgrade 0008
  iris db upgrade --sql | psql …             # where only the owner's psql gets there
"""


def declare(parser):
    """Say which arguments there are."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("check", help="say whether the schema is the one this Iris needs")
    for action, revision, text in (
        ("upgrade", "head", "bring the schema up to date; run its rules again"),
        ("downgrade", None, "take the schema back to an older revision"),
    ):
        made = actions.add_parser(action, help=text, description=text)
        made.add_argument("revision", nargs="?" if revision else None, default=revision)
        made.add_argument(
            "--sql", action="store_true", help="print the SQL instead, for the owner's psql"
        )


def _walls():
    from iris.doctor import inside  # noqa: PLC0415 (it takes its time)

    with contextlib.closing(libpq.connect(location.dsn())) as connection:
        return inside.walls(connection.cursor())


def run(arguments):
    """Look after the schema of a database that already exists; of all trackers, where there are many."""
    if not current.MANY:
        return _run(arguments)
    if arguments.action == "downgrade" or getattr(arguments, "sql", False):
        raise settings.Wrong("IRIS_TRACKER", "is not set: this is for one tracker at a time")
    from iris.trackers import maps, servers  # noqa: PLC0415 (only where there are many)

    if arguments.action == "upgrade":
        # Those that are made from now on are made of it.
        for server in servers.known():
            server.prepare()
    worst = 0
    for name in maps.here().read():
        current.TRACKER.set(name)
        common.say(f"{name}:")
        try:
            worst = max(worst, _run(arguments))
        except (SystemExit, psycopg2.Error) as error:
            # The others need not wait for it.
            common.say(str(error).removeprefix("iris: ").strip())
            worst = 1
    return worst


def _run(arguments):
    revision = common.revision_of(location.dsn())
    if arguments.action == "check":
        common.show(f"revision {revision}; this Iris needs {schema.REVISION}")
        open_walls = _walls() if revision == schema.REVISION else []
        for sentence, todo in open_walls:
            common.show(f"{sentence}: {todo}")
        return 0 if revision == schema.REVISION and not open_walls else 1
    from iris import migrations  # noqa: PLC0415 (Alembic takes its time)

    down = arguments.action == "downgrade"
    if arguments.sql:
        migrations.script(revision, arguments.revision, down=down)
        return 0
    try:
        said = migrations.move(
            location.dsn(owner=True), arguments.revision, down=down, say=common.say
        )
    except errors.LockNotAvailable:
        raise migrations.Refused(
            "somebody holds a table that the upgrade needs, so nothing was changed: try again, or see who it"
            " is (docs/running.md)"
        ) from None
    for words in said:
        common.say(words)
    now = common.revision_of(location.dsn())
    if now == schema.REVISION:
        migrations.write_past(location.dsn(owner=True), common.say)
    if now == revision:
        common.say(f"the database is at revision {now} as before; its rules have been run again")
    else:
        common.say(f"the database was at revision {revision}, now it is at {now}")
    return 0
