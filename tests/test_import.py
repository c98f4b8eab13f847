"""What other trackers export comes in as it is, comes again as changes, and nothing is dropped without a word.

The files in tests/fixtures/import/ have the exact shape of each tracker's export; they were made for this.
"""

import csv
import json
import re

import psycopg2
import pytest
import warm
from conftest import ROOT, Sql
from test_transfer import came, exported, issue, other, refused, restored, take, write, wrong  # noqa: F401
from test_up import IRIS, environment

from iris.transfer import foreign, shapes

FIXTURES = ROOT / "tests" / "fixtures" / "import"


def fields(row):
    """Return a ticket's `fields` but for what it is known by."""
    return {name: value for name, value in row["fields"].items() if name != "imported"}


def links(sql):
    """Return the links, each end by its number or key in the other tracker."""
    name = "coalesce({0}.fields ->> 'key', {0}.fields ->> 'number')"
    rows = sql(
        f"SELECT {name.format('one')} AS one, kind, {name.format('two')} AS two FROM links"
        " JOIN tickets AS one USING (ticket_id) JOIN tickets AS two ON two.ticket_id = other_id ORDER BY 1, 2, 3"
    )
    return [tuple(row.values()) for row in rows]


def replays(sql):
    """See that history leads to what is there, and that numbers and times fit."""
    assert sql("SELECT * FROM tickets_as_of('infinity') EXCEPT TABLE tickets") == []
    assert sql("SELECT * FROM comments_as_of('infinity') EXCEPT TABLE comments") == []
    for row in sql("SELECT ticket_id, version, created, updated FROM tickets"):
        mine = sql(
            "SELECT at FROM events WHERE ticket_id = %s OR other_id = %s ORDER BY at",
            row["ticket_id"], row["ticket_id"],
        )  # fmt: skip
        times = [event["at"] for event in mine]
        assert len(times) == row["version"] == len(set(times))
        assert (times[0], times[-1] <= row["updated"]) == (row["created"], True)


def test_jira(http, sql, server, other, tmp_path):  # noqa: F811
    said = take(server, "jira", FIXTURES / "jira.csv")
    assert said[0] == f"{came(3, 3, 3)} the file has 2 labels and 4 people"
    assert said[1].startswith(
        "columns: Summary → title; Issue key → key; Issue id → alias; Issue Type, "
    )
    assert "Custom field (Story Points), Custom field (Rank), Sprint, Parent summary" in said[1]
    assert said[2:] == [
        "status: In Progress → active (1), To Do → open (1), Done → closed (1)",
        "priority: Highest → urgent (1), Medium → normal (1), Lowest → low (1)",
    ]
    epic, fire, _ = http.get("/tickets?sort=ticket_id").json
    assert (fire["title"], fire["status"], fire["priority"]) == (
        "Printer on fire",
        "active",
        "urgent",
    )
    assert (fire["assignee"], fire["reporter"]) == ("Alice Liddell", "Bob Stone")
    assert fire["labels"] == ["smoke", "urgent-fix"]
    assert fire["description"] == 'It burns, and it "smells".\n\nSee TEA-9 and TEA-77.'
    assert (fire["created"], fire["due"]) == (
        "2024-03-04T09:15:00+00:00",
        "2024-03-08T00:00:00+00:00",
    )
    assert fire["fields"] == {
        "key": "TEA-12", "imported": "jira TEA-12", "Issue id": "10012", "Issue Type": "Bug", "Project key": "TEA",
        "Project name": "Tea kitchen", "Assignee Id": "557058:aaaa-1", "Reporter Id": "557058:bbbb-2",
        "Creator": "Bob Stone", "Creator Id": "557058:bbbb-2", "Last Viewed": "07/Mar/24 8:00 AM",
        "Fix Version/s": ["2.0", "2.1"], "Component/s": "Hardware", "Votes": "2", "Environment": "Third floor",
        "Custom field (Story Points)": "5.0", "Custom field (Rank)": "0|i0001:", "Sprint": ["Sprint 7", "Sprint 8"],
        "Parent summary": "Kitchen safety", "Status Category": "In Progress",
    }  # fmt: skip
    assert (epic["closed"], epic["version"]) == ("2024-03-10T18:00:00+00:00", 5)
    comments = http.get("/comments?sort=created").json
    # By numbers only, which other columns explain; nobody explains the last one.
    assert [(row["author"], row["body"].split("\n")[0]) for row in comments] == [
        ("Alice Liddell", "On my way; with water."),
        ("Bob Stone", "Still burning."),
        ("557058:dddd-4", "All done."),
    ]
    assert links(sql) == [
        ("TEA-12", "blocks", "TEA-13"),
        ("TEA-12", "parent", "TEA-9"),
        ("TEA-13", "parent", "TEA-9"),
    ]
    replays(sql)
    whole = exported(server.url())
    restored(server, other, whole, tmp_path)
    assert exported(server.url(database=other)) == whole


