"""What something costs: an Iris that has it next to one that has not, turn by turn, on the same tickets.

make bench ARGS='--with tokens'
make bench ARGS='--with hooks'
make bench ARGS='--with metrics --rounds 20 --seconds 2'
"""

import contextlib
import json
import sys
import time
from statistics import median
from typing import NamedTuple

import harness
import psycopg2
import receivers
from harness import CONNECTIONS, Service, number, row, say, spread

# Who has a token reads at nine tenths of the rate at least, and writes at nineteen twentieths.
LEAST = {"GET": 0.90, "PUT": 0.95}
# With hooks, a write costs its sender no more than that.
MOST = 1.05
# To be counted costs a request so much, at most.
COUNTED = 1.01
HOOKS = 100
# Writes a second, which leave room for the deliverer: else it is measured who of them gets the processors.
PACE = 200


class Pair(NamedTuple):
    """Two services.

    both:     the one without, the one that has it.
    settle:   () → None; waits until the second one's turn leaves nothing to be done.
    load:     a harness.Load.
    is_slow:  (Work, the pairs of samples) → a sentence, or None.
    pace:     requests a second; 0 for as many as will be answered.
    """

    both: tuple
    settle: callable
    load: harness.Load
    is_slow: callable
    pace: int = 0


def rates(pairs):
    return [there.rate / none.rate for none, there in pairs]


def costs(pairs):
    return [cpu(there) / cpu(none) for none, there in pairs]


def cpu(sample):
    return sample.service + sample.database


# Tokens -------------------------------------------------------------------------------------------


def tokens(stack, server, database, seconds):
    """Start an Iris without and one with tokens, on one database; return a Pair."""
    command, environment = harness.iris(server.url(database=database))
    made = server._psql(database, "-At", "-c", "SELECT add_token('bench', 'admin') ->> 'token'")
    header = f"Authorization: Bearer {made.strip()}"
    both = (
        Service("without", command, **environment),
        Service("with tokens", command, header, **environment, IRIS_AUTH="token"),
    )
    _begin(stack, both)

    def is_slow(work, pairs):
        least, found = LEAST[work.method], median(rates(pairs))
        return f"slower than {least:.0%} of what it is without" if found < least else None

    return Pair(both, lambda: None, harness.Load(server, seconds), is_slow)


def _begin(stack, both):
    for each in both:
        stack.callback(each.stop)
    for each in both:
        each.wait()


# Hooks --------------------------------------------------------------------------------------------


class Own(harness.Load):
    """Counts of the database's CPU what a service's own sessions take: for a deliverer nobody waits.

    where:    {the name of a service: that of its database}.
    """

    def __init__(self, server, seconds, where):
        super().__init__(server, seconds)
        self.where = where

    def database(self, service):
        """Return {pid: CPU seconds} of the service's sessions."""
        with self.watch.cursor() as cursor:
            cursor.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = %s AND usename = 'iris'",
                [self.where[service.name]],
            )
            sessions = [pid for (pid,) in cursor]
        found = harness.processes()
        return {pid: found[pid][1] for pid in sessions if pid in found}


def hooks(stack, server, database, seconds):
    """Start an Iris whose database has hooks, a deliverer and a receiver, and one without; return a Pair."""
    other = f"{database}_hooks"
    made = f"CREATE DATABASE {other} TEMPLATE {database} STRATEGY file_copy"
    server._psql("postgres", "-c", made)
    stack.callback(server._psql, "postgres", "-c", f"DROP DATABASE {other} WITH (FORCE)")
    for each in ("timezone TO 'UTC'", "random_page_cost TO 1.1"):
        server._psql("postgres", "-c", f"ALTER DATABASE {other} SET {each}")
    where = {"without": database, f"with {HOOKS} hooks": other}
    both = []
    for name, its in where.items():
        command, environment = harness.iris(server.url(database=its))
        both.append(Service(name, command, **environment, IRIS_DELIVER="false"))
    _begin(stack, both)
    owner = stack.enter_context(contextlib.closing(psycopg2.connect(server.url("postgres", other))))
    owner.autocommit = True
    receiver = receivers.Receiver()
    stack.callback(receiver.close)
    with owner.cursor() as cursor:
        for place in range(HOOKS):
            # Of tickets that are changed, each hears of one in four thousand.
            given = f"{receiver.url}/{place}", json.dumps({"assignee": f"user{1000 + place}"})
            cursor.execute("INSERT INTO hooks (url, filter) VALUES (%s, %s)", given)
    # By another login, so that its sessions are told from those of the service.
    _, environment = harness.iris(server.url("iris_service", other))
    deliverer = Service(
        "iris deliver",
        [sys.executable, "-P", "-m", "iris.cli", "deliver"],
        **environment,
        IRIS_HOOKS_INSIDE="127.0.0.1",
    )
    stack.callback(deliverer.stop)

    def settle():
        least = "(SELECT min(position) FROM hooks)"
        behind = f"SELECT WHERE is_waiting() OR (SELECT max(position) FROM places) > {least}"
        with owner.cursor() as cursor:
            while cursor.execute(behind) or cursor.rowcount:
                time.sleep(0.2)

    def is_slow(work, pairs):
        is_dear = median(costs(pairs)) > MOST
        return f"it takes more than {MOST:.0%} of what it does without" if is_dear else None

    return Pair(tuple(both), settle, Own(server, seconds, where), is_slow, PACE)


