"""What all measurements share: the kinds of requests, the databases, the programs, the load.

Everything speaks to 127.0.0.1 or a socket.
"""

import argparse
import contextlib
import hashlib
import http.client
import json
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple
from urllib.parse import urlencode

import psycopg2
from psycopg2.extensions import AsIs

from iris import comments, embedded, migrations, schema, tickets
from iris.cli import serve as service
from iris.database import writing
from iris.intake import bodies
from iris.lists import cursors, pages
from iris.lists import tickets as ticket_list

HERE = Path(__file__).parent
SEED = HERE / "seed.sql"
CONNECTIONS = 16
BULK = 1000
TICK = os.sysconf("SC_CLK_TCK")


def say(sentence):
    print(f"bench: {sentence}", file=sys.stderr, flush=True)


# What is measured ---------------------------------------------------------------------------------


class Work(NamedTuple):
    """A kind of request.

    call:     what Iris does for it, for the text of its statement; :id, :n and so on are pgbench's.
    path:     with {id} and so on, which load.lua fills in.
    peers:    the path at the peers, where it is another.
    rows:     how many tickets a request is about that is so much that it is asked for one after
              another, without wrk; 0 for all others.
    """

    title: str
    call: callable
    path: str
    method: str = "GET"
    body: str = ""
    header: str = ""
    peers: str = ""
    rows: int = 0


def listed(title, peers="", **given):
    """Return the work of asking for a list: where a request has {n}, pgbench has :n."""

    def call():
        values = {name: re.sub(r"{(\w+)}", r":\1", text) for name, text in given.items()}
        return ticket_list.page(
            {
                name: ticket_list.PARAMETERS[name](bodies.Untyped(text))
                for name, text in values.items()
            }
        )

    query = "?" + urlencode(given, safe="{}") if given else ""
    return Work(title, call, "/tickets" + query, peers=peers)


def pasts(now):
    """Return the reads of works() as of yesterday, a year ago and in the middle, in turns: {name_then: Work}.

    now:      {name: Work}.
    """
    made = {"count": listed("One ticket, and how many there are", count="true", limit="1")}
    for name, work in [*now.items(), *made.items()]:
        if name in ("one", "page", "filtered", "rare", "search", "count"):
            path = work.path.replace("{ten}", "{early}")
            path += ("&" if "?" in path else "?") + "as_of={then}"
            made[f"{name}_then"] = work._replace(title=f"{work.title}, as it was", path=path)
    return made


def works(many, cursor="", found=pages.LIMIT, past=False):
    """Return {name: Work}, reads first, so that all of them see the same.

    many:     how many tickets there are.
    cursor:   Iris's cursor in the middle of the list.
    found:    how many tickets to ask for where not all are wanted: at most a page.
    past:     whether to ask for the past, too.
    """
    who, one, ten = writing.Writer("anonymous"), "/tickets/{id}", "/tickets/{ten}"
    some = {} if found == pages.LIMIT else {"limit": str(found)}
    new = {"title": "Word {n} is wrong", "assignee": "user7", "priority": "high"}
    new |= {"description": " ".join(["It says word{n}."] * 10), "labels": ["fire", "hardware"]}
    rows = [{**new, "title": f"Imported {place}"} for place in range(BULK)]
    rows = json.loads(json.dumps(rows).replace("{n}", "4000"))

    def pgbenched(text):
        return text.replace("{n}", ":n")

    mine = {**new, "title": pgbenched(new["title"]), "description": pgbenched(new["description"])}
    change = {"assignee": "user{n}", "priority": "urgent"}
    reads = {
        "one": Work("One ticket with its ten comments", lambda: tickets.one(AsIs(":ten")), ten),
        "304": Work(
            "One ticket, not modified (`If-None-Match`)",
            lambda: tickets.one(AsIs(":ten"), [11]), ten, header='If-None-Match: "11"',
        ),
        "page": listed("First page of 50"),
        "deep": listed("50 tickets from the middle", f"/tickets?offset={many // 2}", cursor=cursor),
        "filtered": listed(
            "What the busiest has to do, by priority" + (f", {found} of it" if some else ""),
            assignee="user0", open="true", sort="-priority", **some,
        ),
        "rare": listed("The ten with a rare word", q="rare{rare}"),
        "search": listed(f"{found} newest with a common word", q="word{n}", **some),
    }  # fmt: skip
    return reads | (pasts(reads) if past else {}) | {
        "export": Work(
            "All tickets as NDJSON", None, "/tickets?format=ndjson", peers="/export", rows=many,
        ),
        "change": Work(
            "Change a ticket", lambda: tickets.change(
                AsIs(":id"), {**change, "assignee": "user:n"}, who), one, "PUT", json.dumps(change),
        ),
        "comment": Work(
            "Comment on a ticket", lambda: comments.create(AsIs(":id"), {"body": "See word:n"}, who),
            one + "/comments", "PUT", '{"body": "See word{n}"}',
        ),
        "create": Work(
            "File a ticket", lambda: tickets.create(mine, who), "/tickets", "PUT", json.dumps(new)
        ),
        "bulk": Work(
            f"File {BULK:,} tickets in one request", lambda: tickets.put(rows, who),
            "/tickets", "PUT", json.dumps(rows), peers="/bulk", rows=BULK,
        ),
    }  # fmt: skip


