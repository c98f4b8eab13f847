"""Inboxes: what happened on what one watches since one last looked; and people, who get it by mail."""

import psycopg2
import pytest
from conftest import ALICE, BOB, CHARLIE, Sql
from test_tokens import add, guarded, people  # noqa: F401 (fixtures)


@pytest.fixture
def inbox(http, sql):
    """Return a function that says what is in somebody's inbox, as both doors have it: [(who, what, ticket)]."""

    def look(who, query=""):
        answer = http.get(f"/inbox?limit=1000&{query}", actor=who)
        assert answer.status == 200, answer.text
        if not query:
            assert [row["position"] for row in answer.json] == [
                row["position"] for row in sql("SELECT position FROM inbox(%s)", who)
            ]
        return [(row["actor"], row["kind"], row["ticket_id"]) for row in answer.json]

    return look


def test_what_happened_on_what_i_watch_not_by_me(http, sql, ticket, inbox):
    mine, theirs = ticket(reporter=ALICE), ticket(reporter=BOB)
    http.put(f"/tickets/{mine}", status="active", actor=BOB)
    http.put(f"/tickets/{mine}", priority="high", actor=ALICE)
    http.put(f"/tickets/{theirs}", priority="high", actor=CHARLIE)
    sql("SELECT set_config('iris.actor', 'charlie', false)")
    sql("INSERT INTO comments (ticket_id, body) VALUES (%s, 'for @alice')", theirs)
    assert inbox(ALICE) == [
        ("anonymous", "created", mine),
        ("anonymous", "created", theirs),
        (BOB, "changed", mine),
        (CHARLIE, "changed", theirs),
        (CHARLIE, "commented", theirs),
    ]
    assert inbox(BOB) == [
        ("anonymous", "created", theirs),
        (CHARLIE, "changed", theirs),
        (CHARLIE, "commented", theirs),
    ]
    assert inbox("nobody") == []
    assert inbox(ALICE, "kind=commented") == [(CHARLIE, "commented", theirs)]
    assert inbox(ALICE, f"ticket_id={mine}&actor=bob") == [(BOB, "changed", mine)]


def test_who_loses_a_ticket_or_whose_ticket_goes_hears_of_that(http, ticket, inbox):
    number = ticket(assignee=ALICE, reporter=BOB)
    http.put(f"/tickets/{number}/comments", body="x", actor=CHARLIE)
    http.put("/inbox", actor=ALICE)
    http.put(f"/tickets/{number}", assignee="dora", actor=BOB)
    assert inbox(ALICE) == [(BOB, "changed", number)]
    http.delete(f"/tickets/{number}", actor="admin")
    for who in (ALICE, BOB, CHARLIE, "dora"):
        assert ("admin", "deleted", number) in inbox(who), who
    assert inbox("erin") == []
    gone = http.get("/inbox?kind=deleted", actor=ALICE)
    assert gone.json[0]["title"] is None


def test_who_left_hears_nothing(http, ticket, inbox):
    number = ticket(assignee=ALICE)
    http.delete(f"/tickets/{number}/watchers/alice")
    http.put(f"/tickets/{number}/comments", body="@alice!", actor=BOB)
    http.put(f"/tickets/{number}", assignee=BOB, actor=BOB)
    http.delete(f"/tickets/{number}", actor=BOB)
    assert inbox(ALICE) == []


