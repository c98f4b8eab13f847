"""Moving in: tickets of Jira with their comments, into an Iris of its own.

    make moving
    make moving ARGS='--rows 100000 --comments 5'

Prints on stdout what it took in time and memory, on stderr what the command says.
"""

import argparse
import csv
import resource
import sys
import tempfile
import time
from pathlib import Path

import psutil

from iris import embedded
from iris.transfer import foreign

HEAD = [
    "Summary",
    "Issue key",
    "Issue id",
    "Issue Type",
    "Status",
    "Priority",
    "Assignee",
    "Reporter",
    "Created",
    "Updated",
    "Resolved",
    "Labels",
    "Labels",
    "Description",
    "Custom field (Story Points)",
    "Sprint",
]
STATES = ("To Do", "In Progress", "In Review", "Done")
PEOPLE = [f"person {number}" for number in range(200)]
WORDS = [f"word{number}" for number in range(5000)]


def text(number, length):
    """Return some words, others for each number."""
    return " ".join(WORDS[(number * 7919 + at * at * 31) % len(WORDS)] for at in range(length))


def write(path, rows, comments):
    """Write what Jira would export."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow([*HEAD, *["Comment"] * comments])
        for number in range(rows):
            month, day = 1 + number % 12, 1 + number % 28
            created, later = f"20{20 + number % 5}-{month:02}-{day:02}", f"2025-{month:02}-{day:02}"
            state = STATES[number % 4]
            said = [
                f"{later} 1{nth}:00;{PEOPLE[(number + nth) % 200]};{text(number + nth, 40)}"
                for nth in range(comments)
            ]
            row = [text(number, 8), f"TEA-{number + 1}", number + 10_000, "Bug", state, "Medium"]
            row += [
                PEOPLE[number % 200],
                PEOPLE[number % 199],
                f"{created} 09:00",
                f"{later} 19:00",
            ]
            row += [f"{later} 18:00" if state == "Done" else "", "tea", WORDS[number % 50]]
            out.writerow([*row, text(number, 100), number % 13, f"Sprint {number % 40}", *said])


def _worked(server):
    """Return the seconds of CPU that PostgreSQL's sessions have taken which are over."""
    time.sleep(0.5)
    times = psutil.Process(server.pid()).cpu_times()
    return times.children_user + times.children_system


def main():
    """Fill an Iris, twice, and say what it took."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--comments", type=int, default=5)
    given = parser.parse_args()

    def say(sentence):
        print(f"{time.monotonic() - began:6.1f} s  {sentence[:150]}", file=sys.stderr)

    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        server = embedded.Server(Path(folder) / "iris")
        server.start()
        try:
            server.seed()
            path = Path(folder) / "jira.csv"
            write(path, given.rows, given.comments)
            size = path.stat().st_size // 1_000_000
            for turn in ("first", "again"):
                before, worked = resource.getrusage(resource.RUSAGE_SELF), _worked(server)
                began = time.monotonic()
                foreign.take(server.url("postgres"), str(path), "jira", say)
                took = time.monotonic() - began
                after = resource.getrusage(resource.RUSAGE_SELF)
                ours, theirs = after.ru_utime - before.ru_utime, _worked(server) - worked
                print(
                    f"{turn}: {given.rows} rows, {given.rows * given.comments} comments, {size} MB:"
                    f" {took:.1f} s; of CPU {ours:.1f} s in Python and {theirs:.1f} s in PostgreSQL;"
                    f" Python held {after.ru_maxrss // 1024} MB at most"
                )
        finally:
            server.stop()


if __name__ == "__main__":
    main()