def filled(text, **made):
    """Return text with what stands in braces in it replaced, as load.lua does."""
    return re.sub("{([a-z]+)}", lambda match: str(made[match[1]]), text)


def middle(connection, many):
    """Return Iris's cursor in the middle of the list of so many tickets."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT created::text, ticket_id::text FROM tickets"
            " ORDER BY created DESC OFFSET %s LIMIT 1",
            [many // 2],
        )
        return cursors.encode("-created", *cursor.fetchone())


# Databases ----------------------------------------------------------------------------------------

# While tickets are made, nothing has to outlive a crash.
MAKING = {"fsync": "off", "wal_level": "minimal", "max_wal_senders": "0", "max_wal_size": "4GB"}
MAKING |= {"autovacuum": "off"}


def serve(stack, folder, sizes):
    """Start a PostgreSQL as shipped, with a database for each size; it ends with the stack.

    folder:   where to keep the tickets for another time, or None for a folder that goes at the end.
              What is kept is never written to: it is copied, and the copy is measured.
    sizes:    how many tickets.
    Returns:  (an embedded.Server, {size: the name of its database}).
    """
    where = folder or stack.enter_context(tempfile.TemporaryDirectory(prefix="iris-bench-"))
    server = embedded.Server(where, say, MAKING)
    if server.pid() is not None:
        sys.exit(f"bench: a PostgreSQL runs in {where}: end it first (process {server.pid()})")
    stack.callback(server.stop)
    server.start()

    def run(statement):
        return server._psql("postgres", "-At", "-c", statement).split()

    # Made of other files, tickets would not be the same.
    digest = hashlib.sha256(schema.everything().encode() + SEED.read_bytes()).hexdigest()[:8]
    kept = {size: f"bench_{size}_{digest}" for size in sizes}
    there = run("SELECT datname FROM pg_database WHERE datname LIKE 'bench%'")
    for name in there:
        if not name.endswith(f"_{digest}"):
            run(f"DROP DATABASE {name}")
    for size, name in kept.items():
        if name not in there:
            _make(server, size)
            run(f"ALTER DATABASE bench_new RENAME TO {name}")
    names = {size: f"bench_{size}" for size in sizes} if folder else kept
    for size in sizes if folder else ():
        say(f"copying {size:,} tickets")
        run(f"CREATE DATABASE {names[size]} TEMPLATE {kept[size]} STRATEGY file_copy")
        # initdb.sql sets these, but a copy is without them.
        run(f"ALTER DATABASE {names[size]} SET timezone TO 'UTC'")
        run(f"ALTER DATABASE {names[size]} SET random_page_cost TO 1.1")
    server.stop()
    say("waiting for the disk")
    os.sync()
    server = embedded.Server(where, say)
    stack.callback(server.stop)
    server.start()
    return server, names


def _make(server, size):
    """Make the database bench_new, with so many tickets."""
    server._psql("postgres", "-c", "CREATE DATABASE bench_new")
    server._psql("bench_new", "-f", str(schema.INITDB), IRIS_PASS="nobody is asked for it")
    command = [embedded.binaries() / "psql", "-X", "-q", "-h", server.socket(), "-U", "postgres"]
    command += ["-v", f"tickets={size}", "-f", SEED, "bench_new"]
    # What it is at comes by stderr.
    if subprocess.run(command, check=False, env=embedded.environment()).returncode:
        sys.exit("bench: the tickets could not be made")
    url = server.url("postgres", "bench_new")
    migrations.write_past(url, say)
    server._psql("bench_new", "-c", "VACUUM ANALYZE past_tickets, past_searches")


# Processes ----------------------------------------------------------------------------------------


def processes():
    """Return {pid: (its parent, CPU seconds of it and of its children that are gone)}."""
    found = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            pid = int(entry.name)
            parts = (entry / "stat").read_text().rpartition(")")[2].split()
            found[pid] = int(parts[1]), sum(map(int, parts[11:15])) / TICK
    return found


def tree(pid, found):
    """Return a process and all below it."""
    below = [child for child, (parent, _) in found.items() if parent == pid]
    return [pid, *(each for child in below for each in tree(child, found))]


def cpu(pid):
    """Return the CPU seconds that a process and all below it have used."""
    found = processes()
    return sum(found[each][1] for each in tree(pid, found))


class Failed(SystemExit):
    """A service does not do what it is asked to; ends with a sentence and its log."""


class Service:
    """A program that serves on a port of 127.0.0.1 until it is stopped.

    command:  with PORT where its port goes.
    header:   goes with every request, beside those of the work; without any, "".
    """

    def __init__(self, name, command, header="", **environment):
        self.name, self.header = name, header
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115 (open as long as it runs)
        fill = {**embedded.environment(), **environment}
        self.process = subprocess.Popen(
            [str(part).replace("PORT", str(self.port)) for part in command],
            env={key: value.replace("PORT", str(self.port)) for key, value in fill.items()},
            stdout=self.log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def wait(self):
        for _ in range(300):
            with contextlib.suppress(OSError, http.client.HTTPException):
                # The constant one takes this for one byte.
                self.ask("GET", "/1/")
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        self.fail("does not start")

    def fail(self, sentence):
        # What went wrong is written after the answer.
        time.sleep(0.5)
        self.log.seek(0)
        lines = [line for line in self.log if not re.search(r'" (200|201|304) ', line)]
        raise Failed(f"bench: {self.name} {sentence}; its log:\n{''.join(lines[-60:])}")

    def ask(self, method, path, body="", header="", read=http.client.HTTPResponse.read):
        """Return (status, body).

        read:     what reads the answer, of which it may make something else than a body.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        headers = {"Content-Type": "application/json"}
        headers.update(line.split(": ") for line in (header, self.header) if line)
        connection.request(method, path, body or None, headers)
        answer = connection.getresponse()
        data = read(answer)
        connection.close()
        return answer.status, data

    def memory(self):
        """Return the mean resident memory of its two workers, in MiB."""
        found = processes()
        sizes = []
        for pid in tree(self.process.pid, found)[1:]:
            status = Path(f"/proc/{pid}/status").read_text()
            sizes.append(int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024)
        return sum(sorted(sizes)[-2:]) / 2

    def stop(self):
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(15)
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def iris(url):
    """Return (the command, the environment) of an Iris as `make up` serves it.

    url:      of its database.
    """
    environment = {"DATABASE_URL": url, "DATABASE_URL_FILE": "", "IRIS_WORKERS": "2"}
    environment |= {"IRIS_BIND": "127.0.0.1:PORT", "PYTHONWARNINGS": "ignore"}
    return service.gunicorn(), environment