def test_gitlab(http, sql, server, clean):
    said = take(server, "gitlab", FIXTURES / "gitlab.csv")
    assert said[0] == f"{came(2, 0, 1)} the file has 2 labels and 2 people"
    assert said[-1] == "status: Open → open (1), Closed → closed (1)"
    done, leak = http.get("/tickets?sort=ticket_id").json
    assert (leak["assignee"], leak["reporter"], leak["labels"]) == (
        "bob",
        "alice",
        ["bug", "kitchen sink"],
    )
    assert fields(leak) == {
        "number": 3, "url": "https://gitlab.example.com/tea/kitchen/-/issues/3", "Author": "Alice Liddell",
        "Assignee": "Bob Stone, Charlie", "assignees": ["charlie"], "Confidential": "No", "Locked": "No",
        "Milestone": "v1", "Weight": "3", "Time Estimate": "0", "Time Spent": "0",
    }  # fmt: skip
    assert (done["closed"], done["status"]) == ("2024-04-02T06:00:00+00:00", "closed")
    # The other ticket that a text names, but not in code.
    assert links(sql) == [("3", "relates", "2")]
    assert [row["ticket_id"] for row in http.get("/tickets?fields.number=2").json] == [
        done["ticket_id"]
    ]
    replays(sql)


def test_redmine(http, sql, server, tmp_path):
    path = FIXTURES / "redmine.csv"
    assert wrong(server, "redmine", path) == [
        "line 2: byte 0xfc is not UTF-8; say which encoding the file has, such as --encoding cp1252"
    ]
    us = tmp_path / "map.json"
    us.write_text('{"people": {"Anna Weiß": "anna"}, "timezone": "Europe/Berlin", "dates": "MDY"}')
    said = take(server, "redmine", path, encoding="cp1252", map_path=us)
    assert said[0] == f"{came(4, 0, 3)} the file has 0 labels and 2 people"
    assert said[1] == "1 link leads to what is not here and was left out"
    assert said[-2:] == [
        "status: Feedback → blocked (1), New → open (1), Closed → closed (1), In Progress → active (1)",
        "priority: Normal → normal (2), Immediate → urgent (1), Low → low (1)",
    ]
    light, whole, leak, _ = http.get("/tickets?sort=ticket_id").json
    assert (leak["title"], leak["assignee"], leak["reporter"]) == (
        "Spüle undicht",
        "anna",
        "Jürgen Groß",
    )
    assert (leak["created"], leak["due"]) == (
        "2024-03-14T08:12:00+00:00",
        "2024-03-28T23:00:00+00:00",
    )
    assert leak["description"] == "Es tropft – siehe #102.\nBitte bald."
    assert fields(leak)["Last notes"] == "Wer hat den Schlüssel?"
    assert whole["closed"] == "2024-03-20T11:00:00+00:00"
    # Redmine keeps the time of closing when something is opened again.
    assert (light["status"], light["closed"]) == ("active", None)
    assert fields(light)["Closed"] == "2024-03-12 07:00 AM"
    assert links(sql) == [
        ("103", "blocks", "102"),
        ("103", "parent", "101"),
        ("103", "relates", "101"),
    ]
    replays(sql)


def test_linear(http, sql, server, clean):
    said = take(server, "linear", FIXTURES / "linear.csv")
    assert said[0] == f"{came(3, 0, 1)} the file has 3 labels and 3 people"
    assert said[-2:] == [
        "status: In Review → active (1), Done → closed (1), Canceled → closed (1)",
        "priority: Urgent → urgent (1), No priority → normal (1), Low → low (1)",
    ]
    rework, fax, login = http.get("/tickets?sort=ticket_id").json
    # As JavaScript writes times, whose zone is to be read as it is meant.
    assert (login["created"], login["due"]) == (
        "2024-04-02T08:30:00+00:00",
        "2024-04-12T00:00:00+00:00",
    )
    assert (rework["closed"], fax["closed"]) == (
        "2024-04-05T16:00:00+00:00",
        "2024-01-17T07:00:00+00:00",
    )
    assert login["labels"] == ["Bug", "Sign-in"]
    assert links(sql) == [("ENG-12", "parent", "ENG-7")]
    replays(sql)


