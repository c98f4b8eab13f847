"""A crowd at the door: connections that say nothing, and bodies that come a byte at a time; do others notice?

    make crowd
    make crowd ARGS='--idle 500 --slow 200 --turns 2'

Turn by turn, without the crowd and with it, somebody asks for a ticket and files one; what is compared is
how long they wait.
"""

import argparse
import contextlib
import json
import resource
import socket
import tempfile
import threading
import time
from statistics import median

from conftest import Live
from wire import Connection, request

from iris import embedded

# Seconds between two bytes of a slow body, of which there are more than anybody has time for.
PAUSE, LENGTH = 0.1, 100_000
# Of the usual one, what the slowest request of a hundred may take in a crowd.
MOST = 2


class Crowd:
    """Who is there and wants nothing, and who sends slowly.

    port:     of the Iris.
    idle:     connections that say nothing; every second one has asked for something before.
    slow:     bodies on their way.
    """

    def __init__(self, port, idle, slow):
        self.port, self.slow, self.over = port, slow, threading.Event()
        self.idle = [self._connect(number % 2) for number in range(idle)]
        self.answered = 0
        self.sender = threading.Thread(target=self._send)
        self.sender.start()

    def _connect(self, asks):
        made = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        if asks:
            made.sendall(request("GET", "/health", "idle"))
            assert made.recv(4096).startswith(b"HTTP/1.1 200")
        return made

    def _begin(self):
        made = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        head = request("PUT", "/tickets", "slow", "Content-Type: application/json")
        made.sendall(head.replace(b"\r\n\r\n", b"\r\nContent-Length: %d\r\n\r\n{" % LENGTH))
        return made

    def _send(self):
        """Send a byte of each body, again and again; who is told that it took too long begins anew."""
        bodies = [self._begin() for _ in range(self.slow)]
        while not self.over.wait(PAUSE):
            for place, body in enumerate(bodies):
                try:
                    body.sendall(b" ")
                except OSError:
                    self.answered += 1
                    body.close()
                    bodies[place] = self._begin()
        for body in bodies:
            body.close()

    def leave(self):
        """Go; return how many of the idle ones were still connected."""
        self.over.set()
        self.sender.join()
        there = 0
        for each in self.idle:
            each.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                there -= each.recv(1) == b""
            there += 1
            each.close()
        return there


def ask(port, seconds):
    """Ask one thing after another for so long; return how long each took, in ms."""
    body = json.dumps({"title": "Of the crowd"}).encode()
    asked = (
        ("GET", request("GET", "/tickets/1", "plain")),
        ("PUT", request("PUT", "/tickets", "plain", "Content-Type: application/json", body=body)),
    )
    times, until = [], time.monotonic() + seconds
    while time.monotonic() < until:
        # Of each worker some: who connects is anybody's.
        with Connection(port) as connection:
            for number in range(50):
                method, data = asked[number % 2]
                began = time.monotonic()
                connection.send(data)
                answer = connection.answer(method)
                times.append(1000 * (time.monotonic() - began))
                assert answer.status in (200, 201), answer.body
    return times


def p99(times):
    return sorted(times)[int(len(times) * 0.99)]


def turn(port, seconds, idle, slow):
    """Ask in an empty house and in a crowd; return (times, times in the crowd)."""
    usual = ask(port, seconds)
    crowd = Crowd(port, idle, slow)
    try:
        crowded = ask(port, seconds)
    finally:
        there = crowd.leave()
    assert there == idle, f"{idle - there} of {idle} who did nothing were sent away"
    return usual, crowded


def main():
    parser = argparse.ArgumentParser(prog="make crowd", description=__doc__.partition("\n")[0])
    parser.add_argument("--idle", type=int, default=2000)
    parser.add_argument("--slow", type=int, default=50)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4, help="of each half of a turn")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = embedded.Server(folder)
        server.start()
        try:
            server.seed()
            live = Live(server.url(), IRIS_WORKERS="2")
            try:
                # Not before: the service has what whoever starts it has.
                _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
                resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
                live.send("PUT", "/tickets?title=first")
                turns = []
                for number in range(given.turns):
                    usual, crowded = turn(live.port, given.seconds, given.idle, given.slow)
                    turns.append((p99(usual), p99(crowded)))
                    print(
                        f"turn {number + 1}: p50 {median(usual):.1f} ms, with the crowd {median(crowded):.1f};"
                        f" p99 {turns[-1][0]:.1f} ms, with the crowd {turns[-1][1]:.1f};"
                        f" {len(usual)} and {len(crowded)} requests",
                        flush=True,
                    )
            finally:
                live.stop()
        finally:
            server.stop()
    times = median(crowded / usual for usual, crowded in turns)
    print(f"{given.idle} idle, {given.slow} slow: p99 is {times:.2f} times the usual one (median)")
    return int(times >= MOST)


if __name__ == "__main__":
    raise SystemExit(main())
