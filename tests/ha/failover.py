"""Failovers under load, with a ledger: nothing acknowledged is lost or done twice, and Iris serves again by itself.

    make ha ROUNDS=20

Three PostgreSQLs under Patroni (synchronous, strict), HAProxy in front, two Irises behind whose doors the writers
of `make kills` write, each request with an Idempotency-Key. The primary is killed, or its machine is lost (all of
it killed, or stopped for longer than it may be silent), or another is made primary as planned; in turn.
"""

import argparse
import contextlib
import itertools
import os
import random
import re
import tempfile
import threading
import time
from pathlib import Path

import kills
import managed
import psutil
from conftest import Live

# Seconds until writes answer again, at most.
AT_MOST = {"killed": 10, "lost": 30, "stopped": 30, "planned": 10}
WRITERS = {f"http{number}": "admin" for number in range(4)} | {"reader": "reader"}


class Door(kills.Iris):
    """One of the Irises, as the writers of `make kills` know theirs.

    server:   what has url(user), where the primary is.
    """

    def __init__(self, live, server, tokens):
        self.live, self.port, self.server, self.tokens = live, live.port, server, tokens

    def let_in(self):
        """Make everybody's tokens."""
        for name, role in WRITERS.items():
            (row,) = self.sql("SELECT add_token(%s, %s) ->> 'token' AS token", name, role)
            self.tokens[name] = row["token"]


class Watch(threading.Thread):
    """Notes when something was acknowledged."""

    def __init__(self, ledger):
        super().__init__(daemon=True)
        self.ledger, self.times, self.ended = ledger, [time.monotonic()], False

    def run(self):
        known = 0
        while not self.ended:
            if (many := len(self.ledger.acknowledged)) > known:
                known = many
                self.times.append(time.monotonic())
            time.sleep(0.01)

    def silence(self, since):
        """Return for how many seconds nothing was acknowledged from a moment on, at most."""
        times = [since, *(each for each in self.times if each > since), time.monotonic()]
        return max(later - sooner for sooner, later in itertools.pairwise(times))

    def until_quiet_is_over(self, since, seconds=120):
        """Wait until writes have gone well for two seconds, after a silence or not."""
        while time.monotonic() < since + seconds:
            late = [each for each in self.times if each > time.monotonic() - 2]
            if time.monotonic() > since + 4 and len(late) > 5:
                return
            time.sleep(0.1)
        raise AssertionError("writes never answer again")


@contextlib.contextmanager
def load(lives, server, seed=0):
    """Write through some Irises, and read the feed; give (a Door, the Ledger, the Reader, the writers, a Watch)."""
    tokens, ledger = {}, kills.Ledger()
    doors = [Door(live, server, tokens) for live in lives]
    doors[0].let_in()
    turns = itertools.cycle(doors)
    writers = [
        kills.HttpWriter(next(turns), ledger, name, seed + number)
        for number, name in enumerate(WRITERS)
        if name != "reader"
    ]
    reader, watch = kills.Reader(doors[-1]), Watch(ledger)
    threads = [reader, watch, *writers]
    for each in writers:
        each.may_go.set()
    for each in threads:
        each.start()
    try:
        yield doors[0], ledger, reader, writers, watch
    finally:
        for each in threads:
            each.ended = True
        for each in threads:
            each.join(timeout=30)


def settle(door, ledger, reader, writers):
    """Let the writers rest; compare everything with everything."""
    for each in writers:
        each.may_go.clear()
    for each in writers:
        assert each.rests.wait(120), f"{each.name} never came to an end"
    lost, doubled = kills.check(door, ledger, reader, [])
    assert not lost and not doubled, (lost[:5], doubled[:5])


# What happens to it -------------------------------------------------------------------------------


def killed(cluster, leader):
    cluster.postmaster(leader).kill()


def lost(cluster, leader):
    for each in cluster.everything(leader):
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()


def stopped(cluster, leader):
    for each in cluster.everything(leader):
        with contextlib.suppress(psutil.NoSuchProcess):
            each.suspend()


def planned(cluster, leader):
    said = cluster.ask(leader, "/switchover", {"leader": leader})
    assert "Successfully" in said, said


def mend(cluster, leader, fault):
    """Bring back what is still away."""
    if fault is lost:
        cluster.processes[leader].wait()
        cluster.start_node(leader)
    elif fault is stopped:
        for each in cluster.everything(leader):
            with contextlib.suppress(psutil.NoSuchProcess):
                each.resume()
    cluster.await_whole()


FAULTS = (killed, planned, lost, stopped)


def run(folder, rounds, say=print):
    """Run it; return {fault: [seconds until writes answered again]}."""
    cluster, lives, took, rng = managed.Patroni(folder), [], {}, random.Random(0)
    try:
        cluster.start()
        for _ in range(2):
            url = cluster.url()
            read = cluster.url(door="replica")
            lives.append(Live(url, IRIS_READ_URL=read, IRIS_AUTH="token", IRIS_WORKERS="1"))
        with load(lives, cluster) as (
            door,
            ledger,
            reader,
            writers,
            watch,
        ):
            for number in range(rounds):
                time.sleep(rng.uniform(1, 3))
                fault, leader = FAULTS[number % len(FAULTS)], cluster.leader()
                began = time.monotonic()
                fault(cluster, leader)
                watch.until_quiet_is_over(began)
                seconds = watch.silence(began)
                took.setdefault(fault.__name__, []).append(seconds)
                mend(cluster, leader, fault)
                say(
                    f"{number + 1}: {leader} {fault.__name__}, {cluster.leader()} is primary; no write answered for"
                    f" {seconds:.1f} s; {len(ledger.acknowledged)} acknowledged, {ledger.repeated} repeated"
                )
            settle(door, ledger, reader, writers)
            say(
                f"{rounds} failovers, {len(ledger.acknowledged)} writes acknowledged, {ledger.repeated} of"
                f" {ledger.requests} requests repeated: 0 lost, 0 doubled; {len(reader.seen)} events in the feed, each once"
            )
        return took
    finally:
        for live in lives:
            live.stop()
        cluster.stop()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=re.sub(r"\s+", " ", __doc__.split("\n\n")[0]))
    arguments.add_argument("--rounds", type=int, default=20)
    given = arguments.parse_args()
    if problem := managed.lacking():
        raise SystemExit(problem)
    os.umask(0o022)
    with tempfile.TemporaryDirectory(prefix="iris-ha-") as place:
        os.chmod(place, 0o755)
        found = run(Path(place), given.rounds, lambda line: print(line, flush=True))
    for what, seconds in found.items():
        print(f"{what}: at most {max(seconds):.1f} s without an answer")
        assert max(seconds) <= AT_MOST[what], (what, seconds)
