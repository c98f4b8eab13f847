"""How gunicorn serves Iris. Read by gunicorn, as Python; `iris serve` names it."""

import logging

from iris import settings

settings.check()
logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")

_host, _port = settings.get("IRIS_BIND")
bind = f"[{_host}]:{_port}" if ":" in _host else f"{_host}:{_port}"
workers = settings.get("IRIS_WORKERS")
worker_class = "gevent"
worker_connections = 2000
proc_name = "iris"

# A worker whose loop hangs this long is replaced; one that is told to stop may finish for so long.
timeout = 60
graceful_timeout = 10
# An idle connection holds up the end of a worker for as long.
keepalive = 2
limit_request_line = 8190

accesslog = "-"
access_log_format = '%(h)s %(u)s "%(r)s" %(s)s %(B)s %(M)sms %({x-request-id}o)s'

# No header of a client's may move the paths that are served.
forwarder_headers = ""
control_socket_disable = True


def post_fork(server, worker):
    """Let psycopg2 wait without holding up the worker's other requests."""
    from psycogreen.gevent import patch_psycopg  # noqa: PLC0415 (not in the master)

    patch_psycopg()


def post_worker_init(worker):
    """Let streams know when the worker is told to stop, so that they can say goodbye."""
    from iris import feed  # noqa: PLC0415 (not in the master)

    feed.FEED.is_alive = lambda: worker.alive
