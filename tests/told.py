"""A receiver is down while much happens and everything is killed -9, and again while it is told: all of it arrives.

    make hooks EVENTS=1000 KILLS=10

In the feed's order, nothing is missing, what comes twice is the same message, and all are signed.
"""

import argparse
import json
import os
import random
import tempfile
import time
from pathlib import Path

import standardwebhooks
from conftest import free_port
from kills import Iris, kill_everything
from receivers import Receiver

# Seconds that the last of it may take once the receiver is there and nothing is killed any more.
PATIENCE = 120


def run(folder, events, kills, say=print, seed=0):
    """Tell a receiver of so many events, killing everything so many times.

    folder:   an empty one; keeps the log of `iris up`.
    Returns:  (how many messages came, how many of them came more than once).
    Raises:   AssertionError where something is missing, in another order, or has two bodies.
    """
    rng, iris, port = random.Random(seed), Iris(Path(folder), 1), free_port()
    iris.start()
    receiver, began = None, time.monotonic()
    try:
        # Whoever is killed, the machine lives on, and keeps what was written.
        iris.sql("ALTER SYSTEM SET fsync TO off")
        iris.sql("SELECT pg_reload_conf()")
        url = f"http://127.0.0.1:{port}"
        filters = {"/all": {}, "/urgent": {"priority": "urgent"}}
        secrets = {path: _hook(iris, url + path, given) for path, given in filters.items()}
        down = (kills + 1) // 2
        for number in range(events):
            if number % (events // down) == 0:
                kill_everything(iris, rng)
                iris.start()
            priority = rng.choice(("urgent", "low"))
            iris.sql("INSERT INTO tickets (title, priority) VALUES (%s, %s)", f"{number}", priority)
        say(f"{events} events, and everything killed {down} times, while nobody listens")
        receiver = Receiver(port=port)
        # Whoever has mended a receiver need not wait for the next try.
        iris.sql("UPDATE hooks SET state = 'active'")
        for number in range(kills - down):
            _until(lambda enough=events * number // (kills - down): len(receiver.received) > enough)
            kill_everything(iris, rng)
            iris.start()
        (row,) = iris.sql("SELECT max(position) AS it FROM events_after(0, 100000)")
        _until(lambda: not iris.sql("SELECT hook_id FROM hooks WHERE position < %s", row["it"]))
        feed = iris.sql(
            "SELECT event.position, kind, changes FROM events_after(0, 100000) AS event"
        )
        told = [_check(receiver, feed, path, secret) for path, secret in secrets.items()]
        doubled = len(receiver.received) - sum(told)
        say(
            f"told of all in order, {kills - down} kills meanwhile: {sum(told)} messages,"
            f" {doubled} of them again, each the same ({time.monotonic() - began:.0f} s)"
        )
        return sum(told), doubled
    finally:
        if receiver:
            receiver.close()
        iris.stop()


def _hook(iris, url, given):
    status, made = iris.ask("PUT", "/hooks", {"url": url, **given}, name="http0")
    assert status == 201, made
    return made["secret"]


def _until(wanted):
    deadline = time.monotonic() + PATIENCE
    while not wanted():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.05)


def _check(receiver, feed, path, secret):
    """Compare what came at a path with the feed; return how many messages there were."""
    keys, bodies, came = standardwebhooks.Webhook(secret), {}, []
    for _, sent, body in (each for each in receiver.received if each[0] == path):
        headers = {name.lower(): value for name, value in sent.items()}
        told = keys.verify(body, headers)
        assert bodies.setdefault(headers["webhook-id"], body) == body, "one message, two bodies"
        came.append(told["data"]["event"]["position"])
    first = list(dict.fromkeys(came))
    is_all = path == "/all"
    wanted = [
        event["position"]
        for event in feed
        if event["kind"] == "created" and (is_all or event["changes"]["priority"][1] == "urgent")
    ]
    created = {event["position"] for event in feed if event["kind"] == "created"}
    assert [place for place in first if place in created] == wanted, json.dumps(first)
    assert first == sorted(first)
    assert len(bodies) == len(first)
    return len(first)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    arguments.add_argument("--events", type=int, default=1000)
    arguments.add_argument("--kills", type=int, default=10)
    given = arguments.parse_args()
    os.umask(0o022)
    with tempfile.TemporaryDirectory(prefix="iris-hooks-") as place:
        os.chmod(place, 0o755)
        run(place, given.events, given.kills, lambda line: print(line, flush=True))
