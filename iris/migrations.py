"""Alembic, for databases that already exist: what `iris db` does.

A revision changes tables and what is stored in them, and nothing else. After the revisions, in the
same transaction, the rules are run again (see iris.schema.rules): those of today at the newest
revision, those that were frozen when the next one began (postgres/migrations/rules) at an older one.
"""

import contextlib
import sys
import time
from argparse import Namespace

from alembic import command, context, op
from alembic.config import Config
from alembic.script import ScriptDirectory
from psycopg2 import errors
from sqlalchemy import create_engine, exc, text
from sqlalchemy.pool import NullPool

from iris import libpq, schema

# The last revision before the first release; from it on, databases are taken along.
BEFORE, FIRST = "0007", "0008"
FROM_BEFORE = schema.MIGRATIONS / f"from_{BEFORE}.sql"
OLDER = {"0001", "0002", "0003", "0004", "0005", "0006"}
# Rules lock tables in another order than some who write just now: one of both is told to try again.
TRIES = 5
# Seconds from one sentence on how far it is to the next.
OFTEN = 1


class Refused(SystemExit):
    """A move that can't be; its words go to stderr, and nothing has changed."""

    def __init__(self, words):
        super().__init__(f"iris: {words}")


def config(**attributes):
    """Return Alembic's configuration; attributes are for env.py."""
    made = Config(cmd_opts=Namespace(quiet=True))
    made.set_main_option("script_location", str(schema.MIGRATIONS))
    made.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    made.attributes.update(attributes)
    return made


def known():
    """Return the names of all revisions that this Iris knows, the oldest first."""
    found = ScriptDirectory.from_config(config()).walk_revisions()
    return [script.revision for script in found][::-1]


def frozen(revision):
    """Return the path of the rules of a revision that is not the newest."""
    return schema.MIGRATIONS / "rules" / f"{revision}.sql"


def literal(statements):
    """Return SQL as it stands as a statement of SQLAlchemy's: neither : nor % mean anything to Python."""
    return text(statements.replace(":", "\\:"))


# For revisions ------------------------------------------------------------------------------------


def run(*paths):
    """Run files of postgres/schema in a revision, for a check or a default that needs their functions.

    paths:    such as "rules/checks.sql".
    """
    # They grant to roles, which the server of an older database may lack.
    for path in ("roles.sql", *paths):
        op.execute(literal(schema.read(schema.FOLDER / path)))


def drop_rules():
    """Drop triggers and functions, for a revision that drops a column or changes a function's signature.

    Those that tables need for defaults and checks stay. Until the rules are run again, after the
    revision, nothing that is written leaves history.
    """
    op.execute(literal(schema.read(schema.MIGRATIONS / "drop_rules.sql")))


def say(sentence):
    """Tell the person at the terminal what a revision is at, unless it only prints its SQL."""
    if not context.is_offline_mode():
        context.config.attributes["say"](sentence)


def renew_digests():
    """Give the events that have positions their digests, in a revision, and say how far it is."""
    if context.is_offline_mode():
        op.execute("SELECT renew_digests()")
        return
    connection, told = op.get_bind(), time.monotonic()
    every = connection.scalar(text("SELECT count(*) FROM places"))
    done, last = None, 0
    while last != done:
        done = last
        last = connection.scalar(text("SELECT renew_digests(:done, 20000)"), {"done": done})
        if time.monotonic() - told > OFTEN:
            say(f"{last:,} of {every:,} events have their digests")
            told = time.monotonic()


# Up and down --------------------------------------------------------------------------------------


class Notices:
    """What the rules say beside their work; no list, for SQLAlchemy empties lists."""

    def __init__(self):
        self.words = []

    def append(self, notice):
        level, _, words = notice.partition(":")
        # Warnings are PostgreSQL's own: of what an owner can't take from PUBLIC who is no superuser.
        if level == "NOTICE":
            self.words.append(words.strip())