def test_trello(http, sql, server, tmp_path):
    path = FIXTURES / "trello.json"
    said = take(server, "trello", path)
    assert said == [
        f"{came(3, 2)} the file has 2 labels and 3 people",
        "status: Doing → active (1), Archived → closed (1), To Do → open (1)",
    ]
    fire, tea, cups = http.get("/tickets?sort=ticket_id").json
    assert (fire["assignee"], fire["reporter"], fire["labels"]) == (
        "bob",
        "alice",
        ["fire", "green"],
    )
    assert fire["description"] == (
        "It **burns**.\n\nBefore leaving:\n- [x] Call the fire brigade\n- [ ] Find the cat"
    )
    assert fields(fire) == {
        "number": 1, "url": "https://trello.com/c/XyZ12345/1-printer-on-fire", "assignees": ["alice"],
        "attachments": ["https://trello.com/1/cards/65e1b2/attachments/a1/download/smoke.jpg"],
    }  # fmt: skip
    assert (tea["status"], tea["closed"], cups["reporter"]) == (
        "closed",
        "2024-03-06T09:00:00+00:00",
        "import",
    )
    assert [row["body"] for row in http.get("/tickets/1/comments").json] == [
        "The cat is safe.",
        "Where is the cat?",
    ]
    replays(sql)

    board = json.loads(path.read_text())
    board["cards"][2]["name"] = ""
    (tmp_path / "board.json").write_text(json.dumps(board))
    said = take(server, "trello", tmp_path / "board.json", skip_bad=True)
    assert said[0].startswith("1 row can't be taken:\ncard 2 (number 3): title must have")
    left = json.loads((tmp_path / "board.json.bad").read_text())
    assert (left["cards"], left["lists"]) == (board["cards"][2:], board["lists"])
    for text in ("[]", "{}", '{"cards": 5, "lists": []}', '{"cards": [', "5"):
        (tmp_path / "board.json").write_text(text)
        assert "this is no JSON" in (
            words := wrong(server, "trello", tmp_path / "board.json")[0]
        ) or (words == "a board of Trello is a JSON object with cards and lists")


def test_all_of_githubs_shapes(http, sql, server, owner, tmp_path):
    closed = {
        "state": "closed",
        "closed_at": "2024-01-05T12:00:00Z",
        "updated_at": "2024-01-05T12:00:00Z",
    }
    pages = [
        [issue(1), issue(2, state_reason="completed", **closed)],
        [
            issue(3, body="See #1.", state_reason="not_planned", **closed),
            issue(4, state_reason="reopened"),
        ],
    ]
    flat = [each for page in pages for each in page]
    for text in (
        # gh issue list --json, gh api; pages one after the other; gh api --slurp; a line each.
        json.dumps(flat),
        "".join(json.dumps(page, indent=1) for page in pages),
        "\n".join(json.dumps(page) for page in pages),
        json.dumps(pages),
        "\n".join(json.dumps(each) for each in flat) + "\n",
        "\ufeff" + json.dumps(flat),
    ):
        path = tmp_path / "issues.json"
        path.write_text(text)
        said = take(server, "github", path)
        assert said[0].startswith(came(4, 0, 1))
        assert said[-1] == "status: open → open (2), closed → closed (2)"
        states = sql("SELECT status, closed IS NULL AS is_open, fields ->> 'state_reason' AS reason FROM tickets"
                     " ORDER BY fields -> 'number'")  # fmt: skip
        assert [tuple(row.values()) for row in states] == [
            ("open", True, None), ("closed", False, "completed"), ("closed", False, "not_planned"), ("open", True, "reopened"),
        ]  # fmt: skip
        assert {row["closed"] for row in http.get("/tickets?status=closed").json} == {
            "2024-01-05T12:00:00+00:00"
        }
        assert links(sql) == [("3", "relates", "1")]
        with owner.cursor() as cursor:
            cursor.execute(
                "TRUNCATE tickets, comments, links, searches, stored_events RESTART IDENTITY"
            )

    said = take(server, "github", FIXTURES / "gh.json")
    assert said == [
        f"{came(2, 2, 1)} the file has 1 label and 2 people",
        "status: open → open (1), closed → closed (1)",
    ]
    smell, fire = http.get("/tickets?sort=ticket_id").json
    assert fire["fields"] == {
        "number": 2, "url": "https://github.com/tea/kitchen/issues/2", "milestone": "v1", "assignees": ["charlie"],
    }  # fmt: skip
    assert (smell["closed"], smell["fields"]["state_reason"]) == (
        "2024-03-03T09:00:00+00:00",
        "COMPLETED",
    )
    assert links(sql) == [("2", "relates", "1")]
    replays(sql)


# Once more -----------------------------------------------------------------------------------------


def changed(path, *pairs):
    """Write beside a file another one, in which texts have become others; return its path."""
    text = path.read_text()
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    made = path.with_stem(f"{path.stem}-x")
    made.write_text(text)
    return made


