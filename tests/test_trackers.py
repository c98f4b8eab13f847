"""Many trackers, spread over two servers with a pgbouncer in front: made, listed, moved, removed, and kept apart."""

import contextlib
import json
import re
import signal
import threading
import time

import fleet
import psutil
import psycopg2
import pytest
import trackers
from conftest import ROOT, Iris
from mails import Server
from receivers import Receiver

from iris import embedded
from iris.trackers import making, moving, servers

pytestmark = [
    pytest.mark.skipif(not fleet.PGBOUNCER, reason="there is no pgbouncer here"),
    pytest.mark.skipif(int(embedded.VERSION) < 16, reason="trackers need PostgreSQL 16"),
]
JSON = "Content-Type: application/json"


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    """Return a Fleet with two trackers, acme and beta, both on the first server."""
    with contextlib.ExitStack() as stack:
        made = fleet.Fleet(tmp_path_factory.mktemp("fleet"), stack)
        made.tokens = {
            name: made.tracker("add", name, "--on", made.place(0), IRIS_AUTH="token")["token"]
            for name in ("acme", "beta")
        }
        yield made


@pytest.fixture(scope="module")
def service(ground):
    """Return a service of all of them, with tokens, which keeps none that nobody asks for."""
    made = ground.serve(
        app="hasty_app:app",
        IRIS_AUTH="token",
        IRIS_RATE="100",
        PYTHONPATH=f"{ROOT}:{ROOT / 'tests'}",
    )
    yield made
    made.stop()


def ask(service, name, method, path, given=None, token=None, headers=()):
    """Ask a tracker; return (status, head, JSON or text)."""
    sent = [JSON, *headers, *([f"Authorization: Bearer {token}"] if token else [])]
    body = b"" if given is None else json.dumps(given).encode()
    status, head, body = service.send(method, f"/t/{name}{path}", body, sent)
    return status, head, json.loads(body) if body[:1] in (b"{", b"[") else body.decode()


def rows(connection, sql, *values):
    with connection.cursor() as cursor:
        cursor.execute(sql, values or None)
        return cursor.fetchall() if cursor.description else None


@contextlib.contextmanager
def owned(ground, name, number=None):
    with contextlib.closing(ground.owner(name, number)) as connection:
        yield connection


@pytest.fixture
def here(ground, monkeypatch):
    """Return the Fleet, which is this process's own, too."""
    for name, value in ground.environment.items():
        monkeypatch.setenv(name, value)
    return ground


# Made, listed, removed ------------------------------------------------------------------------------


def test_a_tracker_is_added_listed_and_removed_after_a_backup(ground, tmp_path):
    made = ground.tracker("add", "my-team")
    # The first server has two already.
    assert made == {
        "name": "my-team",
        "server": f"{ground.servers[1].socket()}:5432",
        "token": None,
    }
    (listed,) = (each for each in ground.tracker("list") if each["tracker"] == "my-team")
    assert listed["server"] == made["server"]
    assert listed["bytes"] > 5_000_000
    assert set(listed) == {"tracker", "server", "bytes", "connections", "per_second"}
    out, _ = ground("tracker", "list")
    assert [line.split()[0] for line in out.splitlines()] == ["tracker", "acme", "beta", "my-team"]
    # It is a whole Iris, for every other command too.
    out, _ = ground("psql", "-At", "-c", "INSERT INTO tickets (title) VALUES ('Hello') RETURNING title, reporter",
                    IRIS_TRACKER="my-team", IRIS_DB_HOST="")  # fmt: skip
    assert out.splitlines()[0] == "Hello|my-team"
    out, _ = ground("doctor", IRIS_TRACKER="my-team", status=1)
    assert [line for line in out.splitlines() if line.startswith("WRONG")] == [
        "WRONG   server: PostgreSQL runs with fsync off: data may be lost, or tables only grow"
    ]
    _, err = ground("tracker", "remove", "my-team", "--backups", str(tmp_path), status=2)
    assert err == "iris: nobody can be asked here: say --yes\n"
    _, err = ground("tracker", "remove", "my-team", "--yes", status=1)
    assert "IRIS_BACKUPS is not set" in err
    _, err = ground("tracker", "remove", "my-team", "--yes", "--backups", str(tmp_path))
    (path,) = tmp_path.iterdir()
    assert err.endswith(f"iris: my-team is removed; all of it is in {path}\n")
    assert path.read_bytes()[:5] == b"PGDMP"
    assert [each["tracker"] for each in ground.tracker("list")] == ["acme", "beta"]
    with owned(ground, "postgres", 1) as owner:
        assert rows(owner, "SELECT rolname FROM pg_roles WHERE rolname = 'my-team'") == []
    _, err = ground("tracker", "remove", "my-team", "--yes", "--no-backup", status=1)
    assert err.startswith("iris: there is no tracker my-team in ")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "A",
        "1a",
        "a_b",
        "a-",
        "é",
        "a" * 41,
        "iris",
        "postgres",
        "pgbouncer",
        "template1",
        "acme/..",
        "a;b",
    ],
)
def test_a_name_that_would_be_something_else_elsewhere_is_refused(here, name):
    before = here.map.databases.read_text()
    with pytest.raises(SystemExit, match="can't be a tracker's name"):
        making.add(name, None, with_token=False)
    assert here.map.databases.read_text() == before


