"""The `iris` command."""

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import psycopg2

from iris import __version__, embedded, foreign, schema, settings, transfer

CONFIG = Path(__file__).parent / "gunicorn.conf.py"
FIRST = (
    """curl -X PUT -H "Content-Type: application/json" -d '{"title": "A new ticket","""
    """ "assignee": "jchittum", "description": "Get this done ASAP"}' %s/tickets"""
)


def say(sentence):
    """Tell the person at the terminal what is going on."""
    print(f"iris: {sentence}", file=sys.stderr, flush=True)


def gunicorn():
    """Return the command that serves."""
    return [sys.executable, "-m", "gunicorn", "-c", str(CONFIG), "iris.app:app"]


def where(owner=False):
    """Return the URL of the database in use: the server that settings name, else the embedded one.

    owner:    as its owner, not as iris.
    """
    if owner and settings.get("IRIS_OWNER_URL"):
        return settings.get("IRIS_OWNER_URL")
    if settings.names_a_server():
        if owner:
            raise settings.Wrong(
                "IRIS_OWNER_URL", "is not set: the libpq URL of the database's owner"
            )
        return settings.dsn()
    server = embedded.Server(settings.get("IRIS_DATA"))
    if not server.is_ready():
        raise embedded.Failed(
            f"no database runs in {server.folder}: start it with `make up`, or set IRIS_DB_HOST"
        )
    return server.url("postgres" if owner else "iris")


def revision_of(url):
    """Return the revision of a database, or None where it has none.

    url:      a libpq connection string; any role that may read will do.
    Raises:   psycopg2.Error.
    """
    connection = psycopg2.connect(url, connect_timeout=5)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass('public.alembic_version') IS NOT NULL")
            if not cursor.fetchone()[0]:
                return None
            cursor.execute("SELECT version_num FROM public.alembic_version")
            return cursor.fetchone()[0]
    finally:
        connection.close()


# iris up ------------------------------------------------------------------------------------------


class Stopped(Exception):
    """Somebody wants an end."""


def _stop(number, frame):
    raise Stopped


def up(arguments):
    """Start a PostgreSQL of its own and serve; Ctrl-C stops both."""
    settings.check()
    host, port = settings.get("IRIS_BIND")
    server = embedded.Server(settings.get("IRIS_DATA"), say)
    server.lock()
    _refuse_taken(host, port)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    service = None
    try:
        _start(server)
        service = subprocess.Popen(
            gunicorn(),
            env={**os.environ, "DATABASE_URL": server.url(), "DATABASE_URL_FILE": ""},
            start_new_session=True,
        )
        _greet(host, port, service)
        while service.poll() is None:
            time.sleep(0.2)
            if server.pid() is None:
                say("PostgreSQL has stopped: starting it again")
                time.sleep(1)
                try:
                    server.start()
                except embedded.Failed as error:
                    say(str(error))
        say("the service has ended by itself")
        return service.returncode or 1
    except Stopped:
        say("stopping")
        return 0
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        if service is not None and service.poll() is None:
            service.terminate()
            service.wait()
        server.stop()
        say(f"stopped; the data stay in {server.folder}")


def _refuse_taken(host, port):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            reason = error.strerror.lower()
            raise settings.Wrong("IRIS_BIND", f"can't be {host}:{port}: {reason}") from None


def _start(server):
    """Start the database, new or brought up to date: its tables if need be, its rules in any case."""
    server.start()
    if server.seed():
        return
    from iris import migrations  # noqa: PLC0415 (Alembic takes its time)

    revision = revision_of(server.url())
    if revision != schema.REVISION:
        say(f"upgrading the database from revision {revision} to {schema.REVISION}")
    for words in migrations.move(server.url("postgres")):
        say(words)


