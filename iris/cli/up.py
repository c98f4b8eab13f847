"""`iris up`: a PostgreSQL of its own, and the service."""

import argparse
import errno
import os
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request

from psycopg2 import errors

from iris import current, embedded, schema, settings
from iris.cli import common, db, serve

EXAMPLES = """
  iris up                                    # data in .iris/ of this folder, on 127.0.0.1:8000
  IRIS_BIND=127.0.0.1:8080 IRIS_DATA=/srv/iris iris up
  iris up --auth token                       # whoever comes in needs a token; prints an admin's first one

Again, it brings the data back, and upgrades them first if need be. Settings are in the environment;
.env.example has all of them, with their meaning: IRIS_BIND, IRIS_DATA, IRIS_WORKERS, IRIS_AUTH …
"""

TOKEN = "-H 'Authorization: Bearer iris_…' "
FIRST = (
    """curl %s-X PUT -H "Content-Type: application/json" -d '{"title": "A new ticket","""
    """ "assignee": "jchittum", "description": "Get this done ASAP"}' %s/tickets"""
)
# Seconds for the address to become free; and for a service to end that has not served anybody yet.
FREE_SECONDS, UNSERVED_SECONDS = 3, 2


class Stopped(Exception):
    """Somebody wants an end."""


def _stop(number, frame):
    raise Stopped


def declare(parser):
    """Say which arguments there are."""
    parser.add_argument(
        "--auth",
        choices=("none", "token"),
        help="as IRIS_AUTH; with token, the first start prints a token for an admin",
    )


def run(arguments):
    """Start a PostgreSQL of its own and serve; Ctrl-C stops both."""
    if arguments.auth:
        os.environ["IRIS_AUTH"] = arguments.auth
    settings.check()
    host, port = settings.get("IRIS_BIND")
    embedded.binaries()
    # Trackers can move to another server only if that can follow this one's log.
    options = {"wal_level": "logical"} if settings.get("IRIS_TRACKERS") else None
    server = embedded.Server(settings.get("IRIS_DATA"), common.say, options)
    server.lock()
    _refuse_taken(host, port)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    service, serves = None, False
    try:
        _start(server)
        if current.MANY:
            # Whatever became of it while it was stopped.
            db.run(argparse.Namespace(action="upgrade", revision="head", sql=False))
        elif settings.get("IRIS_AUTH") == "token":
            common.tokens(server.url(), make=bool(arguments.auth))
        service = _serve(server)
        serves = _greet(host, port, service)
        while service.poll() is None:
            time.sleep(0.2)
            if server.pid() is None:
                if not server.has_data():
                    common.say(
                        f"PostgreSQL has stopped, and {server.data} is gone: nothing is left to serve"
                    )
                    return 1
                common.say("PostgreSQL has stopped: starting it again")
                time.sleep(1)
                try:
                    server.start()
                except embedded.Failed as error:
                    common.say(str(error))
        common.say("the service has ended by itself")
        return service.returncode or 1
    except Stopped:
        common.say("stopping")
        return 0
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        if service is not None and service.poll() is None:
            _end(service, serves)
        server.stop()
        common.say(f"stopped; the data stay in {server.folder}")


def _refuse_taken(host, port):
    """Refuse an address that is another's; workers whose master was killed let go of it in a moment."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    deadline = time.monotonic() + FREE_SECONDS
    while True:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
                return
            except OSError as error:
                if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                    reason = error.strerror.lower()
                    if error.errno == errno.EADDRINUSE:
                        reason += (
                            "; stop what listens there, or choose another, IRIS_BIND=HOST:PORT"
                        )
                    raise settings.Wrong("IRIS_BIND", f"can't be {host}:{port}: {reason}") from None
        time.sleep(0.1)


def _serve(server):
    """Start the service, a process that goes when this one goes, however that is.

    It has the one end of a pipe whose other end nobody else has.
    """
    theirs, _ours = os.pipe()
    service = subprocess.Popen(
        serve.gunicorn(),
        env={
            **os.environ,
            # Trackers on other servers, too, are where the map says.
            "DATABASE_URL": "" if settings.get("IRIS_SERVERS") else server.url("iris_service"),
            "DATABASE_URL_FILE": "",
            settings.WHILE_OPEN: str(theirs),
        },
        pass_fds=[theirs],
        start_new_session=True,
    )
    os.close(theirs)
    return service


def _end(service, serves):
    """Stop the service: requests are finished, unless it has not begun to serve any."""
    service.terminate()
    try:
        service.wait(None if serves else UNSERVED_SECONDS)
    except subprocess.TimeoutExpired:
        # It has a session of its own.
        os.killpg(service.pid, signal.SIGKILL)
        service.wait()


def _start(server):
    """Start the database, new or brought up to date: its tables if need be, its rules in any case."""
    server.start()
    if server.seed():
        return
    from iris import migrations  # noqa: PLC0415 (Alembic takes its time)

    revision = common.revision_of(server.url())
    if revision != schema.REVISION:
        common.say(f"upgrading the database from revision {revision} to {schema.REVISION}")
    try:
        for words in migrations.move(server.url("postgres"), say=common.say):
            common.say(words)
        migrations.write_past(server.url("postgres"), common.say)
    except errors.LockNotAvailable:
        if revision != schema.REVISION:
            raise
        # Of a PostgreSQL that was left running; tickets are more urgent.
        common.say(
            "somebody's transaction is open, so the rules were not run again;"
            " `iris db upgrade` does it later"
        )


def _greet(host, port, service):
    """Wait until the service answers, then say what to type; return whether it did."""
    address, unknown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}", None
    shown = f"0.0.0.0:{port}" if host == "127.0.0.1" else address
    scheme = "https" if settings.get("IRIS_TLS_CERT") else "http"
    if scheme == "https":
        shown = f"https://{address}"
        # It is our own, by whatever name it has been certified.
        unknown = ssl.create_default_context()
        unknown.check_hostname, unknown.verify_mode = False, ssl.CERT_NONE
    token = TOKEN if settings.get("IRIS_AUTH") == "token" else ""
    while service.poll() is None:
        try:
            asked = f"{scheme}://{address}/health"
            urllib.request.urlopen(asked, timeout=5, context=unknown).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
            continue
        common.show(
            f"\nIris is ready on {scheme}://{address} (Ctrl-C stops it). File a ticket:\n\n"
            f"    {FIRST % (token, shown)}\n"
        )
        return True
    return False
