"""Iris against its peers: the same work, the same tables, one machine, turn by turn.

    make bench
    make bench ARGS='--rounds 2 --seconds 1 --tickets 2000 --only one,page'
    make bench ARGS='--with tokens'             # Iris with tokens against Iris without
    make bench ARGS='--with hooks --only change,comment,create'

Prints Markdown on stdout, what it is doing on stderr. Everything speaks to 127.0.0.1 or a socket.
"""

import contextlib
import json
import re
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import harness
import pairs
import psycopg2
from harness import CONNECTIONS, HERE, Sample, Service, cpu, heading, number, row, say, spread

from iris import embedded
from iris.database import statements

PEERS = HERE / "peers"
PYTHON = HERE.parent / ".venv-bench" / "bin" / "python"
ANSWERING = ("Iris", "FastAPI", "Flask", "Django")
# How many turns each has at half of its load, and how far off that is still half.
HALVES, ASTRAY = 3, 0.1
GUNICORN = ("-m", "gunicorn", "--chdir", PEERS, "--workers=2", "--access-logfile=-")
GUNICORN += ("--no-control-socket", "--bind", "127.0.0.1:PORT")


def statement(connection, call):
    """Return the statement that a call of Iris's runs, as pgbench wants it."""
    ran = []

    def run(text, values, before="", keep=False, again=None):
        ran.append((before + text, values))
        raise InterruptedError

    statements.rows, real = run, statements.rows
    try:
        with contextlib.suppress(InterruptedError):
            call()
    finally:
        statements.rows = real
    with connection.cursor() as cursor:
        text = cursor.mogrify(*ran[0]).decode()
    # Where Iris sends several statements in one message, so does pgbench.
    return text.replace("true); ", "true) \\; ") + ";\n"


def start(url, database, socket, stack):
    """Start everybody; return {name: Service}, Iris first."""
    shared = {"BENCH_URL": url, "BENCH_SOCKET": socket, "BENCH_DATABASE": database}
    command, environment = harness.iris(url)
    uvicorn = ("-m", "uvicorn", "--app-dir", PEERS, "--workers", "2", "--port", "PORT")
    commands = {
        "Iris": (command, environment),
        "FastAPI": ((PYTHON, *uvicorn, "fastapi_app:app"), shared),
        # With threads it does better than with gevent.
        "Flask": ((PYTHON, *GUNICORN, "--threads=8", "flask_app:app"), shared),
        "Django": ((PYTHON, *GUNICORN, "--threads=8", "django_app:app"), shared),
        "constant bytes": (
            [*command[:-1], "--pythonpath", PEERS, "constant_app:app"], environment,
        ),
    }  # fmt: skip
    services = {}
    for name, (command, environment) in commands.items():
        services[name] = Service(name, command, **environment)
        stack.callback(services[name].stop)
    for service in services.values():
        service.wait()
    return services


# Do they all answer the same? ---------------------------------------------------------------------


def gist(name, status, data):
    """Return of an answer what has to be the same whoever gives it."""
    if name == "304":
        return status, data
    shown = ("title", "description", "status", "assignee", "priority", "labels", "fields", "body")
    lines = data.splitlines()
    rows = [json.loads(line) for line in lines] if name == "export" else json.loads(data)
    if name in ("create", "change", "comment", "bulk"):
        # Numbers and versions differ by who came first, and reporters by who asks.
        rows = rows if isinstance(rows, list) else [rows]
        return status, [{key: row.get(key) for key in shown} for row in rows]
    if name == "one":
        hung = [(each["comment_id"], each["author"], each["body"]) for each in rows["comments"]]
        return status, rows["ticket_id"], rows["version"], rows["title"], hung, rows["links"]
    return status, [(row["ticket_id"], row["version"], row["title"], row["labels"]) for row in rows]


