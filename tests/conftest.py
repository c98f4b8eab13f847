"""The database, the doors and the cast.

A real PostgreSQL is built once per run from postgres/initdb.sql; every test commits for real and
starts clean, for the owner deletes what the last one left.
"""

import contextlib
import fcntl
import hashlib
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import certificates
import psutil
import psycopg2
import psycopg2.extras
import pytest
import warm
from falcon.testing import TestClient

from iris import embedded, schema
from iris.cli import serve

ROOT = Path(__file__).parent.parent
# Another PostgreSQL than the embedded one, for all that starts a server of its own by this package.
if other := os.environ.get("IRIS_TEST_BINARIES"):
    embedded.binaries = embedded.programs.binaries = lambda: Path(other)
    shown = subprocess.check_output([Path(other) / "postgres", "--version"], text=True)
    embedded.VERSION = embedded.programs.VERSION = re.search(r"\d+", shown)[0]
    # What a server before 17 has instead.
    embedded.server.LOCALE = ("--locale=C.UTF-8",)


def own_folder():
    """Return (a folder that no other run uses, what keeps it so while it is open).

    pytest closes the folder of its temporary folders to everybody else whenever it starts, and with it the servers of
    another run, which live in there as the account postgres. Two runs of one checkout are no exception: CI has two.
    """
    name = f"iris-{os.getuid()}-{hashlib.sha256(bytes(ROOT)).hexdigest()[:6]}"
    for number in itertools.count():
        folder = Path(tempfile.gettempdir()) / f"{name}-{number}"
        folder.mkdir(mode=0o711, exist_ok=True)
        lock = open(folder / "lock", "a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return folder, lock
        except BlockingIOError:
            lock.close()
    raise AssertionError("unreachable")


# A run's other processes are told.
if "PYTEST_DEBUG_TEMPROOT" not in os.environ:
    _FOLDER, _LOCK = own_folder()
    os.environ["PYTEST_DEBUG_TEMPROOT"] = str(_FOLDER)
# What a shell starts in its background does not hear Ctrl-C, nor does what that starts; here it is tried.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
pytest_plugins = ["chromium"]
# A file is one process's, so that what a module needs is made once. These take longest, and begin first: or in
# the end all would wait for one.
LONG = ("up", "trackers", "browser_pages", "standbys", "described", "delivery", "metrics", "outages", "bounds", "backup", "kills", "embedded", "doctor", "attacks", "isolation", "connections", "columns", "feed", "transfer", "two", "past", "plans", "client", "browser_live", "schema", "watch", "mail_out", "upgrades", "synchronous", "import", "mail_in", "browser_board", "poolers", "filters")  # fmt: skip
ALICE, BOB, CHARLIE = "alice", "bob", "charlie"

RESET = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%';
    SET session_replication_role = replica;
    DELETE FROM links; DELETE FROM watches; DELETE FROM comments; DELETE FROM searches; DELETE FROM tickets;
    DELETE FROM transitions; DELETE FROM statuses; DELETE FROM stored_events; DELETE FROM places; DELETE FROM replays;
    DELETE FROM workflow_recorded; DELETE FROM tokens; DELETE FROM people; DELETE FROM read_marks; DELETE FROM deliveries; DELETE FROM hooks; DELETE FROM past_tickets; DELETE FROM past_searches; UPDATE past_reached SET position = 0; UPDATE places_reached SET (change, open, base, until, until_open, event_id) = (0, '{}', NULL, NULL, NULL, NULL);
    SELECT setval('tickets_ticket_id_seq', 1, false), setval('comments_comment_id_seq', 1, false),
        setval('stored_events_event_id_seq', 1, false), setval('hooks_hook_id_seq', 1, false);
"""

# As if most of the time were over for which a deliverer has hooks: whoever was killed still has them for some seconds.
LATER = """
    SET session_replication_role = replica;
    UPDATE hooks SET until = until - interval '10 seconds';
    SET session_replication_role = origin;
"""


def pytest_collection_modifyitems(items):
    """Put the tests of what takes longest first."""
    places = {f"test_{name}": place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path.stem, len(LONG)))


def seeds():
    """Return the INSERTs of what a new Iris has."""
    return (schema.FOLDER / "seeds.sql").read_text()


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """Return a throw-away PostgreSQL with an empty Iris in it."""
    options = {
        "fsync": "off",
        "max_connections": "200",
        "log_statement": "all",
        "log_line_prefix": "%a %d> ",
    }
    made = embedded.Server(tmp_path_factory.mktemp("iris"), options=options)
    made.start()
    try:
        made.seed()
        os.environ["DATABASE_URL"] = made.url()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="session")
def put_data(tmp_path_factory):
    """Return a function that puts the data of a PostgreSQL with an empty Iris into a folder.

    To make them takes a second of a processor each time, a copy next to nothing.
    """
    first = embedded.Server(tmp_path_factory.mktemp("data"), options={"fsync": "off"})
    first.start()
    first.seed()
    first.stop()

    def put(folder):
        folder.mkdir()
        subprocess.run(["cp", "-a", first.data, folder / "postgres"], check=True)

    return put


@pytest.fixture(scope="session")
def owner(server):
    """Return a connection as the database's owner."""
    connection = psycopg2.connect(server.url("postgres"))
    connection.autocommit = True
    with connection.cursor() as cursor:
        # What is asked of the log is what others have run.
        cursor.execute("SET log_statement = none")
    yield connection
    connection.close()


@pytest.fixture
def clean(owner):
    """Leave nothing behind."""
    yield
    with owner.cursor() as cursor:
        cursor.execute(RESET + seeds() + "SET session_replication_role = origin;")


class Answer:
    """What HTTP answered."""

    def __init__(self, result):
        self.status = result.status_code
        self.headers = result.headers
        self.text = result.text
        kind = result.headers.get("content-type", "").split(";")[0]
        is_json = kind in ("application/json", "application/problem+json")
        self.json = json.loads(result.text) if is_json and result.text else None

    @property
    def next(self):
        """The query string of the next page, or None."""
        found = re.search(r'<[^?]*\?(.*)>; rel="next"', self.headers.get("link", ""))
        return found and found[1]


class Http:
    """The HTTP door: http.put("/tickets", title="…"). Whatever comes back, the OpenAPI document allows.

    described: a Described.
    """

    def __init__(self, client, described):
        self.client, self.described = client, described

    def __call__(self, method, path, given=None, actor=None, raw=None, headers=None, **more):
        headers = dict(headers or {})
        if actor:
            headers["Iris-Actor"] = actor
        given = {**(given or {}), **more}
        if raw is None and given:
            raw = json.dumps(given)
            headers.setdefault("Content-Type", "application/json")
        path, _, query = path.partition("?")
        answer = Answer(
            self.client.simulate_request(
                method, path, query_string=query, body=raw, headers=headers
            )
        )
        self.described.look(method, path, answer)
        return answer

    def get(self, path, **more):
        return self("GET", path, **more)

    def put(self, path, given=None, **more):
        return self("PUT", path, given, **more)

    def delete(self, path, **more):
        return self("DELETE", path, **more)


class Described:
    """What the OpenAPI document says of the routes of an app.

    find:     (path) → falcon's route of it, or None.
    make:     () → the document.
    """

    def __init__(self, app, find, make):
        self.app, self.find, self.make, self.documents = app, find, make, {}

    @property
    def document(self):
        """Return the document; with tokens it is another one."""
        from iris.intake import auth  # noqa: PLC0415 (not before the database is there)

        if auth.WANTED not in self.documents:
            self.documents[auth.WANTED] = self.make()
        return self.documents[auth.WANTED]

    def look(self, method, path, answer):
        """Whether an answer is one that the document has: its status, its media type, its code."""
        found = self.find(path.rstrip("/") or "/")
        operations = self.document["paths"][found[3]] if found else {}
        operation = operations.get({"HEAD": "get"}.get(method, method.lower()))
        if operation is None:
            return
        what = (method, path, answer.status, answer.text)
        response = operation["responses"].get(str(answer.status))
        assert response, f"openapi.json lacks this; say it at the route: {what}"
        name = response.get("$ref", "").rpartition("/")[2]
        response = self.document["components"]["responses"][name] if name else response
        kind = answer.headers.get("content-type", "").split(";")[0]
        content = response.get("content", {})
        assert kind in content or not kind, f"openapi.json has no {kind} here: {what}"
        if kind == "application/problem+json":
            known = content[kind]["schema"]["allOf"][1]["properties"]["code"]["enum"]
            assert answer.json["code"] in known, f"routes.refuses() lacks a code: {what}"


class Sql:
    """The SQL door, as psql's iris: sql("SELECT …") gives rows as dictionaries."""

    def __init__(self, url):
        self.url = url
        self.connection = psycopg2.connect(url, application_name="psql")
        self.connection.autocommit = True

    def __call__(self, text, *values):
        with self.connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
            cursor.execute(text, values or None)
            return [dict(row) for row in cursor.fetchall()] if cursor.description else None

    def one(self, text, *values):
        (row,) = self(text, *values)
        return row

    def forget(self):
        """Be as new: what the session has set, made, prepared, locked and been told is gone.

        It is DISCARD ALL without the plans, which are known to hold no longer when what they are of changes.
        """
        self.connection.reset()
        self.connection.autocommit = True
        self(
            "UNLISTEN *; DEALLOCATE ALL; DISCARD TEMP; DISCARD SEQUENCES; SELECT pg_advisory_unlock_all()"
        )
        self.connection.notices.clear()
        self.connection.notifies.clear()

    def refusal(self, text, *values):
        """Run what must be refused; return the error."""
        with pytest.raises(psycopg2.Error) as caught:
            self(text, *values)
        return caught.value


def describe():
    """Return a Described of the app in this process, where DATABASE_URL names a database."""
    from iris.api import API  # noqa: PLC0415 (not before the database is there)
    from iris.app import app  # noqa: PLC0415
    from iris.described import document, facts  # noqa: PLC0415

    found = facts.read(facts.statuses())
    find = API.http.falcon._router.find
    return Described(app, find, lambda: document.make(API.http.routes[""], found))


@pytest.fixture(scope="session")
def described(server):
    """Return what the OpenAPI document says of the app in this process."""
    return describe()


@pytest.fixture
def http(described, clean):
    """Return the HTTP door, in this process."""
    return Http(TestClient(described.app), described)


@pytest.fixture(scope="session")
def anew(server, owner):
    """Return a function that makes a database as initdb.sql makes it, and gives its owner's URL.

    By a copy of one, in a third of the time; what is kept beside a database, a copy lacks, and roles.sql says it again.
    """
    first = "iris_made"
    with owner.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {first} TEMPLATE template0")
        server._psql(first, "-f", str(schema.INITDB), IRIS_PASS="x")
    beside = (schema.FOLDER / "roles.sql").read_text()

    def make(name):
        with owner.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name} TEMPLATE {first}")
        url = server.url("postgres", name)
        with contextlib.closing(psycopg2.connect(url)) as connection:
            connection.autocommit = True
            connection.cursor().execute(beside)
        return url

    return make


