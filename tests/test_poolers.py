"""pgbouncer in transaction mode between Iris and PostgreSQL: a session's statements meet other server processes.

Skipped where there is no pgbouncer; `.ci/run` installs Debian's.
"""

import contextlib
import json
import os
import shutil
import subprocess
import threading
import time

import psycopg2
import pytest
import replay
from conftest import RESET, Live, free_port, seeds
from receivers import Receiver
from test_delivery import Deliverer
from test_feed import Reader

from iris import rights

PGBOUNCER = shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
pytestmark = pytest.mark.skipif(not PGBOUNCER, reason="there is no pgbouncer here")
PEOPLE, ROUNDS = 8, 5
JSON = "Content-Type: application/json"


@pytest.fixture(scope="module")
def bouncer(server, tmp_path_factory):
    """Return the URL of a pooler that has fewer server processes than it has clients."""
    with bouncing(tmp_path_factory.mktemp("bouncer"), server.socket()) as url:
        yield url


@contextlib.contextmanager
def bouncing(folder, hosts):
    """Run a pooler; give its URL. hosts: of the database, which take turns."""
    port = free_port()
    (folder / "names").write_text('"iris" ""\n')
    (folder / "pgbouncer.ini").write_text(f"""
[databases]
iris = host={hosts} dbname=iris
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/names
pool_mode = transaction
default_pool_size = 3
server_round_robin = 1
ignore_startup_parameters = options, extra_float_digits
""")
    os.chmod(folder, 0o755)
    # Like PostgreSQL, it refuses to run as root.
    who = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    running = subprocess.Popen(
        [PGBOUNCER, "--quiet", folder / "pgbouncer.ini"], stderr=subprocess.DEVNULL, **who
    )
    try:
        yield f"postgresql://iris@127.0.0.1:{port}/iris"
    finally:
        running.terminate()
        running.wait(timeout=10)


@pytest.fixture(scope="module")
def pooled(bouncer):
    """Return a service whose sessions outnumber their server processes."""
    made = Live(bouncer, IRIS_POOL="8", IRIS_HOOKS_INSIDE="127.0.0.1")
    yield made
    assert "Traceback" not in made.stop()


class Person(threading.Thread):
    """Somebody who uses every part of Iris, and notes what goes wrong."""

    def __init__(self, live, number):
        super().__init__()
        self.live, self.name, self.wrong = live, f"person{number}", []

    def ask(self, method, path, given=None, *headers, status=(200, 201)):
        body = b"" if given is None else json.dumps(given).encode()
        answer = self.live.send(method, path, body, (JSON, f"Iris-Actor: {self.name}", *headers))
        if answer[0] not in status:
            self.wrong.append((method, path, answer))
        return json.loads(answer[2]) if answer[2][:1] in (b"{", b"[") else answer[2].decode()

    def run(self):
        try:
            for number in range(ROUNDS):
                self.round(number)
        except Exception as error:
            self.wrong.append(error)

    def round(self, number):
        key = f"Idempotency-Key: {self.name}-{number}"
        filed = self.ask("PUT", "/tickets", {"title": f"Of {self.name}", "labels": ["b", "a"]}, key)
        again = self.ask("PUT", "/tickets", {"title": f"Of {self.name}", "labels": ["b", "a"]}, key)
        one = f"/tickets/{filed['ticket_id']}"
        if (
            again["ticket_id"] != filed["ticket_id"]
            or self.ask("GET", one)["title"] != filed["title"]
        ):
            self.wrong.append((filed, again))
        self.ask("PUT", one, {"assignee": self.name}, 'If-Match: "1"')
        self.ask("PUT", one, {"assignee": "nobody"}, 'If-Match: "1"', status=(412,))
        self.ask("PUT", one, {"status": "nowhere"}, status=(422,))
        self.ask("PUT", f"{one}/comments", {"body": "Of the same"})
        bulk = [
            {"title": f"One of two of {self.name}"},
            {"ticket_id": filed["ticket_id"], "priority": "high"},
        ]
        self.ask("PUT", "/tickets", bulk)
        self.ask("GET", f"/tickets?assignee={self.name}&sort=-updated&limit=5&q=person")
        self.ask("GET", f"{one}/history")
        # A worker has four streams at once.
        for stream in (f"assignee={self.name}&format=csv", "as_of=yesterday&format=ndjson"):
            self.ask("GET", f"/tickets?{stream}", status=(200, 503))
        self.ask("GET", "/events?after=0&limit=1000")
        self.ask("GET", "/db-check")


