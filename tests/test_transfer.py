"""Everything goes out and comes in again; tickets of other trackers come in with a history."""

import csv
import io
import json
import random
import re
import subprocess
import unicodedata

import psycopg2
import pytest
import warm
from conftest import Sql
from hypothesis import HealthCheck, given, settings, strategies
from test_schema import empty, old  # noqa: F401 (fixtures)
from test_time_travel import Life
from test_up import IRIS, environment

from iris import counted, embedded, migrations, schema, transfer
from iris.transfer import export, foreign, restore


def quiet(sentence):
    """Hear nothing."""


@pytest.fixture
def other(anew, owner):
    """Return the name of a second, empty Iris."""
    anew("other")
    yield "other"
    with owner.cursor() as cursor:
        cursor.execute("DROP DATABASE other WITH (FORCE)")


def exported(url):
    out = io.BytesIO()
    export.write(url, out, quiet)
    return out.getvalue()


def restored(server, name, data, tmp_path):
    (tmp_path / "all.ndjson").write_bytes(data)
    restore.read(server.url("postgres", name), str(tmp_path / "all.ndjson"), quiet)


def refused(call, *arguments, **more):
    with pytest.raises(transfer.Refused) as caught:
        call(*arguments, **more)
    return str(caught.value).removeprefix("iris: ")


# Export and import --------------------------------------------------------------------------------