def check(name, work, services, owner):
    """End loudly where a peer answers something else, or leaves another history.

    Returns:  how many bytes Iris answers, in the mean.
    """
    sizes = []
    for place in (7, 10, 11) if not work.rows else (7,):

        def fill(text, place=place):
            return harness.filled(text, id=place, ten=6 * place, n=1000 + place, rare=place)

        wanted = None
        for service in services:
            with owner.cursor() as cursor:
                cursor.execute("SELECT coalesce(max(event_id), 0) FROM events")
                last = cursor.fetchone()[0]
                path = work.path if service.name == "Iris" else work.peers or work.path
                # Otherwise the second one would find nothing left to change.
                cursor.execute(f"UPDATE tickets SET assignee = 'nobody' WHERE ticket_id = {place}"
                               if name == "change" else "SELECT")  # fmt: skip
                status, data = service.ask(work.method, fill(path), fill(work.body), work.header)
                cursor.execute(
                    "SELECT kind::text, count(*) FROM events WHERE event_id > %s GROUP BY 1", [last]
                )
                try:
                    found = gist(name, status, data), sorted(cursor.fetchall())
                except (ValueError, KeyError, TypeError):
                    service.fail(f"answers {name} with {status} {data[:500]}")
            if service.name == "Iris":
                wanted = found
                sizes.append(len(data))
            elif found != wanted:
                service.fail(f"answers {name} otherwise:\n{found!s:.2000}\nIris:\n{wanted!s:.2000}")
    return round(sum(sizes) / len(sizes))


# Measuring ----------------------------------------------------------------------------------------


# What one would write in psql: the same rows, under the same rules.
INSERT = """INSERT INTO tickets (title, description, assignee, priority, labels)
    SELECT title, description, assignee, priority, labels FROM bench.rows;
"""