def test_what_is_there_already_is_not_made_again(ground):
    assert (
        ground("tracker", "add", "acme", status=1)[1] == "iris: there is a tracker acme already\n"
    )
    _, err = ground("tracker", "add", "console", status=1)
    assert err.endswith("has a console already, which is no tracker's\n")
    with owned(ground, "postgres", 1) as owner:
        rows(owner, "CREATE DATABASE gamma")
        _, err = ground("tracker", "add", "gamma", "--on", ground.place(1), status=1)
        assert err.startswith("iris: there is a database gamma on ")
        assert rows(owner, "SELECT datname FROM pg_database WHERE datname = 'gamma'") == [
            ("gamma",)
        ]
        rows(owner, "DROP DATABASE gamma")
    _, err = ground("tracker", "add", "gamma", "--on", "elsewhere", status=1)
    assert err.startswith("iris: IRIS_SERVERS has no elsewhere:5432")


def test_two_who_add_the_same_make_one(ground):
    both = [ground.start("tracker", "add", "twin", "--on", ground.place(1)) for _ in range(2)]
    said = [each.communicate(timeout=120)[1] for each in both]
    assert sorted(each.returncode for each in both) == [0, 1], said
    ground("tracker", "remove", "twin", "--yes", "--no-backup")


def test_all_are_upgraded_and_checked_one_after_another(ground):
    with owned(ground, "acme") as owner:
        rows(owner, "CREATE FUNCTION strange() RETURNS integer LANGUAGE sql RETURN 1")
    _, err = ground("db", "upgrade")
    assert "acme:" in err
    assert "beta:" in err
    assert "dropped FUNCTION strange(), which the rules don't have" in err
    out, _ = ground("db", "check")
    assert len(out.splitlines()) == 2
    _, err = ground("db", "downgrade", "0008", status=1)
    assert err == "iris: IRIS_TRACKER is not set: this is for one tracker at a time\n"
    _, err = ground("token", "list", status=1)
    assert err.startswith("iris: IRIS_TRACKER is not set")
    _, err = ground("token", "list", IRIS_TRACKER="nowhere", status=1)
    assert err.startswith("iris: IRIS_TRACKER is nowhere, which is not in ")
    # Who may connect is as it was.
    with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
        psycopg2.connect(ground.servers[0].url("iris", "acme"))


# Kept apart, in psql --------------------------------------------------------------------------------


def test_a_login_of_one_tracker_enters_no_other(ground):
    ground("token", "add", "dora", "--role", "admin", "--psql", IRIS_TRACKER="acme")
    (server, _) = ground.servers
    for login in ("acme", "dora"):
        with contextlib.closing(psycopg2.connect(server.url(login, "acme"))) as connection:
            assert rows(connection, "SELECT actor()") == [(login,)]
        for other in ("beta", "iris_template"):
            with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
                psycopg2.connect(server.url(login, other))
    for role in ("iris", "iris_service"):
        for name in ("acme", "beta", "iris_template"):
            with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
                psycopg2.connect(server.url(role, name))
    # Nor does it become who could.
    with contextlib.closing(psycopg2.connect(server.url("acme", "acme"))) as connection:
        for statement in (
            "SET ROLE iris",
            "SET ROLE beta",
            "ALTER ROLE iris PASSWORD 'mine'",
            "ALTER ROLE beta PASSWORD 'mine'",
            "GRANT CONNECT ON DATABASE beta TO acme",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres'",
        ):
            try:
                rows(connection, statement)
            except psycopg2.errors.InsufficientPrivilege:
                connection.rollback()
                continue
            # PostgreSQL only warns of what nobody may grant.
            assert statement.startswith("GRANT")
            connection.rollback()
    ground("token", "revoke", "dora", IRIS_TRACKER="acme")
    with owned(ground, "acme") as owner:
        assert rows(owner, "SELECT rolname FROM pg_roles WHERE rolname = 'dora'") == []


