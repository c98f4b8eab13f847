"""`iris db`: the schema of a database that already exists."""

import sqlalchemy

from iris import database, location, schema
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


# What a restore loses, or an owner may have granted: a query that finds it, and what to say.
WALLS = {
    "SELECT has_database_privilege('iris', current_database(), 'TEMPORARY')": "the role iris may make"
    " temporary objects, which nobody but the owner should: `iris db upgrade` takes that back",
    "SELECT has_schema_privilege('iris', 'public', 'CREATE')": "the role iris may make objects beside"
    " the tables: `iris db upgrade` takes that back",
    "SELECT bool_or(rolsuper) FROM pg_roles WHERE rolname IN ('iris', 'iris_service')": "the role iris"
    " or iris_service is a superuser, for whom there are no rules: ALTER ROLE … NOSUPERUSER",
}


def walls():
    """Return a sentence for each thing that lets the role iris get round the rules."""
    with database.SESSION() as session:
        return [
            sentence for query, sentence in WALLS.items() if session.scalar(sqlalchemy.text(query))
        ]


def run(arguments):
    """Look after the schema of a database that already exists."""
    revision = common.revision_of(location.dsn())
    if arguments.action == "check":
        common.show(f"revision {revision}; this Iris needs {schema.REVISION}")
        open_walls = walls() if revision == schema.REVISION else []
        for sentence in open_walls:
            common.show(sentence)
        return 0 if revision == schema.REVISION and not open_walls else 1
    from iris import migrations  # noqa: PLC0415 (Alembic takes its time)

    down = arguments.action == "downgrade"
    if arguments.sql:
        migrations.script(revision, arguments.revision, down=down)
        return 0
    for words in migrations.move(location.dsn(owner=True), arguments.revision, down=down):
        common.say(words)
    now = common.revision_of(location.dsn())
    if now == revision:
        common.say(f"the database is at revision {now} as before; its rules have been run again")
    else:
        common.say(f"the database was at revision {revision}, now it is at {now}")
    return 0
