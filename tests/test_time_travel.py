"""Any past moment can be asked for, at both doors."""

import json
import random
import re
from urllib.parse import quote

import pytest

STATUSES = {
    "open": ["active", "resolved", "closed"],
    "active": ["open", "blocked", "resolved", "closed"],
    "blocked": ["open", "active", "closed"],
    "resolved": ["open", "closed"],
    "closed": ["open"],
}
WORDS = ["printer", "login", "tea", "fire", "paper", "net"]
PEOPLE = ["alice", "bob", None]


class Model:
    """What there should be, kept by the test alone; only the numbers come from the database."""

    def __init__(self):
        self.tickets, self.comments, self.links = {}, {}, set()

    def copy(self):
        other = Model()
        other.tickets = {number: dict(row) for number, row in self.tickets.items()}
        other.comments = {number: dict(row) for number, row in self.comments.items()}
        other.links = set(self.links)
        return other

    def touch(self, *numbers):
        for number in numbers:
            if number in self.tickets:
                self.tickets[number]["version"] += 1

    def has_word(self, number, word):
        texts = [self.tickets[number]["title"], *self.tickets[number]["labels"]]
        texts += [row["body"] for row in self.comments.values() if row["ticket_id"] == number]
        return any(word in text.split() for text in texts)


class Life:
    """A tracker that lives at random, through both doors."""

    def __init__(self, seed, http, sql):
        self.random, self.http, self.sql = random.Random(seed), http, sql
        self.model, self.moments = Model(), []

    def run(self, steps):
        self.remember()
        for _ in range(steps):
            numbers = list(self.model.tickets)
            choices = [self.file]
            if numbers:
                choices += [
                    self.change,
                    self.change,
                    self.move,
                    self.comment,
                    self.comment,
                    self.link,
                ]
                choices += [self.unlink] if self.model.links else []
                choices += [self.edit, self.erase] if self.model.comments else []
                choices += [self.delete] if len(numbers) > 2 else []
            self.random.choice(choices)()
            self.remember()

    def remember(self):
        moment = self.sql.one("SELECT clock_timestamp()::text AS now")["now"]
        rows = self.sql("SELECT * FROM tickets ORDER BY ticket_id")
        comments = self.sql("SELECT * FROM comments ORDER BY comment_id")
        self.moments.append((moment, self.model.copy(), rows, comments))

    @property
    def by_http(self):
        return self.random.random() < 0.5

    def some(self, things):
        return self.random.choice(sorted(things))

    def text(self):
        return " ".join(self.random.sample(WORDS, 2))

    def file(self):
        given = {
            "title": self.text(),
            "labels": sorted({self.some(WORDS)}),
            "assignee": self.random.choice(PEOPLE),
        }
        if self.by_http:
            number = self.http.put("/tickets", given).json["ticket_id"]
        else:
            columns = "INSERT INTO tickets (title, labels, assignee) VALUES (%s, %s, %s) RETURNING ticket_id"
            number = self.sql.one(columns, *given.values())["ticket_id"]
        self.model.tickets[number] = {
            **given,
            "status": "open",
            "priority": "normal",
            "fields": {},
            "version": 1,
        }

    def change(self):
        number = self.some(self.model.tickets)
        given = self.random.choice(
            [{"title": self.text()}, {"assignee": self.random.choice(PEOPLE)}, {"priority": self.some(["low", "high"])},
             {"labels": sorted(set(self.random.sample(WORDS, 2)))}, {"title": self.text(), "priority": "urgent"}]
        )  # fmt: skip
        if self.by_http:
            assert self.http.put(f"/tickets/{number}", given).status == 200
        else:
            assignments = ", ".join(f"{name} = %s" for name in given)
            self.sql(
                f"UPDATE tickets SET {assignments} WHERE ticket_id = %s", *given.values(), number
            )
        self.settle(number, given)

    def move(self):
        number = self.some(self.model.tickets)
        given = {"status": self.some(STATUSES[self.model.tickets[number]["status"]])}
        if self.by_http:
            assert self.http.put(f"/tickets/{number}", given).status == 200
        else:
            self.sql("UPDATE tickets SET status = %s WHERE ticket_id = %s", given["status"], number)
        self.settle(number, given)

    def settle(self, number, given):
        row = self.model.tickets[number]
        if any(row[name] != value for name, value in given.items()):
            row.update(given)
            row["version"] += 1

    def comment(self):
        number, body = self.some(self.model.tickets), self.text()
        if self.by_http:
            comment = self.http.put(f"/tickets/{number}/comments", body=body, author="x").json[
                "comment_id"
            ]
        else:
            insert = "INSERT INTO comments (ticket_id, body, author) VALUES (%s, %s, 'x') RETURNING comment_id"
            comment = self.sql.one(insert, number, body)["comment_id"]
        self.model.comments[comment] = {"ticket_id": number, "body": body}
        self.model.touch(number)

    def edit(self):
        comment, body = self.some(self.model.comments), self.text()
        if self.by_http:
            assert self.http.put(f"/comments/{comment}", body=body).status == 200
        else:
            self.sql("UPDATE comments SET body = %s WHERE comment_id = %s", body, comment)
        if self.model.comments[comment]["body"] != body:
            self.model.comments[comment]["body"] = body
            self.model.touch(self.model.comments[comment]["ticket_id"])

    def erase(self):
        comment = self.some(self.model.comments)
        if self.by_http:
            assert self.http.delete(f"/comments/{comment}").status == 204
        else:
            self.sql("DELETE FROM comments WHERE comment_id = %s", comment)
        self.model.touch(self.model.comments.pop(comment)["ticket_id"])

    def link(self):
        one, other = self.some(self.model.tickets), self.some(self.model.tickets)
        kind = self.some(["relates", "duplicates"])
        if one == other:
            return
        if self.by_http:
            assert self.http.put(f"/tickets/{one}/links/{kind}/{other}").status == 204
        else:
            self.sql(
                "INSERT INTO links VALUES (%s, %s, %s) ON CONFLICT DO NOTHING", one, kind, other
            )
        if (one, kind, other) not in self.model.links:
            self.model.links.add((one, kind, other))
            self.model.touch(one, other)

    def unlink(self):
        one, kind, other = self.some(self.model.links)
        if self.by_http:
            assert self.http.delete(f"/tickets/{one}/links/{kind}/{other}").status == 204
        else:
            self.sql(
                "DELETE FROM links WHERE ticket_id = %s AND kind = %s AND other_id = %s",
                one,
                kind,
                other,
            )
        self.model.links.remove((one, kind, other))
        self.model.touch(one, other)

    def delete(self):
        number = self.some(self.model.tickets)
        if self.by_http:
            assert self.http.delete(f"/tickets/{number}").status == 204
        else:
            self.sql("DELETE FROM tickets WHERE ticket_id = %s", number)
        del self.model.tickets[number]
        for comment in [
            key for key, row in self.model.comments.items() if row["ticket_id"] == number
        ]:
            del self.model.comments[comment]
        for one, kind, other in [link for link in self.model.links if number in (link[0], link[2])]:
            self.model.links.remove((one, kind, other))
            self.model.touch(one, other)