def test_what_changed_in_the_file_comes_as_changes(http, sql, server, other, tmp_path):  # noqa: F811
    path = tmp_path / "jira.csv"
    path.write_text((FIXTURES / "jira.csv").read_text())
    take(server, "jira", path)
    before = exported(server.url())
    again = take(server, "jira", path)
    assert again[:2] == [
        f"{came(0)} the file has 2 labels and 4 people",
        "3 tickets already there: 0 changed as the file has changed, 3 the same",
    ]
    assert exported(server.url()) == before

    path = changed(
        path,
        (",In Progress,TEA,", ",Done,TEA,"),
        (
            "06/Mar/24 4:40 PM,07/Mar/24 8:00 AM,,",
            "12/Mar/24 5:00 PM,07/Mar/24 8:00 AM,12/Mar/24 4:00 PM,",
        ),
        ("Printer on fire", "Printer was on fire"),
        (",smoke,urgent-fix,", ",smoke,,"),
        (",Sprint 7,Sprint 8,", ",Sprint 9,,"),
        (",Third floor,", ",,"),
        ("On my way; with water.", "On my way; with a bucket."),
        (
            '"05/Mar/24 1:05 PM;557058:bbbb-2;Still',
            '"11/Mar/24 1:05 PM;557058:cccc-9;It is out.","05/Mar/24 1:05 PM;557058:bbbb-2;Still',
        ),
        (', ""quoted"".",,10009', ', ""quoted"".",10009'),
    )
    dry = take(server, "jira", path, dry_run=True)
    assert exported(server.url()) == before
    again = take(server, "jira", path)
    assert again[0].startswith(came(0, 1))
    assert [
        line.replace("would import", "imported").replace("would be ", "") for line in dry
    ] == again
    assert again[1] == ("3 tickets already there: 1 changed as the file has changed, 2 the same")
    fire = http.get("/tickets/2").json
    assert (fire["title"], fire["status"], fire["labels"]) == (
        "Printer was on fire",
        "closed",
        ["smoke"],
    )
    assert (fire["fields"]["Sprint"], "Environment" in fire["fields"]) == ("Sprint 9", False)
    assert fire["closed"] == "2024-03-12T16:00:00+00:00"
    assert [(row["author"], row["created"][:16]) for row in fire["comments"]] == [
        ("Alice Liddell", "2024-03-04T09:20"),
        ("Bob Stone", "2024-03-05T13:05"),
        ("557058:cccc-9", "2024-03-11T13:05"),
    ]
    assert fire["comments"][0]["body"] == "On my way; with a bucket."
    events = sql(
        "SELECT kind, at, actor, changes FROM events WHERE ticket_id = 2 ORDER BY at DESC LIMIT 3"
    )
    assert [
        (row["kind"], row["at"].isoformat()[:16], row["actor"]) for row in reversed(events)
    ] == [
        # At the times that the file tells, behind what had happened here.
        ("commented", "2024-03-11T13:05", "557058:cccc-9"),
        ("changed", "2024-03-12T16:00", "import"),
        # It does not tell when a comment was changed.
        ("comment_changed", events[0]["at"].isoformat()[:16], "Alice Liddell"),
    ]
    assert events[0]["at"].year > 2024
    assert set(events[1]["changes"]) == {"title", "status", "labels", "fields"}
    assert events[1]["changes"]["status"] == ["active", "closed"]
    assert [row["ticket_id"] for row in http.get("/tickets?q=bucket").json] == [2]
    assert http.get("/tickets?q=water").json == []
    was = http.get("/tickets/2", as_of="2024-03-10T00:00Z").json
    assert (was["title"], was["status"]) == ("Printer on fire", "active")
    replays(sql)
    assert take(server, "jira", path)[1].endswith("3 the same")
    whole = exported(server.url())
    restored(server, other, whole, tmp_path)
    assert exported(server.url(database=other)) == whole
    # An Iris that was restored knows them, too.
    said = []
    foreign.take(server.url("postgres", other), str(path), "jira", said.append)
    assert [line.split(", ")[-1] for line in said if "already there" in line] == ["3 the same"]


def test_what_was_changed_here_is_never_overwritten(http, sql, server, tmp_path):
    path = tmp_path / "issues.json"
    said = {"user": {"login": "bob"}, "created_at": "2024-01-03T10:00:00Z"}
    first = issue(
        1, comments=[{**said, "body": "one"}, {**said, "body": "two"}], labels=["a"], body="old"
    )
    path.write_text(json.dumps([first, issue(2), issue(3)]))
    take(server, "github", path)
    own = {**http.get("/tickets/1").json["fields"], "ours": 1}
    http.put("/tickets/1", title="Ours", labels=["a", "ours"], fields=own)
    comments = http.get("/tickets/1").json["comments"]
    http.put(f"/comments/{comments[0]['comment_id']}", body="ours")
    http.delete(f"/comments/{comments[1]['comment_id']}")
    http.delete("/tickets/3")
    before = exported(server.url())
    # What is as it was in the file is left alone, whatever it is here.
    assert take(server, "github", path)[1:3] == [
        "2 tickets already there: 0 changed as the file has changed, 2 the same",
        "1 ticket that has been deleted here was left out; --again takes it",
    ]
    assert exported(server.url()) == before

    theirs = issue(1, comments=[{**said, "body": "theirs"}, {**said, "body": "two"}], labels=["b"], body="new",
                   title="Theirs", milestone={"title": "v1"}, updated_at="2024-02-01T00:00:00Z")  # fmt: skip
    path.write_text(json.dumps([theirs, issue(2)]))
    again = take(server, "github", path)
    assert again[2:5] == [
        'ticket 1: comment 1 was changed here and in the file; it stays "ours", the file has "theirs"',
        'ticket 1: labels was changed here and in the file; it stays "["a", "ours"]", the file has "["b"]"',
        'ticket 1: title was changed here and in the file; it stays "Ours", the file has "Theirs"',
    ]
    now = http.get("/tickets/1").json
    assert (now["title"], now["labels"], now["description"]) == ("Ours", ["a", "ours"], "new")
    assert (now["fields"]["ours"], now["fields"]["milestone"]) == (1, "v1")
    assert [row["body"] for row in now["comments"]] == ["ours"]
    # Its past stays what it was: it has been touched here since.
    assert sql.one("SELECT max(at) AS at FROM events WHERE ticket_id = 1")["at"].year > 2024
    replays(sql)
    # It is said each time, until somebody decides.
    assert take(server, "github", path)[2:5] == again[2:5]
    http.put("/tickets/1", title="Theirs", labels=["b"])
    http.put(f"/comments/{comments[0]['comment_id']}", body="theirs")
    assert "was changed here" not in "".join(take(server, "github", path))
    path.write_text(json.dumps([theirs, issue(2), issue(3)]))
    assert take(server, "github", path, again=True)[0].startswith(came(1))
    assert http.get("/tickets/4").json["fields"]["number"] == 3


