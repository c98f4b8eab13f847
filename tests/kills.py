"""Kill -9 under load, with a ledger: nothing acknowledged is lost or done twice, and all fits together.

    make kills ROUNDS=20

`iris up` runs with its own PostgreSQL and wants tokens. Writers at both doors note what was acknowledged, each with
a token and a login of their own; those at the HTTP door repeat themselves, with one Idempotency-Key, until they know; somebody reads the feed all the
time. In each round every fault happens once. Then the writers rest, and everything is compared: the
ledger with the history, the history with the present and with the past as it was seen, the feed with both.
"""

import argparse
import contextlib
import filecmp
import functools
import http.client
import itertools
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
import psycopg2
import psycopg2.extras
from conftest import free_port

from iris import embedded, schema
from iris.transfer import export, restore

# What the database itself keeps of a ticket, and a history doesn't tell as changes.
KEPT = ("created", "updated", "closed", "version")
# Seconds that it may take to come back, on a machine that has other things to do.
SECONDS = 90
# Who comes in, and as what; who writes over HTTP deletes, too.
PEOPLE = {
    "reader": "reader",
    **{f"http{number}": "admin" for number in range(4)},
    **{f"psql{number}": "writer" for number in range(2)},
}


class Iris:
    """A running `iris up`: its processes, and how to start it again.

    folder:   an empty one; keeps the log of `iris up`.
    pause:    seconds of load before a fault; held, how long what is only stopped is.
    between:  seconds that pass, at most, between two transactions that somebody types into psql.
    workers:  how many serve.
    """

    def __init__(self, folder, pause, between=0.1, workers=2):
        self.held, self.between, self.serve = pause * 4 / 3, between, workers
        self.server, self.port = embedded.Server(folder / "data"), free_port()
        self.log, self.process, self.tokens = folder / "up.log", None, {}

    def start(self):
        """Start it, unless it runs; wait until it answers from its database."""
        deadline = time.monotonic() + SECONDS
        while True:
            if self.process is None or self.process.poll() is not None:
                with open(self.log, "ab") as log:
                    self.process = subprocess.Popen(
                        [sys.executable, "-W", "ignore", "-m", "iris.cli", "up"],
                        env={**embedded.environment(), "IRIS_DATA": str(self.server.folder),
                            "IRIS_BIND": f"127.0.0.1:{self.port}", "IRIS_WORKERS": str(self.serve),
                            "IRIS_AUTH": "token", "IRIS_HOOKS_INSIDE": "127.0.0.1"},
                        stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    )  # fmt: skip
            with contextlib.suppress(OSError, http.client.HTTPException):
                status, _ = self.ask("GET", "/db-check")
                if status == 200:
                    return
                if status == 401 and not self.tokens:
                    self._let_in()
            if time.monotonic() > deadline:
                raise AssertionError(f"it does not come back; see {self.log}")
            time.sleep(0.1)

    def _let_in(self):
        """Make everybody's tokens, and a login for who comes by psql."""
        for name, role in PEOPLE.items():
            (row,) = self.sql("SELECT add_token(%s, %s) ->> 'token' AS token", name, role)
            self.tokens[name] = row["token"]
            if name.startswith("psql"):
                self.sql("SELECT add_login(%s, %s)", name, row["token"])

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=60)

    def ask(self, method, path, given=None, headers=(), connection=None, name="reader"):
        """Send one request, by somebody's token; return (status, what its JSON says)."""
        made = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=8)
        try:
            body = None if given is None else json.dumps(given)
            headers = {"Authorization": f"Bearer {self.tokens.get(name)}", **dict(headers)}
            headers |= {"Content-Type": "application/json"} if body else {}
            made.request(method, path, body, headers)
            answer = made.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text else None
        finally:
            if connection is None:
                made.close()

    def sql(self, text, *values, user="postgres"):
        """Run one statement; return its rows as dictionaries."""
        # As long as it has to come back: what answered just now may have been of a server that was killed.
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                connection = psycopg2.connect(self.server.url(user), application_name="check")
                break
            except (OSError, IndexError, psycopg2.OperationalError) as error:
                assert time.monotonic() < deadline, f"no database answers ({error}); see {self.log}"
            time.sleep(0.1)
        connection.autocommit = True
        with (
            contextlib.closing(connection),
            connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor,
        ):
            cursor.execute("SET timezone TO 'UTC'")
            cursor.execute(text, values or None)
            return [dict(row) for row in cursor.fetchall()] if cursor.description else None

    # Its processes --------------------------------------------------------------------------------

    def master(self):
        return next(one for one in psutil.Process(self.process.pid).children() if "gunicorn" in " ".join(one.cmdline()))  # fmt: skip

    def workers(self):
        return self.master().children()

    def postmaster(self):
        return psutil.Process(self.server.pid())

    def backends(self):
        """Return the PostgreSQL processes that serve somebody, those at work first."""
        rows = self.sql(
            "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'"
            " AND pid <> pg_backend_pid() ORDER BY state <> 'active'"
        )
        found = []
        for row in rows:
            with contextlib.suppress(psutil.NoSuchProcess):
                found.append(psutil.Process(row["pid"]))
        return found

    def everything(self):
        up = psutil.Process(self.process.pid)
        return [up, *up.children(recursive=True), *self.postmaster().children(recursive=True)]


