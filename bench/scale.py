"""How far Iris goes: what things cost, measured, and what breaks first as all of it grows, by a model.

    make scale                                   # the model, with the numbers below
    make scale ARGS='--measure --tickets 20000'  # measures them anew, too: some minutes

Prints Markdown on stdout.
"""

import argparse
import contextlib
import http.client
import json
import subprocess
import threading
import time
from pathlib import Path

import harness
import psycopg2
from harness import Service, heading, number, row, say

from iris import embedded

# What `--measure` and `make growth` have measured (NOTES.md says when and on what): bytes, seconds, and
# milliseconds of one processor.
MEASURED = {
    # Of a ticket with five comments and ten events: all its tables and indexes, its past included.
    "bytes": 11_900,
    # A write and its history, of one filing, five comments and four changes. Where tickets are many, each
    # touches pages that nobody has since the last checkpoint, which are logged whole. Then its event's place.
    "WAL of a write": 22_900,
    "WAL of a place": 563,
    "write": 0.58 + 0.80,
    # A board of 1,000 cards, and what an event costs for each who has it open.
    "board": 62.5 + 4.0,
    "event": 0.007,
    "bytes of a board": 815_000,
    "backup of a GB": 40,
}
# What nobody has measured, for it is another's with each team and each kernel.
TAKEN = {
    # Of all there is, lists, boards and writes touch what is open and what is new.
    "hot part": 0.1,
    "bytes of an event": 500,
    # Of a stream, in a worker and in the kernel, while its reader keeps up.
    "memory of a stream": 50_000,
}
COST = MEASURED | TAKEN

# One machine, as one rents it.
MACHINE = {
    "processors": 16,
    "memory": 128e9,
    "disk": 8e12,
    "network": 1.25e9,
    "log": 200e6,
    # 64 workers of 2,000 connections.
    "streams": 128_000,
}
# What people do: one ticket in a hundred is written to on a day of eight hours, three times as often in its
# busiest hour; who reads a board looks at it anew ten times a day, and has it open all the time.
DAY, BUSIEST, LOOKS = 8 * 3600, 3, 10
TICKETS, READERS = (10**6, 10**7, 10**8, 10**9), (10**2, 10**4, 10**6)
NIGHT = 8 * 3600


def writes(tickets):
    """Return how many writes a second there are in the busiest hour."""
    return tickets / 100 / DAY * BUSIEST


def uses(tickets, readers):
    """Return how much of a machine so many take, {what: which part of it}, in the busiest hour.

    All are in one tracker: each who reads is told of each write.
    """
    looks, told = readers * LOOKS / DAY * BUSIEST, writes(tickets) * readers
    work = writes(tickets) * COST["write"] + looks * COST["board"] + told * COST["event"]
    sent = looks * COST["bytes of a board"] + told * COST["bytes of an event"]
    stored = tickets * COST["bytes"]
    held = stored * COST["hot part"] + readers * COST["memory of a stream"]
    logged = writes(tickets) * (COST["WAL of a write"] + COST["WAL of a place"])
    return {
        "processors": work / 1000 / MACHINE["processors"],
        "memory": held / MACHINE["memory"],
        # With room for an upgrade that writes a table anew.
        "disk": 2 * stored / MACHINE["disk"],
        "network": sent / MACHINE["network"],
        "log": logged / MACHINE["log"],
        "connections": readers / MACHINE["streams"],
        "a night's backup": stored / 1e9 * COST["backup of a GB"] / NIGHT,
    }


def model():
    """Print what is used up first, and what tickets take by themselves."""
    heading(["tickets", *(f"{readers:,} readers" for readers in READERS)])
    for tickets in TICKETS:
        cells = []
        for readers in READERS:
            used = sorted(uses(tickets, readers).items(), key=lambda item: -item[1])
            over = [f"{name} {number(part)} ×" for name, part in used if part > 1]
            fits = f"fits; most of all {used[0][0]}, {used[0][1]:.0%}"
            cells.append(", ".join(over) if over else fits)
        row([f"{tickets:,}", *cells])
    print()
    heading(["tickets", "GB", "in memory, GB", "writes a second", "log, GB a day", "backup, hours"])
    for tickets in TICKETS:
        stored = tickets * COST["bytes"] / 1e9
        logged = tickets / 100 * (COST["WAL of a write"] + COST["WAL of a place"]) / 1e9
        cells = [stored, stored * COST["hot part"], writes(tickets), logged]
        cells.append(stored * COST["backup of a GB"] / 3600)
        row([f"{tickets:,}", *map(number, cells)])


# Measuring ----------------------------------------------------------------------------------------

PART = """
    SELECT relname, pg_total_relation_size(oid) FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY 2 DESC LIMIT 8
"""


