"""A fuzzer: what a hostile client may send to either door, and what must hold of every answer.

    make fuzz REQUESTS=200000          # a throw-away database and service of its own
    make fuzz ARGS='--auth token'      # by people with tokens, some of which are none
    make fuzz SEED=7 PORT=8000         # against an Iris that runs; it will be full of rubbish

It knows Iris from outside: the routes and the codes of problems from the docs, the parameters from
what Iris says when a name is unknown. So it learns of what is new by itself. What it finds is printed with
a line that sends the same bytes again.
"""

import argparse
import collections
import contextlib
import csv
import gzip
import io
import json
import random
import re
import sys
import tempfile
import threading
import time
from pathlib import Path

import psycopg2
import replay
import rubbish
from wire import Broken, Connection, request, seconds_of

import docs
from iris import rights

# Seconds that /health may take, whatever else is asked.
HEALTH = 1
# Bytes that are read of an answer, before its reader goes away.
MOST = 4 << 20
# Tickets that are kept; with more, lists of all of them would be all that is done.
TICKETS = 300
csv.field_size_limit(1 << 30)
LISTED, READ = ("json", "ndjson", "csv", "tsv", "text", "html"), ("json", "text", "html")
SUBSCRIBED = ("ics", "atom")

# Where text is what one gets who asks for nothing else: /, /help and /metrics, however they are spelled.
TEXT_AT = rb"^[A-Z]+ (?:http://[^/ ]*)?(?:/|%2[Ff])+(?:(?:metrics|help)(?:/|%2[Ff])*)?[? ]"

# What there is ------------------------------------------------------------------------------------


def routes():
    """Return [(method, path)] that the docs' table of routes names."""
    found = []
    for line in docs.text().splitlines():
        if re.match(r"\| `[A-Z]+ /", line):
            path = None
            for method, place in re.findall(r"`([A-Z]+)(?: (/\S*|…))?`", line.split("|")[1]):
                path = path if place in ("", "…") else place.partition("?")[0]
                found.append((method, path))
    return found


def codes():
    """Return {code: the statuses it comes with} of the docs' table of problems."""
    found = collections.defaultdict(set)
    for statuses, words in re.findall(r"^\| (\d{3}[\d, ]*) \| (.*) \|$", docs.text(), re.MULTILINE):
        for code in re.findall(r"`([a-z_]+)`", words):
            found[code].update(map(int, statuses.split(",")))
    return found


# What must hold -----------------------------------------------------------------------------------


class World:
    """What is known of the Iris that is fuzzed, shared by all that fuzz it.

    tokens:   which let somebody in; the first one an admin. None where Iris asks for none.
    """

    def __init__(self, port, tokens=()):
        self.port, self.tokens = port, tokens
        self.admin = [f"Authorization: Bearer {tokens[0]}"] if tokens else []
        self.routes, self.codes = routes(), codes()
        self.cursors, self.largest = collections.deque(maxlen=200), 1
        self.known = {route: self._known(*route) for route in self.routes}

    def _known(self, method, template):
        """Return the names that a route takes, as it says itself."""
        path = re.sub(r"\{kind\}", "relates", re.sub(r"\{\w+_id\}", "1", template))
        with Connection(self.port) as connection:
            connection.send(
                request(
                    method,
                    path + "?no_such_name=1",
                    "known",
                    "Accept: application/json",
                    *self.admin,
                    close=True,
                )
            )
            hint = connection.answer(method).json.get("hint") or ""
        return tuple(re.findall(r"[\w.]+", hint.partition("Known are: ")[2]))

    def number(self, random_):
        """Return the number of a ticket, more likely of a new one."""
        if random_.random() < 0.7:
            return max(1, self.largest - int(random_.expovariate(1 / 40)))
        return random_.randint(1, self.largest + 2)

    def learn(self, answer):
        ticket = re.search(rb'"ticket_id": ?(\d{1,9})\b', answer.body[:1000])
        if ticket:
            self.largest = max(self.largest, int(ticket[1]))
        cursor = re.search(r"[?&]cursor=([\w%-]+)", answer.headers.get("link", ""))
        if cursor:
            self.cursors.append(cursor[1])


UNREAD = (400, 414, 417, 431, 501)


