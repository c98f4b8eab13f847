"""Many trackers under load, one of which moves: nothing acknowledged is lost, nothing comes twice.

    make trackers TRACKERS=50 MOVES=4

Two servers, one pgbouncer, one Iris for all. People write to each tracker; to one of them, all the time, by HTTP with
keys and by psql through the bouncer, and somebody reads its feed. It moves to the other server and back. Then all
is compared with what was acknowledged.
"""

import argparse
import collections
import contextlib
import http.client
import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

import fleet
import psycopg2

from iris.trackers import making, moving, servers

MOVES = "mover"
HTTP, PSQL, OTHERS = 4, 2, 2
# What a writer may wait, while all these take turns on few processors.
PATIENCE = 30


class Writer(threading.Thread):
    """Somebody who writes until it is over; acknowledged has {title: seconds that it took}."""

    def __init__(self, ground, name, over):
        super().__init__(daemon=True)
        self.ground, self.name, self.over = ground, name, over
        self.acknowledged, self.refused, self.wrong = {}, 0, []

    def run(self):
        number = 0
        while not self.over.is_set():
            number += 1
            title, began = f"{self.name} {number}", time.monotonic()
            try:
                self.write(title)
            except Exception as error:
                self.wrong.append((title, repr(error)))
                continue
            self.acknowledged[title] = began, time.monotonic() - began


class Psql(Writer):
    """One by SQL, through the bouncer; what fails is not done again, for nobody knows whether it was."""

    connection = None

    def write(self, title):
        if self.connection is None:
            self.connection = psycopg2.connect(self.ground.login(MOVES))
            self.connection.autocommit = True
        try:
            with self.connection.cursor() as cursor:
                cursor.execute("INSERT INTO tickets (title) VALUES (%s)", (title,))
        except psycopg2.Error:
            self.connection = None
            raise


class Http(Writer):
    """One over HTTP, who asks again with the same key until there is an answer."""

    def __init__(self, ground, port, name, over, trackers=(MOVES,)):
        super().__init__(ground, name, over)
        self.port, self.trackers, self.turn = port, trackers, 0
        self.connection = None

    def write(self, title):
        self.turn += 1
        tracker = self.trackers[self.turn % len(self.trackers)]
        while True:
            try:
                if self.connection is None:
                    self.connection = http.client.HTTPConnection("127.0.0.1", self.port, PATIENCE)
                self.connection.request(
                    "PUT",
                    f"/t/{tracker}/tickets",
                    json.dumps({"title": title, "labels": [tracker]}),
                    {"Content-Type": "application/json", "Idempotency-Key": title},
                )
                answer = self.connection.getresponse()
                body = answer.read()
            except OSError:
                self.connection = None
                continue
            if answer.status in (200, 201):
                return
            self.refused += 1
            if answer.status != 503:
                raise AssertionError((answer.status, body))
            time.sleep(0.05)


