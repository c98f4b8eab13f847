"""`iris deliver`: tells hooks of what happens, without serving anybody."""

import contextlib
import logging
import os
import signal
import sys
import threading
import time

from iris import current, libpq, location, settings
from iris.cli import common

EXAMPLES = """
  iris deliver                               # beside iris up, or where IRIS_DELIVER=false leaves it to this
"""

# Seconds between two looks whether there is any hook: until then, this small program is all that runs.
LOOK = 1
# Seconds that it has to end when whoever started it is gone.
LAST = 15
ANY = """
    SELECT EXISTS (SELECT FROM hooks WHERE state = 'active')
        OR EXISTS (SELECT FROM people WHERE state = 'active' AND digest <> 'none')
"""


def run(arguments):
    """Tell hooks of what happens, as iris up and iris serve do; any number may run at once."""
    settings.check()
    # Of a tracker of many the map says where it is, at any time.
    where = None if current.MANY else location.dsn()
    if not settings.names_a_server() and not settings.get("IRIS_TRACKERS"):
        os.environ["DATABASE_URL"] = where
    # Whoever started this alone has the other end of a pipe.
    pipe = os.environ.pop(settings.WHILE_OPEN, None)
    # And a service that it runs beside counts.
    told = os.environ.pop(settings.COUNTED_BY, None)
    if pipe:
        threading.Thread(target=_end_with, args=(int(pipe),), daemon=True).start()
    else:
        common.say("hooks are told; Ctrl-C ends it")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
    if current.MANY:
        from iris.trackers import delivering  # noqa: PLC0415 (only where there are many)

        delivering.Deliverers(ANY).run()
    _wait(where)
    _deliver(told)


def _end_with(pipe, sleep=time.sleep):
    # The real sleep(), whatever gevent makes of it meanwhile.
    os.read(pipe, 1)
    os.kill(os.getpid(), signal.SIGTERM)
    sleep(LAST)
    os._exit(1)


def _wait(where):
    """Wait until there is a hook to be told."""
    import psycopg2  # noqa: PLC0415 (not every command needs it)

    while True:
        with contextlib.suppress(psycopg2.Error):
            connection = libpq.connect(where, application_name="deliver", connect_timeout=5)
            connection.autocommit = True
            with contextlib.closing(connection), connection.cursor() as cursor:
                while True:
                    cursor.execute(ANY)
                    if cursor.fetchone()[0]:
                        return
                    time.sleep(LOOK)
        # No database, or one of another Iris: who serves says so.
        time.sleep(LOOK)


def _deliver(told):
    from gevent import monkey  # noqa: PLC0415 (before all that it changes, and not before there is a hook)

    monkey.patch_all()
    import gevent  # noqa: PLC0415
    from psycogreen.gevent import patch_psycopg  # noqa: PLC0415

    patch_psycopg()
    from iris import counters  # noqa: PLC0415
    from iris.delivery import deliverer  # noqa: PLC0415

    if told:
        counters.tell(int(told))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    made = deliverer.Deliverer()
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, made.stop)
    made.run()
