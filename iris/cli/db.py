"""`iris db`: the schema of a database that already exists."""

import contextlib

from psycopg2 import errors

from iris import libpq, location, schema
from iris.cli import common


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
    """Look after the schema of a database that already exists."""
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