def test_a_late_comment_keeps_its_time_and_the_past_its_own(http, sql, server, other, tmp_path):  # noqa: F811
    path = tmp_path / "issues.json"
    path.write_text(json.dumps([issue(1)]))
    take(server, "github", path)
    http.put("/tickets/1", priority="high")
    before = sql.one("SELECT clock_timestamp()::text AS at")["at"]
    said = [{"user": {"login": "bob"}, "body": "late", "created_at": "2024-01-03T10:00:00Z"}]
    path.write_text(json.dumps([issue(1, comments=said)]))
    take(server, "github", path)
    (late,) = http.get("/tickets/1").json["comments"]
    assert late["created"] == "2024-01-03T10:00:00+00:00"
    assert http.get("/tickets/1", as_of=before).json["comments"] == []
    replays(sql)
    whole = exported(server.url())
    restored(server, other, whole, tmp_path)
    assert exported(server.url(database=other)) == whole


def test_what_texts_mention_is_linked(sql, server, clean, tmp_path):
    text = "`a long piece of code #1`\n\n    #2\n```\n#3\n```\nDuplicate of #4, see #5, #5, tea/pot#6, a#7 and #99."
    path = tmp_path / "issues.json"
    path.write_text(json.dumps([*map(issue, range(1, 9)), issue(9, body=text, comments=[])]))
    assert take(server, "github", path)[0].startswith(came(9, 0, 2))
    assert links(sql) == [("9", "duplicates", "4"), ("9", "relates", "5")]
    # A ticket that mentions everything is linked with some.
    path.write_text(
        json.dumps(
            [issue(10, body=" ".join(f"#{n}" for n in range(1, 10)) * 9), issue(11, body="#11 #10")]
        )
    )
    assert take(server, "github", path)[0].startswith(came(2, 0, 10))


def test_links_that_cannot_be_are_left_out_and_unlinked_ones_stay_so(http, sql, server, tmp_path):
    rows = [
        ["Summary", "Issue key", "Status", "Outward issue link (Blocks)", "Parent key"],
        ["one", "A-1", "To Do", "A-2", "A-2"],
        ["two", "A-2", "To Do", "A-3", ""],
        ["three", "A-3", "To Do", "A-1", "A-9"],
    ]
    path = write(tmp_path / "x.csv", rows)
    said = take(server, "jira", path)
    assert said[0].startswith(came(3, 0, 3))
    assert said[1:3] == [
        "1 link leads to what is not here and was left out",
        "1 link was left out: a circle, or a second parent",
    ]
    http.delete("/tickets/1/links/blocks/2")
    assert take(server, "jira", path)[0].startswith(came(0, 0, 1))
    assert links(sql) == [
        ("A-1", "parent", "A-2"),
        ("A-2", "blocks", "A-3"),
        ("A-3", "blocks", "A-1"),
    ]
    replays(sql)


