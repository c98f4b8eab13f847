"""What tokens cost: an Iris that wants them next to one that does not, turn by turn, on the same tickets.

make bench ARGS='--auth token'
"""

import contextlib
from statistics import median

import harness
import psycopg2
from harness import CONNECTIONS, Service, number, row, say, spread

# Who has a token reads at nine tenths of the rate at least, and writes at nineteen twentieths.
LEAST = {"GET": 0.90, "PUT": 0.95}


def start(server, url, database, stack):
    """Start both; return (the one without, the one with tokens)."""
    command, environment = harness.iris(url)
    made = server._psql(database, "-At", "-c", "SELECT add_token('bench', 'admin') ->> 'token'")
    header = f"Authorization: Bearer {made.strip()}"
    both = (
        Service("without", command, **environment),
        Service("with tokens", command, header, **environment, IRIS_AUTH="token"),
    )
    for each in both:
        stack.callback(each.stop)
        each.wait()
    return both


def measure(load, both, work, arguments):
    """Return [(a sample without, a sample with tokens)], a pair a round."""
    pairs = []
    # The first turn of each is not counted.
    for seed in range(arguments.rounds + 1):
        turns = both if seed % 2 else both[::-1]
        found = {
            each.name: load.sample(each, work, work.path, arguments.tickets, seed) for each in turns
        }
        pairs.append(tuple(found[each.name] for each in both))
    return pairs[1:]


def tell(work, pairs):
    """Print a line of one kind of work; return whether it is as fast as it has to be."""

    def ratios(value):
        return [value(token) / value(none) for none, token in pairs]

    def cpu(sample):
        return sample.service + sample.database

    rates = ratios(lambda sample: sample.rate)
    cells = [work.title, number(median(none.rate for none, _ in pairs)), spread(rates)]
    cells += [number(1000 * median(cpu(none) for none, _ in pairs))]
    cells += [spread(ratios(lambda sample: sample.service))]
    cells += [spread(ratios(lambda sample: sample.database)), spread(ratios(cpu))]
    row(cells)
    least = LEAST[work.method]
    return median(rates) >= least


def compare(stack, arguments):
    """Start both, measure, print; what is started ends with the stack."""
    many = arguments.tickets
    server, names = harness.serve(stack, arguments.folder, [many])
    both = start(server, server.url(database=names[many]), names[many], stack)
    load = harness.Load(server, arguments.seconds)
    print(
        f"# Iris with tokens against Iris without\n\n{harness.machine()} {many:,} tickets;"
        f" {arguments.rounds} rounds of {arguments.seconds} s each, {CONNECTIONS} connections. Medians"
        " (min–max) of ratios, which are made within a round.\n"
    )
    harness.heading([
        "", "requests/s without", "rate: × with tokens", "CPU µs a request without",
        "× service's CPU", "× database's", "× both",
    ])  # fmt: skip
    with contextlib.closing(psycopg2.connect(server.url("postgres", names[many]))) as owner:
        known, slow = harness.works(many, harness.middle(owner, many)), []
    for name in arguments.only:
        say(f"measuring {name}")
        if not tell(known[name], measure(load, both, known[name], arguments)):
            slow.append(name)
    for name in slow:
        print(f"\n**{name}: slower than {LEAST[known[name].method]:.0%} of what it is without.**")