def test_it_is_read_up_to_a_position(http, sql, ticket, inbox):
    numbers = [ticket(reporter=ALICE) for _ in range(5)]
    assert len(inbox(ALICE)) == 5
    second = http.get("/inbox", actor=ALICE).json[1]["position"]
    answer = http.put("/inbox", position=second, actor=ALICE)
    assert (answer.status, answer.json) == (200, {"position": second})
    assert [number for *_, number in inbox(ALICE)] == numbers[2:]
    assert [number for *_, number in inbox(ALICE, "after=0")] == numbers
    # Twice is once; others have marks of their own.
    http.put("/inbox", position=second, actor=ALICE)
    http.put("/inbox", actor=BOB)
    assert len(inbox(ALICE)) == 3
    last = http.get("/inbox", actor=ALICE).json[-1]["position"]
    assert http.put("/inbox", actor=ALICE).json == {"position": last}
    assert inbox(ALICE) == []
    # What comes after is there again, and so is all that is set back.
    number = ticket(reporter=ALICE)
    assert inbox(ALICE) == [("anonymous", "created", number)]
    sql("SELECT set_config('iris.actor', 'alice', false)")
    sql("SELECT mark_read(0)")
    assert len(inbox(ALICE)) == 6


@pytest.mark.parametrize("position", [-1, 10**9, 2**63, "x", True])
def test_what_is_to_come_cant_be_read(http, sql, ticket, position):
    ticket()
    http.get("/inbox")
    answer = http.put("/inbox", position=position)
    assert answer.status == 422, answer.text
    assert "position" in answer.json["errors"]
    if position == 10**9:
        refusal = sql.refusal("SELECT mark_read(1000000000)")
        assert refusal.diag.message_primary == answer.json["detail"]


def test_pages_go_on_where_the_first_began(http, ticket, inbox):
    numbers = [ticket(reporter=ALICE) for _ in range(5)]
    first = http.get("/inbox?limit=2&columns=ticket_id", actor=ALICE)
    # Whoever marks it meanwhile.
    http.put("/inbox", actor=ALICE)
    second = http.get(f"/inbox?{first.next}", actor=ALICE)
    third = http.get(f"/inbox?{second.next}", actor=ALICE)
    rows = first.json + second.json + third.json
    assert [row["ticket_id"] for row in rows] == numbers
    assert third.next is None
    assert http.get("/inbox?after=0&format=csv&columns=ticket_id", actor=ALICE).text.split() == [
        "ticket_id",
        *map(str, numbers),
    ]


def test_as_text_it_reads_well(http, ticket):
    number = ticket("Printer on fire", reporter=ALICE)
    other = ticket("Out of ink", reporter=BOB)
    http.put(f"/tickets/{number}", status="active", assignee=BOB, actor=BOB)
    http.put(f"/tickets/{number}/comments", body="On\nit", actor=BOB)
    http.put(f"/tickets/{number}/links/blocks/{other}", actor=BOB)
    http.delete(f"/tickets/{number}/links/blocks/{other}", actor=BOB)
    http.put("/comments/1", body="Done", actor=BOB)
    http.delete("/comments/1", actor=BOB)
    http.delete(f"/tickets/{number}", actor=BOB)
    text = http.get("/inbox?format=text", actor=ALICE).text
    for said in (
        "Ticket 1: (gone)\n",
        "    - filed it\n",
        "    - assignee: – → bob\n",
        "    - status: open → active\n",
        "    - said: On it\n",
        "    - blocks 2\n",
        "    - no longer blocks 2\n",
        "    - rewrote a comment: On it → Done\n",
        "    - deleted a comment: Done\n",
        "    - deleted it\n",
    ):
        assert said in text, text
    assert http.get("/inbox?format=text", actor="nobody").text == "Nothing new.\n"


def test_iris_inbox_tells_and_marks(iris, live, sql):
    sql("INSERT INTO tickets (title, reporter) VALUES ('Printer on fire', 'alice')")
    told = iris("inbox", "--read")
    assert told.status == 0, told.err
    assert "Ticket 1: Printer on fire" in told.out and "read up to position 1" in told.out
    assert iris("inbox").out == "Nothing new.\n"
    assert "Printer" in iris("inbox", "after=0").out
    assert iris("inbox", "x").status == 2


# People -------------------------------------------------------------------------------------------


