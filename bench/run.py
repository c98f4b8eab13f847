"""Iris against its peers: the same work, the same tables, one machine, turn by turn.

    make bench
    make bench ARGS='--rounds 2 --seconds 1 --tickets 2000 --only one,page'

Prints Markdown on stdout, what it is doing on stderr. Everything speaks to 127.0.0.1 or a socket.
"""

import argparse
import contextlib
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

import psycopg2
from psycopg2.extensions import AsIs

from iris import cli, comments, database, embedded, pages, tickets

HERE = Path(__file__).parent
PEERS = HERE / "peers"
PYTHON = HERE.parent / ".venv-bench" / "bin" / "python"
CONNECTIONS = (16, 8)
BULK = 1000
ANSWERING = ("Iris", "FastAPI", "Flask", "Django")
TICK = os.sysconf("SC_CLK_TCK")
GUNICORN = ("-m", "gunicorn", "--chdir", PEERS, "--workers=2", "--access-logfile=-")
GUNICORN += ("--no-control-socket", "--bind", "127.0.0.1:PORT")


def say(sentence):
    print(f"bench: {sentence}", file=sys.stderr, flush=True)


# What is measured ---------------------------------------------------------------------------------


class Work(NamedTuple):
    """A kind of request.

    call:     what Iris does for it, for the text of its statement; :id and :n are pgbench's.
    path:     {id} is a random ticket, {n} a random number from 1000 to 4999.
    peers:    the path at the peers, where it is another.
    single:   whether it is so much that it is asked for one after another, without wrk.
    """

    title: str
    call: callable
    path: str
    method: str = "GET"
    body: str = ""
    header: str = ""
    peers: str = ""
    single: bool = False


def listed(**given):
    return lambda: tickets.page({name: tickets.LIST[name](text) for name, text in given.items()})


def works(many, cursor):
    """Return {name: Work}, reads first, so that all of them see the same.

    many:     how many tickets there are.
    cursor:   Iris's cursor in the middle of the list.
    """
    who, one = database.Writer("anonymous"), "/tickets/{id}"
    wanted = {"assignee": "user1", "status": "closed", "sort": "-priority"}
    new = {"title": "Word {n} is wrong", "assignee": "user7", "priority": "high"}
    new |= {"description": " ".join(["It says word{n}."] * 10), "labels": ["fire", "hardware"]}
    rows = [{**new, "title": f"Imported {place}"} for place in range(BULK)]
    rows = json.loads(json.dumps(rows).replace("{n}", "4000"))

    def pgbenched(text):
        return text.replace("{n}", ":n")

    mine = {**new, "title": pgbenched(new["title"]), "description": pgbenched(new["description"])}
    change = {"assignee": "user{n}", "priority": "urgent"}
    return {
        "one": Work("One ticket with its comments", lambda: tickets.one(AsIs(":id")), one),
        "304": Work(
            "One ticket, not modified (`If-None-Match`)",
            lambda: tickets.one(AsIs(":id"), [10]), one, header='If-None-Match: "10"',
        ),
        "page": Work("First page of 50", listed(), "/tickets"),
        "deep": Work(
            "50 tickets from the middle (Iris: cursor; peers: offset)",
            listed(cursor=cursor), f"/tickets?cursor={cursor}", peers=f"/tickets?offset={many // 2}",
        ),
        "filtered": Work(
            "50 closed tickets of a busy assignee, by priority", listed(**wanted),
            "/tickets?" + "&".join("=".join(item) for item in wanted.items()),
        ),
        "search": Work("50 newest with a word", listed(q="word:n"), "/tickets?q=word{n}"),
        "export": Work(
            "All tickets as NDJSON, one request at a time (p99: the slowest)", None, "/tickets?format=ndjson",
            peers="/export", single=True,
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
            f"File {BULK:,} tickets in one request, one at a time (p99: the slowest)",
            lambda: tickets.put(rows, who),
            "/tickets", "PUT", json.dumps(rows), peers="/bulk", single=True,
        ),
    }  # fmt: skip