def test_a_column_of_any_name_is_in_nobodys_way(server, other, tmp_path):  # noqa: F811
    """A ticket may get columns of any name: also of those that the import has for things of its own."""
    texts = [path.read_text() for path in sorted((ROOT / "iris" / "transfer").glob("*.sql"))]
    texts.append((ROOT / "iris" / "transfer" / "foreign.py").read_text())
    found = re.findall(r"\bAS ([a-z_]+)(?:\(([a-z_, ]+)\))?|\bTABLE ([a-z_]+)", "\n".join(texts))
    words = {"key", "theirs", "ours", "shown", "entry", "is_keyed", "wrong", "raw"}
    words |= {word for each in found for part in each for word in part.split(", ") if word}
    with (
        psycopg2.connect(server.url("postgres", other)) as connection,
        connection.cursor() as cursor,
    ):
        for table in ("tickets", "comments"):
            cursor.execute(f"SELECT attname FROM pg_attribute WHERE attrelid = '{table}'::regclass")
            new = sorted(words - {name for (name,) in cursor})
            assert {"kind", "item", "place", "name", "origin", "ticket", "value"} & set(new)
            cursor.execute(
                f"ALTER TABLE {table} " + ", ".join(f'ADD "{name}" bigint' for name in new)
            )
    connection.close()
    path = tmp_path / "jira.csv"
    path.write_text((FIXTURES / "jira.csv").read_text())
    said = []

    def run(path, kind):
        foreign.take(server.url("postgres", other), str(path), kind, said.append)

    run(path, "jira")
    run(
        changed(path, ("Printer on fire", "Printer was on fire"), ("; with water.", "; with tea.")),
        "jira",
    )
    run(FIXTURES / "gh.json", "github")
    assert [line for line in said if line.startswith("imported") or "already there" in line] == [
        f"{came(3, 3, 3)} the file has 2 labels and 4 people",
        f"{came(0, 0)} the file has 2 labels and 4 people",
        "3 tickets already there: 1 changed as the file has changed, 2 the same",
        f"{came(2, 2, 1)} the file has 1 label and 2 people",
    ]
    write(path, [["Summary", "Issue key"], ["x" * 301, "A-1"]])
    assert refused(run, path, "jira").startswith("nothing was imported:\nline 2: title must have")


# CSV as people have it -----------------------------------------------------------------------------