def wrong(world, method, marker, answer, framed, data):
    """Return what is wrong with an answer, a sentence, or None.

    framed:   whether the request is one that Iris must have understood.
    data:     the request.
    """
    # What is refused before it is understood has a marker of its own, and ends the connection.
    unread = answer.status in UNREAD and answer.headers.get("connection") == "close"
    if answer.marker != marker and (re.fullmatch(r"\d+-\d+", answer.marker or "") or not unread):
        return f"it is answered with another's answer, {answer.marker}: {answer.status}"
    if answer.status >= 400:
        declared = answer.status == 503 and "retry-after" in answer.headers
        if answer.status >= 500 and answer.status != 501 and not declared:
            return f"a {answer.status}"
        if method == "HEAD":
            return None
        if answer.kind == "text/plain" and re.search(
            rb"format=text|\"format\": ?\"text|[Aa]ccept: .*text/|" + TEXT_AT, data
        ):
            return shape(answer)
        if answer.kind == "text/html" and re.search(
            rb"format=html|\"format\": ?\"html|[Aa]ccept: .*text/", data
        ):
            return shape(answer)
        if answer.kind != "application/problem+json":
            return f"a problem as {answer.kind}"
        try:
            document = answer.json
        except RecursionError:
            # The ticket as it is by now, as psql wrote it.
            return None
        except ValueError as error:
            return f"a problem that is no JSON: {error}"
        code = document.get("code")
        if answer.status not in world.codes.get(code, ()):
            return f"{answer.status} {code} is not in the docs"
        if document["status"] != answer.status or (
            answer.marker and document["request_id"] != answer.marker
        ):
            return "a problem of another's"
        if not document.get("detail") or re.search(
            r"Traceback|psycopg2|sqlalchemy|SELECT |object at 0x", document["detail"]
        ):
            return f"a detail that is for no reader: {document.get('detail')!r:.200}"
        return None
    return shape(answer) if method != "HEAD" and answer.whole else None


def _parse(text):
    """Read JSON as one who has room for any number and any depth.

    psql may write either: fields go as deep as PostgreSQL takes them.
    """
    with contextlib.suppress(RecursionError):
        json.loads(text, parse_int=str, parse_float=str)


# What no answer for eyes has in it: what a terminal obeys, what a browser runs.
LOOSE = {
    "text/plain": r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]",
    "text/html": r"<script(?! (?:type=\"module\" )?src=)|<[^>]* on\w+=",
}


def shape(answer):
    """Return what is wrong with the body of a success, or None."""
    if answer.status in (204, 304):
        return "a body" if answer.body else None
    try:
        packed = answer.headers.get("content-encoding") == "gzip"
        text = (gzip.decompress(answer.body) if packed else answer.body).decode()
        if answer.kind == "application/json":
            _parse(text or "null")
        elif answer.kind == "application/x-ndjson":
            for line in text.split("\n")[:-1]:
                _parse(line)
        elif answer.kind == "text/csv" and "\0" not in text:
            rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
            if len({len(row) for row in rows if row}) > 1:
                return "rows of CSV that differ in their columns"
        elif answer.kind == "text/tab-separated-values":
            if len({line.count("\t") for line in text.split("\n")[:-1]}) > 1:
                return "rows of TSV that differ in their columns"
        elif found := re.search(LOOSE.get(answer.kind, "(?!)"), text):
            return f"{answer.kind} with {found[0]!r:.200}"
    except ValueError as error:
        return f"a body that is no {answer.kind}: {error!r:.200}"
    return None


def spelled(data):
    """Return bytes as Python spells them, long repetitions short."""
    parts, at = [], 0
    for run in re.finditer(rb"(.{1,12}?)\1{30,}", data, re.DOTALL):
        parts += [repr(data[at : run.start()])] if run.start() > at else []
        parts.append(f"{run[1]!r}*{len(run[0]) // len(run[1])}")
        at = run.end()
    parts += [repr(data[at:])] if at < len(data) or not parts else []
    return "+".join(parts)


def again(port, data):
    """Return a line for the shell that sends the same once more."""
    script = (
        f"import socket;s=socket.create_connection(('127.0.0.1',{port}));s.sendall({spelled(data)});"
        "s.shutdown(1);print(b''.join(iter(lambda:s.recv(9999),b'')).decode('utf-8','replace')[:3000])"
    )
    return (
        "python3 -c \"$(cat <<'END'\n" + script + '\nEND\n)"'
        if "'" in script
        else f'python3 -c "{script}"'
    )