def test_a_token_that_says_it_has_a_login_ends_nobody_elses(ground):
    """After a restore or by its owner's hand a tracker may claim a login of another one's."""
    ground("token", "add", "erik", "--role", "writer", "--psql", IRIS_TRACKER="beta")
    ground("token", "add", "erik", "--role", "writer", IRIS_TRACKER="acme")
    with owned(ground, "acme") as owner:
        rows(owner, "UPDATE tokens SET is_login = true WHERE name = 'erik'")
    ground("token", "revoke", "erik", IRIS_TRACKER="acme")
    with owned(ground, "beta") as owner:
        assert rows(owner, "SELECT rolcanlogin FROM pg_roles WHERE rolname = 'erik'") == [(True,)]
    ground("token", "revoke", "erik", IRIS_TRACKER="beta")


# Kept apart, over HTTP ------------------------------------------------------------------------------


def test_each_is_served_by_path_and_by_name_and_no_other_is_there(ground, service):
    token = ground.tokens["acme"]
    status, head, filed = ask(service, "acme", "PUT", "/tickets", {"title": "By path"}, token)
    assert status == 201
    assert "location: tickets/" in head.lower() or "location: ../" in head.lower()
    header = f"Authorization: Bearer {token}"
    number = filed["ticket_id"]
    by_name = service.raw(
        f"GET /tickets/{number} HTTP/1.1\r\nHost: acme.iris.example.org\r\n{header}\r\nConnection: close\r\n\r\n".encode()
    )
    assert by_name.startswith(b"HTTP/1.1 200")
    assert b"By path" in by_name
    assert ask(service, "acme", "GET", "", token=token)[:1] == (308,)
    for name in ("gamma", "", "%2e%2e", "ACME", "acme%00", "iris", "postgres"):
        status, _, said = ask(service, name, "GET", "/tickets", token=token)
        assert (status, said["code"]) == (404, "no_such_tracker"), name
    for path in ("/tickets", "/", "/me", "/docs", "/t"):
        status, _, body = service.send("GET", path, headers=[header])
        assert (status, json.loads(body)["code"]) == (404, "no_such_tracker"), path


def test_nothing_of_one_is_good_for_the_other(ground, service):
    acme, beta = ground.tokens["acme"], ground.tokens["beta"]
    # Tokens, also just after each was good at home.
    for _ in range(2):
        assert ask(service, "acme", "GET", "/me", token=acme)[0] == 200
        assert ask(service, "beta", "GET", "/me", token=beta)[0] == 200
        assert ask(service, "beta", "GET", "/me", token=acme)[0] == 401
    # Idempotency keys and ETags: the same key, actor and request at the other is another request.
    key = ["Idempotency-Key: the-same"]
    one = ask(service, "acme", "PUT", "/tickets", {"title": "Once"}, acme, key)
    other = ask(service, "beta", "PUT", "/tickets", {"title": "Once"}, beta, key)
    again = ask(service, "acme", "PUT", "/tickets", {"title": "Once"}, acme, key)
    assert (one[0], other[0], again[0]) == (201, 201, 201)
    assert "idempotent-replayed" not in (one[1] + other[1]).lower()
    assert "idempotent-replayed: true" in again[1].lower()
    assert again[2]["created"] == one[2]["created"] != other[2]["created"]
    # Cursors lead on in the tracker that they are given to, whoever made them.
    for number in range(3):
        ask(service, "acme", "PUT", "/tickets", {"title": f"Secret {number}"}, acme)
    _, head, _ = ask(service, "acme", "GET", "/tickets?limit=1", token=acme)
    cursor = re.search(r"(?i)link: <(.*?)>", head)[1]
    status, _, page = ask(service, "beta", "GET", f"/tickets{cursor}", token=beta)
    assert status == 200
    assert "Secret" not in json.dumps(page)
    assert "Secret" not in json.dumps(ask(service, "beta", "GET", "/events?after=0", token=beta)[2])
    assert "Secret" not in json.dumps(
        ask(service, "beta", "GET", "/tickets?as_of=now&q=secret", token=beta)[2]
    )
    # The workflow, which the document of each names, and statistics.
    flow = ask(service, "acme", "GET", "/workflow", token=acme)[2]
    flow["statuses"].append({"status": "acmes own", "is_open": True})
    assert ask(service, "acme", "PUT", "/workflow", flow, acme)[0] == 200
    for _ in range(2):
        assert "acmes own" in json.dumps(
            ask(service, "acme", "GET", "/openapi.json", token=acme)[2]
        )
        assert "acmes own" not in json.dumps(
            ask(service, "beta", "GET", "/openapi.json", token=beta)[2]
        )
        assert "acmes own" not in json.dumps(ask(service, "beta", "GET", "/stats", token=beta)[2])


