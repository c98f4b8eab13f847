"""How gunicorn serves Iris. Read by gunicorn, as Python; `iris serve` names it."""

import gc
import logging
import os
import resource
import signal
import sys
import threading
import time

from gunicorn import glogging

# Meters and counters are made here, before there are workers, so that all of them count in the same ones.
from iris import beside, bounds, counters, meters, settings  # noqa: F401
from iris.intake import client

settings.check()
logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")

_host, _port = settings.get("IRIS_BIND")
bind = f"[{_host}]:{_port}" if ":" in _host else f"{_host}:{_port}"
workers = settings.get("IRIS_WORKERS")
worker_class = "iris.worker.Worker"
# A connection is an open file, and shells and systemd allow a process 1,024 of them unless it asks for
# more; who comes beyond that would wait, and so would those who come next. Beside them are open: the
# database's connections, logs and so on.
BESIDE = 200
_soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
_most = 2000 + BESIDE if _hard == resource.RLIM_INFINITY else min(2000 + BESIDE, _hard)
if _soft != resource.RLIM_INFINITY and _soft < _most:
    resource.setrlimit(resource.RLIMIT_NOFILE, (_most, _hard))
worker_connections = max(_most - BESIDE, 1)
proc_name = "iris"

# A worker whose loop hangs this long is replaced; one that is told to stop may finish for so long.
timeout = 60
graceful_timeout = 10
# Longer than the minute for which proxies and load balancers keep connections that they may send the next
# request on: they must be the first to close them.
keepalive = 75
limit_request_line = bounds.ADDRESS

accesslog = "-"


class logger_class(glogging.Logger):
    """gunicorn's, but for the access log: gathering all that a format may name took a tenth of a request."""

    # The last second that was written, and how.
    second, shown = 0, ""

    def access(self, resp, req, environ, request_time):
        """Write when who asked for what as whom, the status, bytes, milliseconds, and the request's id."""
        now = time.time()
        if int(now) != self.second:
            self.second, self.shown = int(now), time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
        who, uri = (
            f"{client.address(environ)} {client.actor(environ)}",
            environ["RAW_URI"].replace('"', '\\"'),
        )
        request = f"{environ['REQUEST_METHOD']} {uri} {environ['SERVER_PROTOCOL']}"
        number = next((value for name, value in resp.headers if name == "x-request-id"), "-")
        status, took = resp.status.partition(" ")[0], int(request_time.total_seconds() * 1000)
        when = f"{self.shown}.{int(now * 1000) % 1000:03}Z"
        line = f'{when} {who} "{request}" {status} {resp.sent} {took}ms {number}\n'
        try:
            sys.stdout.write(line)
            sys.stdout.flush()
        except (OSError, ValueError):
            # Whoever read this has gone; that is no reason not to serve.
            pass


if settings.get("IRIS_TLS_CERT"):
    certfile, keyfile = str(settings.get("IRIS_TLS_CERT")), str(settings.get("IRIS_TLS_KEY"))


def ssl_context(config, make):
    """Speak TLS 1.2 or newer, to who greets in time."""
    from iris import worker  # noqa: PLC0415 (not in the master)

    return worker.patient(make())


# By which scheme somebody came, proxies say that are to be believed, and nobody else; by one header,
# for two may differ.
forwarded_allow_ips = ",".join(map(str, client.PROXIES))
secure_scheme_headers = {"X-FORWARDED-PROTO": "https"}
# No header of a client's may move the paths that are served.
forwarder_headers = ""
control_socket_disable = True


def on_starting(server):
    """End when `iris up` has ended, even by kill -9: it alone has the other end of a pipe."""
    pipe = os.environ.pop(settings.WHILE_OPEN, None)
    if pipe:
        threading.Thread(target=_end_with, args=(int(pipe),), daemon=True).start()


def _end_with(pipe):
    os.read(pipe, 1)
    os.kill(os.getpid(), signal.SIGTERM)


def when_ready(server):
    """Have hooks told beside it."""
    beside.DELIVERER.start()


def on_exit(server):
    """End what runs beside it."""
    beside.DELIVERER.stop()


def pre_fork(server, worker):
    """Give a worker its place among the counters."""
    counters.give(worker)


def child_exit(server, worker):
    """Keep what a worker has counted, however it ended."""
    counters.take_back(worker)


def post_fork(server, worker):
    """Let psycopg2 wait without holding up the worker's other requests."""
    # Until it hears signals itself, it has the master's ears, which here belong to nobody: what it is told
    # while it loads would be lost.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, lambda *_: os._exit(0))
    from psycogreen.gevent import patch_psycopg  # noqa: PLC0415 (not in the master)

    patch_psycopg()
    counters.take(worker)


def post_worker_init(worker):
    """Make a worker ready that has loaded everything."""
    import gevent  # noqa: PLC0415 (not in the master)

    from iris import feed  # noqa: PLC0415
    from iris.database import silence  # noqa: PLC0415

    gevent.spawn(silence.watch)

    # What is here stays: the garbage collector need not look at it again and again, nor after every few
    # requests, which leave next to nothing to collect.
    gc.freeze()
    gc.set_threshold(10_000)
    # gunicorn looks its settings up through two calls each, some twenty times a request. They stay now.
    vars(worker.cfg).update({name: known.get() for name, known in worker.cfg.settings.items()})
    # So that streams can say goodbye when the worker is told to stop.
    feed.Feed.is_alive = staticmethod(lambda: worker.alive)