def _greet(host, port, service):
    """Wait until the service answers, then say what to type."""
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    while service.poll() is None:
        try:
            urllib.request.urlopen(f"http://{address}/health", timeout=5).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
            continue
        shown = f"0.0.0.0:{port}" if host == "127.0.0.1" else address
        print(
            f"\nIris is ready on http://{address} (Ctrl-C stops it). File a ticket:\n\n"
            f"    {FIRST % shown}\n",
            flush=True,
        )
        return


# The other commands -------------------------------------------------------------------------------


def serve(arguments):
    """Serve, on a database that is there."""
    settings.check()
    if not settings.names_a_server():
        os.environ["DATABASE_URL"] = where()
    settings.dsn()
    os.execv(sys.executable, gunicorn())


def psql(arguments):
    """Open psql on the database in use."""
    url = where(arguments.owner)
    program = shutil.which("psql")
    if not settings.names_a_server() or program is None:
        program = str(embedded.binaries() / "psql")
    os.execve(program, [program, url, *arguments.arguments], {**os.environ, "PGAPPNAME": "psql"})


def db(arguments):
    """Look after the schema of a database that already exists."""
    revision = revision_of(where())
    if arguments.action == "check":
        print(f"revision {revision}; this Iris needs {schema.REVISION}")
        return 0 if revision == schema.REVISION else 1
    from iris import migrations  # noqa: PLC0415 (Alembic takes its time)

    down = arguments.action == "downgrade"
    if arguments.sql:
        migrations.script(revision, arguments.revision, down=down)
        return 0
    for words in migrations.move(where(owner=True), arguments.revision, down=down):
        say(words)
    now = revision_of(where())
    if now == revision:
        say(f"the database is at revision {now} as before; its rules have been run again")
    else:
        say(f"the database was at revision {revision}, now it is at {now}")
    return 0


def export(arguments):
    """Write everything to stdout, a JSON document a line."""
    try:
        transfer.export(where(), sys.stdout.buffer, say)
    except BrokenPipeError:
        # Python would complain once more while it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        raise transfer.Refused(f"the export can't be written: {error.strerror}") from None
    return 0


def import_(arguments):
    """Read an export into an empty Iris; or tickets of other trackers into any."""
    if arguments.kind:
        foreign.take(where(owner=True), arguments.file, arguments.kind, say, arguments.skip_bad)
    elif arguments.skip_bad:
        raise settings.Wrong("--skip-bad", "goes with --from only: an export is taken whole")
    else:
        transfer.restore(where(owner=True), arguments.file, say)
    return 0


def parser():
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(
        prog="iris", description="A ticket tracker: HTTP and SQL, one set of rules."
    )
    top.add_argument("--version", action="version", version=f"iris {__version__}")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name, function, **more):
        made = commands.add_parser(
            name, help=function.__doc__, description=function.__doc__, **more
        )
        made.set_defaults(function=function)
        return made

    command("up", up)
    command("serve", serve)
    shell = command("psql", psql, usage="iris psql [--owner] [ARGUMENT …]")
    shell.add_argument("--owner", action="store_true", help="as the database's owner, not as iris")
    shell.add_argument(
        "arguments", nargs=argparse.REMAINDER, help="go to psql: -At -c 'TABLE statuses'"
    )
    command("export", export)
    reading = command("import", import_)
    reading.add_argument(
        "--from", dest="kind", choices=tuple(foreign.KINDS), help="not an export, but another's"
    )
    reading.add_argument(
        "--skip-bad", action="store_true", help="leave bad rows in FILE.bad and import the others"
    )
    reading.add_argument("file", metavar="FILE", help="- is stdin")
    actions = command("db", db).add_subparsers(dest="action", required=True, metavar="ACTION")
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
    return top


def main():
    """Run the command that was typed."""
    arguments, rest = parser().parse_known_args()
    if rest:
        if arguments.function is not psql:
            parser().error(f"unrecognized arguments: {' '.join(rest)}")
        arguments.arguments = rest + arguments.arguments
    try:
        sys.exit(arguments.function(arguments))
    except psycopg2.Error as error:
        sys.exit(f"iris: the database said: {str(error).strip()}")


if __name__ == "__main__":
    main()