def test_what_is_kept_of_one_that_nobody_asks_for_goes_and_comes_again(ground, service):
    """Its connections above all; and one whose database is away is in nobody else's way."""

    def connections():
        """Return how many the service has to the pooler, which keeps its own to the servers."""
        (worker,) = psutil.Process(service.process.pid).children()
        return sum(each.raddr[1:] == (ground.port,) for each in worker.net_connections("tcp"))

    for _ in range(2):
        assert ask(service, "acme", "GET", "/tickets", token=ground.tokens["acme"])[0] == 200
        assert connections() > 0
        deadline = time.monotonic() + 20
        while connections():
            assert time.monotonic() < deadline
            time.sleep(0.1)
    with owned(ground, "beta") as owner:
        owner.autocommit = True
        rows(owner, "ALTER DATABASE acme ALLOW_CONNECTIONS false")
        ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'acme'"
        rows(owner, ended)
        try:
            assert ask(service, "acme", "GET", "/tickets", token=ground.tokens["acme"])[0] == 503
            assert ask(service, "beta", "GET", "/tickets", token=ground.tokens["beta"])[0] == 200
        finally:
            rows(owner, "ALTER DATABASE acme ALLOW_CONNECTIONS true")
    # The pooler does not look again at once.
    deadline = time.monotonic() + 60
    while ask(service, "acme", "GET", "/tickets", token=ground.tokens["acme"])[0] != 200:
        assert time.monotonic() < deadline
        time.sleep(1)


def test_a_stream_tells_of_its_own_tracker_only(ground, service):
    """Both wait in one worker, whose poller's latest events would be another's."""
    readers = {}
    for name in ("acme", "beta"):
        connection = service.connect()
        connection.sendall(
            f"GET /t/{name}/events?after=0 HTTP/1.1\r\nHost: iris\r\nAccept: text/event-stream\r\n"
            f"Authorization: Bearer {ground.tokens[name]}\r\n\r\n".encode()
        )
        readers[name] = connection
    time.sleep(0.5)
    for name in readers:
        ask(service, name, "PUT", "/tickets", {"title": f"Only in {name}"}, ground.tokens[name])
    for name, connection in readers.items():
        other = {"acme": "beta", "beta": "acme"}[name]
        connection.settimeout(10)
        data = b""
        while f"Only in {name}".encode() not in data:
            data += connection.recv(1 << 16)
        assert f"Only in {other}".encode() not in data
        connection.close()


def test_what_is_counted_is_told_to_nobody_in_a_tracker(ground, service):
    token = ground.tokens["acme"]
    status, _, said = ask(service, "acme", "GET", "/metrics", token=token)
    assert (status, said["code"]) == (404, "no_such_route")
    status, _, body = service.send("GET", "/metrics")
    assert status == 200
    assert b"iris_http_requests_total" in body
    assert b"acme" not in body
    assert service.send("GET", "/metrics", headers=["X-Forwarded-For: 127.0.0.1"])[0] == 404
    assert service.send("GET", "/health")[0] == 200


def test_what_one_sends_too_much_of_does_not_count_for_a_namesake(ground, service):
    tokens = {}
    for name in ground.tokens:
        with owned(ground, name) as owner:
            ((tokens[name],),) = rows(owner, "SELECT add_token('zoe', 'reader') ->> 'token'")
    passed, status = 0, 200
    while status == 200:
        status = ask(service, "acme", "GET", "/me", token=tokens["acme"])[0]
        passed += status == 200
        # As time goes by, it may send a few more.
        assert passed < 1000
    assert (passed >= 100, status) == (True, 429)
    assert ask(service, "beta", "GET", "/me", token=tokens["beta"])[0] == 200


def test_the_command_speaks_to_one_of_many(ground, service, tmp_path):
    iris = Iris(tmp_path, f"http://127.0.0.1:{service.port}/t/acme")
    said = iris("new", "By the command", IRIS_TOKEN=ground.tokens["acme"])
    assert (said.status, said.err) == (0, "")
    said = iris("ls", "q=command", IRIS_TOKEN=ground.tokens["acme"])
    assert "By the command" in said.out


def test_hooks_and_mail_of_each_are_told_of_its_own_and_mail_comes_back_to_it(ground):
    mails = Server()
    mails.start()
    made = ground.serve(
        **OWN, IRIS_DELIVER="true", IRIS_HOOKS_INSIDE="127.0.0.1",
        IRIS_SMTP_URL=f"smtp://127.0.0.1:{mails.port}", IRIS_PUBLIC_URL="https://iris.example.org",
    )  # fmt: skip
    try:
        hooks_are_told(ground, made)
        mail_goes_out_and_comes_back(ground, made, mails)
    finally:
        log = made.stop()
        mails.stop()
    assert "Traceback" not in log


OWN = {"IRIS_MAIL_FROM": "iris@example.org", "IRIS_AUTH": "token"}


