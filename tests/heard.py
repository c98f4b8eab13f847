"""How soon hooks hear of an edit in psql: one of them, then many at ten events a second each, beside some that are dead, slow or gone.

    make heard HOOKS=100 SECONDS=20

Each has a filter of its own. All that was edited must arrive at each, once and in order.
"""

import argparse
import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from statistics import median

from conftest import ROOT, Sql, free_port, spent

from iris import embedded

# Edits a second; seconds that who is slow takes to answer, that an edit may take to be heard of by one, and that
# the last may take.
RATE, SLOW, SOON, PATIENCE = 10, 5, 1, 60


class Hearing:
    """Receivers on one port, which note when they heard of which edit, {path: [(number, time)]}."""

    def __init__(self):
        self.heard, self.loop, self.port = {}, None, None
        begun = threading.Event()
        self.thread = threading.Thread(target=asyncio.run, args=(self._serve(begun),), daemon=True)
        self.thread.start()
        begun.wait()

    async def _serve(self, begun):
        self.loop, self.end = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._hear, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        begun.set()
        await self.end.wait()
        server.close()

    async def _hear(self, reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                path = head.split(b" ", 2)[1].decode()
                length = int(re.search(rb"(?i)\r\ncontent-length: *([0-9]+)", head)[1])
                body = await reader.readexactly(length)
                now = time.time()
                number = json.loads(body)["data"]["event"]["changes"]["title"][1]
                self.heard.setdefault(path, []).append((int(number), now))
                if path == "/slow":
                    await asyncio.sleep(SLOW)
                status = b"410 Gone" if path == "/gone" else b"204 No Content"
                writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            """Who has nothing more to say hangs up."""
        finally:
            writer.transport.abort()

    def close(self):
        """Hang up on everybody."""
        self.loop.call_soon_threadsafe(self.end.set)
        self.thread.join()


def run(url, hooks, seconds, others=True, command=("deliver",)):
    """Edit a ticket ten times a second; return how many seconds later each hook heard of each edit.

    hooks:    how many that listen.
    others:   whether there are also one that is dead, one that nobody listens for, a slow one and one that is gone.
    command:  the words of `iris` for who tells them: `deliver` alone, or `serve`, which has it done beside the service.
    Returns:  ([seconds], the deliverer's share of a processor).
    Raises:   AssertionError where something is missing or in another order.
    """
    sql, hearing = Sql(url), Hearing()
    silent = socket.create_server(("127.0.0.1", 0))
    here = f"http://127.0.0.1:{hearing.port}"
    fields = json.dumps({f"n{number}": number for number in range(hooks)})
    (row,) = sql(
        "INSERT INTO tickets (title, fields) VALUES ('-1', %s) RETURNING ticket_id", fields
    )
    for number in range(hooks):
        given = json.dumps({f"fields.n{number}": str(number)})
        sql(
            "INSERT INTO hooks (url, kind, filter) VALUES (%s, '{changed}', %s)",
            f"{here}/{number}",
            given,
        )
    if others:
        dead = f"http://127.0.0.1:{silent.getsockname()[1]}/dead"
        for bad in (dead, f"http://127.0.0.1:{free_port()}/absent", f"{here}/slow", f"{here}/gone"):
            sql("INSERT INTO hooks (url, kind) VALUES (%s, '{changed}')", bad)
    deliverer = subprocess.Popen(
        [sys.executable, "-P", "-m", "iris.cli", *command],
        env={**os.environ, "DATABASE_URL": url, "IRIS_HOOKS_INSIDE": "127.0.0.1", "IRIS_BIND": f"127.0.0.1:{free_port()}",
             "IRIS_WORKERS": "1",
             "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"},
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        edit, committed = "UPDATE tickets SET title = %s WHERE ticket_id = %s", {}
        # What is told first finds it awake.
        sql(edit, "0", row["ticket_id"])
        paths = [f"/{number}" for number in range(hooks)]
        _until(lambda: all(hearing.heard.get(path) for path in paths))
        used, began = spent(deliverer.pid), time.monotonic()
        for number in range(1, round(seconds * RATE) + 1):
            time.sleep(max(0, began + number / RATE - time.monotonic()))
            sql(edit, str(number), row["ticket_id"])
            committed[number] = time.time()
        _until(lambda: all(hearing.heard[path][-1][0] == number for path in paths))
        used = (spent(deliverer.pid) - used) / (time.monotonic() - began)
        took = []
        for path in paths:
            assert [told for told, _ in hearing.heard[path]] == list(range(number + 1)), path
            took += [at - committed[told] for told, at in hearing.heard[path][1:]]
        if others:
            states = {
                each["url"].rpartition("/")[2]: each
                for each in sql("SELECT url, state, tried FROM hooks")
            }
            assert states["gone"]["state"] == "disabled" and states["absent"]["tried"] > 0
            assert hearing.heard["/slow"][0][0] == 0
        return took, used
    finally:
        # Nobody waits for an answer of theirs any more.
        silent.close()
        hearing.close()
        deliverer.terminate()
        deliverer.wait(30)
        sql("DELETE FROM hooks")
        sql.connection.close()


def _until(wanted):
    deadline = time.monotonic() + PATIENCE
    while not wanted():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.05)


def told(hooks, took, used):
    """Return a line of what was found."""
    took = sorted(took)
    return (
        f"{hooks} hooks, {RATE} edits a second: half of {len(took):,} messages came within {median(took):.3f} s, 99 of 100"
        f" within {took[int(len(took) * 0.99)]:.3f} s, the last after {took[-1]:.3f} s; the deliverer took"
        f" {used:.2f} of a processor"
    )


def main():
    parser = argparse.ArgumentParser(prog="make heard", description=__doc__.partition("\n")[0])
    parser.add_argument("--hooks", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=20)
    given = parser.parse_args()
    os.umask(0o022)
    with tempfile.TemporaryDirectory(prefix="iris-heard-") as folder:
        os.chmod(folder, 0o755)
        server = embedded.Server(folder)
        server.start()
        try:
            server.seed()
            alone, used = run(server.url(), 1, given.seconds, others=False)
            print(told(1, alone, used), flush=True)
            print(told(given.hooks, *run(server.url(), given.hooks, given.seconds)), flush=True)
        finally:
            server.stop()
    return int(max(alone) >= SOON)


if __name__ == "__main__":
    raise SystemExit(main())