class Bench:
    """All that a measurement needs: who, where, and for how long.

    name:     of the database.
    scripts:  a folder for pgbench's scripts.
    """

    def __init__(self, server, name, services, arguments, scripts):
        self.server, self.name, self.services = server, name, services
        self.arguments, self.scripts = arguments, Path(scripts)
        self.load = harness.Load(server, arguments.seconds)

    def service(self, service, work, size, seed, rate):
        path = work.path if service.name == "Iris" else work.peers or work.path
        path = f"/{size}{work.path}" if service.name == "constant bytes" else path
        return self.load.sample(service, work, path, self.arguments.tickets, seed, rate)

    def script(self, name, text):
        """Write a script for pgbench; return where it is."""
        many = self.arguments.tickets
        path = self.scripts / f"{name}.pgbench"
        path.write_text(
            f"\\set id random(1, {many})\n\\set ten 6 * random(1, {many // 6})\n"
            f"\\set rare random(0, {many // 10 - 1})\n\\set n random(1000, 4999)\n{text}"
        )
        return path

    def pgbench(self, script, connections, seed):
        """Measure a statement alone, without HTTP."""
        command = [embedded.binaries() / "pgbench", "-n", "-M", "simple", f"-c{connections}"]
        command += ["-j1", f"-T{self.arguments.seconds}", f"--random-seed={seed}", "-f", script]
        command += ["-h", self.server.socket(), "-U", "iris", self.name]
        environment = embedded.environment(PGAPPNAME="http")
        before = cpu(self.server.pid())
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        count = re.search(r"actually processed: (\d+)", done.stdout)
        if done.returncode or not count or re.search(r"failed transactions: [1-9]", done.stdout):
            sys.exit(f"bench: pgbench failed:\n{done.stdout}{done.stderr}")
        used = self._used(before) / int(count[1])
        return Sample(float(re.search(r"tps = ([\d.]+)", done.stdout)[1]), None, None, None, used)

    def _used(self, before):
        """Return the CPU ms that the database has used since."""
        # A session that ends can't be seen for a moment, before its server has counted it.
        time.sleep(0.1)
        return 1000 * (cpu(self.server.pid()) - before)

    def copy(self):
        """Measure psql's COPY of the same JSON."""
        text = "COPY (SELECT row_to_json(tickets) FROM tickets ORDER BY created DESC) TO STDOUT"
        command = [embedded.binaries() / "psql", "-X", "-h", self.server.socket(), "-U", "iris"]
        before, began = cpu(self.server.pid()), time.monotonic()
        subprocess.run([*command, "-c", text, self.name], stdout=subprocess.DEVNULL, check=True,
                       env=embedded.environment())  # fmt: skip
        took = time.monotonic() - began
        return Sample(1 / took, 1000 * took, 1000 * took, None, self._used(before))

    def limits(self, name, work, owner):
        """Return {contestant: its turn, of a seed and a rate} for what does without HTTP."""
        if not work.call:
            return {"psql COPY": lambda seed, rate: self.copy()}
        texts = {"pgbench": statement(owner, work.call)}
        if name == "bulk":
            texts = {
                "pgbench, Iris's statement": texts["pgbench"],
                "pgbench, INSERT … SELECT": INSERT,
            }
            with owner.cursor() as cursor:
                cursor.execute(
                    "CREATE SCHEMA bench; GRANT USAGE ON SCHEMA bench TO iris;"
                    "CREATE TABLE bench.rows AS SELECT title, description, assignee, priority, labels"
                    " FROM jsonb_populate_recordset(NULL::tickets, %s);"
                    "GRANT SELECT ON bench.rows TO iris; ANALYZE bench.rows",
                    [work.body],
                )
        return {
            who: partial(
                self._limit, self.script(f"{name}{place}", text), 1 if work.rows else CONNECTIONS
            )
            for place, (who, text) in enumerate(texts.items())
        }

    def _limit(self, script, connections, seed, rate):
        return self.pgbench(script, connections, seed)

    def measure(self, name, work, size, owner):
        """Return {contestant: (samples of each round, samples at half of its load)}."""
        turns = {who: partial(self.service, service, work, size)
                 for who, service in self.services.items()
                 if not (work.rows and who == "constant bytes")}  # fmt: skip
        turns |= self.limits(name, work, owner)
        found = self._rounds(turns, dict.fromkeys(turns, 0), range(1, self.arguments.rounds + 1))
        # Of its own, for what is half of one's load is too much for another.
        rates = {} if work.rows else {
            who: median(sample.rate for sample in found[who]) / 2 for who in ANSWERING
        }  # fmt: skip
        halves = self._rounds({who: turns[who] for who in rates}, rates, range(101, 101 + HALVES))
        return {who: (found[who], halves.get(who)) for who in turns}

    def _rounds(self, turns, rates, seeds):
        """Return {contestant: samples}, one of each seed."""
        found, names = {name: [] for name in turns}, list(turns)
        for seed in seeds:
            for name in names:
                found[name].append(turns[name](seed, rates[name]))
            # Nobody always comes after the same one.
            names = names[1:] + names[:1]
        return found


# Telling ------------------------------------------------------------------------------------------


def middle(samples):
    """Return the medians of samples, as a Sample."""
    parts = zip(*samples, strict=True)
    return Sample(*(None if None in part else median(part) for part in parts))


def table(name, work, size, found):
    """Print what was found of one kind of work."""
    how = ", one request at a time (p99: the slowest)" if work.rows else ""
    how = " (Iris: by a cursor; peers: by an offset)" if name == "deep" else how
    print(f"\n### {name}: {work.title}{how}\n\nIris answers {size:,} bytes.\n")
    columns = ["", "requests/s", "Iris is × as fast", "p50 ms", "p99 ms"]
    columns += ["tickets/s"] if work.rows else ["at half of its load: p50 ms", "p99 ms"]
    columns += ["CPU ms/request", "database CPU ms/request"]
    heading(columns)
    missed = []
    for who, (samples, halves) in found.items():
        rates = [sample.rate for sample in samples]
        full = middle(samples)
        cells = [who, spread(rates), "1" if who == "Iris" else spread(ratios(found, who))]
        cells += [number(full.p50), number(full.p99)]
        if work.rows:
            cells += [spread([rate * work.rows for rate in rates])]
        elif halves:
            cells += [spread([each.p50 for each in halves]), spread([each.p99 for each in halves])]
            share = middle(halves).rate / full.rate
            if abs(share / 0.5 - 1) > ASTRAY:
                missed.append(f"At half of its load {who} answered {share:.2f} of it.")
        else:
            cells += ["–", "–"]
        cells += [number(full.service), number(full.database)]
        row(cells)
    for sentence in missed:
        print(f"\n**{sentence}**", flush=True)
        say(f"MIND: {name}: {sentence}")