def test_a_person_is_told_of_and_forgotten(http, sql):
    made = http.put("/people/alice", mail="alice@example.org")
    assert made.status == 200
    assert (made.json["name"], made.json["digest"], made.json["state"]) == (ALICE, "now", "active")
    changed = http.put("/people/me", digest="daily", actor=ALICE).json
    assert (changed["mail"], changed["digest"]) == ("alice@example.org", "daily")
    assert http.get("/people/me", actor=ALICE).json == changed
    # What was read may be sent back.
    assert http.put("/people/alice", changed).json == changed
    sql("INSERT INTO people (name, mail) VALUES ('bob', 'bob@example.org')")
    sql("UPDATE people SET digest = 'none' WHERE name = 'bob'")
    assert [(row["name"], row["digest"]) for row in http.get("/people").json] == [
        (ALICE, "daily"),
        (BOB, "none"),
    ]
    assert [row["name"] for row in http.get("/people?digest=none").json] == [BOB]
    assert http.delete("/people/alice").status == 204
    assert http.get("/people/alice").json["code"] == "no_such_person"
    assert http.delete("/people/alice").status == 404


@pytest.mark.parametrize(
    "mail",
    ["", "alice", "alice@", "@x", "a@b\r\nBcc: c@d", "a@b c", "<a@b>", "a@b,c@d", "a" * 65 + "@b", "a@" + "b" * 260, "a\0@b", "ä@b"],
)  # fmt: skip
def test_what_is_no_address(http, sql, mail):
    answer = http.put("/people/alice", mail=mail)
    assert answer.status == 422, answer.text
    if "\0" not in mail:
        refusal = sql.refusal("INSERT INTO people (name, mail) VALUES ('alice', %s)", mail)
        assert refusal.diag.message_primary == answer.json["detail"]
    assert http.get("/people").json == []


def test_what_else_is_refused_at_both_doors(http, sql):
    assert http.put("/people/alice", digest="daily").json["errors"] == {"mail": "mail is required"}
    assert http.put("/people/alice", mail="a@b", digest="weekly").status == 422
    answer = http.put("/people/alice", mail="a@b", state="bounced")
    assert answer.json["errors"] == {"state": "state can be set to active or disabled"}
    assert "mail is required" in str(sql.refusal("SELECT put_person('alice')"))
    assert http.put("/people/" + "x" * 101, mail="a@b").status == 422
    assert http.put("/people/%20", mail="a@b").status == 422


def test_addresses_are_private(guarded, people, sql, server):  # noqa: F811
    sql("INSERT INTO people (name, mail) VALUES ('zoe', 'zoe@example.org')")
    reader, admin = people["reader"], people["admin"]
    assert guarded.put("/people/me", mail="rita@example.org", headers=reader).status == 200
    assert guarded.get("/people/me", headers=reader).json["mail"] == "rita@example.org"
    for answer in (
        guarded.get("/people/zoe", headers=reader),
        guarded.put("/people/zoe", digest="none", headers=reader),
        guarded.delete("/people/zoe", headers=reader),
    ):
        assert (answer.status, answer.json["code"]) == (403, "forbidden")
        assert answer.json["detail"] == "permission denied for people other than oneself"
    answer = guarded.get("/people", headers=people["writer"])
    assert (answer.status, answer.json["code"]) == (403, "forbidden")
    assert guarded.put("/people/zoe", digest="none", headers=admin).json["digest"] == "none"
    asked = Sql(server.url())
    asked("SET ROLE iris_reader")
    for statement in (
        "SELECT mail FROM people",
        "SELECT key FROM people",
        "SELECT person('zoe')",
        "SELECT put_person('zoe', 'x@example.org')",
        "UPDATE people SET mail = 'x@example.org'",
    ):
        assert isinstance(asked.refusal(statement), psycopg2.errors.InsufficientPrivilege), (
            statement
        )
    assert "person_id" in asked.one("SELECT person_id, name FROM people WHERE name = 'zoe'")
    asked.connection.close()
