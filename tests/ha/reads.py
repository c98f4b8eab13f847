"""A write, followed at once by each heavy read: never a miss, however far standbys are behind.

    make reads ROUNDS=1000

One standby follows as fast as it can, one 100 ms later, one is held up for a while again and again. Of two
Irises that write and read, one knows only the two that are late.
"""

import argparse
import itertools
import json
import os
import random
import re
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import quote

from cluster import Cluster, sql
from conftest import Live
from prometheus_client.parser import text_string_to_metric_families

# {what it is: (its address, with the ticket's {number}, {word}, and {moment} when it was filed; what is told there)}.
HEAVY = {
    "a search": ("/tickets?q={word}", "{word}"),
    "a search of comments": ("/comments?q={word}c", "{word}"),
    "a stream": ("/tickets?format=ndjson&assignee={word}", "{word}"),
    "a file": ("/tickets?format=csv&assignee={word}", "{word}"),
    "a stream of history": ("/tickets/{number}/history?format=ndjson", "{word}"),
    "the past": ("/tickets?as_of=now&assignee={word}", "{word}"),
    "the past by its time": ("/tickets?as_of={moment}&assignee={word}", "{word}"),
    "a past search": ("/tickets?as_of=now&q={word}", "{word}"),
    "a past ticket": ("/tickets/{number}?as_of=now", "{word}"),
    "what changed": ("/changes?since=2020-01-01&assignee={word}", "{word}"),
    "statistics": ("/stats?assignee={word}", "{word}"),
    "past statistics": ("/stats?as_of=now&assignee={word}", "{word}"),
    "a picture": ("/stats.svg?chart=age&assignee={word}", "Open are 1 open"),
}

# The places of what metrics() gives.
STANDBY, PRIMARY, WAITS, VAIN = range(4)


def metrics(live):
    """Return how many heavy reads there were: on a standby, on the primary, later, in vain."""
    _status, _head, body = live.send("GET", "/metrics")
    told = {
        (sample.name, sample.labels.get("server")): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }
    return tuple(
        int(told[name])
        for name in (
            ("iris_database_heavy_reads_total", "standby"),
            ("iris_database_heavy_reads_total", "primary"),
            ("iris_database_standby_waits_total", None),
            ("iris_database_standbys_given_up_total", None),
        )
    )


def misses(live, numbers, rounds):
    """Write and read at once; return [(what was read, the answer)] where what was written is missing."""
    found = []
    for number in itertools.islice(numbers, rounds):
        word = f"w{number}x"
        given = json.dumps({"title": f"Of {word}", "assignee": word}).encode()
        status, _head, body = live.send(
            "PUT", "/tickets", given, ["Content-Type: application/json"]
        )
        assert status == 201, body
        filed = json.loads(body)
        live.send("PUT", f"/tickets/{filed['ticket_id']}/comments?body={word}c")
        for what, (path, told) in HEAVY.items():
            moment = quote(filed["updated"], safe="")
            address = path.format(number=filed["ticket_id"], word=word, moment=moment)
            status, _head, body = live.send("GET", address)
            if status != 200 or told.format(word=word).encode() not in body:
                found.append((what, status, body[:300]))
    return found


def hold_up(standby, ended):
    """Stop a standby's replay for a while again and again."""
    rng = random.Random(0)
    while not ended.wait(rng.uniform(0, 0.2)):
        sql(standby, "SELECT pg_wal_replay_pause()")
        ended.wait(rng.choice((0.02, 0.1, 0.6)))
        sql(standby, "SELECT pg_wal_replay_resume()")


def run(cluster, fast, held, rounds, workers=2):
    """Run it; return (misses, what metrics() says of either Iris).

    fast, held: two of the cluster's standbys; one that is late joins them.
    """
    ended, lives = threading.Event(), []
    late = cluster.follow("late", recovery_min_apply_delay="100ms")
    holder = threading.Thread(target=hold_up, args=(held, ended))
    holder.start()
    try:
        for url in (cluster.url(fast, late, held), cluster.url(late, held)):
            lives.append(Live(cluster.primary.url(), IRIS_READ_URL=url, IRIS_WORKERS=str(workers)))
        found, numbers = [], itertools.count(1)

        def work(live):
            found.extend(misses(live, numbers, rounds // len(lives)))

        readers = [threading.Thread(target=work, args=(live,)) for live in lives]
        for each in readers:
            each.start()
        for each in readers:
            each.join()
        # In a few rounds on a busy machine, what is late may never be too late for whoever asks.
        for _ in range(20):
            if metrics(lives[1])[WAITS]:
                break
            found.extend(misses(lives[1], numbers, 1))
        return found, [metrics(live) for live in lives]
    finally:
        ended.set()
        holder.join()
        for live in lives:
            live.stop()
        cluster.standbys.remove(late)
        late.stop()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=re.sub(r"\s+", " ", __doc__.split("\n\n")[0]))
    arguments.add_argument("--rounds", type=int, default=1000)
    given = arguments.parse_args()
    os.umask(0o022)
    with tempfile.TemporaryDirectory(prefix="iris-reads-") as place:
        os.chmod(place, 0o755)
        began = time.monotonic()
        cluster = Cluster(Path(place))
        try:
            fast, held = cluster.follow("fast"), cluster.follow("held")
            missed, counted = run(cluster, fast, held, given.rounds)
        finally:
            cluster.stop()
        took = time.monotonic() - began
        print(
            f"{given.rounds} writes, {len(HEAVY)} heavy reads after each: {len(missed)} misses ({took:.0f} s)"
        )
        for standby, primary, waits, vain in counted:
            print(
                f"  {standby} on a standby, {waits} of them after a wait; {primary} on the primary, {vain} after one"
            )
        assert not missed, missed[:5]
