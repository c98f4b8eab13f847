"""Hooks and mail of many trackers: a deliverer for each that has any, in a process of its own, as for one."""

import contextlib
import os
import subprocess
import sys
import time

import psycopg2

from iris import libpq, settings
from iris.trackers import maps

# Seconds between two looks which trackers want one.
LOOK = 5
# Seconds that deliverers have to end.
PATIENCE = 10


class Deliverers:
    """The processes, {tracker: its deliverer}; they end with this one, however it does.

    wanted:   a SELECT that tells whether a tracker has anybody to be told.
    """

    def __init__(self, wanted):
        self.wanted, self.running = wanted, {}
        self.pipe, self._ours = os.pipe()

    def run(self):
        """Look after them until somebody wants an end."""
        try:
            while True:
                self._look()
                time.sleep(LOOK)
        finally:
            for each in self.running.values():
                each.terminate()
            for each in self.running.values():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    each.wait(PATIENCE)

    def _look(self):
        there = maps.here().read()
        for name, each in list(self.running.items()):
            if name not in there:
                each.terminate()
            if each.poll() is not None:
                del self.running[name]
        for name in there:
            if name not in self.running and self._is_wanted(name):
                self.running[name] = subprocess.Popen(
                    [sys.executable, "-P", "-m", "iris.cli", "deliver"],
                    env={
                        **os.environ,
                        "IRIS_TRACKER": name,
                        settings.WHILE_OPEN: str(self.pipe),
                    },
                    pass_fds=[self.pipe],
                )

    def _is_wanted(self, name):
        """Whether a tracker wants one; a tracker that does not answer is asked again later."""
        try:
            where = maps.here().dsn(name)
            connection = libpq.connect(where, application_name="deliver", connect_timeout=5)
            with contextlib.closing(connection), connection.cursor() as cursor:
                cursor.execute(self.wanted)
                return cursor.fetchone()[0]
        except (psycopg2.Error, KeyError):
            return False