# Measuring ----------------------------------------------------------------------------------------


class Sample(NamedTuple):
    """rate: requests a second; p50, p99: ms, or None; service, database: CPU ms a request."""

    rate: float
    p50: float | None
    p99: float | None
    service: float | None
    database: float

    def part(self, parts):
        """Return what this means for one of so many parts that each request has."""
        return Sample(
            self.rate * parts, self.p50, self.p99, self.service / parts, self.database / parts
        )


class Load:
    """How to ask.

    server:   whose CPU is looked at beside the service's.
    seconds:  how long, at least.
    """

    def __init__(self, server, seconds):
        self.server, self.seconds = server, seconds
        self.watch = psycopg2.connect(server.url("postgres", "postgres"))
        self.watch.autocommit = True

    def _settle(self):
        """Wait until what the last one was asked is done: wrk leaves without its last answers."""
        busy = "SELECT FROM pg_stat_activity WHERE usename = 'iris' AND state = 'active'"
        with self.watch.cursor() as cursor:
            while cursor.execute(busy) or cursor.rowcount:
                time.sleep(0.05)

    def database(self, service):
        """Return {pid: CPU seconds} of what counts of the database; who is new has had none before."""
        return {self.server.pid(): cpu(self.server.pid())}

    def sample(self, service, work, path, many, seed, rate=0):
        """Measure one service.

        many:     how many tickets there are.
        seed:     for who is to ask what another asks.
        rate:     requests a second, twice as long; 0 for as many as will be answered.
        Returns:  a Sample.
        """
        # All are asked to read the same, but who is asked to write what is there has nothing to do.
        seed += 0 if work.method == "GET" else service.port
        self._settle()
        before = cpu(service.process.pid), self.database(service)
        if work.rows:
            count, took, p50, p99 = self._one_by_one(service, work, path)
        else:
            count, took, p50, p99 = self._many(service, work, path, many, seed, rate)
        used, used_there = cpu(service.process.pid), self.database(service)
        there = sum(each - before[1].get(pid, 0) for pid, each in used_there.items())
        spent = [1000 * (used - before[0]) / count, 1000 * there / count]
        return Sample(count / took, p50, p99, *spent)

    def _many(self, service, work, path, many, seed, rate):
        seconds = self.seconds * (2 if rate else 1)
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout=30s"]
        command += ["-s", HERE / "load.lua", f"http://127.0.0.1:{service.port}", "--", work.method]
        headers = f"{work.header}\n{service.header}"
        command += [path, work.body, headers, str(many), str(seed), str(rate)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+)", done.stdout)
        count, took, p50, p99, wrong = map(int, found.groups())
        if wrong or not count:
            service.fail(f"failed {wrong} times of {count} at {work.title}")
        return count, took / 1e6, p50 / 1000, p99 / 1000

    def _one_by_one(self, service, work, path):
        def lose(answer):
            while answer.read(1 << 20):
                pass

        began, times = time.monotonic(), []
        while not times or time.monotonic() - began < self.seconds:
            asked = time.monotonic()
            status, _ = service.ask(work.method, path, work.body, read=lose)
            times.append(1000 * (time.monotonic() - asked))
            if status != 200:
                service.fail(f"answered {work.title} with {status}")
        return len(times), time.monotonic() - began, median(times), max(times)