@pytest.fixture(scope="session")
def opened():
    """Return the SQL door of the test before, if there is one: {"sql": an Sql}."""
    found = {}
    yield found
    for made in found.values():
        made.connection.close()


@pytest.fixture
def sql(server, clean, opened):
    """Return the SQL door, as one that was just opened is.

    Its session is another test's, too, for a new one reads and compiles all rules anew: ten times what most tests take.
    """
    made = opened.pop("sql", None)
    try:
        made = made or Sql(server.url())
        made("SELECT")
    except psycopg2.OperationalError:
        # Somebody has ended it meanwhile.
        made = Sql(server.url())
    yield made
    with contextlib.suppress(psycopg2.Error):
        made.forget()
        opened["sql"] = made


@pytest.fixture
def temporary(owner):
    """Let everybody make temporary objects, as if the first wall had fallen."""
    with owner.cursor() as cursor:
        cursor.execute("GRANT TEMPORARY ON DATABASE iris TO PUBLIC")
        yield
        cursor.execute("REVOKE TEMPORARY ON DATABASE iris FROM PUBLIC")


@pytest.fixture
def ticket(http):
    """Return a factory of tickets."""

    def make(title="Printer on fire", **given):
        answer = http.put("/tickets", {"title": title, **given})
        assert answer.status == 201, answer.text
        return answer.json["ticket_id"]

    return make