# Metrics ------------------------------------------------------------------------------------------


def metrics(stack, server, database, seconds):
    """Start an Iris that counts nothing and one as it is, on one database; return a Pair."""
    command, environment = harness.iris(server.url(database=database))
    uncounted = ["uncounted:app" if part == "iris.app:app" else part for part in command]
    assert uncounted != command, command
    both = (
        Service("without", uncounted, **environment, PYTHONPATH=str(harness.HERE)),
        Service("with metrics", command, **environment),
    )
    _begin(stack, both)

    def is_slow(work, pairs):
        is_dear = median(costs(pairs)) > COUNTED
        return f"it takes more than {COUNTED:.0%} of what it does without" if is_dear else None

    return Pair(both, lambda: None, harness.Load(server, seconds), is_slow)


# Both ---------------------------------------------------------------------------------------------

WITH = {"tokens": tokens, "hooks": hooks, "metrics": metrics}


def measure(pair, work, arguments):
    """Return [(a sample without, a sample with it)], a pair a round."""
    found = []
    # The first turn of each is not counted.
    for seed in range(arguments.rounds + 1):
        turns = pair.both if seed % 2 else pair.both[::-1]
        samples = {}
        for each in turns:
            asked = each, work, work.path, arguments.tickets, seed, pair.pace
            samples[each] = pair.load.sample(*asked)
            pair.settle()
        found.append(tuple(samples[each] for each in pair.both))
    return found[1:]


def tell(work, pairs):
    """Print a line of one kind of work."""

    def ratios(value):
        return [value(there) / value(none) for none, there in pairs]

    cells = [work.title, number(median(none.rate for none, _ in pairs)), spread(rates(pairs))]
    cells += [spread(ratios(lambda sample: sample.p50)), spread(ratios(lambda sample: sample.p99))]
    cells += [number(1000 * median(cpu(none) for none, _ in pairs))]
    cells += [spread(ratios(lambda sample: sample.service))]
    cells += [spread(ratios(lambda sample: sample.database)), spread(costs(pairs))]
    row(cells)


def compare(stack, arguments):
    """Start both, measure, print; what is started ends with the stack."""
    many, what = arguments.tickets, arguments.with_
    server, names = harness.serve(stack, arguments.folder, [many])
    pair = WITH[what](stack, server, names[many], arguments.seconds)
    print(
        f"# Iris with {what} against Iris without\n\n{harness.machine()} {many:,} tickets;"
        f" {arguments.rounds} rounds of {arguments.seconds} s each, {CONNECTIONS} connections. Medians"
        " (min–max) of ratios, which are made within a round.\n"
    )
    harness.heading([
        "", "requests/s without", f"rate: × with {what}", "× p50", "× p99", "CPU µs a request without",
        "× service's CPU", "× database's", "× both",
    ])  # fmt: skip
    with contextlib.closing(psycopg2.connect(server.url("postgres", names[many]))) as owner:
        known, slow = harness.works(many, harness.middle(owner, many)), []
    for name in arguments.only:
        say(f"measuring {name}")
        pairs = measure(pair, known[name], arguments)
        tell(known[name], pairs)
        if sentence := pair.is_slow(known[name], pairs):
            slow.append(f"**{name}: {sentence}.**")
    for sentence in slow:
        print(f"\n{sentence}")