def statement(connection, call):
    """Return the statement that a call of Iris's runs, as pgbench wants it."""
    ran = []

    def run(text, values):
        ran.append((text, values))
        raise InterruptedError

    database.run, real = run, database.run
    try:
        with contextlib.suppress(InterruptedError):
            call()
    finally:
        database.run = real
    with connection.cursor() as cursor:
        text = cursor.mogrify(*ran[0]).decode()
    # Where Iris sends two statements in one message, so does pgbench.
    return text.replace("true); ", "true) \\; ", 1) + ";\n"


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


class Service:
    """A program that serves on a port of 127.0.0.1 until it is stopped.

    command:  with PORT where its port goes.
    """

    def __init__(self, name, command, **environment):
        self.name = name
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
        self.log.seek(0)
        lines = [line for line in self.log if not re.search(r'" (200|201|304) ', line)]
        sys.exit(f"bench: {self.name} {sentence}; its log:\n{''.join(lines[-60:])}")

    def ask(self, method, path, body="", header=""):
        """Return (status, body)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        headers = {"Content-Type": "application/json"}
        headers.update([header.split(": ")] if header else [])
        connection.request(method, path, body or None, headers)
        answer = connection.getresponse()
        data = answer.read()
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


def start(server, stack):
    """Start everybody; return {name: Service}, Iris first."""
    shared = {"BENCH_URL": server.url(), "BENCH_SOCKET": server.socket()}
    iris = {"DATABASE_URL": server.url(), "DATABASE_URL_FILE": "", "IRIS_WORKERS": "2"}
    iris |= {"IRIS_BIND": "127.0.0.1:PORT", "PYTHONWARNINGS": "ignore"}
    uvicorn = ("-m", "uvicorn", "--app-dir", PEERS, "--workers", "2", "--port", "PORT")
    commands = {
        "Iris": (cli.gunicorn(), iris),
        "FastAPI": ((PYTHON, *uvicorn, "fastapi_app:app"), shared),
        # With threads it does better than with gevent.
        "Flask": ((PYTHON, *GUNICORN, "--threads=8", "flask_app:app"), shared),
        "Django": ((PYTHON, *GUNICORN, "--threads=8", "django_app:app"), shared),
        "constant bytes": (
            [*cli.gunicorn()[:-1], "--chdir", PEERS, "constant_app:app"], iris,
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
    for number in (7, 10, 11) if not work.single else (7,):

        def fill(text, number=number):
            return text.replace("{id}", str(number)).replace("{n}", str(1000 + number))

        wanted = None
        for service in services:
            with owner.cursor() as cursor:
                cursor.execute("SELECT coalesce(max(event_id), 0) FROM events")
                last = cursor.fetchone()[0]
                path = work.path if service.name == "Iris" else work.peers or work.path
                # Otherwise the second one would find nothing left to change.
                cursor.execute(f"UPDATE tickets SET assignee = 'nobody' WHERE ticket_id = {number}"
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


class Sample(NamedTuple):
    """rate: requests a second; p50, p99: ms, or None; service, database: CPU ms a request."""

    rate: float
    p50: float | None
    p99: float | None
    service: float | None
    database: float


class Bench:
    """All that a measurement needs: who, where, and for how long."""

    def __init__(self, server, services, arguments):
        self.server, self.services, self.arguments = server, services, arguments

    def _load(self, service, work, path, connections, seed):
        command = [
            "wrk",
            "-t1",
            f"-c{connections}",
            f"-d{self.arguments.seconds}s",
            "--timeout=30s",
        ]
        command += ["-s", HERE / "load.lua", f"http://127.0.0.1:{service.port}", "--", work.method]
        command += [path, work.body, work.header, str(self.arguments.tickets), str(seed)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+)", done.stdout)
        count, took, p50, p99, wrong = map(int, found.groups())
        if wrong or not count:
            service.fail(f"failed {wrong} times of {count} at {work.title}")
        return count, took / 1e6, p50 / 1000, p99 / 1000

    def _one_by_one(self, service, work, path):
        began, times = time.monotonic(), []
        while not times or time.monotonic() - began < self.arguments.seconds:
            asked = time.monotonic()
            status, _ = service.ask(work.method, path, work.body)
            times.append(1000 * (time.monotonic() - asked))
            if status != 200:
                service.fail(f"answered {work.title} with {status}")
        return len(times), time.monotonic() - began, median(times), max(times)

    def service(self, service, work, size, connections, seed):
        """Measure one service."""
        path = work.path if service.name == "Iris" else work.peers or work.path
        path = f"/{size}{work.path}" if service.name == "constant bytes" else path
        # All are asked to read the same, but who is asked to write what is there has nothing to do.
        seed += 0 if work.method == "GET" else service.port
        before = cpu(service.process.pid), cpu(self.server.pid())
        if work.single:
            count, took, p50, p99 = self._one_by_one(service, work, path)
        else:
            count, took, p50, p99 = self._load(service, work, path, connections, seed)
        used, used_there = cpu(service.process.pid), cpu(self.server.pid())
        spent = [1000 * (used - before[0]) / count, 1000 * (used_there - before[1]) / count]
        return Sample(count / took, p50, p99, *spent)

    def pgbench(self, script, connections, seed):
        """Measure the statement alone, without HTTP."""
        command = [embedded.binaries() / "pgbench", "-n", "-M", "simple", f"-c{connections}"]
        command += ["-j1", f"-T{self.arguments.seconds}", f"--random-seed={seed}", "-f", script]
        command += ["-h", self.server.socket(), "-U", "iris", "iris"]
        environment = embedded.environment(PGAPPNAME="http")
        before = cpu(self.server.pid())
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        count = re.search(r"actually processed: (\d+)", done.stdout)
        if done.returncode or not count or re.search(r"failed transactions: [1-9]", done.stdout):
            sys.exit(f"bench: pgbench failed:\n{done.stdout}{done.stderr}")
        used = 1000 * (cpu(self.server.pid()) - before) / int(count[1])
        return Sample(float(re.search(r"tps = ([\d.]+)", done.stdout)[1]), None, None, None, used)

    def copy(self):
        """Measure psql's COPY of the same JSON."""
        text = "COPY (SELECT row_to_json(tickets) FROM tickets ORDER BY created DESC) TO STDOUT"
        command = [embedded.binaries() / "psql", "-X", "-h", self.server.socket(), "-U", "iris"]
        before, began = cpu(self.server.pid()), time.monotonic()
        subprocess.run([*command, "-c", text, "iris"], stdout=subprocess.DEVNULL, check=True,
                       env=embedded.environment())  # fmt: skip
        took = time.monotonic() - began
        used = 1000 * (cpu(self.server.pid()) - before)
        return Sample(1 / took, 1000 * took, 1000 * took, None, used)

    def measure(self, work, script, size):
        """Return {contestant: (samples of each round, a sample at half of the connections)}."""
        turns = {name: self._turn(service, work, size) for name, service in self.services.items()
                 if not (work.single and name == "constant bytes")}  # fmt: skip
        if work.call:
            turns["pgbench"] = lambda connections, seed: self.pgbench(
                script, 1 if work.single else connections, seed
            )
        else:
            turns["psql COPY"] = lambda connections, seed: self.copy()
        found = {name: [] for name in turns}
        names = list(turns)
        for seed in range(1, self.arguments.rounds + 1):
            for name in names:
                found[name].append(turns[name](CONNECTIONS[0], seed))
            # Nobody always comes after the same one.
            names = names[1:] + names[:1]
        halves = {
            name: turns[name](CONNECTIONS[1], 99)
            for name in names
            if not work.single and name in ANSWERING
        }
        return {name: (found[name], halves.get(name)) for name in turns}

    def _turn(self, service, work, size):
        return lambda connections, seed: self.service(service, work, size, connections, seed)