def test_what_goes_out_comes_in_to_the_byte(http, sql, server, other, tmp_path):
    lives = [Life(seed, http, sql) for seed in range(4)]
    for number, life in enumerate(lives):
        life.run(200)
        if number == 2:
            # The last ones have no position yet.
            while sql(
                "SELECT * FROM events_after((SELECT coalesce(max(position), 0) FROM events))"
            ):
                pass
    sql("INSERT INTO tickets (title, description, due, fields) VALUES (%s, %s, '0001-01-01', %s)",
        ' "\\n\\"', "\\.\n\x01\x02\r\n\u2028 🖨", '{"n": 1.00, "m": 1e400, "\\"": ["\\t"]}')  # fmt: skip
    sql("INSERT INTO tickets (title, due) VALUES ('late', '9999-12-31')")
    sql("DELETE FROM tickets WHERE title = 'late'")
    before = exported(server.url())
    assert exported(server.url()) == before
    restored(server, other, before, tmp_path)
    assert exported(server.url(database=other)) == before

    copy = Sql(server.url(database=other))
    moments = [moment for life in lives for moment, *_ in life.moments[:: len(life.moments) // 4]]
    for moment in moments:
        for question in (
            "SELECT * FROM tickets_as_of(%s) ORDER BY ticket_id",
            "SELECT * FROM comments_as_of(%s) ORDER BY comment_id",
            "SELECT * FROM links_as_of(%s) AS l ORDER BY l",
        ):
            assert copy(question, moment) == sql(question, moment)
    words = "SELECT * FROM searches ORDER BY ticket_id, comment_id"
    assert copy(words) == sql(words)
    last = json.loads(before.split(b"\n")[0])["position"]
    assert last > 0
    for door in (sql, copy):
        door("INSERT INTO tickets (title) VALUES ('on we go')")
        door("INSERT INTO comments (ticket_id, body) SELECT max(ticket_id), 'and on' FROM tickets")
    # The feed goes on where it was, and so do the numbers.
    feed = "SELECT position, event_id, ticket_id, kind, comment_id FROM events_after(%s, 5000)"
    assert copy(feed, last) == sql(feed, last)
    assert copy("SELECT * FROM events_after(0, %s)", last) == sql(
        "SELECT * FROM events_after(0, %s)", last
    )
    # Changes have their numbers, and the new ones have higher ones, whatever this server counts.
    changes = "SELECT change FROM events ORDER BY event_id"
    there, here = copy(changes)[-2:], sql(changes)[-2:]
    assert copy(changes)[:-2] == sql(changes)[:-2]
    highest = max(row["change"] for row in copy(changes)[:-2])
    assert highest < there[0]["change"] < there[1]["change"] and highest < here[0]["change"]
    # The rules are on again.
    assert "can't go from" in str(
        copy.refusal("UPDATE tickets SET status = 'blocked' WHERE title = 'on we go'")
    )
    copy.connection.close()


def test_so_does_what_happened_while_the_clock_was_set_back(sql, server, owner, other, tmp_path):
    sql("INSERT INTO tickets (title) VALUES ('one'), ('two'), ('three')")
    with owner.cursor() as cursor:
        # As if it had been an hour ahead until now.
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("UPDATE tickets SET updated = clock_timestamp() + interval '1 hour'")
        cursor.execute("SET session_replication_role = origin")
    sql("INSERT INTO comments (ticket_id, body) VALUES (1, 'a'), (1, 'b'), (2, 'c')")
    sql("INSERT INTO links VALUES (1, 'blocks', 2), (2, 'relates', 3), (1, 'parent', 3)")
    sql("UPDATE comments SET body = 'd' WHERE comment_id = 3")
    present = sql("SELECT clock_timestamp() + interval '2 hours' AS at")[0]["at"]
    sql("DELETE FROM tickets WHERE ticket_id IN (1, 2)")
    sql("UPDATE tickets SET status = 'closed'")
    for name in ("tickets", "comments", "links"):
        assert sql(f"SELECT * FROM {name}_as_of(%s)", present) == sql(f"TABLE {name}")
    before = exported(server.url())
    restored(server, other, before, tmp_path)
    assert exported(server.url(database=other)) == before


def test_so_does_what_came_from_before_the_first_release(old, other, server, tmp_path):  # noqa: F811
    list(migrations.move(old))
    before = exported(old)
    restored(server, other, before, tmp_path)
    assert exported(server.url(database=other)) == before


def test_an_empty_iris_goes_out_and_in(sql, server, other, tmp_path):
    sql("SELECT set_workflow(%s)", json.dumps(
        {"statuses": [{"status": "new", "is_open": True}, {"status": "Done", "is_open": False}],
         "transitions": {"new": ["Done"]}}))  # fmt: skip
    before = exported(server.url())
    restored(server, other, before, tmp_path)
    assert exported(server.url(database=other)) == before
    copy = Sql(server.url(database=other))
    made = copy.one("INSERT INTO tickets (title) VALUES ('first') RETURNING ticket_id, status")
    assert made == {"ticket_id": 1, "status": "new"}
    copy.connection.close()


def test_a_refused_import_changes_nothing(sql, ticket, server, other, tmp_path):
    ticket()
    sql("INSERT INTO comments (ticket_id, body) VALUES (1, 'hot')")
    whole = exported(server.url())
    lines = whole.splitlines(keepends=True)
    nothing = exported(server.url(database=other))
    header = json.loads(lines[0])

    def words(data):
        return refused(restored, server, other, data, tmp_path)

    assert words(b"") == "this is no export of Iris: line 1 is not its header"
    assert words(b'[{"title": "x"}]\n') == "this is no export of Iris: line 1 is not its header"
    older = json.dumps({**header, "revision": "0001"}).encode() + b"\n"
    assert (
        words(older) == f"the export is of revision 0001, this database is at {header['revision']}"
    )
    assert words(b"".join(lines[:-1])) == "the file is not whole: it should have 2 events and has 1"
    assert words(whole[:-20]).startswith(f"line {len(lines)} is no JSON: ")
    assert words(b"".join([*lines[:3], b"nonsense\n", *lines[3:]])).startswith(
        "line 4 is no JSON: "
    )
    for garbage in (b"\xff", b"\x00", b"[" * 100_000, b"\x01", b"\x02"):
        assert words(b"".join([*lines[:3], garbage, b"\n", *lines[3:]])).startswith(
            "line 4 is no JSON: "
        )
    ahead = json.dumps({**header, "position": 7}).encode() + b"\n"
    assert (
        words(b"".join([ahead, *lines[1:]])) == "line 1: 7 is not the last position of its events"
    )
    assert words(b"".join([*lines[:3], b"\n", *lines[3:]])) == "line 4 is no row of an export"
    assert (
        words(b"".join([*lines[:3], b'{"table": "x", "row": {}}\n']))
        == "line 4 is no row of an export"
    )
    assert (
        words(whole.replace(b"Printer on fire", b" "))
        == "line 20: title must have 1 to 300 characters, not only blanks"
    )
    assert refused(restore.read, server.url("postgres", other), str(tmp_path / "none"), quiet) == (
        f"{tmp_path}/none can't be read: No such file or directory"
    )
    assert exported(server.url(database=other)) == nothing
    assert refused(restored, server, "iris", whole, tmp_path) == (
        "there are tickets or events already: an export goes into an empty Iris"
    )
    assert exported(server.url()) == whole
    restored(server, other, whole, tmp_path)
    assert exported(server.url(database=other)) == whole


def test_tokens_stay_behind_and_what_history_tells_of_them_comes_along(
    sql, server, owner, other, tmp_path
):
    sql("SELECT add_token('alice', 'admin'), add_token('bob', 'reader', 'robert', 'tomorrow')")
    sql("DELETE FROM tokens WHERE name = 'bob'")
    sql("INSERT INTO statuses VALUES ('late', 99, true)")
    sql("SELECT FROM events_after(0)")
    whole = exported(server.url())
    with owner.cursor() as cursor:
        cursor.execute("SELECT encode(digest, 'hex') FROM tokens")
        for (digest,) in cursor.fetchall():
            assert digest.encode() not in whole
    restored(server, other, whole, tmp_path)
    assert exported(server.url(database=other)) == whole


def test_an_owner_need_not_be_a_superuser(sql, ticket, server, owner, tmp_path):
    ticket(labels=["a"])
    sql("INSERT INTO comments (ticket_id, body) VALUES (1, 'hot')")
    before = exported(server.url())
    with owner.cursor() as cursor:
        cursor.execute(
            "CREATE ROLE landlord LOGIN CREATEROLE; GRANT iris, iris_service, iris_reader, iris_writer, iris_admin TO landlord WITH ADMIN OPTION"
        )
        cursor.execute("CREATE DATABASE rented OWNER landlord")
        try:
            done = subprocess.run(
                [embedded.binaries() / "psql", "-X", "-q", "-d", server.url("landlord", "rented"), "-f", schema.INITDB],
                env=embedded.environment(IRIS_PASS="x"), capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            (tmp_path / "all.ndjson").write_bytes(before)
            restore.read(server.url("landlord", "rented"), str(tmp_path / "all.ndjson"), quiet)
            assert exported(server.url(database="rented")) == before
        finally:
            cursor.execute("DROP DATABASE rented WITH (FORCE)")
            cursor.execute("DROP ROLE landlord")


def iris(server, *arguments, database="iris", **more):
    return warm.run(
        [*IRIS[1:], *arguments],
        env=environment("", 0, DATABASE_URL=server.url(database=database),
            IRIS_OWNER_URL=server.url("postgres", database)),
        **more,
    )  # fmt: skip


def test_the_commands(sql, ticket, server, other, tmp_path):
    ticket()
    done = iris(server, "export")
    assert (done.returncode, done.stdout) == (0, exported(server.url()))
    assert (
        done.stderr
        == b"iris: exported 5 statuses, 13 transitions, 1 ticket, 0 comments, 0 links, 0 watches, 1 event\n"
    )
    again = iris(server, "import", "-", database=other, given=done.stdout)
    assert (again.returncode, again.stderr) == (0, done.stderr.replace(b"exported", b"imported"))
    again = iris(server, "import", "-", database=other, given=done.stdout)
    assert (again.returncode, again.stderr) == (
        1, b"iris: there are tickets or events already: an export goes into an empty Iris\n",
    )  # fmt: skip
    (tmp_path / "x.csv").write_text("title\nTea is out\n")
    done = iris(server, "import", "--from", "csv", str(tmp_path / "x.csv"))
    assert (done.returncode, done.stderr.decode().split("\n")[0]) == (
        0,
        f"iris: {came(1)} the file has 0 labels and 1 person",
    )
    assert iris(server, "import", "--skip-bad", "-").returncode == 1


def test_export_into_a_closed_pipe_ends_quietly(sql, server):
    sql(
        "INSERT INTO tickets (title, description) SELECT 'much', repeat('x', 10000) FROM generate_series(1, 50)"
    )
    command = f"{' '.join(map(str, IRIS))} export | head -c 10"
    done = subprocess.run(
        command, shell=True, env=environment("", 0, DATABASE_URL=server.url()),
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == (b'{"iris": "', b"")


# GitHub -------------------------------------------------------------------------------------------

HUB = "https://github.com/acme/printer"


def person(name):
    return {"login": name, "id": 1, "type": "User"}


def issue(number, **given):
    return {
        "url": f"https://api.github.com/repos/acme/printer/issues/{number}",
        "html_url": f"{HUB}/issues/{number}", "id": 1000 + number, "number": number,
        "title": f"Issue {number}", "user": person("alice"), "labels": [], "state": "open",
        "locked": False, "assignee": None, "assignees": [], "milestone": None, "comments": 0,
        "created_at": f"2024-01-{number:02}T10:00:00Z", "updated_at": f"2024-01-{number:02}T10:00:00Z",
        "closed_at": None, "state_reason": None, "body": "It burns.\r\n", **given,
    }  # fmt: skip


ISSUES = [
    issue(3, title="Make it faster", state="closed", state_reason="completed", closed_at="2024-01-09T12:00:00Z",
          updated_at="2024-01-09T12:00:00Z", html_url=f"{HUB}/pull/3", draft=False, comments=2,
          pull_request={"url": "https://api.github.com/repos/acme/printer/pulls/3", "merged_at": "2024-01-09T12:00:00Z"}),
    issue(2, user=None, body=None, labels=["tea", {"id": 7, "name": "bug", "color": "d73a4a"}],
          assignee=person("bob"), assignees=[person("bob"), person("charlie")], milestone={"number": 1, "title": "v1"}),
    issue(1, title="Printer on fire", state="closed", closed_at="2024-01-05T12:00:00Z", updated_at="2024-01-07T09:00:00Z",
          comments=[
              {"id": 1, "user": person("bob"), "body": "I smell smoke", "created_at": "2024-01-02T10:00:00Z", "updated_at": "2024-01-02T11:00:00Z"},
              {"id": 2, "user": None, "body": "Drill", "created_at": "2024-01-05T12:00:00Z", "updated_at": "2024-01-05T12:00:00Z"},
              {"id": 3, "user": person("bob"), "body": "Thanks", "created_at": "2024-01-06T10:00:00Z", "updated_at": "2024-01-06T10:00:00Z"},
          ]),
]  # fmt: skip


def take(server, kind, path, **more):
    """Import a file; return what was said, but for how far it was."""
    said = []
    foreign.take(server.url("postgres"), str(path), kind, said.append, **more)
    return [
        line for line in said if not re.match(r"[\d,]+ rows? read|drafting|writing|looking", line)
    ]


def came(tickets, comments=0, links=0):
    """Return how the sentence begins that says what came."""
    return f"imported {counted.of(tickets, 'ticket')}, {counted.of(comments, 'comment')}, {counted.of(links, 'link')};"


def wrong(server, kind, path):
    return refused(take, server, kind, path).split("\n")


def test_issues_come_with_a_history(http, sql, server, tmp_path):
    path = tmp_path / "issues.json"
    path.write_text(json.dumps(ISSUES))
    assert take(server, "github", path) == [
        f"{came(3, 3)} the file has 2 labels and 3 people",
        "2 comments are counted by the file and not in it: docs/import.md says how to get them",
        "status: closed → closed (2), open → open (1)",
    ]
    one, two, three = http.get("/tickets?sort=ticket_id").json
    assert [row["title"] for row in (one, two, three)] == [
        "Printer on fire",
        "Issue 2",
        "Make it faster",
    ]
    assert (one["status"], one["version"], one["closed"]) == (
        "closed",
        5,
        "2024-01-05T12:00:00+00:00",
    )
    assert (one["created"], one["updated"]) == (
        "2024-01-01T10:00:00+00:00",
        "2024-01-07T09:00:00+00:00",
    )
    assert (one["description"], one["reporter"]) == ("It burns.\r\n", "alice")
    assert (two["description"], two["reporter"], two["assignee"]) == (None, "ghost", "bob")
    assert (two["status"], two["labels"], two["version"]) == ("open", ["bug", "tea"], 1)
    assert two["fields"] == {
        "number": 2,
        "url": f"{HUB}/issues/2",
        "milestone": "v1",
        "assignees": ["charlie"],
    }
    assert three["fields"] == {
        "number": 3,
        "url": f"{HUB}/pull/3",
        "state_reason": "completed",
        "pull_request": True,
    }
    assert [row["ticket_id"] for row in http.get("/tickets?q=smoke").json] == [1]

    history = sql(
        "SELECT events.*, kept(stored_events) FROM stored_events JOIN events USING (event_id)"
        " WHERE events.ticket_id = 1 ORDER BY event_id"
    )
    assert [
        (row["at"].isoformat()[:16], row["actor"], row["source"], row["kind"]) for row in history
    ] == [
        ("2024-01-01T10:00", "alice", "import", "created"),
        ("2024-01-02T10:00", "bob", "import", "commented"),
        ("2024-01-05T12:00", "ghost", "import", "commented"),
        ("2024-01-05T12:00", "import", "import", "changed"),
        ("2024-01-06T10:00", "bob", "import", "commented"),
    ]
    assert history[0]["changes"]["status"] == [None, "open"]
    assert history[3]["changes"] == {"status": ["open", "closed"]}
    assert history[3]["kept"] == {
        "version": [3],
        "updated": ["2024-01-05T12:00:00+00:00"],
        "closed": [None],
    }
    # Times of one ticket increase, also where the file has the same.
    assert history[4]["kept"] == {"version": [4], "updated": ["2024-01-05T12:00:00.000001+00:00"]}

    was = "SELECT status, version, updated::text, closed FROM tickets_as_of(%s) WHERE ticket_id = 1"
    assert sql(was, "2023-12-31") == []
    assert sql.one(was, "2024-01-01T12:00Z") == {
        "status": "open", "version": 1, "updated": "2024-01-01 10:00:00+00", "closed": None}  # fmt: skip
    assert sql.one(was, "2024-01-03")["version"] == 2
    assert sql.one(was, "2024-01-05T12:01Z")["status"] == "closed"
    assert len(sql("SELECT * FROM comments_as_of('2024-01-05T11:00Z')")) == 1
    everything = "SELECT * FROM tickets_as_of('infinity') ORDER BY ticket_id"
    assert sql(everything) == sql("SELECT * FROM tickets ORDER BY ticket_id")

    # The feed tells it all, and life goes on under the rules.
    assert len(sql("SELECT * FROM events_after(0)")) == 8
    assert http.put("/tickets/1", status="open").json["version"] == 6
    assert http.put("/tickets", title="Next").json["ticket_id"] == 4
    assert sql.one(was, "2024-01-05T12:01Z")["status"] == "closed"

    before = exported(server.url())
    path.write_text(json.dumps([*ISSUES, issue(8), issue(8)]))
    again = take(server, "github", path)
    assert again[0].startswith(came(1))
    assert again[1].startswith("3 tickets already there: 0 changed")
    assert again[2] == "1 row that comes twice in the file was left out"
    assert sql.one("SELECT max(ticket_id) AS n FROM tickets")["n"] == 5
    assert exported(server.url()) != before


def test_bad_issues_are_named_or_left_beside(http, sql, server, tmp_path):
    bad = [
        issue(4, title="x" * 301),
        issue(5, body="a\x00b"),
        issue(6, created_at="yesteryear"),
        {"number": 7},
        issue(
            8, comments=[{"user": person("bob"), "body": " ", "created_at": "2024-01-09T10:00:00Z"}]
        ),
        issue(9, closed_at="2024-02-01T00:00:00Z"),
        "nonsense",
        issue(10, body="\ud800"),
    ]
    path = tmp_path / "issues.json"
    path.write_text(json.dumps([issue(1), *bad, issue(2)]))
    before = exported(server.url())
    head, *lines = wrong(server, "github", path)
    assert head == "nothing was imported:"
    assert lines[0] == "issue 1 (number 4): title must have 1 to 300 characters, not only blanks"
    assert lines[1].startswith("issue 2 (number 5): unsupported Unicode escape sequence")
    assert (
        lines[2]
        == 'issue 3 (number 6): invalid input syntax for type timestamp with time zone: "yesteryear"'
    )
    assert lines[3] == "issue 4 (number 7): is not as GitHub's API gives it"
    assert lines[4] == "issue 5 (number 8): body must have 1 to 100,000 characters, not only blanks"
    assert lines[5] == 'issue 6 (number 9): "open" is open, so it can have no time of closing'
    assert lines[6] == "issue 7 (number null): is not as GitHub's API gives it"
    assert lines[7].startswith("issue 8 (number 10): ")
    assert len(lines) == 8
    assert exported(server.url()) == before
    assert not (tmp_path / "issues.json.bad").exists()

    said = take(server, "github", path, skip_bad=True)
    assert said[1].startswith(came(2))
    assert said[-1] == f"left 8 bad rows in {path}.bad"
    assert json.loads((tmp_path / "issues.json.bad").read_text()) == bad
    path.write_text(json.dumps([issue(3), "nonsense"]))
    assert take(server, "github", path, skip_bad=True)[1].startswith(came(1))
    assert json.loads((tmp_path / "issues.json.bad").read_text()) == ["nonsense"]
    # Trying in vain has used no number up.
    assert [row["ticket_id"] for row in http.get("/tickets?sort=ticket_id").json] == [1, 2, 3]


def test_whatever_the_times_are_history_replays_to_the_present(sql, server, tmp_path):
    chance = random.Random(1)

    def some_issue(number):
        filed = chance.randint(1, 28)

        def some_time(first=filed):
            return f"2024-01-{chance.randint(first, 28):02}T10:00:00Z"

        closed = chance.choice([None, some_time()])
        said = [
            {"user": person("bob"), "body": "x", "created_at": some_time()}
            for _ in range(chance.randint(0, 4))
        ]
        return issue(number, created_at=f"2024-01-{filed:02}T10:00:00Z", updated_at=chance.choice([None, some_time()]),
                     state="closed" if closed else "open", closed_at=closed, comments=said)  # fmt: skip

    (tmp_path / "x.json").write_text(json.dumps([some_issue(number) for number in range(100)]))
    take(server, "github", tmp_path / "x.json")
    names = "title, description, status, assignee, reporter, priority, labels, fields, due"
    ran = sql("SELECT * FROM events ORDER BY event_id")
    assert [row["at"] for row in ran] == sorted(row["at"] for row in ran)
    for row in sql(
        f"SELECT ticket_id, version, created, updated, to_json(t) AS now FROM tickets, LATERAL (SELECT {names}) AS t"
    ):
        mine = [event for event in ran if event["ticket_id"] == row["ticket_id"]]
        replayed = dict.fromkeys(row["now"])
        for event in mine:
            replayed |= {name: new for name, (_, new) in event["changes"].items() if name != "body"}
        assert replayed == row["now"]
        assert (mine[0]["kind"], mine[0]["at"], row["version"]) == (
            "created",
            row["created"],
            len(mine),
        )
        assert mine[-1]["at"] <= row["updated"]
        for event in mine:
            then = sql.one(
                "SELECT * FROM tickets_as_of(%s) WHERE ticket_id = %s",
                event["at"],
                row["ticket_id"],
            )
            before = [other for other in mine if other["at"] <= event["at"]]
            assert then["version"] == len(before)
            moved = any(other["kind"] == "changed" for other in before)
            assert (then["status"], then["closed"] is None) == (
                ("closed", False) if moved else ("open", True)
            )
    assert sql("SELECT * FROM tickets_as_of('infinity') EXCEPT TABLE tickets") == []
    words = "SELECT * FROM searches ORDER BY ticket_id, comment_id"
    assert sql(words) == sql(
        "SELECT * FROM searches_as_of('infinity') ORDER BY ticket_id, comment_id"
    )


def comment(**given):
    made = {"user": person("bob"), "body": "x", "created_at": "2024-01-20T10:00:00Z", **given}
    return {"comments": [made]}


CANNOT_BE = "is not as GitHub's API gives it"
FUTURE = "created, updated and closed must not lie in the future"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"title": 5}, CANNOT_BE),
        ({"title": {"a": 1}}, CANNOT_BE),
        ({"title": None}, "title is required"),
        ({"body": ["x"]}, CANNOT_BE),
        ({"user": {"login": 7}}, CANNOT_BE),
        ({"labels": [{"name": True}]}, CANNOT_BE),
        ({"created_at": 1704067200}, CANNOT_BE),
        (comment(body=5), CANNOT_BE),
        ({"state": "gone"}, CANNOT_BE),
        ({"title": "a\0b"}, "unsupported Unicode escape sequence (\\u0000 cannot be converted to text.)"),
        ({"created_at": "infinity"}, "created, updated and closed must be finite times"),
        ({"created_at": "2999-01-01"}, FUTURE),
        ({"updated_at": "2999-01-01"}, FUTURE),
        ({"updated_at": "1999-01-01"}, "created must not be later than updated and closed"),
        ({"state": "closed", "closed_at": "1999-01-01"}, "created must not be later than updated and closed"),
        ({"state": "closed", "closed_at": "-infinity"}, "created, updated and closed must be finite times"),
        (comment(created_at="infinity"), "a comment must not lie in the future"),
        (comment(updated_at="2999-01-01"), "a comment must not lie in the future"),
        (comment(created_at="-infinity"), "a comment must not be older than its ticket"),
        (comment(created_at="1999-01-01"), "a comment must not be older than its ticket"),
        (comment(updated_at="2024-01-19"), "a comment must not be changed before it was written"),
    ],
)  # fmt: skip
def test_what_could_not_have_been_here_is_refused(server, clean, tmp_path, given, words):
    path = tmp_path / "issues.json"
    path.write_text(json.dumps([issue(1), issue(2, **given)]))
    before = exported(server.url())
    assert wrong(server, "github", path) == [
        "nothing was imported:",
        f"issue 1 (number 2): {words}",
    ]
    assert exported(server.url()) == before