class Reader(threading.Thread):
    """Somebody who reads the feed of the one that moves, and goes on where they were."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.positions, self.broken = port, [], 0
        self.over = threading.Event()

    def run(self):
        while not self.over.is_set():
            try:
                self._read()
            except OSError:
                self.broken += 1

    def _read(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, PATIENCE)
        last = self.positions[-1] if self.positions else 0
        connection.request(
            "GET", f"/t/{MOVES}/events?after={last}", headers={"Accept": "text/event-stream"}
        )
        answer = connection.getresponse()
        while not self.over.is_set() and (line := answer.readline()):
            if line.startswith(b"id: "):
                self.positions.append(int(line[4:]))


def ask(connection, sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


def longest(writers, moments):
    """Return for how long a writer waited at most, in milliseconds: when writers were paused; at other times."""
    paused, other = [0], [0]
    for began, seconds in (each for writer in writers for each in writer.acknowledged.values()):
        is_paused = any(began < end and began + seconds > start for start, end in moments)
        (paused if is_paused else other).append(seconds)
    return [round(1000 * max(each)) for each in (paused, other)]


def live(folder, trackers, moves, pause, fsync="off"):
    """Do all of it once.

    Returns:  what was found, {name: value}.
    Raises:   AssertionError.
    """
    with contextlib.ExitStack() as stack:
        ground = fleet.Fleet(folder, stack, fsync=fsync)
        os.environ.update(ground.environment)
        both = [servers.named(ground.place(number)) for number in range(2)]
        names = [MOVES, *(f"team-{number}" for number in range(1, trackers))]
        began = time.monotonic()
        for number, name in enumerate(names):
            making.add(name, both[number % 2], with_token=False)
        made = (time.monotonic() - began) / trackers
        service = ground.serve(IRIS_WORKERS="2")
        stack.callback(service.stop)
        over = threading.Event()
        writers = [Http(ground, service.port, f"http{number}", over) for number in range(HTTP)]
        writers += [Psql(ground, f"psql{number}", over) for number in range(PSQL)]
        others = [
            Http(ground, service.port, f"other{number}", over, names[1:])
            for number in range(OTHERS if trackers > 1 else 0)
        ]
        reader = Reader(service.port)
        for each in (*writers, *others, reader):
            each.start()
        waits, moments = [], []
        for turn in range(moves):
            time.sleep(pause)
            waits.append(moving.move(MOVES, both[1 - turn % 2], note(moments)))
        time.sleep(pause)
        over.set()
        for each in (*writers, *others):
            each.join(PATIENCE)
        found = compare(ground, writers, others, reader, names)
        reader.over.set()
        return found | {
            "seconds to make one": round(made, 3),
            "paused, ms": [round(1000 * seconds) for seconds in waits],
            "longest wait of a writer, while paused and else, ms": longest(
                writers,
                [(end - seconds, end) for end, seconds in zip(moments, waits, strict=True)],
            ),
            "refused for a moment": sum(each.refused for each in writers),
        }


def compare(ground, writers, others, reader, names):
    """Hold what is there against what was acknowledged and read."""
    failed = [each for writer in (*writers, *others) for each in writer.wrong]
    acknowledged = {title for writer in writers for title in writer.acknowledged}
    with contextlib.closing(ground.owner(MOVES)) as owner:
        titles = collections.Counter(title for (title,) in ask(owner, "SELECT title FROM tickets"))
        lost = acknowledged - titles.keys()
        assert not lost, f"lost: {sorted(lost)[:5]} and so on, {len(lost)}"
        twice = [title for title, many in titles.items() if many > 1]
        assert not twice, f"twice: {twice[:5]}"
        # Who was told of an error does not know; nothing else may be there.
        unknown = titles.keys() - acknowledged - {title for title, _ in failed}
        assert not unknown, f"there without having been acknowledged: {sorted(unknown)[:5]}"
        ask(owner, "SELECT count(*) FROM events_after(0, 1)")
        ((events, ids, places, first, last, changes),) = ask(
            owner,
            "SELECT count(*), count(DISTINCT event_id), count(DISTINCT position), min(position), max(position),"
            " count(DISTINCT change) FROM events",
        )
        # One ticket a transaction.
        assert (ids, places, first, last, changes) == (events, events, 1, events, events)
        assert ask(owner, "SELECT * FROM verify_events()") == []
        deadline = time.monotonic() + PATIENCE
        while len(reader.positions) < events and time.monotonic() < deadline:
            time.sleep(0.05)
        assert reader.positions == list(range(1, events + 1)), "the feed's reader missed something"
    for name in names[1:]:
        with contextlib.closing(ground.owner(name)) as owner:
            strange = ask(owner, f"SELECT title FROM tickets WHERE labels <> '{{{name}}}'")
            assert strange == [], f"{name} has another one's: {strange}"
    return {
        "acknowledged": len(acknowledged),
        "of others": sum(len(each.acknowledged) for each in others),
        "failed": failed,
        "events": events,
        "times that the reader connected anew": reader.broken,
    }


def note(moments):
    """Return a say() that notes when writers could go on, which a move says first of all."""

    def told(sentence):
        if " is on " in sentence:
            moments.append(time.monotonic())
        say(sentence)

    return told


def say(sentence):
    print(f"trackers: {sentence}", file=sys.stderr, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trackers", type=int, default=50)
    parser.add_argument("--moves", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=5, help="of load before each move")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="iris-trackers-", dir="/tmp") as folder:
        found = live(Path(folder), given.trackers, given.moves, given.seconds, fsync="on")
    for name, value in found.items():
        print(f"{name}: {value}")


if __name__ == "__main__":
    main()
