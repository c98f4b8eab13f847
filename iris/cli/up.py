"""`iris up`: a PostgreSQL of its own, and the service."""

import errno
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

from psycopg2 import errors

from iris import embedded, schema, settings
from iris.cli import common, serve

FIRST = (
    """curl -X PUT -H "Content-Type: application/json" -d '{"title": "A new ticket","""
    """ "assignee": "jchittum", "description": "Get this done ASAP"}' %s/tickets"""
)
# Seconds for the address to become free.
FREE_SECONDS = 3


class Stopped(Exception):
    """Somebody wants an end."""


def _stop(number, frame):
    raise Stopped


def run(arguments):
    """Start a PostgreSQL of its own and serve; Ctrl-C stops both."""
    settings.check()
    host, port = settings.get("IRIS_BIND")
    embedded.binaries()
    server = embedded.Server(settings.get("IRIS_DATA"), common.say)
    server.lock()
    _refuse_taken(host, port)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    service = None
    try:
        _start(server)
        service = subprocess.Popen(
            serve.gunicorn(),
            env={**os.environ, "DATABASE_URL": server.url("iris_service"), "DATABASE_URL_FILE": ""},
            start_new_session=True,
        )
        _greet(host, port, service)
        while service.poll() is None:
            time.sleep(0.2)
            if server.pid() is None:
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
            service.terminate()
            service.wait()
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
                    raise settings.Wrong("IRIS_BIND", f"can't be {host}:{port}: {reason}") from None
        time.sleep(0.1)


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
        for words in migrations.move(server.url("postgres")):
            common.say(words)
    except errors.LockNotAvailable:
        if revision != schema.REVISION:
            raise
        # Of a PostgreSQL that was left running; tickets are more urgent.
        common.say(
            "somebody's transaction is open, so the rules were not run again;"
            " `iris db upgrade` does it later"
        )


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
