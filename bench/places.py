"""What it costs to give events their places in the feed, with digests; and at revision 0008, which had none.

    make places
    make places ARGS='--tickets 100000 --rounds 5'

Prints Markdown on stdout: microseconds of the CPU of the database's process for each event, in two databases
with the same tickets that take turns. Events are of three kinds, a third each: tickets that are filed,
comments, changes.
"""

import argparse
import contextlib
import os
from pathlib import Path
from statistics import median

import harness
import psycopg2
from harness import heading, number, row, say, spread

from iris import migrations

BEFORE = "0008"
# How many events wait when somebody reads the feed, and how often in a round.
SIZES = {1: 60, 100: 3, 5000: 1}
GIVE = "SELECT count(*) FROM events_after(9223372036854775807, 0)"
# A look at all of them would leave nothing of what is measured in the processor's cache.
LAST = "SELECT max(position) FROM places"
LAST_BEFORE = "SELECT max(position) FROM events WHERE position IS NOT NULL"


FILE = """
    INSERT INTO tickets (title, description, reporter, labels)
        SELECT 'Printer on fire ' || n, repeat('It burns. ', 10), 'alice', '{a,b}'
            FROM generate_series(1, %s) AS n
"""
COMMENT = """
    INSERT INTO comments (ticket_id, author, body)
        SELECT %s, 'bob', 'I smell smoke ' || n || repeat(' and more', 10)
            FROM generate_series(1, %s) AS n
"""
CHANGE = """
    UPDATE tickets SET assignee = %s
        WHERE ticket_id IN (SELECT ticket_id FROM tickets ORDER BY ticket_id DESC LIMIT %s)
"""


class Place:
    """A database in which events get their places.

    connection: of its owner.
    last:     what gives the last position.
    """

    def __init__(self, connection, last):
        self.turn, self.last = 0, last
        self.cursor = connection.cursor()
        self.path = Path(f"/proc/{connection.info.backend_pid}/schedstat")
        self.cursor.execute(
            "INSERT INTO tickets (title, reporter) VALUES ('One', 'alice') RETURNING ticket_id"
        )
        (self.one,) = self.cursor.fetchone()
        # What waits already does not count.
        while self.given():
            pass

    def given(self):
        """Give places to a portion of what has none; return to how many."""
        self.cursor.execute(self.last)
        ((before,),) = self.cursor.fetchall()
        self.cursor.execute(GIVE)
        self.cursor.execute(self.last)
        ((after,),) = self.cursor.fetchall()
        return (after or 0) - (before or 0)

    def cpu(self):
        """Return the nanoseconds that its process has used."""
        return int(self.path.read_text().split()[0])

    def write(self, many):
        """Write so many events, in a transaction for each third."""
        self.turn += 1
        if many == 1:
            self.cursor.execute(
                "UPDATE tickets SET assignee = %s WHERE ticket_id = %s",
                (f"u{self.turn}", self.one),
            )
            return
        filed, changed = many - 2 * (many // 3), many // 3
        self.cursor.execute(FILE, (filed,))
        self.cursor.execute(COMMENT, (self.one, changed))
        self.cursor.execute(CHANGE, (f"u{self.turn}", changed))

    def measure(self, many, times):
        """Return the microseconds of CPU that each event's place takes."""
        took = 0
        for _ in range(times):
            self.write(many)
            before = self.cpu()
            self.cursor.execute(GIVE)
            took += self.cpu() - before
            assert not self.given()
        return took / times / many / 1000


def main():
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("--tickets", type=int, default=1000, help="there already (1000)")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--folder", type=Path, help="keep the tickets there for another time")
    given = parser.parse_args()
    with contextlib.ExitStack() as stack:
        server, names = harness.serve(stack, given.folder, [given.tickets])
        now = names[given.tickets]
        before = f"{now}_before"
        server._psql("postgres", "-c", f"DROP DATABASE IF EXISTS {before}")
        copy = f"CREATE DATABASE {before} TEMPLATE {now} STRATEGY file_copy"
        server._psql("postgres", "-c", copy)
        say(f"taking a copy back to revision {BEFORE}")
        migrations.move(server.url("postgres", before), BEFORE, down=True)
        for name in (before, now):
            server._psql(name, "-c", "VACUUM ANALYZE")
        os.sync()
        places = []
        for name, last in ((before, LAST_BEFORE), (now, LAST)):
            connection = psycopg2.connect(server.url("postgres", name))
            stack.callback(connection.close)
            connection.autocommit = True
            places.append(Place(connection, last))
        what = f"{given.tickets:,} tickets, {given.rounds} rounds"
        print(f"# Places\n\n{harness.machine()} {what}.\n")
        heading(["events at once", f"µs each at {BEFORE}", "µs each now", "×"])
        for many, times in SIZES.items():
            say(f"{many:,} at once")
            taken = [
                [
                    place.measure(many, times)
                    for place in (places if turn % 2 else reversed(places))
                ][:: 1 if turn % 2 else -1]
                for turn in range(given.rounds)
            ]
            olds, news = zip(*taken, strict=True)
            ratios = spread([new / old for old, new in taken])
            row([f"{many:,}", number(median(olds)), number(median(news)), ratios])


if __name__ == "__main__":
    main()