# Telling ------------------------------------------------------------------------------------------


def number(value):
    """Write a number with three digits that count, or – for none."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def spread(values):
    return f"{number(median(values))} ({number(min(values))}–{number(max(values))})"


def row(cells):
    print(f"| {' | '.join(cells)} |", flush=True)


def heading(cells):
    """Print the first lines of a table."""
    row(cells)
    row(["---"] * len(cells))


def machine():
    """Return a line about what this ran on."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return (
        f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} CPUs"
        f" ({model[1] if model else platform.machine()}), Linux {platform.release()},"
        f" Python {platform.python_version()}, PostgreSQL {embedded.VERSION}."
    )


# Running ------------------------------------------------------------------------------------------


def parser(target, document):
    """Return the parser of a measurement's arguments, with those that all of them have."""
    made = argparse.ArgumentParser(prog=f"make {target}", description=document.split("\n")[0])
    made.add_argument("--rounds", type=int, default=5)
    made.add_argument("--seconds", type=int, default=3, help="of each turn")
    made.add_argument("--only", help="names of works, with commas between them")
    made.add_argument("--folder", help="keep the tickets here, and find them here the next time")
    return made


def main(arguments, body, past=False):
    """Run body(stack, arguments); what is started on the stack ends, whatever happens.

    past:     whether it asks for the past, too.
    """
    if shutil.which("wrk") is None:
        sys.exit("bench: this needs wrk, which makes the load: apt install wrk, brew install wrk")
    known = list(works(1, past=past))
    arguments.only = arguments.only.split(",") if arguments.only else known
    if unknown := set(arguments.only) - set(known):
        sys.exit(f"bench: --only knows {', '.join(known)}, not {', '.join(sorted(unknown))}")
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
    try:
        with contextlib.ExitStack() as stack:
            try:
                body(stack, arguments)
            finally:
                # Who presses Ctrl-C twice must not keep the rest from being stopped.
                signal.signal(signal.SIGINT, signal.SIG_IGN)
    except KeyboardInterrupt:
        sys.exit("bench: stopped")