def test_every_part_of_iris_works_and_nobody_is_taken_for_another(pooled, bouncer, owner, clean):
    with owner.cursor() as cursor:
        cursor.execute(RESET + seeds() + "SET session_replication_role = origin;")
        reader = Reader(pooled, position=0)
        people = [Person(pooled, number) for number in range(PEOPLE)]
        for person in people:
            person.start()
        for person in people:
            person.join()
        assert [wrong for person in people for wrong in person.wrong] == []
        cursor.execute("SELECT count(*) FROM events")
        (events,) = cursor.fetchone()
        # A ticket, its assignee, a comment and two rows at once.
        assert events == PEOPLE * ROUNDS * 5
        # Who did it stands in the ticket's title.
        cursor.execute(
            "SELECT DISTINCT actor, regexp_replace(title, '.* ', ''), source FROM events JOIN tickets USING (ticket_id)"
        )
        assert {(who, whose) for who, whose, _source in cursor.fetchall()} == {
            (person.name, person.name) for person in people
        }
        assert replay.differences(cursor) == []
    # Every event comes to a reader, once.
    told = [position for position, _event in reader.until(lambda found: len(found) >= events)]
    assert told == list(range(1, events + 1))
    # Nothing of a request stays behind in a server process for whoever comes next.
    for _ in range(6):
        connection = psycopg2.connect(bouncer)
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('iris.actor', true), current_user, actor()")
            assert cursor.fetchone() in (("", "iris", "iris"), (None, "iris", "iris"))
            cursor.execute("SHOW TimeZone")
            assert cursor.fetchone() == ("UTC",)
        connection.close()


def test_no_role_is_left_behind_for_the_next_ones_statement(bouncer, sql):
    """Readers, writers and admins at once, by fewer server processes than there are of them."""
    tokens = {
        role: sql.one("SELECT add_token(%s, %s) ->> 'token' AS it", f"the {role}", role)["it"]
        for role in rights.ROLES
    }
    made, wrong = Live(bouncer, IRIS_AUTH="token", IRIS_POOL="8"), []

    def work(role):
        header = f"Authorization: Bearer {tokens[role]}"
        for number in range(2 * ROUNDS):
            asked = made.send("PUT", f"/tickets?title=of+{role}+{number}", headers=[header])
            read = made.send("GET", "/tickets?limit=1", headers=[header])
            listed = made.send("GET", "/tokens", headers=[header])
            found = asked[0], read[0], listed[0]
            wanted = (403 if role == "reader" else 201, 200, 200 if role == "admin" else 403)
            if found != wanted:
                wrong.append((role, found))

    try:
        threads = [threading.Thread(target=work, args=(role,)) for role in 3 * rights.ROLES]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        log = made.stop()
    assert wrong == []
    assert "Traceback" not in log
    rows = sql(
        "SELECT reporter, split_part(title, ' ', 2) AS whose, count(*) FROM tickets GROUP BY 1, 2"
    )
    assert {(row["reporter"], row["whose"], row["count"]) for row in rows} == {
        (f"the {role}", role, 6 * ROUNDS) for role in ("writer", "admin")
    }


def test_the_past_undoing_watching_and_hooks_work_as_well(bouncer, pooled, clean):
    """As several people at once, whose statements meet each other's server processes."""
    receiver, deliverer, wrong = Receiver(), Deliverer(bouncer), []

    def work(name):
        person = Person(pooled, name)
        ask = person.ask
        hook = ask(
            "PUT", "/hooks", {"url": f"{receiver.url}/{person.name}", "reporter": person.name}
        )
        for _ in range(3):
            filed = ask("PUT", "/tickets", {"title": f"Of {person.name}"})
            one = f"/tickets/{filed['ticket_id']}"
            ask("PUT", one, {"title": f"Not of {person.name}"})
            (last,) = ask("GET", f"{one}/history?limit=1")
            ask("PUT", "/undo", {"event_id": last["event_id"], "dry_run": True})
            ask("PUT", "/undo", {"event_id": last["event_id"]})
            then = ask("GET", f"{one}?as_of={filed['updated'].replace('+', '%2B')}")
            if (then["title"], ask("GET", one)["title"]) != (f"Of {person.name}",) * 2:
                person.wrong.append(then)
            ask("GET", f"/tickets?as_of=now&q=not&reporter={person.name}")
            ask("GET", "/changes?since=yesterday")
            ask("GET", "/stats?as_of=now")
            ask("GET", "/stats")
            ask("PUT", f"{one}/watchers/{person.name}-too", status=(204,))
            ask("GET", f"/tickets?watched_by={person.name}-too")
            ask("GET", "/inbox")
        ask("GET", f"/hooks/{hook['hook_id']}/deliveries")
        wrong.extend(person.wrong)

    try:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(PEOPLE)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert wrong == []
        # Filed, changed, changed back; three times, each person's told to their own hook only, in order.
        deadline = time.monotonic() + 60
        while len(receiver.received) < PEOPLE * 9 and time.monotonic() < deadline:
            time.sleep(0.05)
        for number in range(PEOPLE):
            told = receiver.events(f"/person{number}")
            assert [event["kind"] for event in told] == ["created", "changed", "changed"] * 3
            assert {event["actor"] for event in told} == {f"person{number}"}
    finally:
        deliverer.stop()
        receiver.close()