# Running ------------------------------------------------------------------------------------------


class Fuzzer:
    """A run.

    port:     of the Iris.
    url:      of its database as `iris`, or None to leave the SQL door alone.
    say:      called with each line that there is to tell.
    tokens:   as World has them.
    """

    def __init__(self, port, url, seed, say=print, tokens=()):
        self.world, self.url, self.seed, self.say = World(port, tokens), url, seed, say
        self.port = port
        self.statuses, self.codes = collections.Counter(), collections.Counter()
        self.slowest, self.done = 0, 0
        self.failures, self.running = collections.Counter(), {}
        self.over = threading.Event()

    def run(self, requests, threads=4):
        """Send so many requests, and look at each answer; return how many failures there were."""
        watch = [threading.Thread(target=self._watch)]
        if self.url:
            watch.append(threading.Thread(target=self._psql))
        share = -(-requests // threads)
        work = [threading.Thread(target=self._work, args=(n, share)) for n in range(threads)]
        for thread in (*watch, *work):
            thread.start()
        try:
            for thread in work:
                thread.join()
            self.sweep(most=requests // 100)
        finally:
            self.over.set()
            for thread in watch:
                thread.join()
        return sum(self.failures.values())

    def sweep(self, most):
        """Look at what is there in every format: lists, and most tickets one by one."""
        lists = [
            "/events",
            "/comments",
            "/tickets",
            f"/tickets?columns={','.join(rubbish.COLUMNS)}",
        ]
        ones = ["/events?after=0"]
        largest = self.world.largest
        for number in random.Random(self.seed).sample(range(1, largest + 1), min(largest, most)):
            ones += [f"/tickets/{number}", f"/tickets/{number}?as_of=yesterday"]
            lists += [f"/tickets/{number}/history", f"/tickets/{number}/comments"]
        paths = [(path + ("&" if "?" in path else "?") + "limit=1000", LISTED) for path in lists]
        paths.append(("/tickets?limit=1000", SUBSCRIBED))
        for path, formats in paths + [(path, READ) for path in ones]:
            for media in formats:
                target = path + ("&" if "?" in path else "?") + f"format={media}"
                marker = f"0-{self.done}"
                batch = [(marker, "GET", request("GET", target, marker, *self.world.admin), True)]
                with Connection(self.port, timeout=60) as connection:
                    self._ask(connection, batch, False)

    def fail(self, what, data):
        """Tell of a failure; of each kind, only the first few."""
        kind = re.sub(r"\d+", "0", what)[:60]
        self.failures[kind] += 1
        if self.failures[kind] <= 3:
            self.say(f"\n{what}\n  {again(self.port, data)[:4000]}")

    def _work(self, number, share):
        try:
            self._send(number, share)
        except Exception as error:
            self.fail(f"the fuzzer itself: {error!r}", b"")
            raise

    def _send(self, number, share):
        some, connection = rubbish.Some(f"{self.seed}/{number}", self.world), None
        sent = 0
        while sent < share:
            used = connection is not None
            if not used:
                connection = Connection(self.port, timeout=60)
            many = some.random.choice((2, 3, 5)) if some.chance(0.03) else 1
            batch = []
            for _ in range(many):
                marker = f"{number}-{sent}"
                sent += 1
                batch.append((marker, *some.request(marker)))
                if not batch[-1][-1]:
                    break
            if not self._ask(connection, batch, used):
                connection.__exit__()
                connection = None
        if connection:
            connection.__exit__()

    def _ask(self, connection, batch, used):
        """Send a batch of requests and read the answers; return whether the connection is still good.

        used:     whether the connection has been used before: it may have come to its end just now.
        """
        data = b"".join(data for _, _, data, _ in batch)
        ours = threading.get_ident()
        self.running[ours] = data
        connection.send(data)
        framed = batch[-1][-1]
        if not framed:
            connection.half_close()
        try:
            for marker, method, asked, good in batch:
                answer = connection.answer(method, most=MOST)
                if answer is None:
                    if good and marker == batch[0][0] and not used:
                        self.fail("no answer", data)
                    return False
                self.done += 1
                self.statuses[answer.status] += 1
                code = re.search(rb'"code": "(\w+)"', answer.body) if answer.status >= 400 else None
                self.codes[code[1].decode() if code else str(answer.status)] += 1
                sentence = wrong(self.world, method, marker, answer, good, asked)
                if sentence:
                    self.fail(sentence, data)
                self.world.learn(answer)
                if answer.headers.get("connection") == "close" or not answer.whole:
                    return False
            return framed
        except (Broken, OSError) as error:
            if framed:
                self.fail(f"{type(error).__name__}: {error}", data)
            return False
        finally:
            del self.running[ours]

    def _watch(self):
        """Ask for /health all the time."""
        while not self.over.wait(0.1):
            took = seconds_of(self.port)
            if took is None or took > HEALTH:
                told = "no answer" if took is None else f"{took:.1f} s"
                self.fail(
                    f"/health took too long: {told}",
                    max(self.running.copy().values(), key=len, default=b""),
                )
            self.slowest = max(self.slowest, took or 30)

    def _psql(self):
        """Write by the other door what is legal there and odd."""
        connection = psycopg2.connect(self.url, application_name="psql")
        connection.autocommit = True
        chosen = random.Random(self.seed)
        try:
            with connection.cursor() as cursor:
                for statement in self._statements(chosen):
                    try:
                        cursor.execute(statement)
                    except psycopg2.Error as error:
                        self._refused(error)
                    if self.over.wait(0.02):
                        break
        finally:
            connection.close()

    def _statements(self, chosen):
        yield from rubbish.SQL
        while True:
            yield chosen.choice(rubbish.SQL)
            yield f"DELETE FROM tickets WHERE ticket_id <= (SELECT ticket_id FROM tickets ORDER BY ticket_id DESC OFFSET {TICKETS} LIMIT 1)"

    def _refused(self, error):
        if error.pgcode is None or error.pgcode.startswith("XX"):
            self.fail(f"SQL: {error}", b"")

    def told(self):
        """Return what was done, in a few lines."""
        statuses = ", ".join(f"{count} × {code}" for code, count in self.codes.most_common())
        failures = "".join(f"\n  {count} × {kind}" for kind, count in self.failures.most_common())
        return f"{self.done} answers: {statuses}\nslowest /health: {self.slowest:.2f} s\nfailures: {sum(self.failures.values())}{failures}"


def tokens_of(url):
    """Make a token of each role; return them, an admin's first and more than once, for most is theirs to do."""
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        made = []
        for role in reversed(rights.ROLES):
            cursor.execute("SELECT add_token(%s, %s)", (f"the {role}", role))
            made.append(cursor.fetchone()[0]["token"])
    connection.close()
    return made[:1] * 3 + made[1:]


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--seed", default=str(time.time_ns() % 1_000_000))
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--port", type=int, help="of an Iris that runs, in place of one of its own")
    parser.add_argument("--auth", choices=("none", "token"), default="none")
    parser.add_argument("--log", help="where to put the service's log")
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    if given.port:
        fuzzer = Fuzzer(given.port, None, given.seed)
        failed = fuzzer.run(given.requests, given.threads)
        print(fuzzer.told())
        return min(failed, 1)

    from conftest import Live  # noqa: PLC0415 (starts nothing, but needs pytest)

    from iris import embedded  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        server = embedded.Server(folder, options={"fsync": "off", "max_connections": "200"})
        server.start()
        try:
            server.seed()
            tokens = tokens_of(server.url()) if given.auth == "token" else ()
            live = Live(server.url(), IRIS_WORKERS="2", IRIS_AUTH=given.auth)
            try:
                fuzzer = Fuzzer(
                    live.port,
                    server.url(),
                    given.seed,
                    lambda line: print(line, flush=True),
                    tokens,
                )
                failed = fuzzer.run(given.requests, given.threads)
            finally:
                log = live.stop()
                if given.log:
                    Path(given.log).write_text(log)
            with (
                psycopg2.connect(server.url("postgres")) as connection,
                connection.cursor() as cursor,
            ):
                differences = replay.differences(cursor)
        finally:
            server.stop()
    print(fuzzer.told())
    print(f"tracebacks in the log: {log.count('Traceback')}")
    print(
        f"differences between history and the present: {len(differences)}",
        *differences[:5],
        sep="\n  ",
    )
    return int(bool(failed or differences or "Traceback" in log))


if __name__ == "__main__":
    sys.exit(main())