# What a work is held against beside the peers.
LIMITS = {"one": "constant bytes", "304": "constant bytes", "export": "psql COPY"}
LIMITS["bulk"] = "pgbench, INSERT … SELECT"


def ratios(found, who):
    """Return how many times as fast Iris was in each round."""
    pairs = zip(found["Iris"][0], found[who][0], strict=True)
    return [mine.rate / other.rate for mine, other in pairs]


def summary(results):
    """Print a line for each work.

    results:  {name: (Work, what was found)}.
    """
    print(
        "\n### In short\n\np99 in ms at half of each one's load, the peers' is that of the best of them.\n"
    )
    columns = [
        "",
        "Iris, requests/s",
        "× the fastest peer",
        "",
        "p99",
        "the peers'",
        "of the limit",
    ]
    heading(columns)
    for name, (work, found) in results.items():
        peers = ANSWERING[1:]
        best = min(peers, key=lambda who: median(ratios(found, who)))
        cells = [work.title, spread([sample.rate for sample in found["Iris"][0]])]
        cells += [spread(ratios(found, best)), best]
        late = {who: middle(found[who][1]).p99 if found[who][1] else None for who in ANSWERING}
        cells += [number(late["Iris"])]
        cells += [number(min((late[who] for who in peers if late[who]), default=None))]
        limit = LIMITS.get(name)
        cells += [f"{median(ratios(found, limit)):.0%} of {limit}" if limit else "–"]
        row(cells)


def compare(stack, arguments):
    """Start everybody, measure, print; what is started ends with the stack."""
    many = arguments.tickets
    server, names = harness.serve(stack, arguments.folder, [many])
    url = server.url(database=names[many])
    owner = stack.enter_context(
        contextlib.closing(psycopg2.connect(server.url("postgres", names[many])))
    )
    owner.autocommit = True
    say("starting everybody")
    services = start(url, names[many], server.socket(), stack)
    known = harness.works(many, harness.middle(owner, many))
    known = {name: work for name, work in known.items() if name in arguments.only}
    scripts = stack.enter_context(TemporaryDirectory(prefix="iris-bench-"))
    bench = Bench(server, names[many], services, arguments, scripts)
    answering = [services[name] for name in ANSWERING]
    say("checking that all of them answer the same")
    sizes = {name: check(name, work, answering, owner) for name, work in known.items()}
    print(f"# Iris and its peers\n\n{harness.machine()} {many:,} tickets; {arguments.rounds} rounds"
          f" of {arguments.seconds} s, {CONNECTIONS} connections; half of the load that each had then:"
          f" {HALVES} rounds of {2 * arguments.seconds} s. Medians (min–max); ratios are made within"
          " a round.")  # fmt: skip
    print("\nMiB of a worker at first: "
          + ", ".join(f"{each.name} {each.memory():.0f}" for each in answering))  # fmt: skip
    results = {}
    for name, work in known.items():
        say(f"measuring {name}")
        results[name] = work, bench.measure(name, work, sizes[name], owner)
        table(name, work, sizes[name], results[name][1])
    summary(results)
    print("\nMiB of a worker at last: "
          + ", ".join(f"{each.name} {each.memory():.0f}" for each in answering))  # fmt: skip


if __name__ == "__main__":
    parser = harness.parser("bench", __doc__)
    parser.add_argument("--tickets", type=int, default=100_000)
    parser.add_argument(
        "--with", choices=pairs.WITH, dest="with_",
        help="Iris that has these against Iris that has not, and nobody else",
    )  # fmt: skip
    given = parser.parse_args()
    harness.main(given, pairs.compare if given.with_ else compare)
