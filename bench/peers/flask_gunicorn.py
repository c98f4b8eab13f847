"""How gunicorn serves the Flask peer."""

worker_class = "gevent"


def post_fork(server, worker):
    """Let psycopg2 wait without holding up the worker's other requests."""
    from psycogreen.gevent import patch_psycopg  # noqa: PLC0415 (not in the master)

    patch_psycopg()