def test_times_that_could_not_have_been_here_are_refused_of_a_csv(server, clean, tmp_path):
    rows = [
        ["title", "status", "created", "updated", "closed", "due"],
        ["good", "closed", "2024-01-01", "2024-01-03", "2024-01-02", "2999-01-01"],
        ["future", "open", "2999-01-01", "", "", ""],
        ["never", "open", "infinity", "", "", ""],
        ["order", "open", "2024-01-02", "2024-01-01", "", ""],
        ["order", "closed", "2024-01-02", "2024-01-03", "2024-01-01", ""],
        ["open", "open", "2024-01-02", "2024-01-03", "2024-01-03", ""],
        ["due", "open", "", "", "", "infinity"],
    ]
    assert wrong(server, "csv", write(tmp_path / "x.csv", rows)) == [
        "nothing was imported:",
        f"line 3: {FUTURE}",
        "line 4: created, updated and closed must be finite times",
        "line 5: created must not be later than updated and closed",
        "line 6: created must not be later than updated and closed",
        'line 7: "open" is open, so it can have no time of closing',
        "line 8: due must be a finite time",
    ]


@pytest.mark.parametrize("text", ["", "[1", "[" * 100000, "[[", "[]]", "nonsense", "[{}"])
def test_what_is_no_list_of_issues_is_refused(server, clean, tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    assert "this is no " in wrong(server, "github", tmp_path / "x.json")[0]


@pytest.mark.slow
def test_ten_thousand_issues_take_seconds(sql, server, tmp_path):
    said = [{"user": person("bob"), "body": "me too", "created_at": "2024-02-01T10:00:00Z"}]
    closed = {"state": "closed", "closed_at": "2024-03-01T10:00:00Z", "comments": said}
    many = [
        {**issue(n % 28 + 1), "html_url": f"{HUB}/issues/{n}", **(closed if n % 2 else {})}
        for n in range(10_000)
    ]
    (tmp_path / "many.json").write_text(json.dumps(many))
    assert came(10_000, 5_000) in take(server, "github", tmp_path / "many.json")[-2]
    again = take(server, "github", tmp_path / "many.json")
    assert again[-2] == (
        "10,000 tickets already there: 0 changed as the file has changed, 10,000 the same"
    )
    assert sql.one("SELECT count(*) AS n FROM events")["n"] == 20_000


# CSV ----------------------------------------------------------------------------------------------


def write(path, rows, **how):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, **how).writerows(rows)
    return path


