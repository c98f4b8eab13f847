"""What heavy reads cost the primary and its writers, with and without a standby that does them.

    make apart ARGS='--rounds 3 --seconds 10'

One processor has the primary and the Iris that writes, another one the standby, the Iris that reads and who
asks, as two machines would. In turn nobody reads, somebody reads on the primary, somebody on the standby; one
write after another goes on all the time. Then, with nobody else there, what one search takes either way.
"""

import argparse
import http.client
import os
import re
import tempfile
import threading
import time
from pathlib import Path
from statistics import median, quantiles

import psutil
from cluster import Cluster, follows, sql
from conftest import Live, spent

TICKETS = """
    INSERT INTO tickets (title, description, assignee)
    SELECT 'Ticket ' || n || ' of w' || n % 997, repeat('words about w' || n % 31 || ' ', 20), 'p' || n % 50
    FROM generate_series(1, {}) AS n
"""
HEAVY = (
    "/stats",
    "/tickets?q=w7+words&count=true",
    "/tickets?format=ndjson&assignee=p7",
    "/changes?since=yesterday&limit=200",
)
READERS = 3


def pinned(process, cpu):
    """Keep a process and all that it starts on one processor, if there is more than one."""
    found = psutil.Process(process)
    for each in (found, *found.children(recursive=True)):
        each.cpu_affinity([cpu % os.cpu_count()])


class Reading:
    """Somebody who asks for what is heavy for as long as `with` lasts; many: how often they were answered."""

    def __init__(self, live):
        self.live, self.many, self.ended = live, 0, False
        self.threads = [threading.Thread(target=self._run) for _ in range(READERS if live else 0)]

    def _run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.live.port)
        while not self.ended:
            connection.request("GET", HEAVY[self.many % len(HEAVY)])
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200, answer.status
            self.many += 1

    def __enter__(self):
        for each in self.threads:
            each.start()
        return self

    def __exit__(self, *error):
        self.ended = True
        for each in self.threads:
            each.join()


def timed(live, method, paths):
    """Send requests one after another; return how many milliseconds each took."""
    connection, took = http.client.HTTPConnection("127.0.0.1", live.port), []
    for path in paths:
        began = time.perf_counter()
        connection.request(method, path)
        connection.getresponse().read()
        took.append((time.perf_counter() - began) * 1000)
    connection.close()
    return took


def for_seconds(seconds, path):
    """Yield a path until so many seconds are over."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        yield path
        time.sleep(0.002)


def measure(cluster, writer, live, seconds):
    """Write while somebody reads.

    Returns:  (milliseconds of each write, the primary's CPU of a second, heavy reads of a second).
    """
    with Reading(live) as reading:
        before, began = spent(cluster.primary.pid()), time.monotonic()
        took = timed(writer, "PUT", for_seconds(seconds, "/tickets?title=written"))
        wall = time.monotonic() - began
        return took, (spent(cluster.primary.pid()) - before) / wall, reading.many / wall


def run(folder, tickets, rounds, seconds):
    cluster, lives = Cluster(folder), []
    try:
        standby = cluster.follow("standby")
        sql(cluster.primary, TICKETS.format(tickets), user="iris")
        sql(cluster.primary, "ANALYZE")
        follows(cluster.primary, standby, 120)
        ways = {
            "nobody reads": None,
            "on the primary": Live(cluster.primary.url()),
            "on a standby": Live(cluster.primary.url(), IRIS_READ_URL=cluster.url()),
        }
        writer = Live(cluster.primary.url())
        lives = [writer, *filter(None, ways.values())]
        for each, cpu in ((cluster.primary.pid(), 0), (writer.process.pid, 0), (standby.pid(), 1)):
            pinned(each, cpu)
        for each in lives[1:]:
            pinned(each.process.pid, 1)
        found = {way: [] for way in ways}
        for number in range(rounds + 1):
            for way, live in ways.items():
                sample = measure(cluster, writer, live, seconds if number else 1)
                # The first turn of each is not counted.
                found[way] += [sample] * bool(number)
        tell(found, rounds * seconds)
        for way, live in list(ways.items())[1:]:
            alone = [
                median(timed(live, "GET", [path] * 500))
                for path in ("/tickets?q=w11x", "/tickets/1")
            ]
            print(f"{way}: one search {alone[0]:.2f} ms, one ticket {alone[1]:.2f} ms")
    finally:
        for each in lives:
            each.stop()
        cluster.stop()


def tell(found, seconds):
    """Print what was measured, {way: samples}."""
    columns = (
        "heavy reads",
        "a second",
        "writes p50 ms",
        "p99 ms",
        "a second",
        "primary's CPU, s a second",
    )
    print("|", " | ".join(columns), "|\n" + "|---" * len(columns) + "|")
    for way, samples in found.items():
        took = [each for sample in samples for each in sample[0]]
        cpu, reads = (median(sample[place] for sample in samples) for place in (1, 2))
        cut, rate = quantiles(took, n=100), len(took) / seconds
        print(f"| {way} | {reads:.0f} | {cut[49]:.2f} | {cut[98]:.2f} | {rate:.0f} | {cpu:.2f} |")


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=re.sub(r"\s+", " ", __doc__.split("\n\n")[0]))
    arguments.add_argument("--tickets", type=int, default=20_000)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--seconds", type=float, default=10)
    given = arguments.parse_args()
    os.umask(0o022)
    with tempfile.TemporaryDirectory(prefix="iris-apart-") as place:
        os.chmod(place, 0o755)
        run(Path(place), given.tickets, given.rounds, given.seconds)