# The ledger and who writes into it -----------------------------------------------------------------


class Ledger:
    """What was written, by tags that occur nowhere else.

    acknowledged: {tag: what it was}; must be there once.
    unsure:       groups of tags whose answer never came: all of a group are there once, or none.
    wrong:        answers that should not have been given.
    """

    def __init__(self):
        self.acknowledged, self.unsure, self.wrong = {}, [], []
        self.requests = self.repeated = 0


class Writer(threading.Thread):
    """Writes until told to rest, and rests only once it knows what became of the last thing."""

    def __init__(self, iris, ledger, name, seed):
        super().__init__(name=name, daemon=True)
        self.iris, self.ledger, self.random = iris, ledger, random.Random(seed)
        self.numbers = itertools.count()
        # Nobody else changes these.
        self.tickets = []
        self.may_go, self.rests, self.ended = threading.Event(), threading.Event(), False

    def run(self):
        while not self.ended:
            if not self.may_go.is_set():
                self.rests.set()
                self.may_go.wait(0.1)
                continue
            self.rests.clear()
            self.step()

    def tag(self):
        return f"{self.name}-{next(self.numbers)}"

    def some(self):
        return self.random.choice(self.tickets[-50:])


class HttpWriter(Writer):
    """Repeats each request until there is an answer that says what became of it."""

    connection = None

    def step(self):
        # So often that something is on its way at any time.
        time.sleep(self.random.uniform(0, 0.02))
        steps = [self.file, self.file_many]
        if len(self.tickets) > 1:
            steps += [self.comment, self.comment, self.change, self.change, self.link, self.delete]
        self.random.choice(steps)()

    def send(self, method, path, given, tags):
        """Return what was answered; None where it was refused."""
        for attempt in itertools.count():
            self.ledger.requests += 1
            self.ledger.repeated += attempt > 0
            try:
                if self.connection is None:
                    self.connection = http.client.HTTPConnection("127.0.0.1", self.iris.port, timeout=8)  # fmt: skip
                headers = {"Idempotency-Key": tags[0]}
                status, said = self.iris.ask(
                    method, path, given, headers, self.connection, self.name
                )
            except (OSError, http.client.HTTPException, ValueError):
                self.connection = None
                time.sleep(0.05)
                continue
            if status == 503:
                time.sleep(self.random.uniform(0.02, 0.2))
                continue
            if status >= 300:
                self.ledger.wrong.append((method, path, status, said))
                return None
            self.ledger.acknowledged.update(dict.fromkeys(tags, f"{method} {path}"))
            return said
        raise AssertionError("unreachable")

    def file(self):
        tag = self.tag()
        if said := self.send("PUT", "/tickets", {"title": tag, "labels": ["x"]}, [tag]):
            self.tickets.append(said["ticket_id"])

    def file_many(self):
        tags = [self.tag() for _ in range(20)]
        self.send("PUT", "/tickets", [{"title": tag} for tag in tags], tags)

    def comment(self):
        tag = self.tag()
        self.send("PUT", f"/tickets/{self.some()}/comments", {"body": tag}, [tag])

    def change(self):
        tag = self.tag()
        self.send("PATCH", f"/tickets/{self.some()}", {"assignee": tag}, [tag])

    def link(self):
        one, other = self.some(), self.some()
        if one != other:
            key = [f"{self.tag()} links {one} to {other}"]
            self.send("PUT", f"/tickets/{one}/links/relates/{other}", None, key)
            del self.ledger.acknowledged[key[0]]
            self.ledger.acknowledged[f"link {one} {other}"] = "PUT link"

    def delete(self):
        number = self.tickets.pop(self.random.randrange(len(self.tickets)))
        key = [f"{self.tag()} deletes {number}"]
        self.send("DELETE", f"/tickets/{number}", None, key)
        del self.ledger.acknowledged[key[0]]
        self.ledger.acknowledged[f"deleted {number}"] = "DELETE"