# Telling ------------------------------------------------------------------------------------------


def number(value):
    """Write a number with three digits that count, or – for none."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def spread(values):
    return f"{number(median(values))} ({number(min(values))}–{number(max(values))})"


def table(name, work, size, found):
    """Print what was found of one kind of work."""
    print(f"\n### {name}: {work.title}\n\nIris answers {size:,} bytes.\n")
    print("| | requests/s | Iris is × as fast | p50 ms | p99 ms | p50, p99 ms at half"
          " | CPU ms/request | database CPU ms/request |\n|---|---|---|---|---|---|---|---|")  # fmt: skip
    iris = [sample.rate for sample in found["Iris"][0]]
    for who, (samples, half) in found.items():
        ratios = [mine / sample.rate for mine, sample in zip(iris, samples, strict=True)]
        middle = Sample(
            *(None if None in part else median(part) for part in zip(*samples, strict=True))
        )
        at_half = f"{number(half.p50)}, {number(half.p99)}" if half and half.p50 else "–"
        cells = [who, spread([sample.rate for sample in samples])]
        cells += ["1" if who == "Iris" else spread(ratios), number(middle.p50), number(middle.p99)]
        cells += [at_half, number(middle.service), number(middle.database)]
        print(f"| {' | '.join(cells)} |", flush=True)


def machine(arguments):
    """Print what this ran on."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    system = f"Linux {platform.release()}, Python {platform.python_version()}"
    print(f"# Iris and its peers\n\n{time.strftime('%Y-%m-%d')}, {os.cpu_count()} CPUs"
          f" ({model[1] if model else platform.machine()}), {system}, PostgreSQL {embedded.VERSION}."
          f" {arguments.tickets:,} tickets; {arguments.rounds} rounds of {arguments.seconds} s;"
          f" {CONNECTIONS[0]} connections, half: {CONNECTIONS[1]} (one turn)."
          " Medians (min–max); ratios are made within a round.")  # fmt: skip