@pytest.mark.parametrize(
    "seed", [*range(5), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(5, 12))]
)
def test_any_moment_is_as_it_was(http, sql, seed):
    life = Life(seed, http, sql)
    life.run(40)
    for moment, model, rows, comments in life.moments:
        # By SQL: whole rows, to the microsecond.
        assert sql("SELECT * FROM tickets_as_of(%s) ORDER BY ticket_id", moment) == rows
        assert sql("SELECT * FROM comments_as_of(%s) ORDER BY comment_id", moment) == comments
        seen = {tuple(row.values()) for row in sql("SELECT * FROM links_as_of(%s)", moment)}
        assert seen == model.links
        # By HTTP, against the test's own model.
        at = f"as_of={quote(moment)}"
        listed = http.get(f"/tickets?limit=1000&count=true&{at}")
        assert listed.headers["total-count"] == str(len(model.tickets))
        assert {row["ticket_id"] for row in listed.json} == set(model.tickets)
        for row in listed.json:
            expected = model.tickets[row["ticket_id"]]
            assert {name: row[name] for name in expected} == expected
            assert (row["closed"] is None) == (row["status"] in ("open", "active", "blocked"))
    for moment, model, _, _ in life.moments[:: len(life.moments) // 8]:
        at = f"as_of={quote(moment)}"
        for number, expected in model.tickets.items():
            answer = http.get(f"/tickets/{number}?{at}")
            assert answer.headers["etag"] == f'"{expected["version"]}"'
            assert {row["comment_id"]: row["body"] for row in answer.json["comments"]} == {
                key: row["body"]
                for key, row in model.comments.items()
                if row["ticket_id"] == number
            }
            assert {tuple(link.values()) for link in answer.json["links"]} == {
                link for link in model.links if number in (link[0], link[2])
            }
        wanted = {
            "status=open": lambda number, row: row["status"] == "open",
            "open=false": lambda number, row: row["status"] in ("resolved", "closed"),
            "unassigned=true": lambda number, row: row["assignee"] is None,
            "label=fire,tea": lambda number, row: {"fire", "tea"} & set(row["labels"]),
            "priority=!normal": lambda number, row: row["priority"] != "normal",
            "q=printer": lambda number, row, model=model: model.has_word(number, "printer"),
            "q=printer+-tea": lambda number, row, model=model: (
                model.has_word(number, "printer") and not model.has_word(number, "tea")
            ),
        }
        for query, fits in wanted.items():
            expected = {number for number, row in model.tickets.items() if fits(number, row)}
            seen, page = [], f"{query}&limit=2&sort=-updated&{at}"
            while page:
                answer = http.get(f"/tickets?{page}")
                seen += [row["ticket_id"] for row in answer.json]
                page = answer.next
            assert sorted(seen) == sorted(expected), (query, moment)
        for number in model.tickets:
            found = {
                row["ticket_id"] for row in http.get(f"/tickets?linked={number}&limit=99&{at}").json
            }
            ends = {link[0] for link in model.links if link[2] == number}
            assert found == ends | {link[2] for link in model.links if link[0] == number}


@pytest.mark.parametrize("seed", range(3))
def test_history_replays_to_the_present(http, sql, seed):
    life = Life(seed + 100, http, sql)
    life.run(60)
    replayed = {}
    for event in sql("SELECT * FROM events ORDER BY event_id"):
        if event["kind"] == "deleted":
            del replayed[event["ticket_id"]]
        elif event["kind"] in ("created", "changed"):
            row = replayed.setdefault(event["ticket_id"], {})
            for name, (old, new) in event["changes"].items():
                assert row.get(name) == old
                row[name] = new
    for row in sql("SELECT * FROM tickets"):
        again = replayed.pop(row["ticket_id"])
        for name in (
            "title",
            "status",
            "assignee",
            "reporter",
            "priority",
            "labels",
            "fields",
            "description",
        ):
            assert again.get(name) == row[name]
    assert replayed == {}


def test_a_deleted_ticket_is_read_as_it_was(http, ticket, sql):
    number = ticket(description="gone", due="2030-01-01", fields={"a": [1, None]}, labels=["x"])
    before = http.get(f"/tickets/{number}").json
    moment = sql.one("SELECT clock_timestamp()::text AS now")["now"]
    http.delete(f"/tickets/{number}")
    assert http.get(f"/tickets/{number}?as_of={quote(moment)}").json == before
    assert http.get(f"/ticket?tid={number}&as_of={quote(moment)}").json == before
    assert http.get(f"/tickets/{number}").status == 404
    assert http.get(f"/tickets/{number}?as_of=yesterday").status == 404


def test_bad_moments(http, ticket):
    number = ticket()
    for path in ("/tickets", f"/tickets/{number}"):
        answer = http.get(f"{path}?as_of=someday")
        assert (answer.status, list(answer.json["errors"])) == (422, ["as_of"])
    assert http.get("/tickets?as_of=tomorrow").json[0]["ticket_id"] == number
    assert http.get("/tickets?as_of=-infinity").json == []


def test_it_is_one_statement(http, ticket, statements):
    ticket()
    statements()
    http.get("/tickets?as_of=now&q=printer&count=true&sort=rank")
    http.get("/tickets/1?as_of=now")
    # Beside what writes the past on, once a second, and what the planner is asked of words.
    beside = re.compile("(SELECT set_config.*)?SELECT write_past|EXPLAIN ")
    assert len([each for each in statements() if not beside.match(each)]) == 2


@pytest.mark.parametrize("function", ["tickets_touched_since", "comments_as_of"])
def test_what_was_filed_and_deleted_since_costs_the_past_little(sql, function):
    """Many such tickets made any look at the day before a matter of seconds."""
    sql("INSERT INTO tickets (title) SELECT 'x' FROM generate_series(1, 500)")
    sql("INSERT INTO comments (ticket_id, body) SELECT ticket_id, 'y' FROM tickets")
    sql("DELETE FROM tickets")
    (plan,) = sql(f"EXPLAIN (ANALYZE, FORMAT JSON) SELECT * FROM {function}('yesterday')")
    # What puts a ticket together, not what finds which ones.
    plain = r'"Node Type": "Aggregate", "Strategy": "Plain".*?"Actual Loops": (\d+)'
    loops = re.findall(plain, json.dumps(plan))
    assert loops
    assert set(loops) == {"0"}