def since(log):
    """Return a function that gives what has been written into a log since the last call; all of it is long."""
    seen = log.stat().st_size

    def written():
        nonlocal seen
        with open(log, "rb") as file:
            file.seek(seen)
            text = file.read()
        seen += len(text)
        return text.decode()

    return written


@pytest.fixture
def statements(server):
    """Return a function that tells which statements the service has run since the last call.

    But for what prepares one, once for a connection.
    """
    written = since(server.log)

    def ran():
        time.sleep(0.05)
        text = written()
        return re.findall(r"^http \w+> LOG:  statement: (?!PREPARE )(.*)", text, re.MULTILINE)

    return ran


def spent(*processes):
    """Return the CPU seconds that processes, by their numbers, and their children that live have had.

    What took so many is slow on any machine; what took long may only have waited for a busy one.
    """
    found = [psutil.Process(pid) for pid in processes]
    found += [child for each in found for child in each.children(recursive=True)]
    return sum(sum(each.cpu_times()[:2]) for each in found)


def free_port():
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Live:
    """Iris served by gunicorn, as users have it.

    tree:     the folder of its code.
    """

    def __init__(self, url, app="iris.app:app", tree=ROOT, port=None, **environment):
        self.port = port or free_port()
        self.log = tempfile.TemporaryFile("w+")
        self.process = warm.start(
            [*serve.gunicorn()[1:-1], app],
            cwd=tree,
            env={
                **os.environ,
                "DATABASE_URL": url,
                "IRIS_BIND": f"127.0.0.1:{self.port}",
                "IRIS_WORKERS": "1",
                "IRIS_DELIVER": "false",
                "PYTHONWARNINGS": "ignore",
                "PYTHONPATH": str(tree),
                **environment,
            },
            stdout=self.log,
            stderr=self.log,
        )
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                if self.send("GET", "/health")[0] == 200:
                    return
            except OSError:
                time.sleep(0.05)
        raise AssertionError(self.stop())

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=120)

    def raw(self, data, half_close=False):
        """Send bytes; return all that comes back until the end."""
        with self.connect() as connection:
            connection.sendall(data)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
            return read_all(connection)

    def send(self, method, path, body=b"", headers=()):
        """Send one request; return (status, head, body)."""
        head = [f"{method} {path} HTTP/1.1", "Host: iris", "Connection: close", *headers]
        if body and not any(line.lower().startswith("transfer-encoding") for line in headers):
            head.append(f"Content-Length: {len(body)}")
        return parsed(self.raw("\r\n".join(head).encode() + b"\r\n\r\n" + body))

    def said(self):
        """Return its log so far; where it writes on stays as it is."""
        return os.pread(self.log.fileno(), os.fstat(self.log.fileno()).st_size, 0).decode()

    def stop(self, number=signal.SIGQUIT):
        """Stop it, return its log; by SIGTERM, as Docker does, it first looks for a second who is there."""
        self.process.send_signal(number)
        self.process.wait(timeout=30)
        return self.said()