def _plan(revision, target, down):
    """Return Alembic's start and target, and the SQL to run before it and after it, or refuse."""
    revisions = known()
    if revision in OLDER:
        raise Refused(
            f"the database is at revision {revision}, from before the first release; only {BEFORE} can be"
            f" taken along: bring it there with the Iris it came from (git checkout e1f8263), then try again"
        )
    if revision not in (BEFORE, *revisions):
        raise Refused(
            f"the database is at revision {revision}, which this Iris does not know: use a newer one"
        )
    target = revisions[-1] if target == "head" else target
    if target not in revisions:
        raise Refused(f"there is no revision {target}; this Iris knows {', '.join(revisions)}")
    before = (
        "SET LOCAL search_path = public;\n"
        # Whoever waits behind an upgrade that waits for a lock gives up after 5 s: it does before them.
        "SET LOCAL lock_timeout = '4s';\n"
        "LOCK TABLE alembic_version IN ACCESS EXCLUSIVE MODE;\n"
        "DO $$ BEGIN\n"
        f"    IF '{revision}' <> ALL (SELECT version_num FROM alembic_version) THEN\n"
        f"        RAISE 'the database is not at revision {revision} any more';\n"
        "    END IF;\n"
        "END $$;\n"
    )
    if revision == BEFORE:
        before += schema.read(FROM_BEFORE)
        revision = FIRST
    if revisions.index(target) * (-1 if down else 1) < revisions.index(revision) * (
        -1 if down else 1
    ):
        raise Refused(
            f"the database is at revision {revision} already:"
            f" `iris db {'upgrade' if down else 'downgrade'} {target}` goes the other way"
        )
    rules = schema.rules() if target == revisions[-1] else frozen(target).read_text()
    after = "\n".join(
        (
            (schema.MIGRATIONS / "before_rules.sql").read_text(),
            rules,
            (schema.MIGRATIONS / "after_rules.sql").read_text(),
        )
    )
    return (
        command.downgrade if down else command.upgrade,
        revision,
        target,
        {"before": before, "after": after},
    )


def _revision(connection):
    """Return the revision of a database, None where it has none; whoever else moves it waits for us."""
    if not connection.scalar(text("SELECT to_regclass('public.alembic_version') IS NOT NULL")):
        return None
    connection.execute(text("SET LOCAL lock_timeout = '60s'"))
    connection.execute(text("LOCK TABLE public.alembic_version IN ACCESS EXCLUSIVE MODE"))
    return connection.scalar(text("SELECT version_num FROM public.alembic_version"))


def move(url, target="head", *, down=False, say=lambda sentence: None):
    """Bring a database to a revision and its rules to those of that revision, in one transaction.

    url:      of the database's owner. An empty database gets everything, as by initdb.sql.
    target:   a revision's name, or "head".
    say:      a function that takes a sentence for the person at the terminal, where it takes long.
    Returns:  sentences on what is gone: triggers and functions that the rules don't have.
    Raises:   Refused; psycopg2.Error. Nothing has changed then.
    """
    notices = Notices()

    def connect():
        connection = libpq.connect(url)
        connection.notices = notices
        return connection

    engine = create_engine("postgresql+psycopg2://", creator=connect, poolclass=NullPool)
    for left in reversed(range(TRIES)):
        notices.words.clear()
        try:
            with engine.begin() as connection:
                revision = _revision(connection)
                if revision is None:
                    connection.execute(literal(schema.everything()))
                else:
                    go, _, target, attributes = _plan(revision, target, down)
                    go(config(connection=connection, say=say, **attributes), target)
            return notices.words
        except exc.DBAPIError as error:
            if not left or not isinstance(error.orig, errors.DeadlockDetected):
                raise error.orig from None
            time.sleep(0.1)
    return None


def write_past(url, say):
    """Write down what tickets were (past_tickets), which readers would do bit by bit.

    url:      of the database's owner.
    say:      a function that takes a sentence for the person at the terminal.
    """
    begun, last = time.monotonic(), None
    with contextlib.closing(libpq.connect(url)) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        while last is None or last > 0:
            cursor.execute("SELECT write_past(5000)")
            (left,) = cursor.fetchone()
            if left is None or left == last:
                return
            if left and time.monotonic() - begun > OFTEN:
                say(f"writing down the past: {left:,} events are left")
                begun = time.monotonic()
            last = left
        cursor.execute("ANALYZE past_tickets")


def script(revision, target="head", *, down=False):
    """Print the SQL that would do it, for the owner's psql.

    revision: the one that the database is at, None for an empty one.
    """
    if revision is None:
        sys.stdout.write(f"BEGIN;\n\n{schema.everything()}\nCOMMIT;\n")
        return
    go, start, target, attributes = _plan(revision, target, down)
    go(config(**attributes), f"{start}:{target}", sql=True)


# A new revision -----------------------------------------------------------------------------------


def begin(name):
    """Begin a revision: freeze the rules of the newest one, write a skeleton, count the number on.

    name:     what it does, such as add_severity.
    Returns:  the paths of what was written.
    """
    newest = known()[-1]
    revision = f"{int(newest) + 1:04}"
    rules, number = frozen(newest), schema.FOLDER / "revision.sql"
    rules.parent.mkdir(exist_ok=True)
    rules.write_text(schema.rules())
    made = command.revision(config(), name, rev_id=revision)
    number.write_text(number.read_text().replace(f"VALUES ('{newest}')", f"VALUES ('{revision}')"))
    return [made.path, rules, number]


if __name__ == "__main__":
    for written in begin(sys.argv[1]):
        print(written)