class PsqlWriter(Writer):
    """Types a transaction into psql, once; who gets no answer can't know what became of it."""

    def step(self):
        # Each psql is a process, and each session compiles the rules anew.
        time.sleep(self.random.uniform(0, self.iris.between))
        filed, said = self.tag(), self.tag()
        text = (
            f"BEGIN; INSERT INTO tickets (title) VALUES ('{filed}');"
            f" INSERT INTO comments (ticket_id, body) VALUES (currval('tickets_ticket_id_seq'), '{said}');"
            f" UPDATE tickets SET priority = 'high' WHERE ticket_id = currval('tickets_ticket_id_seq');"
            " COMMIT"
        )
        text = text.replace("currval('tickets_ticket_id_seq')", f"(SELECT ticket_id FROM tickets WHERE title = '{filed}')")  # fmt: skip
        self.ledger.requests += 1
        try:
            url = self.iris.server.url(self.name)
        except (OSError, IndexError):
            time.sleep(0.1)
            return
        done = subprocess.run(
            [embedded.binaries() / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", text],
            env=embedded.environment(PGAPPNAME="psql", PGCONNECT_TIMEOUT="5"), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        if done.returncode == 0:
            self.ledger.acknowledged.update({filed: "psql", said: "psql"})
        else:
            self.ledger.unsure.append((filed, said))
            time.sleep(0.1)


class Reader(threading.Thread):
    """Reads the feed over HTTP from its beginning, whatever happens, and never anything twice."""

    def __init__(self, iris):
        super().__init__(name="reader", daemon=True)
        self.iris, self.seen, self.wrong, self.ended = iris, [], [], False

    def run(self):
        while not self.ended:
            last = len(self.seen)
            try:
                path = f"/events?after={last}&wait=1&limit=1000"
                status, events = self.iris.ask("GET", path, name=self.name)
            except (OSError, http.client.HTTPException, ValueError):
                time.sleep(0.05)
                continue
            if status != 200:
                if status != 503:
                    self.wrong.append((status, events))
                time.sleep(0.1)
                continue
            places = [event["position"] for event in events]
            if places != list(range(last + 1, last + 1 + len(places))):
                self.wrong.append((last, places))
            self.seen += [event["event_id"] for event in events]


# What happens to it -------------------------------------------------------------------------------


def signalled(find, number):
    """Send a signal to the process that a function finds, which may have ended meanwhile; return it."""
    while True:
        process = find()
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)
            return process


def end(find, number=signal.SIGKILL):
    signalled(find, number).wait(timeout=60)


def kill_a_worker(iris, rng):
    end(lambda: rng.choice(iris.workers()))


def kill_the_master(iris, rng):
    end(iris.master)


def kill_a_backend(iris, rng):
    end(lambda: iris.backends()[0])


def kill_the_postmaster(iris, rng):
    end(iris.postmaster)


def kill_everything(iris, rng):
    for process in iris.everything():
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    iris.process.wait()


def stop_immediately(iris, rng):
    end(iris.postmaster, signal.SIGQUIT)


@contextlib.contextmanager
def stopped(find):
    process = signalled(find, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.resume()


def hold_a_worker(iris, rng):
    with stopped(lambda: rng.choice(iris.workers())):
        time.sleep(iris.held)


def hold_a_backend(iris, rng):
    with stopped(lambda: iris.backends()[0]):
        time.sleep(iris.held)


def kill_the_postmaster_under_a_held_backend(iris, rng):
    with stopped(lambda: iris.backends()[0]):
        end(iris.postmaster)
        time.sleep(1)


def set_the_clock_back(iris, rng):
    """As if it had been three seconds ahead until now: some tickets were last changed in the future."""
    iris.sql(
        "SET session_replication_role TO replica;"
        " UPDATE tickets SET updated = clock_timestamp() + interval '3 seconds'"
        " WHERE ticket_id IN (SELECT ticket_id FROM tickets ORDER BY ticket_id DESC LIMIT 20)"
    )


def use_up_all_connections(iris, rng):
    held = []
    with contextlib.suppress(psycopg2.OperationalError):
        while True:
            held.append(psycopg2.connect(iris.server.url(), connect_timeout=5))
    time.sleep(1)
    for connection in held:
        connection.close()


FAULTS = (
    kill_a_worker,
    kill_the_master,
    kill_a_backend,
    kill_the_postmaster,
    kill_everything,
    stop_immediately,
    hold_a_worker,
    hold_a_backend,
    kill_the_postmaster_under_a_held_backend,
    set_the_clock_back,
    use_up_all_connections,
)


# What must be so afterwards -----------------------------------------------------------------------


def settle(iris):
    """Give every event its place in the feed; return all events in that order."""
    while iris.sql("SELECT 1 AS found FROM events WHERE position IS NULL LIMIT 1"):
        iris.sql("SELECT count(*) FROM events_after((SELECT coalesce(max(position), 0) FROM events))")  # fmt: skip
    return iris.sql("SELECT * FROM events ORDER BY position")


def agree(what, found, wanted):
    """Raise AssertionError with the first few places where two lists differ."""
    pairs = enumerate(itertools.zip_longest(found, wanted))
    wrong = [(place, *pair) for place, pair in pairs if pair[0] != pair[1]]
    assert not wrong, f"{what}: {wrong[:5]}"


def check_ledger(ledger, events):
    """Return how often what was acknowledged is missing, and how often something is there twice."""
    found = {}

    def saw(tag):
        found[tag] = found.get(tag, 0) + 1

    for event in events:
        changes = event["changes"]
        if event["kind"] == "created":
            saw(changes["title"][1])
        elif event["kind"] == "commented":
            saw(changes["body"][1])
        elif event["kind"] == "changed" and changes.get("assignee", [None, None])[1]:
            saw(changes["assignee"][1])
        elif event["kind"] == "linked":
            # To link what is linked already changes nothing; so it is there once, or not by us.
            saw(f"link {event['ticket_id']} {event['other_id']}")
        elif event["kind"] == "deleted":
            saw(f"deleted {event['ticket_id']}")
    lost = [tag for tag in ledger.acknowledged if tag not in found]
    doubled = [tag for tag, times in found.items() if times > 1]
    halves = [tags for tags in ledger.unsure if len({found.get(tag, 0) for tag in tags}) > 1]
    return lost, doubled, halves


def replay(events):
    """Live through a history once more; return (tickets, comments, links) as they are in the end."""
    tickets, comments, links, versions = {}, {}, set(), {}
    for event in sorted(events, key=lambda event: (event["at"], event["event_id"])):
        number, changes = event["ticket_id"], event["changes"]
        if number is None:
            continue
        for end in (number, event["other_id"]):
            versions[end] = versions.get(end, 0) + 1
        if event["kind"] in ("created", "changed"):
            row = tickets.setdefault(number, {})
            for name, (old, new) in changes.items():
                assert row.get(name) == old, (event, row)
                row[name] = new
        elif event["kind"] == "deleted":
            del tickets[number]
        elif event["kind"] in ("commented", "comment_changed"):
            comments[event["comment_id"]] = (number, changes["body"][1])
        elif event["kind"] == "comment_deleted":
            del comments[event["comment_id"]]
        elif event["kind"] == "linked":
            links.add((number, changes["kind"][1], event["other_id"]))
        else:
            links.remove((number, changes["kind"][0], event["other_id"]))
    return {number: (row, versions[number]) for number, row in tickets.items()}, comments, links


def check_history(iris, events):
    tickets, comments, links = replay(events)
    present = {}
    for (row,) in map(dict.values, iris.sql("SELECT to_jsonb(tickets) FROM tickets")):
        told = {name: row[name] for name in row if name not in (*KEPT, "ticket_id")}
        present[row["ticket_id"]] = (told, row["version"])
    agree("tickets", sorted(present), sorted(tickets))
    for number, (told, version) in present.items():
        again, times = tickets[number]
        again = {name: again.get(name) for name in told}
        assert (told, version) == (again, times), (number, told, version, again, times)
    rows = iris.sql("SELECT comment_id, ticket_id, body FROM comments")
    present = {row["comment_id"]: (row["ticket_id"], row["body"]) for row in rows}
    agree("comments", sorted(present.items()), sorted(comments.items()))
    rows = iris.sql("SELECT ticket_id, kind::text, other_id FROM links")
    agree("links", sorted(tuple(row.values()) for row in rows), sorted(links))


def snapshot(iris):
    """Return (a moment, {what there is then: a digest of it}) while nobody writes."""
    while iris.sql("SELECT 1 AS found FROM tickets WHERE updated >= clock_timestamp() LIMIT 1"):
        time.sleep(0.1)
    (row,) = iris.sql("SELECT clock_timestamp()::text AS now")
    return row["now"], {name: digest(iris, name) for name in ("tickets", "comments", "links")}


def digest(iris, table):
    (row,) = iris.sql(f"SELECT count(*), sum(hashtextextended(it::text, 0)) FROM {table} AS it")
    return row


def check(iris, ledger, reader, moments):
    """Compare everything with everything, while nobody writes.

    Returns:  (lost, doubled), two lists of tags.
    Raises:   AssertionError.
    """
    assert not ledger.wrong, ledger.wrong[:5]
    events = settle(iris)
    places = [event["position"] for event in events]
    agree("positions", places, range(1, len(events) + 1))
    deadline = time.monotonic() + 30
    while len(reader.seen) < len(events) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not reader.wrong, reader.wrong[:5]
    agree("the feed", reader.seen, [event["event_id"] for event in events])
    assert len(set(reader.seen)) == len(reader.seen), "the feed gave an event twice"
    # Nobody was taken for another: what is filed has its filer's name in its title.
    for event in events:
        title = event["changes"].get("title", [None, None])[1]
        assert event["kind"] != "created" or title.split("-")[0] == event["actor"], event
    lost, doubled, halves = check_ledger(ledger, events)
    assert not halves, halves[:5]
    check_history(iris, events)
    for moment, seen in moments:
        for table, then in seen.items():
            agree(f"{table} at {moment}", [digest(iris, f"{table}_as_of('{moment}')")], [then])
    return lost, doubled


def check_copy(iris):
    """Export everything and import it into an empty Iris, which refuses a history that does not fit."""
    iris.sql("CREATE DATABASE copy")
    subprocess.run(
        [embedded.binaries() / "psql", "-X", "-q", "-d", iris.server.url("postgres", "copy"), "-f", schema.INITDB],
        env=embedded.environment(IRIS_PASS="x"), check=True,
    )  # fmt: skip
    whole, again = iris.server.folder / "whole.ndjson", iris.server.folder / "again.ndjson"
    with open(whole, "wb") as out:
        export.write(iris.server.url(), out, str)
    restore.read(iris.server.url("postgres", "copy"), str(whole), str)
    with open(again, "wb") as out:
        export.write(iris.server.url(database="copy"), out, str)
    assert filecmp.cmp(whole, again, shallow=False), "a copy is not the same"


def run(folder, rounds, seed=0, pause=1.5, parts=1, say=print, **more):
    """Run the rounds.

    folder:   an empty one; keeps the log of `iris up`.
    parts:    how many rounds it takes until every fault has happened.
    pause:    seconds of load before each fault.
    more:     between and workers, as Iris has them.
    say:      gets a line a round.
    Returns:  the Ledger.
    Raises:   AssertionError at the first round after which not everything fits.
    """
    rng, ledger = random.Random(seed), Ledger()
    iris = Iris(Path(folder), pause, **more)
    iris.start()
    # Whoever is killed, the machine lives on, and keeps what was written.
    iris.sql("ALTER SYSTEM SET fsync TO off")
    iris.sql("SELECT pg_reload_conf()")
    reader = Reader(iris)
    kinds = {"http": HttpWriter, "psql": PsqlWriter}
    writers = [
        kinds[name[:4]](iris, ledger, name, seed + number)
        for number, name in enumerate(PEOPLE)
        if name[:4] in kinds
    ]
    moments, threads = [], [reader, *writers]
    for thread in threads:
        thread.start()
    try:
        for number in range(1, rounds + 1):
            began = time.monotonic()
            for writer in writers:
                writer.may_go.set()
            if (number - 1) % parts == 0:
                shuffled = rng.sample(FAULTS, len(FAULTS))
            faults = shuffled[(number - 1) % parts :: parts]
            for fault in faults:
                time.sleep(rng.uniform(0.2, 1) * pause)
                fault(iris, rng)
                iris.start()
            time.sleep(pause)
            for writer in writers:
                writer.may_go.clear()
            for writer in writers:
                assert writer.rests.wait(120), f"{writer.name} never came to an end"
            lost, doubled = check(iris, ledger, reader, moments)
            moments.append(snapshot(iris))
            say(
                f"round {number}: {len(faults)} faults, {len(ledger.acknowledged)} writes acknowledged,"
                f" {ledger.repeated} of {ledger.requests} requests repeated, {len(ledger.unsure)} without"
                f" an answer; {len(lost)} lost, {len(doubled)} doubled; {len(reader.seen)} events in the"
                f" feed, each once ({time.monotonic() - began:.0f} s)"
            )
            assert not lost and not doubled, (lost[:5], doubled[:5])
        check_copy(iris)
        say("exported, imported into an empty Iris, and exported again: the same")
        return ledger
    finally:
        for thread in threads:
            thread.ended = True
        for thread in threads:
            thread.join(timeout=30)
        iris.stop()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=re.sub(r"\s+", " ", __doc__.split("\n\n")[0]))
    arguments.add_argument("--rounds", type=int, default=2)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument(
        "--pause", type=float, default=1.5, help="seconds of load before a fault"
    )
    given = arguments.parse_args()
    os.umask(0o022)
    with tempfile.TemporaryDirectory(prefix="iris-kills-") as place:
        os.chmod(place, 0o755)
        say = functools.partial(print, flush=True)
        run(place, given.rounds, given.seed, given.pause, say=say)