def compare(stack, arguments, only):
    """Start everybody, measure, print; what is started ends with the stack.

    only:     names of works.
    """
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="iris-bench-"))
    server = embedded.Server(folder, say)
    stack.callback(server.stop)
    server.start()
    server.seed()
    say(f"making {arguments.tickets:,} tickets")
    server._psql("iris", "-v", f"tickets={arguments.tickets}", "-f", str(HERE / "seed.sql"))
    owner = stack.enter_context(contextlib.closing(psycopg2.connect(server.url("postgres"))))
    owner.autocommit = True
    say("starting everybody")
    services = start(server, stack)
    with owner.cursor() as cursor:
        cursor.execute(
            "SELECT json_build_array(created, ticket_id)::text FROM tickets"
            " ORDER BY created DESC OFFSET %s LIMIT 1",
            [arguments.tickets // 2],
        )
        cursor_ = pages._encode(cursor.fetchone()[0], "-created")
    known = works(arguments.tickets, cursor_)
    bench = Bench(server, services, arguments)
    answering = [services[name] for name in ANSWERING]
    say("checking that all of them answer the same")
    sizes = {name: check(name, known[name], answering, owner) for name in known if name in only}
    machine(arguments)
    print("\nMiB of a worker at first: "
          + ", ".join(f"{each.name} {each.memory():.0f}" for each in answering))  # fmt: skip
    for name, work in known.items():
        if name in only:
            say(f"measuring {name}")
            script = Path(folder) / f"{name}.pgbench"
            if work.call:
                sets = f"\\set id random(1, {arguments.tickets})\n\\set n random(1000, 4999)\n"
                script.write_text(sets + statement(owner, work.call))
            table(name, work, sizes[name], bench.measure(work, script, sizes[name]))
    print("\nMiB of a worker at last: "
          + ", ".join(f"{each.name} {each.memory():.0f}" for each in answering))  # fmt: skip


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.split("\n")[0])
    parser.add_argument("--tickets", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="of each turn")
    parser.add_argument("--only", help="names of works, with commas between them")
    arguments = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("bench: this needs wrk, which makes the load: apt install wrk, brew install wrk")
    known = works(arguments.tickets, "")
    only = arguments.only.split(",") if arguments.only else list(known)
    if unknown := set(only) - known.keys():
        sys.exit(f"bench: --only knows {', '.join(known)}, not {', '.join(sorted(unknown))}")
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
    with contextlib.ExitStack() as stack:
        try:
            compare(stack, arguments, known.keys() & only)
        finally:
            # Who presses Ctrl-C twice must not keep the rest from being stopped.
            signal.signal(signal.SIGINT, signal.SIG_IGN)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("bench: stopped")