def test_a_csv_as_people_have_it(http, server, tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(
        b"title, Status ,PRIORITY,Due Date,Assignee,Labels,My_Column,imported,,,\r\n"
        b'fine, In_progress ,Urgent,2026-12-01, bob ,"a, b",7,mine,,,\r\n'
        b",,,,,,,,,,\r\n"
        b"short\r\n"
        b"\r\n"
        b"long,,,,,,,,,,,,,\r\n"
        b"\r\n\r\n"
    )
    (tmp_path / "map.json").write_text('{"status": {"in progress": "active"}}')
    said = take(server, "csv", path, map_path=tmp_path / "map.json")
    assert said[0].startswith(came(3))
    assert said[1:] == [
        "4 empty lines were left out",
        "columns: title → title; Status → status; PRIORITY → priority; Due Date → due; Assignee → assignee;"
        " Labels → labels; My_Column → fields; imported → fields.imported",
        "status: In_progress → active (1)",
        "priority: Urgent → urgent (1)",
    ]
    fine, short, long = http.get("/tickets?sort=ticket_id").json
    assert (fine["status"], fine["priority"], fine["assignee"]) == ("active", "urgent", "bob")
    assert (fine["labels"], fine["due"]) == (["a", "b"], "2026-12-01T00:00:00+00:00")
    # What is the file's own is not lost beside what Iris keeps under the same name.
    assert (fine["fields"]["My_Column"], fine["fields"]["imported_"]) == ("7", "mine")
    assert (short["title"], short["priority"], long["title"]) == ("short", "normal", "long")


ROWS = [["title", "status", "labels"], ["Käse; fertig", "closed", "ä"], ["x", "", ""]]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_delimiters_and_encodings_are_found_out(http, server, tmp_path, delimiter, encoding):
    path = tmp_path / "x.csv"
    with open(path, "w", newline="", encoding=encoding) as file:
        csv.writer(file, delimiter=delimiter).writerows(ROWS)
    assert take(server, "csv", path)[0].startswith(came(2))
    (cheese,) = http.get("/tickets", q="Käse").json
    assert (cheese["title"], cheese["status"], cheese["labels"]) == (
        "Käse; fertig",
        "closed",
        ["ä"],
    )


def test_what_excel_writes_comes_in(http, server, tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes('sep=;\r\ntitle;status\r\n"a;b";closed\r\nGrüße – €;open\r\n'.encode("cp1252"))
    assert take(server, "csv", path, encoding="cp1252")[0].startswith(came(2))
    assert {row["title"] for row in http.get("/tickets").json} == {"a;b", "Grüße – €"}
    assert refused(take, server, "csv", path, encoding="klingon").startswith(
        "there is no encoding klingon"
    )


def test_dates_that_may_mean_two_things_are_asked_about(http, server, tmp_path):
    rows = [
        ["title", "due"],
        ["a", "03/04/2024"],
        ["b", "13/04/2024"],
        ["c", "3.4.2024 10:00"],
        ["d", "Mon Apr 01 2024 09:00:00 GMT+0100 (CET)"],
    ]
    lines = wrong(server, "csv", write(tmp_path / "x.csv", rows))
    assert lines[1].startswith(
        "line 2: a date such as 03/04/2024 is the third of April or March 4th"
    )
    assert lines[2].startswith("line 5: a time must not name its zone like GMT+0100")
    path = write(tmp_path / "x.csv", rows[:-1])
    (tmp_path / "map.json").write_text('{"dates": "DMY"}')
    take(server, "csv", path, map_path=tmp_path / "map.json")
    due = [row["due"][:16] for row in http.get("/tickets?sort=due").json]
    assert due == ["2024-04-03T00:00", "2024-04-03T10:00", "2024-04-13T00:00"]


def test_times_may_come_in_words(http, sql, server, tmp_path):
    path = write(tmp_path / "x.csv", [["title", "due", "created"], ["x", "monday", "yesterday"]])
    take(server, "csv", path)
    (made,) = http.get("/tickets").json
    asked = sql.one("SELECT moment('monday', false) AS due, moment('yesterday') AS created")
    assert {name: made[name] for name in asked} == {
        name: at.isoformat() for name, at in asked.items()
    }
    path = write(tmp_path / "x.csv", [["title", "due", "created"], ["x", "soonish", "2024-13-01"]])
    assert wrong(server, "csv", path)[1].startswith(
        "line 2: invalid input syntax for type timestamp"
    )


@pytest.mark.parametrize("media", ["csv", "tsv"])
def test_irises_own_csv_and_tsv_come_back_in(http, sql, ticket, server, other, tmp_path, media):  # noqa: F811
    ticket(description='a\n\tb\\n "c",\r\n\\N', labels=["x, y", '"', "[z]"], assignee="bob", priority="high",
           fields={"n": 1.5, "deep": {"a": [None, "ä"]}}, due="2026-12-01", status="active")  # fmt: skip
    ticket(title="no description")
    take(server, "github", FIXTURES / "gh.json")
    take(server, "linear", FIXTURES / "linear.csv")
    path = tmp_path / f"tickets.{media}"
    path.write_text(http.get(f"/tickets?format={media}&sort=ticket_id").text, newline="")
    # The very same tickets, and nothing of them is another.
    before = exported(server.url())
    said = take(server, media, path)
    assert said[0].startswith(came(0))
    assert said[1].endswith(", 7 the same")
    assert exported(server.url()) == before
    # What has been changed since is not changed back.
    http.put("/tickets/2", title="changed")
    assert (
        'title was changed here and in the file; it stays "changed"' in take(server, media, path)[2]
    )

    said = []
    for _ in range(2):
        foreign.take(server.url("postgres", other), str(path), media, said.append)
    assert [line.split(", ")[-1] for line in said if "already there" in line] == ["7 the same"]
    assert [line for line in said if line.startswith(came(7))]
    columns = "title, description, status, assignee, reporter, priority, labels, due, created, updated, closed"
    question = f"SELECT {columns} FROM tickets ORDER BY created, title"
    http.put("/tickets/2", title="no description")
    copy = Sql(server.url(database=other))
    rows = copy(question)
    here = sql(question)
    assert [{**row, "updated": 0} for row in rows] == [{**row, "updated": 0} for row in here]
    ours = copy.one("SELECT fields FROM tickets WHERE assignee = 'bob' AND priority = 'high'")[
        "fields"
    ]
    assert ours == {"n": 1.5, "deep": {"a": [None, "ä"]}, "number": 1, "imported": "csv 1"}
    theirs = (
        "SELECT fields FROM tickets WHERE title IN ('Smell of smoke', 'Fax support') ORDER BY title"
    )
    assert copy(theirs) == sql(theirs)
    copy.connection.close()


def test_a_map_says_where_everything_goes(http, server, tmp_path):
    rows = [
        ["Titel", "Zustand", "Dringlichkeit", "Punkte", "Geheim", "Nr"],
        ["x", "Fertig", "1", "5", "s3cret", "17"],
    ]
    path = write(tmp_path / "x.csv", rows)
    columns = {"Titel": "title", "Zustand": "status", "Dringlichkeit": "priority", "Punkte": "fields.points",
               "Geheim": "nothing", "Nr": "key"}  # fmt: skip
    over = {"columns": columns, "status": {"fertig": "resolved"}, "priority": {"1": "urgent"}}
    (tmp_path / "map.json").write_text(json.dumps(over))
    take(server, "csv", path, map_path=tmp_path / "map.json")
    (made,) = http.get("/tickets").json
    assert (made["status"], made["priority"], made["title"]) == ("resolved", "urgent", "x")
    assert made["fields"] == {"points": "5", "number": 17, "imported": "csv 17"}
    for over, words in (
        ("[]", "a map is a JSON object"),
        ("{", "this is no JSON"),
        ('{"colums": {}}', 'a map has no "colums"; it has columns, status, priority, people'),
        ('{"status": {"a": 5}}', 'status must be like {"theirs": "ours"}'),
        ('{"status": {"a": "gone"}}', 'the workflow has no status "gone"; it has open, active,'),
        (
            '{"priority": {"a": "gone"}}',
            'there is no priority "gone"; there are low, normal, high, urgent',
        ),
        ('{"columns": {"Nr": "number"}}', 'a column can\'t go to "number"'),
        ('{"dates": "YMD"}', 'dates are "DMY" or "MDY"'),
        ('{"timezone": "Europe/Nowhere", "columns": {"Titel": "title"}}', "Europe/Nowhere"),
    ):
        (tmp_path / "map.json").write_text(over)
        assert words in refused(take, server, "csv", path, map_path=tmp_path / "map.json")


def test_a_workflow_of_ones_own_gets_what_is_nearest(sql, server, clean):
    sql("SELECT set_workflow(%s)", json.dumps(
        {"statuses": [{"status": "New", "is_open": True}, {"status": "in progress", "is_open": True},
                      {"status": "Finished", "is_open": False}], "transitions": {}}))  # fmt: skip
    said = take(server, "jira", FIXTURES / "jira.csv")
    assert said[2] == "status: In Progress → in progress (1), To Do → New (1), Done → Finished (1)"


def test_mistakes_are_counted_by_their_kind(server, clean, tmp_path):
    many = ",".join(f"l{n}" for n in range(51))
    rows = [["title", "Status", "priority", "labels"]]
    rows += [["x", "Code review", "P1", many], ["x", "QA", "P2", ""]] * 50
    _, *lines = wrong(server, "csv", write(tmp_path / "x.csv", rows))
    assert sorted(lines[:5]) == [
        "line 2 and 49 more: labels must be a list of at most 50 texts of at most 50 characters",
        'line 2 and 49 more: there is no priority "P1"',
        'line 2 and 49 more: there is no status "Code review"',
        'line 3 and 49 more: there is no priority "P2"',
        'line 3 and 49 more: there is no status "QA"',
    ]
    advice = 'say what they are here: --map FILE with {"status": {"Code review": "…"}}, of open'
    assert (lines[5].startswith(advice), len(lines)) == (True, 7)


# What commands show --------------------------------------------------------------------------------

EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\x7f\u202e"


def command(server, *arguments):
    """Run `iris …` as the database's owner; return (status, what it says), which can do no harm."""
    done = warm.run(
        [*IRIS[1:], *arguments],
        env=environment("", 0, DATABASE_URL=server.url(), IRIS_OWNER_URL=server.url("postgres")),
    )
    text = (done.stdout + done.stderr).decode()
    assert re.sub("[\x00-\x09\x0b-\x1f\x7f-\x9f]", "", text) == text
    return done.returncode, text


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([["title", f"x{EVIL}"], ["y", "z"]], 0),
        ([[f"titl{EVIL}e"], ["y"]], 1),
        ([["title", "status"], ["y", EVIL]], 1),
        ([["title", "due"], ["y", EVIL]], 1),
        ([["title", "labels"], [f"y{'y' * 300}", EVIL], ["owned" * 80, ""]], 1),
        ([["title", "key"], ["owned" * 80, f"1{EVIL}"]], 1),
        ([["title"], ["y", EVIL]], 1),
    ],
)
def test_no_import_says_control_characters_from_data(server, clean, tmp_path, rows, code):
    path = write(tmp_path / "x.csv", rows)
    status, text = command(server, "import", "--from", "csv", "--dry-run", str(path))
    assert (status, "owned" in text or "title must have" in text) == (code, True), text