def hooks_are_told(ground, made):
    receiver = Receiver()
    try:
        for name, token in ground.tokens.items():
            hook = {"url": f"{receiver.url}/{name}", "kind": "created"}
            assert ask(made, name, "PUT", "/hooks", hook, token)[0] == 201
            ask(made, name, "PUT", "/tickets", {"title": f"Of {name}"}, token)
        deadline = time.monotonic() + 60
        while len(receiver.received) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        for name, token in ground.tokens.items():
            for hook in ask(made, name, "GET", "/hooks", token=token)[2]:
                ask(made, name, "DELETE", f"/hooks/{hook['hook_id']}", token=token)
    finally:
        receiver.close()
    found = {
        path: json.loads(body)["data"]["ticket"]["title"] for path, _, body in receiver.received
    }
    assert found == {"/acme": "Of acme", "/beta": "Of beta"}


def mail_goes_out_and_comes_back(ground, made, mails):
    """Both have a person 1 who lives at the same address; what they answer names its tracker."""
    for name, token in ground.tokens.items():
        given = {"mail": "alice@example.org"}
        assert ask(made, name, "PUT", "/people/alice", given, token)[0] == 200
        ask(made, name, "PUT", "/tokens", {"name": "alice", "role": "writer"}, token)
        ticket = {"title": f"Letter of {name}", "reporter": "alice"}
        assert ask(made, name, "PUT", "/tickets", ticket, token)[0] == 201
    letters = {each["Subject"].split()[2]: each for each in mails.to("alice@example.org", 2)}
    for name, letter in letters.items():
        assert letter["From"].endswith(f"<iris+{name}@example.org>")
        assert letter["Message-ID"].startswith(f"<iris+{name}.ticket")
        assert letter["Reply-To"].startswith(f"reply+{name}.")
        assert letter.sender.startswith(f"bounce+{name}.1.")
        assert f"https://iris.example.org/t/{name}/tickets/" in letter.get_content()
        page = re.search(r"<https://iris.example.org/t/[a-z]+(/unsubscribe/[^>]+)>", letter["List-Unsubscribe"])  # fmt: skip
        assert ask(made, name, "GET", page[1])[0] == 200
    numbers = {name: re.search(r"#([0-9]+)", each["Subject"])[1] for name, each in letters.items()}

    def mail(to, subject="New", status=0, **more):
        text = f"From: alice@example.org\nTo: {to}\nSubject: {subject}\n\nSmoke"
        return ground("mail", given=text, status=status, **OWN, **more)[1]

    to = letters["beta"]["Reply-To"]
    assert "comment 1 of alice" in mail(to)
    assert "comment 2 of alice" in mail(to, "Again", IRIS_TRACKER="beta")
    said = mail(to, status=77, IRIS_TRACKER="acme")
    assert said == "iris: not taken: it is for the tracker beta, and this is acme\n"
    # What beta has sealed means nothing in acme.
    assert "nobody this address" in mail(to.replace("beta", "acme"), status=77)
    assert "filed by alice" in mail("iris+acme@example.org", "Only letter of acme")
    assert (
        mail("iris+gamma@example.org", status=77) == "iris: not taken: there is no tracker gamma\n"
    )
    said = "iris: not taken: it names no tracker, as iris+NAME@example.org does\n"
    assert mail("iris@example.org", status=65) == said
    assert "filed by alice" in mail("iris@example.org", "Again letter of acme", IRIS_TRACKER="acme")
    for name, token in ground.tokens.items():
        path = f"/tickets/{numbers[name]}"
        comments = ask(made, name, "GET", path, token=token)[2]["comments"]
        assert [each["body"] for each in comments] == ["Smoke"] * (2 * (name == "beta"))
        found = ask(
            made,
            name,
            "GET",
            "/tickets?q=%22letter+of+acme%22&columns=title&sort=created",
            token=token,
        )[2]
        titles = [each["title"] for each in found]
        assert titles == (
            ["Letter of acme", "Only letter of acme", "Again letter of acme"]
            if name == "acme"
            else []
        )
    for name, token in ground.tokens.items():
        ask(made, name, "DELETE", "/people/alice", token=token)
        ask(made, name, "DELETE", "/tokens/alice", token=token)


# Moved ----------------------------------------------------------------------------------------------