def read_all(connection):
    data = bytearray()
    while True:
        try:
            more = connection.recv(1 << 20)
        except ConnectionResetError:
            return bytes(data)
        if not more:
            return bytes(data)
        data += more


def parsed(data):
    """Split an answer's bytes into (status, head, body)."""
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split()[1]), head.decode("latin-1"), body


@pytest.fixture(scope="session")
def live(server):
    """Return a running service."""
    made = Live(server.url(), IRIS_WORKERS="2")
    yield made
    made.stop(signal.SIGQUIT)


class Iris:
    """The `iris` command as somebody has it who uses an Iris: iris("ls", "mine").

    home:     their home, which is also where they are.
    """

    def __init__(self, home, url):
        self.home = home
        self.environment = {
            "HOME": str(home),
            "LOGNAME": ALICE,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "IRIS_URL": url,
        }

    def start(self, *words, **environment):
        """Start a command; a variable that is None is not set."""
        given = {**self.environment, **environment}
        return subprocess.Popen(
            [sys.executable, "-m", "iris.cli", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.home,
            env={name: value for name, value in given.items() if value is not None},
        )

    def __call__(self, *words, given="", **environment):
        """Run a command to its end; return it with status, out and err."""
        given_ = {**self.environment, **environment}
        done = warm.run(
            ["-m", "iris.cli", *words],
            env={name: value for name, value in given_.items() if value is not None},
            cwd=self.home,
            given=given,
            text=True,
        )
        done.status, done.out, done.err = done.returncode, done.stdout, done.stderr
        return done


@pytest.fixture
def iris(live, clean, tmp_path):
    """Return the `iris` command of somebody whose login is alice."""
    return Iris(tmp_path, f"http://127.0.0.1:{live.port}")


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """Return an authority that certifies names, which nobody trusts by himself."""
    return certificates.Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """Return (certificate, key) for localhost, of nobody's."""
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-keyout", folder / "key.pem", "-out", folder / "cert.pem", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder / "cert.pem", folder / "key.pem"


@pytest.fixture(scope="session")
def hasty(server):
    """Return a running service of one worker, who waits for nobody for longer than a second."""
    made = Live(server.url(), "hasty_app:app", PYTHONPATH=str(Path(__file__).parent))
    yield made
    made.stop(signal.SIGQUIT)