def test_nor_does_any_other_command(sql, server, tmp_path):
    path, over = (
        write(tmp_path / "x.csv", [["title", "status"], ["y", EVIL]]),
        tmp_path / "map.json",
    )
    over.write_text(json.dumps({"status": {EVIL: "open"}, "people": {EVIL: EVIL}}))
    with_map = ("import", "--from", "csv", "--map", str(over), "--dry-run", str(path))
    assert command(server, *with_map)[0] == 0
    over.write_text(json.dumps({"status": {"a": EVIL}}))
    assert command(server, *with_map)[0] == 1
    path.write_text(json.dumps([{"number": EVIL}]))
    assert command(server, "import", "--from", "github", str(path))[0] == 1
    path.write_text(json.dumps({"iris": "export", "revision": EVIL}))
    assert command(server, "import", str(path))[0] == 1
    sql("INSERT INTO tickets (title, description) VALUES ('x', %s)", EVIL)
    status, text = command(server, "export")
    rows = [json.loads(line) for line in text.split("\n") if line.startswith('{"table": "tickets"')]
    assert (status, rows[0]["row"]["description"]) == (0, EVIL)
    assert command(server, "token", "revoke", "b\x9b")[0] == 3


def test_the_map_that_is_printed_can_be_given_back(http, server, tmp_path):
    path = str(FIXTURES / "jira.csv")
    status, text = command(server, "import", "--from", "jira", "--dry-run", path)
    assert (status, http.get("/tickets").json) == (0, [])
    printed = text[text.index("{") : text.rindex("}") + 1]
    assert json.loads(printed)["columns"] == shapes.ALL["jira"].table["columns"]
    (tmp_path / "map.json").write_text(printed)
    status, again = command(
        server, "import", "--from", "jira", "--map", str(tmp_path / "map.json"), path
    )
    assert (status, len(http.get("/tickets").json)) == (0, 3)
    assert again == (text.replace(printed, "").lstrip("\n").replace("would import", "imported"))