class Tracker:
    """An Iris of so many tickets, asked for one thing after another."""

    def __init__(self, size, stack):
        self.size = size
        self.server, names = harness.serve(stack, None, [size])
        self.name = names[size]
        self.owner = stack.enter_context(
            contextlib.closing(psycopg2.connect(self.server.url("postgres", self.name)))
        )
        self.owner.autocommit = True
        command, environment = harness.iris(self.server.url(database=self.name))
        self.service = Service("Iris", command, **environment)
        stack.callback(self.service.stop)
        self.service.wait()

    def sql(self, statement):
        with self.owner.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else None

    def wal(self):
        return int(self.sql("SELECT pg_current_wal_insert_lsn() - '0/0'")[0][0])

    def cpu(self):
        return harness.cpu(self.service.process.pid), harness.cpu(self.server.pid())

    def ran(self):
        """Return the nanoseconds of a processor that the service has had; ticks count no short turns."""
        pids = harness.tree(self.service.process.pid, harness.processes())
        return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in pids)

    def measure(self, title, many, ask):
        """Ask for something many times; tell WAL, milliseconds and bytes of one."""
        wal, (service, database), size = self.wal(), self.cpu(), 0
        for turn in range(many):
            status, body = ask(turn)
            assert status in (200, 201), body
            size += len(body)
        after = self.cpu()
        row(
            [
                title,
                f"{(self.wal() - wal) / many:,.0f}",
                number((after[0] - service) * 1000 / many),
                number((after[1] - database) * 1000 / many),
                f"{size / many:,.0f}",
            ]
        )

    def stream(self, readers, events):
        """Have some listen while events come; return milliseconds of the service for each told to one."""
        told, connections = [0] * readers, []
        # What has been until now they are not told.
        while self.sql("SELECT is_waiting()")[0][0]:
            self.sql("SELECT count(*) FROM events_after(0, 1)")
        (last,) = self.sql("SELECT max(position) FROM places")[0]
        for _ in range(readers):
            connection = http.client.HTTPConnection("127.0.0.1", self.service.port, timeout=60)
            connection.request(
                "GET", f"/events?after={last}", headers={"Accept": "text/event-stream"}
            )
            connections.append(connection.getresponse())

        def listen(place):
            while told[place] < events:
                if connections[place].readline().startswith(b"id: "):
                    told[place] += 1

        threads = [threading.Thread(target=listen, args=(place,)) for place in range(readers)]
        time.sleep(1)
        before = self.ran()
        for each in threads:
            each.start()
        for turn in range(events):
            self.sql(f"UPDATE tickets SET title = 'Told {turn}' WHERE ticket_id = {turn + 1}")
        for each in threads:
            each.join(60)
        assert told == [events] * readers, told
        return (self.ran() - before) / 1e6 / (readers * events)


def measure(size):
    """Print what things cost, at so many tickets."""
    with contextlib.ExitStack() as stack:
        it = Tracker(size, stack)
        print(f"{harness.machine()} {size:,} tickets.\n")
        total = it.sql("SELECT pg_database_size(current_database())")[0][0]
        print(f"A ticket takes {total / size:,.0f} bytes, of these:\n")
        heading(["table, with its indexes", "bytes a ticket"])
        for name, bytes_ in it.sql(PART):
            row([name, f"{bytes_ / size:,.0f}"])
        print()
        heading(["", "WAL", "ms, service", "ms, database", "bytes of the answer"])
        ask = it.service.ask
        new = {"title": "A title as they are", "assignee": "user7", "labels": ["fire"]}
        new["description"] = "Some sentences that say what is wrong. " * 5
        works = {
            "file": lambda turn: ask("PUT", "/tickets", json.dumps(new)),
            "change": lambda turn: ask(
                "PUT", f"/tickets/{turn * 7 % size + 1}", json.dumps({"assignee": f"user{turn}"})
            ),
            "comment": lambda turn: ask(
                "PUT",
                f"/tickets/{turn * 11 % size + 1}/comments",
                '{"body": "Seen, and so it is."}',
            ),
        }
        # The feed takes nothing that is not there, and gives places to what is.
        it.sql("SELECT count(*) FROM events_after(0, 1)")
        it.sql("ALTER SYSTEM SET autovacuum = off")
        it.sql("SELECT pg_reload_conf()")
        for title, work in works.items():
            it.sql("CHECKPOINT")
            it.measure(f"{title}, after a checkpoint", 500, work)
            it.measure(f"{title}, later", 500, work)
        before = it.wal()
        many = it.sql("SELECT count(*) FROM waiting_events()")[0][0]
        it.sql("SELECT count(*) FROM events_after(0, 1)")
        print(f"\nAn event's place and digest: {(it.wal() - before) / many:,.0f} bytes of WAL.\n")
        heading(["", "WAL", "ms, service", "ms, database", "bytes of the answer"])
        it.measure("a page of 50", 300, lambda turn: ask("GET", "/tickets"))
        board = "/tickets?view=board&format=html"
        it.measure("a board of 1,000 cards", 20, lambda turn: ask("GET", board))
        it.measure("the same as JSON", 50, lambda turn: ask("GET", "/tickets?open=true&limit=1000"))
        say("a backup")
        programs = embedded.binaries()
        began = time.monotonic()
        where = it.server.url("postgres", it.name)
        subprocess.run(
            [programs / "pg_dump", "-Fc", where],
            check=True,
            stdout=subprocess.DEVNULL,
            env=embedded.environment(),
        )
        print(f"\nA backup: {(time.monotonic() - began) / total * 1e9:.0f} s for each GB.")
        say("streams")
        cost = it.stream(100, 200)
        print(f"\nAn event to one who listens: {cost:.3f} ms of the service, 100 listening.\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--measure", action="store_true", help="measure what things cost, too")
    parser.add_argument("--tickets", type=int, default=20_000)
    given = parser.parse_args()
    if given.measure:
        measure(given.tickets)
    model()


if __name__ == "__main__":
    main()