TABLES = """
    SELECT format('SELECT %L, count(*), md5(string_agg(it::text, chr(10) ORDER BY it::text)) FROM %s AS it', oid::regclass, oid::regclass)
        FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY oid::regclass::text
"""
KEPT = {
    "sequences": "SELECT sequencename, last_value FROM pg_sequences WHERE sequencename <> 'change_base' ORDER BY 1",
    "settings": "SELECT coalesce(rolname, ''), ARRAY(SELECT unnest(setconfig) ORDER BY 1) FROM pg_db_role_setting LEFT JOIN pg_roles ON pg_roles.oid = setrole"
    " JOIN pg_database ON pg_database.oid = setdatabase WHERE datname = current_database() ORDER BY 1",
    "privileges": "SELECT grantee::regrole::text, privilege_type FROM pg_database CROSS JOIN aclexplode(datacl)"
    " WHERE datname = current_database() AND grantee <> 0 ORDER BY 1, 2",
    "logins": "SELECT rolname, rolpassword, rolvaliduntil FROM pg_authid WHERE rolname IN ('acme', 'flora') ORDER BY 1",
    "memberships": "SELECT member::regrole::text, roleid::regrole::text, set_option FROM pg_auth_members"
    " WHERE member::regrole::text IN ('acme', 'flora') ORDER BY 1, 2",
    "identities": "SELECT relname FROM pg_class WHERE relkind = 'r' AND relreplident <> 'd' AND relnamespace = 'public'::regnamespace",
    "helpers": "SELECT 'publication' FROM pg_publication UNION ALL SELECT slot_name FROM pg_replication_slots WHERE database = current_database()",
}


def contents(connection):
    """Return all that a tracker is."""
    found = {sql[8:40]: rows(connection, sql) for (sql,) in rows(connection, TABLES)}
    return found | {name: rows(connection, sql) for name, sql in KEPT.items()}


def fill(ground):
    """Give acme one of everything, half of it read by the feed."""
    with contextlib.closing(psycopg2.connect(ground.login("acme"))) as connection:
        connection.autocommit = True
        rows(
            connection,
            "INSERT INTO tickets (title, labels) SELECT 'No. ' || n, '{a,b}' FROM generate_series(1, 300) AS n",
        )
        rows(
            connection,
            "INSERT INTO comments (ticket_id, body) SELECT ticket_id, 'So be it' FROM tickets",
        )
        rows(
            connection,
            "INSERT INTO links SELECT ticket_id, 'relates', ticket_id + 1 FROM tickets"
            " WHERE ticket_id % 10 = 0 AND ticket_id + 1 IN (SELECT ticket_id FROM tickets)",
        )
        rows(
            connection,
            "SELECT once('a key', 'a request', $$INSERT INTO tickets (title) VALUES ('Once') RETURNING title$$)",
        )
        rows(connection, "SELECT * FROM events_after(0, 1000)")
        rows(connection, "UPDATE tickets SET status = 'active' WHERE ticket_id % 2 = 0")
        rows(connection, "SELECT write_past(100)")
    ground("token", "add", "flora", "--role", "writer", "--psql", IRIS_TRACKER="acme")


def leave_nothing(ground, number):
    """Whether a server has nothing of acme, and no slot, of any move."""
    with owned(ground, "postgres", number) as owner:
        assert rows(owner, "SELECT datname FROM pg_database WHERE datname = 'acme'") == []
        assert rows(owner, "SELECT rolname FROM pg_roles WHERE rolname IN ('acme', 'flora')") == []
        assert rows(owner, "SELECT subname FROM pg_subscription") == []
        assert rows(owner, "SELECT slot_name FROM pg_replication_slots") == []


def rows_of_move(ground):
    """Return what a move has left: what is at the other server, and what is not as it was."""
    with owned(ground, "postgres", 1) as there, owned(ground, "acme", 0) as here:
        return rows(there, "SELECT 1 FROM pg_database WHERE datname = 'acme'") + [
            row for name in ("identities", "helpers") for row in rows(here, KEPT[name])
        ]


@pytest.fixture(scope="module")
def filled(ground):
    fill(ground)
    return ground