def test_a_csv_comes_with_its_columns(http, sql, server, tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(
        b"\xef\xbb\xbftitle,description,status,assignee,reporter,priority,labels,fields,due,created,updated,closed,Sprint,\"Story\npoints\"\r\n"
        b'=1+1,"",active,bob,alice,high,"tea, bug,tea","{""n"": 1.50}",2025-01-01,2024-01-02,2024-01-03,,7,\r\n'
        b'"a ""b""","c\r\nd",closed,,,,"[""x, y""]",,,2024-01-01,,2024-01-04,"",3\r\n'
        b"same,,,,,,,,,,,,,\r\n"
        b"same,,,,,,,,,,,,,\r\n"
    )  # fmt: skip
    assert take(server, "csv", path)[0].startswith(came(4))
    one, two, three, four = http.get("/tickets?sort=ticket_id").json
    origins = [row["fields"].pop("imported") for row in (one, two, three, four)]
    assert len(set(origins)) == 4
    assert (one["title"], one["description"], one["status"]) == ('a "b"', "c\r\nd", "closed")
    assert (one["labels"], one["fields"], one["reporter"]) == (
        ["x, y"],
        {"Story\npoints": "3"},
        "import",
    )
    assert (one["version"], one["closed"], one["updated"]) == (
        2,
        "2024-01-04T00:00:00+00:00",
        "2024-01-04T00:00:00+00:00",
    )
    assert (two["title"], two["description"], two["status"], two["version"]) == (
        "=1+1",
        "",
        "active",
        1,
    )
    assert (two["assignee"], two["reporter"], two["priority"], two["labels"]) == (
        "bob",
        "alice",
        "high",
        ["bug", "tea"],
    )
    assert (two["fields"], two["due"], two["updated"]) == (
        {"n": 1.5, "Sprint": "7"}, "2025-01-01T00:00:00+00:00", "2024-01-03T00:00:00+00:00")  # fmt: skip
    assert three["title"] == four["title"] == "same"
    assert (
        sql.one("SELECT status FROM tickets_as_of('2024-01-03') WHERE ticket_id = 1")["status"]
        == "open"
    )
    again = take(server, "csv", path)
    assert again[0].startswith(came(0))
    assert again[1].startswith("4 tickets already there: 0 changed")


def test_bad_records_are_named_by_their_line(http, server, tmp_path):
    rows = [
        ["title", "status", "priority", "fields", "labels", "description"],
        ["good", "open", "", "", "", "two\nlines"],
        ["", "open", "", "", "", ""],
        ["bad", "gone", "", "", "", "two\r\nlines"],
        ["bad", "open", "huge", "", "", ""],
        ["bad", "open", "", "{", "", ""],
        ["bad", "open", "", "[]", "", ""],
        ["good", "open", "", "", "[backend] api", ""],
        ["good, too", "closed", "", "", "", ""],
    ]  # fmt: skip
    path = write(tmp_path / "x.csv", rows)
    head, *lines = wrong(server, "csv", path)
    assert head == "nothing was imported:"
    assert [line.split(":")[0] for line in lines] == [
        "line 4",
        "line 5",
        "line 7",
        "line 8",
        "line 9",
        "say what it is here",
        "say what it is here",
        "say which columns are not wanted",
    ]
    assert lines[0] == "line 4: title is required"
    assert lines[1] == 'line 5: there is no status "gone"'
    assert lines[2] == 'line 7: there is no priority "huge"'
    assert lines[4] == "line 9: fields must be a JSON object of at most 16 KiB"
    assert lines[5] == (
        'say what it is here: --map FILE with {"status": {"gone": "…"}}, of open, active, blocked, resolved,'
        " closed; or add it to the workflow first"
    )
    assert lines[6].endswith('{"priority": {"huge": "…"}}, of low, normal, high, urgent')
    assert http.get("/tickets").json == []
    assert take(server, "csv", path, skip_bad=True)[1].startswith(came(3))
    with open(f"{path}.bad", newline="") as file:
        assert list(csv.reader(file)) == [rows[0], *rows[2:7]]
    assert {row["title"] for row in http.get("/tickets").json} == {"good", "good, too"}
    assert [row["labels"] for row in http.get("/tickets?label=%5Bbackend%5D%20api").json] == [
        ["[backend] api"]
    ]


def test_what_is_far_too_much_is_a_mistake_of_its_row(server, clean, tmp_path):
    words = " ".join(map(str, range(300_000)))
    rows = [
        ["title", "description", "fields"],
        ["x", words, ""],
        ["y", "", "[" * 100_000],
        ["fine", "", ""],
    ]
    path = write(tmp_path / "x.csv", rows)
    _, *lines = wrong(server, "csv", path)
    assert [line.split(":")[0] for line in lines] == ["line 2", "line 3"]
    assert take(server, "csv", path, skip_bad=True)[1].startswith(came(1))


def test_a_csv_that_is_none_is_refused(server, clean, tmp_path):
    none = "line 1: there is no column title or summary or subject; there are: name"
    advice = 'say which is the title: --map FILE with {"columns": {"…": "title"}}'
    for text, words in (
        ("", ["line 1: the file is empty"]),
        ("name\nx\n", [none, advice]),
        (
            "title,Title\n",
            ['line 1: there are 2 columns "title", and a ticket has one title'],
        ),
        ('title\nx\n"y\n', ["line 3: this is no CSV: a quote has no end"]),
        ('title\nx\n"y"z\n', ["line 3: this is no CSV: a quoted cell goes on behind its quote"]),
        (
            'title,status\n"two\nlines",open\nx,open,y\n',
            ["nothing was imported:", 'line 4: it has more cells than the header\'s 2: "y"'],
        ),
        (
            "title,Titel,Prioriti\nx\n",
            [
                'line 1: is the column "Titel" meant to be "title"? Rename it, or say where it goes:'
                ' --map FILE with {"columns": {"Titel": "fields"}}'
            ],
        ),
    ):
        (tmp_path / "x.csv").write_text(text)
        assert wrong(server, "csv", tmp_path / "x.csv") == words
    (tmp_path / "x.csv").write_bytes(b"title\nfine\n\xff\n")
    assert wrong(server, "csv", tmp_path / "x.csv") == [
        "line 3: byte 0xff is not UTF-8; say which encoding the file has, such as --encoding cp1252"
    ]


def test_at_most_a_hundred_mistakes_are_named(server, clean, tmp_path):
    path = write(tmp_path / "x.csv", [["title"], *[["x" * 301]] * 300])
    assert wrong(server, "csv", path) == [
        "nothing was imported:",
        "line 2 and 299 more: title must have 1 to 300 characters, not only blanks",
    ]
    path = write(tmp_path / "y.csv", [["title", "due"], *[["x", f"soon {n}"] for n in range(300)]])
    lines = wrong(server, "csv", path)
    assert (len(lines), lines[-1]) == (102, "(and more)")


TEXTS = strategies.text(
    strategies.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=60
)


LINES = strategies.text(
    strategies.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=60
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=strategies.lists(strategies.tuples(LINES, TEXTS), max_size=5),
    by_postgres=strategies.booleans(),
    crlf=strategies.booleans(),
)
def test_any_text_comes_through_a_csv(owner, server, sql, tmp_path, rows, by_postgres, crlf):
    # A visible character makes a title of any line.
    rows = [(f"{title}x", description) for title, description in rows]
    path = tmp_path / "any.csv"
    with owner.cursor() as cursor:
        cursor.execute("DELETE FROM tickets")
        if by_postgres:
            cursor.execute("CREATE TEMPORARY TABLE given (title text, description text)")
            for row in rows:
                cursor.execute("INSERT INTO given VALUES (%s, %s)", row)
            with open(path, "wb") as file:
                cursor.copy_expert("COPY given TO STDOUT (FORMAT csv, HEADER)", file)
            cursor.execute("DROP TABLE given")
        else:
            write(
                path,
                [("title", "description"), *rows],
                quoting=csv.QUOTE_ALL,
                lineterminator="\r\n" if crlf else "\n",
            )
    take(server, "csv", path, again=True)
    found = sql("SELECT title, description FROM tickets ORDER BY ticket_id")
    # Kept as everywhere, composed.
    assert [tuple(row.values()) for row in found] == [
        tuple(unicodedata.normalize("NFC", text) for text in row) for row in rows
    ]


def test_mistakes_of_the_database_are_psycopgs(server, clean, tmp_path):
    """Whoever is not the owner can't switch the rules off."""
    write(tmp_path / "x.csv", [["title"], ["x"]])
    with pytest.raises(psycopg2.Error):
        foreign.take(server.url(), str(tmp_path / "x.csv"), "csv", quiet)


def test_what_is_stored_once_is_so_again(http, sql, server, other, tmp_path):
    """Where nothing has changed a text since, it is in the row, and not in the event as well."""
    for title in ("a zebra", "a horse"):
        http.put("/tickets", title=title, description="striped")
        http.put("/tickets/1/comments", body=f"like {title}")
    http.put("/tickets/2", description="not striped")
    sql("UPDATE comments SET body = 'like none' WHERE comment_id = 2")
    sql("SELECT FROM events_after(0)")
    stored = "SELECT event_id, changes FROM stored_events ORDER BY event_id"
    before = sql(stored)
    restored(server, other, exported(server.url()), tmp_path)
    with (
        psycopg2.connect(server.url("postgres", other)) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(stored)
        after = dict(cursor.fetchall())
        cursor.execute("SELECT event_id, changes FROM events")
        told = dict(cursor.fetchall())
        cursor.execute("SELECT * FROM verify_events()")
        assert cursor.fetchall() == []
    connection.close()
    whole = [row["event_id"] for row in before if after[row["event_id"]] != row["changes"]]
    # What was rewritten since comes back whole.
    assert [told[number] for number in whole] == [after[number] for number in whole]
    assert len(whole) == 2


def test_what_one_statement_of_several_parts_did_comes_back(sql, server, other, tmp_path):
    """Its events are numbered in another order than the versions that they made."""
    sql("INSERT INTO tickets (title) VALUES ('x'), ('y')")
    sql("INSERT INTO comments (ticket_id, body) VALUES (1, 'first')")
    sql(
        "WITH c AS (INSERT INTO comments (ticket_id, body) VALUES (1, 'c') RETURNING 1),"
        " d AS (UPDATE comments SET body = 'changed' WHERE body = 'first' RETURNING 1),"
        " l AS (INSERT INTO links VALUES (2, 'relates', 1) RETURNING 1),"
        " u AS (UPDATE tickets SET title = 'z', status = 'closed' RETURNING 1)"
        " SELECT FROM c, d, l, u"
    )
    sql("UPDATE statuses SET is_open = false WHERE status = 'active'")
    whole = exported(server.url())
    restored(server, other, whole, tmp_path)
    assert exported(server.url(database=other)) == whole