@pytest.mark.parametrize(
    ("at_home", "there", "words"),
    [
        ("CREATE UNLOGGED TABLE loose (n integer)", None, "loose is UNLOGGED, which no log tells of"),
        ("CREATE SCHEMA own; CREATE TABLE own.things (n integer)", None, "has what Iris has not made, and"),
        ("SELECT lo_from_bytea(0, 'x')", None, "large object "),
        ("CREATE VIEW seen AS SELECT 1 AS one", None, "view public.seen"),
        ("ALTER TABLE tickets ENABLE ALWAYS TRIGGER tickets_before", None, "would fire a second time there"),
        (None, "CREATE ROLE flora", "has a role flora already, which is a token's here"),
        (None, "CREATE ROLE acme", "there is a role acme on"),
        (None, "CREATE DATABASE acme", "there is a database acme on"),
        ("ALTER TABLE alembic_version DROP CONSTRAINT alembic_version_pkc; UPDATE alembic_version SET version_num = '0008'", None,
         "acme's schema is at revision 0008, this Iris needs 0009. Run `iris db upgrade`."),
    ],
)  # fmt: skip
def test_a_move_that_would_lose_something_is_none(filled, here, at_home, there, words):
    undo = {
        "CREATE UNLOGGED": "DROP TABLE loose",
        "CREATE SCHEMA": "DROP SCHEMA own CASCADE",
        "SELECT lo_": "SELECT lo_unlink(oid) FROM pg_largeobject_metadata",
        "CREATE VIEW": "DROP VIEW seen",
        "ALTER TABLE tickets": "ALTER TABLE tickets ENABLE TRIGGER tickets_before",
        "CREATE ROLE flora": "DROP ROLE flora",
        "CREATE ROLE acme": "DROP ROLE acme",
        "CREATE DATABASE": "DROP DATABASE acme",
        "ALTER TABLE alembic": "UPDATE alembic_version SET version_num = '0009';"
        " ALTER TABLE alembic_version ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)",
    }
    where = owned(filled, "acme") if at_home else owned(filled, "postgres", 1)
    with where as owner, owned(filled, "acme") as acme:
        before = contents(acme)
        rows(owner, at_home or there)
        with pytest.raises(SystemExit) as refused:
            moving.move("acme", servers.named(filled.place(1)), print)
        rows(
            owner, next(sql for start, sql in undo.items() if (at_home or there).startswith(start))
        )
        assert words in str(refused.value)
        assert contents(acme) == before
    leave_nothing(filled, 1)
    with contextlib.closing(psycopg2.connect(filled.login("acme"))) as connection:
        assert rows(connection, "SELECT count(*) FROM tickets WHERE title LIKE 'No. %%'", 1) == [
            (300,)
        ]


def test_a_move_to_where_it_is_or_to_nowhere_is_none(ground):
    for name, to, words in (
        ("acme", ground.place(0), "acme is on "),
        ("acme", "db9", "IRIS_SERVERS has no db9:5432"),
        ("gamma", ground.place(1), "there is no tracker gamma in "),
    ):
        assert ground("tracker", "move", name, "--to", to, status=1)[1].startswith(f"iris: {words}")


def test_whoever_does_not_end_their_transaction_keeps_it_where_it_is(filled, here, monkeypatch):
    monkeypatch.setattr(moving, "TRIES", 2)
    said, follow = [], moving._keep_in_step
    with contextlib.closing(psycopg2.connect(filled.login("acme"))) as connection:

        def hold(*given):
            follow(*given)
            rows(connection, "UPDATE tickets SET title = 'Held' WHERE ticket_id = 1")

        monkeypatch.setattr(moving, "_keep_in_step", hold)
        with pytest.raises(SystemExit, match="did not end, 2 times over: it stays where it was"):
            moving.move("acme", servers.named(filled.place(1)), said.append)
        connection.commit()
    assert said[0].startswith("acme is too busy just now")
    leave_nothing(filled, 1)
    with owned(filled, "acme") as owner:
        assert rows(owner, "SELECT title FROM tickets WHERE ticket_id = 1") == [("Held",)]
        assert contents(owner)["identities"] == contents(owner)["helpers"] == []


@pytest.mark.slow
def test_a_move_that_is_killed_lets_writers_go_on_and_can_be_made_again(filled):
    """Whoever looks after it lets them go on, and takes away what it has left."""
    over, done = threading.Event(), []

    def write():
        with contextlib.closing(psycopg2.connect(filled.login("acme"))) as connection:
            while not over.is_set():
                rows(connection, "UPDATE tickets SET title = 'Written' WHERE ticket_id = 1")
                # No pause is long enough for this one to end.
                over.wait(1.5)
                connection.commit()
                done.append(time.monotonic())

    writer = threading.Thread(target=write)
    writer.start()
    try:
        running = filled.start("tracker", "move", "acme", "--to", filled.place(1))
        with contextlib.closing(
            psycopg2.connect(filled.environment["IRIS_BOUNCER_URL"])
        ) as console:
            console.autocommit = True

            def is_paused():
                with console.cursor() as cursor:
                    cursor.execute("SHOW DATABASES")
                    place = [column.name for column in cursor.description].index("paused")
                    return any(row[0] == "acme" and row[place] for row in cursor.fetchall())

            deadline = time.monotonic() + 60
            while not is_paused():
                assert time.monotonic() < deadline
                assert running.poll() is None
                time.sleep(0.005)
            running.send_signal(signal.SIGKILL)
            running.communicate()
            killed = len(done)
            while is_paused() or len(done) < killed + 2:
                assert time.monotonic() < deadline
                time.sleep(0.05)
    finally:
        over.set()
        writer.join()
    while rows_of_move(filled):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    leave_nothing(filled, 1)
    with owned(filled, "acme", 0) as owner:
        assert rows(owner, "SELECT title FROM tickets WHERE ticket_id = 1") == [("Written",)]
        assert contents(owner)["identities"] == contents(owner)["helpers"] == []


def test_all_of_it_comes_along_when_it_moves(filled, service):
    with owned(filled, "acme") as owner:
        before = contents(owner)
        (last,) = rows(owner, "SELECT max(change), max(ticket_id) FROM events")
    told = filled.tracker("move", "acme", "--to", filled.place(1))
    assert told["server"] == f"{filled.servers[1].socket()}:5432"
    assert told["waited"] < 1
    leave_nothing(filled, 0)
    with owned(filled, "acme", 1) as owner:
        after = contents(owner)
        assert {name: after[name] for name in before} == before
        # What comes next comes after all that was.
        with contextlib.closing(psycopg2.connect(filled.login("acme"))) as connection:
            connection.autocommit = True
            ((number,),) = rows(
                connection, "INSERT INTO tickets (title) VALUES ('After') RETURNING ticket_id"
            )
            assert number == last[1] + 1
            assert rows(connection, "SELECT 1 FROM events_after(0, 1)") == [(1,)]
            assert rows(connection, "SELECT * FROM verify_events()") == []
            with pytest.raises(psycopg2.Error, match="can't go from"):
                rows(
                    connection, "UPDATE tickets SET status = 'blocked' WHERE ticket_id = %s", number
                )
        assert rows(
            owner, "SELECT change > %s FROM events ORDER BY event_id DESC LIMIT 1", last[0]
        ) == [(True,)]
        assert rows(
            owner,
            "SELECT shobj_description(oid, 'pg_database'), datallowconn FROM pg_database WHERE datname = 'acme'",
        ) == [(None, True)]
    out, _ = filled("doctor", IRIS_TRACKER="acme", status=1)
    assert [line for line in out.splitlines() if line.startswith("WRONG")] == [
        "WRONG   server: PostgreSQL runs with fsync off: data may be lost, or tables only grow"
    ]
    # And over HTTP, with the token that it had.
    status, _, found = ask(service, "acme", "GET", "/tickets?limit=1", token=filled.tokens["acme"])
    assert (status, found[0]["title"]) == (200, "After")
    # And back; what was there stays, if that is wanted, and lets nobody in.
    assert filled.tracker("move", "acme", "--to", filled.place(0), "--keep")["waited"] < 1
    with pytest.raises(psycopg2.OperationalError, match="not currently accepting connections"):
        filled.owner("acme", 1)
    with owned(filled, "postgres", 1) as owner:
        rows(owner, "DROP DATABASE acme")
        rows(owner, "DROP ROLE acme, flora")
    leave_nothing(filled, 1)
    with owned(filled, "acme", 0) as owner:
        assert rows(owner, "SELECT title FROM tickets ORDER BY ticket_id DESC LIMIT 1") == [
            ("After",)
        ]


@pytest.mark.slow
def test_one_of_many_moves_under_load_and_nothing_is_lost_or_comes_twice(tmp_path, monkeypatch):
    """As `make trackers` does it, in short."""
    for name in (
        "IRIS_TRACKERS",
        "IRIS_SERVERS",
        "IRIS_BOUNCER_URL",
        "IRIS_DB_HOST",
        "IRIS_DB_PORT",
        "DATABASE_URL",
    ):
        # It sets them itself.
        monkeypatch.setenv(name, "")
    found = trackers.live(tmp_path, trackers=4, moves=1, pause=1)
    assert found["failed"] == []
    assert found["acknowledged"] > 0
    assert found["refused for a moment"] == 0
    assert max(found["paused, ms"]) < 1000


def test_what_the_docs_type_prints_what_they_print(ground, tmp_path):
    """But for times, sizes and numbers, and what the servers are called. Last of all, for it begins with no tracker."""
    page = (ROOT / "docs" / "trackers.md").read_text()
    day = page[page.index("## Every day") : page.index("`add` takes the server")]
    typed = re.findall(r"    \$ iris (.*)\n((?:    (?!\$ ).*\n)*)", day)
    assert len(typed) == 5

    def plain(text):
        return re.sub(r" +", " ", re.sub(r"\d[\d.]*(?=[ TZ])|\d{8}T\d{6}Z", "1", text)).strip()

    for each in ground.tracker("list"):
        ground("tracker", "remove", each["tracker"], "--yes", "--no-backup")
    sockets = [f"{server.socket()}:5432" for server in ground.servers]
    for words, printed in typed:
        asked = words.replace("db1", ground.place(0)).replace("db2", ground.place(1))
        out, err = ground(*asked.replace(" backups", f" {tmp_path}/backups").split())
        said = (out + err).replace(sockets[0], "db1:5432").replace(sockets[1], "db2:5432")
        # A table cuts what is long, and is as wide as what is in it.
        said = re.sub(r"/\S*…", "db1:5432", said.replace(f"{tmp_path}/", ""))
        assert plain(said) == plain(printed.replace("\n    ", "\n")), words
