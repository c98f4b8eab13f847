"""A tracker that lives at random, through both doors, beside a model of it in plain Python.

    make lives STEPS=1000 SEED=1

Whatever there is to do is done, undo among it; then each moment is asked for at both doors, and the model, which
knows nothing of how Iris keeps its past, says what the answer has to be. Lives are the same for the same seed.
"""

import argparse
import copy
import json
import os
import random
import sys
import tempfile
import time
from urllib.parse import quote

import psycopg2
from model import COLUMNS, MISSING, State, Wrong, agree, changed, difference, document

WORDS = ["printer", "login", "tea", "fire", "paper", "net", "main.py", "ümläut"]
PEOPLE = ["alice", "bob", "carol", None]
PRIORITIES = ["low", "normal", "high", "urgent"]
KINDS = ["blocks", "duplicates", "parent", "relates"]
SPARE = ["waiting", "testing"]
TABLES = ("tickets", "comments", "links", "searches")


class Life:
    """A life.

    http:     an Http of conftest.
    sql:      a Sql of conftest.
    """

    def __init__(self, seed, http, sql):
        self.random, self.http, self.sql = random.Random(seed), http, sql
        self.state = State()
        # (when, the state, rows as SQL had them).
        self.moments = []
        # (number of the change, what it changed), the oldest first.
        self.changes = []
        self.done = {}

    def run(self, steps):
        self.remember()
        for _ in range(steps):
            act = self.random.choice(self.choices())
            before = self.state.things()
            act()
            name = act.__name__.strip("_")
            self.done[name] = self.done.get(name, 0) + 1
            differs = difference(before, self.state.things())
            change = self.sql.one("SELECT max(change) AS it FROM events")["it"]
            if differs:
                self.changes.append((change, differs))
            elif self.changes:
                agree(change, self.changes[-1][0], "nothing changed", name)
            self.remember()
            if self.random.random() < 0.1:
                moment, _, rows = self.random.choice(self.moments)
                self.recall(moment, rows)

    def choices(self):
        state = self.state
        acts = [self.file, self.file_many, self.set_workflow, self.undo, self.undo, self.several]
        if state.tickets:
            acts += [
                self.change,
                self.change,
                self.change_many,
                self.move,
                self.move,
                self.comment,
                self.comment,
            ]
            acts += [self.link, self.link, self.same, self.forbidden]
        acts += [self.unlink] if state.links else []
        acts += [self.edit, self.erase] if state.comments else []
        acts += [self.delete] if len(state.tickets) > 3 else []
        acts += [self.delete_many] if len(state.tickets) > 8 else []
        return acts

    def remember(self):
        moment = self.sql.one("SELECT clock_timestamp()::text AS now")["now"]
        self.moments.append((moment, copy.deepcopy(self.state), self.seen()))

    def seen(self, moment=None):
        """Return all rows as SQL has them, now or at a moment."""
        then, values = ("_as_of(%s)", [moment]) if moment else ("", [])
        made = [
            self.sql(f"SELECT * FROM {name}{then} AS it ORDER BY it", *values) for name in TABLES
        ]
        # Words are those of tickets that are there: of others the past may say that they have none. Since when is its own business.
        numbers = {row["ticket_id"] for row in made[0]}
        words = [(row["ticket_id"], row["comment_id"], row["words"]) for row in made[-1]]
        return [*made[:-1], [row for row in words if row[0] in numbers]]

    def recall(self, moment, rows):
        """Look whether SQL gives the rows of a moment that there were then."""
        for name, found, wanted in zip(TABLES, self.seen(moment), rows, strict=True):
            more = [row for row in found if row not in wanted]
            less = [row for row in wanted if row not in found]
            agree(more, less, f"{name}_as_of", moment)

    # What is done ---------------------------------------------------------------------------------

    @property
    def by_http(self):
        return self.random.random() < 0.5

    def some(self, things):
        return self.random.choice(sorted(things))

    def text(self, most=3):
        return " ".join(self.random.choices(WORDS, k=self.random.randint(1, most)))

    def given(self):
        """Return some columns of a ticket, {column: value}."""
        pick = self.random
        every = {
            "title": self.text(),
            "description": pick.choice([None, self.text(6)]),
            "assignee": pick.choice(PEOPLE),
            "reporter": pick.choice(PEOPLE[:3]),
            "priority": pick.choice(PRIORITIES),
            "labels": sorted(set(pick.choices(WORDS, k=2))),
            "fields": {"n": pick.randint(1, 3)},
            "due": pick.choice([None, "2030-01-01T00:00:00+00:00", "2020-06-01T12:00:00+00:00"]),
        }
        return {name: every[name] for name in pick.sample(sorted(every), pick.randint(1, 4))}

    def adapted(self, given):
        return [json.dumps(value) if isinstance(value, dict) else value for value in given.values()]

    def asked(self, method, path, given=None, raw=None, status=200):
        more = {"raw": raw, "headers": {"Content-Type": "application/json"}} if raw else {}
        answer = self.http(method, path, given, **more)
        if answer.status != status:
            raise Wrong(f"{method} {path} {given or raw}: {answer.status} {answer.text}")
        return answer.json

    def new(self, number, given):
        first = self.state.workflow["statuses"][0][0]
        row = dict.fromkeys(COLUMNS)
        row |= {"status": first, "priority": "normal", "labels": [], "fields": {}}
        self.state.tickets[number] = row | given

    def filing(self):
        return {"reporter": self.some(["alice", "bob"]), **self.given(), "title": self.text()}

    def insert(self, given):
        names, places = ", ".join(given), ", ".join(["%s"] * len(given))
        made = f"INSERT INTO tickets ({names}) VALUES ({places}) RETURNING ticket_id"
        return self.sql.one(made, *self.adapted(given))["ticket_id"]

    def file(self):
        given = self.filing()
        if self.by_http:
            number = self.asked("PUT", "/tickets", given, status=201)["ticket_id"]
        else:
            number = self.insert(given)
        self.new(number, given)

    def file_many(self):
        rows = [self.filing() for _ in range(3)]
        made = self.asked("PUT", "/tickets", raw=json.dumps(rows))
        for row, given in zip(made, rows, strict=True):
            self.new(row["ticket_id"], given)

    def change(self):
        self.write(self.some(self.state.tickets), self.given())

    def same(self):
        number = self.some(self.state.tickets)
        row = self.state.tickets[number]
        self.write(number, {name: row[name] for name in ("title", "assignee", "labels")})

    def write(self, number, given):
        if self.by_http:
            self.asked("PUT", f"/tickets/{number}", given)
        else:
            names = ", ".join(f"{name} = %s" for name in given)
            self.sql(
                f"UPDATE tickets SET {names} WHERE ticket_id = %s", *self.adapted(given), number
            )
        self.state.tickets[number].update(given)

    def change_many(self):
        numbers = self.random.sample(sorted(self.state.tickets), min(5, len(self.state.tickets)))
        given = self.given()
        if self.by_http:
            rows = [{"ticket_id": number, **given} for number in numbers]
            self.asked("PUT", "/tickets", raw=json.dumps(rows))
        else:
            names = ", ".join(f"{name} = %s" for name in given)
            self.sql(
                f"UPDATE tickets SET {names} WHERE ticket_id = ANY (%s)",
                *self.adapted(given),
                numbers,
            )
        for number in numbers:
            self.state.tickets[number].update(given)

    def move(self):
        number = self.some(self.state.tickets)
        allowed = self.state.workflow["transitions"].get(self.state.tickets[number]["status"])
        if allowed:
            self.write(number, {"status": self.some(allowed)})

    def forbidden(self):
        """A move that the workflow lacks."""
        number = self.some(self.state.tickets)
        here = self.state.tickets[number]["status"]
        known = {status for status, _ in self.state.workflow["statuses"]} - {here}
        if known := known - self.state.workflow["transitions"].get(here, set()):
            status = self.some(known)
            self.asked("PUT", f"/tickets/{number}", {"status": status}, status=409)
            self.sql.refusal("UPDATE tickets SET status = %s WHERE ticket_id = %s", status, number)

    def comment(self):
        number, body = self.some(self.state.tickets), self.text(5)
        author = self.some(["alice", "bob"])
        if self.by_http:
            path = f"/tickets/{number}/comments"
            made = self.asked("PUT", path, {"body": body, "author": author}, status=201)
        else:
            insert = (
                "INSERT INTO comments (ticket_id, body, author) VALUES (%s, %s, %s) RETURNING *"
            )
            made = self.sql.one(insert, number, body, author)
        row = {"ticket_id": number, "body": body, "author": author}
        self.state.comments[made["comment_id"]] = row

    def edit(self):
        number, body = self.some(self.state.comments), self.text(5)
        if self.by_http:
            self.asked("PUT", f"/comments/{number}", {"body": body})
        else:
            self.sql("UPDATE comments SET body = %s WHERE comment_id = %s", body, number)
        self.state.comments[number]["body"] = body

    def erase(self):
        number = self.some(self.state.comments)
        if self.by_http:
            self.asked("DELETE", f"/comments/{number}", status=204)
        else:
            self.sql("DELETE FROM comments WHERE comment_id = %s", number)
        del self.state.comments[number]

    def link(self):
        one, kind, other = (
            self.some(self.state.tickets),
            self.some(KINDS),
            self.some(self.state.tickets),
        )
        fits = one != other and not (
            kind in ("blocks", "parent") and self.state.leads(kind, other, one)
        )
        has_parent = any(
            link[:2] == (one, "parent") and link[2] != other for link in self.state.links
        )
        fits = fits and not (kind == "parent" and has_parent)
        path = f"/tickets/{one}/links/{kind}/{other}"
        insert = "INSERT INTO links VALUES (%s, %s, %s) ON CONFLICT (ticket_id, kind, other_id) DO NOTHING"
        if not fits:
            if self.http("PUT", path).status not in (409, 422):
                raise Wrong(f"{path} was not refused")
            self.sql.refusal(insert, one, kind, other)
            return
        self.asked("PUT", path, status=204) if self.by_http else self.sql(insert, one, kind, other)
        self.state.links.add((one, kind, other))

    def unlink(self):
        one, kind, other = link = self.some(self.state.links)
        if self.by_http:
            self.asked("DELETE", f"/tickets/{one}/links/{kind}/{other}", status=204)
        else:
            self.sql(
                "DELETE FROM links WHERE (ticket_id, kind::text, other_id) = (%s, %s, %s)", *link
            )
        self.state.links.remove(link)

    def gone(self, number):
        del self.state.tickets[number]
        for key in [key for key, row in self.state.comments.items() if row["ticket_id"] == number]:
            del self.state.comments[key]
        self.state.links -= self.state.ends(number)

    def delete(self):
        number = self.some(self.state.tickets)
        if self.by_http:
            self.asked("DELETE", f"/tickets/{number}", status=204)
        else:
            self.sql("DELETE FROM tickets WHERE ticket_id = %s", number)
        self.gone(number)

    def delete_many(self):
        numbers = self.random.sample(sorted(self.state.tickets), 3)
        self.sql("DELETE FROM tickets WHERE ticket_id = ANY (%s)", numbers)
        for number in numbers:
            self.gone(number)

    def several(self):
        """A transaction of several statements, in psql."""
        self.sql("BEGIN")
        real, self.http = self.http, None
        try:
            for act in self.random.choices([self.insert_one, self.update_one, self.remark], k=3):
                act()
        finally:
            self.http = real
        self.sql("COMMIT")

    def insert_one(self):
        given = self.filing()
        self.new(self.insert(given), given)

    def update_one(self):
        if self.state.tickets:
            number, given = self.some(self.state.tickets), {"title": self.text()}
            self.sql("UPDATE tickets SET title = %s WHERE ticket_id = %s", given["title"], number)
            self.state.tickets[number].update(given)

    def remark(self):
        if self.state.tickets:
            number = self.some(self.state.tickets)
            insert = "INSERT INTO comments (ticket_id, body, author) VALUES (%s, 'tea', 'bob') RETURNING *"
            made = self.sql.one(insert, number)
            self.state.comments[made["comment_id"]] = {
                "ticket_id": number,
                "body": "tea",
                "author": "bob",
            }

    def set_workflow(self):
        """A status or a transition more or less, or one that is open or not."""
        made = copy.deepcopy(self.state.workflow)
        names = [status for status, _ in made["statuses"]]
        used = {row["status"] for row in self.state.tickets.values()}
        act = self.random.choice(["more", "less", "way", "way", "open"])
        spare = [status for status in SPARE if status not in names]
        if act == "more" and spare:
            made["statuses"].append([spare[0], True])
            made["transitions"] = {**made["transitions"], spare[0]: {"open"}}
            made["transitions"]["open"] |= {spare[0]}
        elif act == "less" and (idle := set(names) & set(SPARE) - used):
            (gone, *_) = sorted(idle)
            made["statuses"] = [pair for pair in made["statuses"] if pair[0] != gone]
            made["transitions"] = {
                one: ways - {gone} for one, ways in made["transitions"].items() if one != gone
            }
        elif act == "open":
            pair = self.random.choice(made["statuses"][1:])
            pair[1] = not pair[1]
        else:
            one, other = self.random.sample(names, 2)
            made["transitions"].setdefault(one, set()).symmetric_difference_update({other})
        made["transitions"] = {one: ways for one, ways in made["transitions"].items() if ways}
        self.asked("PUT", "/workflow", raw=json.dumps(document(made)))
        self.state.workflow = made

    def undo(self):
        """Take back one of the last changes; whatever Iris says, the model knows what that means."""
        if not self.changes:
            return
        place = len(self.changes) - 1 - int(self.random.random() ** 2 * min(25, len(self.changes)))
        change, differs = self.changes[place]
        given, before = {"change": change}, self.seen()
        tried = self.http.put("/undo", {**given, "dry_run": True}).status
        agree(self.seen(), before, "a dry run")
        if self.by_http:
            answer = self.http.put("/undo", given)
            refused = None if answer.status == 200 else answer.json["code"]
        else:
            try:
                self.sql("SELECT undo(change => %s)", change)
                refused = None
            except psycopg2.Error as error:
                refused = {"IR022": "changed_since"}.get(error.pgcode, error.pgcode)
        agree(tried == 200, refused is None, "a dry run and undo", change)
        self.done[f"undo {refused or 'done'}"] = self.done.get(f"undo {refused or 'done'}", 0) + 1
        if refused:
            agree(self.seen(), before, "a refused undo")
            if refused == "changed_since":
                later = {thing[1] for _, more in self.changes[place + 1 :] for thing in more}
                later |= {
                    thing[3]
                    for _, more in self.changes[place + 1 :]
                    for thing in more
                    if thing[0] == "link"
                }
                mine = {thing[1] for thing in differs} | {
                    thing[3] for thing in differs if thing[0] == "link"
                }
                if not later & mine:
                    raise Wrong(f"undo of {change} says changed_since, and nobody has")
            return
        now = self.state.things()
        for thing, (_, made) in differs.items():
            agree(now.get(thing, MISSING), made, "taken back, though it has changed since", thing)
        # Tickets first that come back; last those that go.
        for thing, (was, _) in sorted(differs.items(), key=lambda item: item[0][0] != "ticket"):
            if thing[0] != "ticket" or was:
                self.state.set(thing, copy.deepcopy(was))
        for thing, (was, _) in differs.items():
            if thing[0] == "ticket" and not was:
                self.state.set(thing, None)

    # What is asked --------------------------------------------------------------------------------

    def check(self, every=1, deep=8):
        """Ask for each moment, or each so many, at both doors, and for deep of them everything."""
        some = self.moments[::-every]
        for moment, state, rows in some:
            self.recall(moment, rows)
            self.check_list(moment, state)
        for moment, state, _ in self.random.sample(some, min(deep, len(some))):
            self.check_deep(moment, state)
        for _ in range(deep):
            self.check_changes(*sorted(self.random.sample(range(len(self.moments)), 2)))

    def check_list(self, moment, state):
        at = f"as_of={quote(moment)}"
        listed = self.http.get(f"/tickets?limit=1000&count=true&{at}")
        agree(listed.headers["total-count"], str(len(state.tickets)), "count", moment)
        found = {row["ticket_id"]: {name: row[name] for name in COLUMNS} for row in listed.json}
        agree(found, state.tickets, "list", moment)
        for row in listed.json:
            agree(row["closed"] is None, state.open(row["status"]), "closed", moment, row)
        agree(self.http.get(f"/workflow?{at}").json, document(state.workflow), "workflow", moment)

    def check_deep(self, moment, state):
        at = f"as_of={quote(moment)}"
        for number in state.tickets:
            row = self.http.get(f"/tickets/{number}?{at}").json
            comments = {
                each["comment_id"]: {
                    "ticket_id": number,
                    "body": each["body"],
                    "author": each["author"],
                }
                for each in row["comments"]
            }
            agree(
                comments,
                {key: each for key, each in state.comments.items() if each["ticket_id"] == number},
                "comments",
                moment,
            )
            agree(
                {tuple(link.values()) for link in row["links"]}, state.ends(number), "links", moment
            )
            others = {end for link in state.ends(number) for end in (link[0], link[2])} - {number}
            agree(self.listed(f"linked={number}", at), others, "linked", moment, number)
        gone = max(state.tickets, default=0) + 1
        agree(self.http.get(f"/tickets/{gone}?{at}").status, 404, "not yet", moment)
        for query, fits in self.questions(state).items():
            wanted = {number for number, row in state.tickets.items() if fits(number, row)}
            agree(self.listed(query, at), wanted, query, moment)

    def listed(self, query, at):
        """Return the numbers of all pages of a list, each of which stands there once."""
        sort = self.random.choice(["-created", "updated", "priority", "-due", "ticket_id"])
        # Where the limit is the usual one, plans are kept.
        limit = self.random.choice(["&limit=7", ""])
        seen, page = [], f"{query}{limit}&sort={sort}&{at}"
        while page:
            answer = self.http.get(f"/tickets?{page}")
            seen += [row["ticket_id"] for row in answer.json]
            page = answer.next
        agree(len(seen), len(set(seen)), "twice", query)
        return set(seen)

    def questions(self, state):
        """Return {query: (number, row) → whether it is found}."""

        def said(number):
            return {row["author"] for row in state.comments.values() if row["ticket_id"] == number}

        def blocked(number):
            ends = (link for link in state.ends(number) if link[1:] == ("blocks", number))
            return any(state.open(state.tickets[link[0]]["status"]) for link in ends)

        made = {
            "status=open,active": lambda number, row: row["status"] in ("open", "active"),
            "open=true": lambda number, row: state.open(row["status"]),
            "open=false&priority=high,urgent": lambda number, row: not state.open(row["status"]) and row["priority"] in ("high", "urgent"),
            "unassigned=true": lambda number, row: row["assignee"] is None,
            "assignee=!bob": lambda number, row: row["assignee"] != "bob",
            "reporter=alice": lambda number, row: row["reporter"] == "alice",
            "label=fire,tea": lambda number, row: bool({"fire", "tea"} & set(row["labels"])),
            "label=!net": lambda number, row: "net" not in row["labels"],
            "fields.n=2": lambda number, row: row["fields"].get("n") == 2,
            "due_before=2025-01-01": lambda number, row: (row["due"] or "9") < "2025",
            "overdue=true": lambda number, row: (row["due"] or "9") < "2025" and state.open(row["status"]),
            "commented_by=alice": lambda number, row: "alice" in said(number),
            "blocked=true": lambda number, row: blocked(number),
            "blocked=false": lambda number, row: not blocked(number),
        }  # fmt: skip
        for word in ("printer", "main", "main.py"):
            made[f"q={quote(word)}"] = lambda number, row, word=word: word in state.words(number)
        made["q=tea+-fire"] = lambda number, row: (
            "tea" in state.words(number) and "fire" not in state.words(number)
        )
        made["q=printer&open=true"] = lambda number, row: (
            "printer" in state.words(number) and state.open(row["status"])
        )
        return made

    def check_changes(self, first, second):
        """What /changes and changes_between() tell of two moments is what the model knows."""
        (since, then, _), (until, now, _) = self.moments[first], self.moments[second]
        wanted = changed(then, now)
        self.add_closed(wanted, first, second)
        asked = f"/changes?since={quote(since)}&until={quote(until)}&limit=1000"
        rows = self.http.get(asked).json
        agree(len(rows), len(wanted), "changes", since, until)
        for row in rows:
            links = [
                sorted(
                    (link["ticket_id"], link["kind"], link["other_id"])
                    for link in row["links"][way]
                )
                for way in ("added", "removed")
            ]
            found = (row["kind"], row["changes"], row["comments"], links)
            agree(found, wanted.get(row["ticket_id"]), "changes", since, until, row["ticket_id"])
        told = self.sql(
            "SELECT ticket_id, kind, changes, comments FROM changes_between(%s, %s)", since, until
        )
        agree({row["ticket_id"]: (row["kind"], row["changes"], row["comments"]) for row in told},
              {number: each[:3] for number, each in wanted.items()}, "changes_between", since, until)  # fmt: skip

    def add_closed(self, wanted, first, second):
        """Tickets are closed, or open, without being moved where their status was declared so."""
        (_, _, (then, *_)), (_, _, (now, *_)) = self.moments[first], self.moments[second]
        then, now = ({row["ticket_id"]: row["closed"] for row in rows} for rows in (then, now))
        states = [state for _, state, _ in self.moments[first : second + 1]]
        for number in then.keys() & now.keys():
            ways = {state.tickets.get(number, {}).get("status") for state in states}
            if len(ways) == 1 and then[number] != now[number]:
                pair = [each and as_json(each) for each in (then[number], now[number])]
                kind, columns, *more = wanted.get(number, ("changed", {}, 0, [[], []]))
                wanted[number] = (kind, {**columns, "closed": pair}, *more)


def as_json(moment):
    """Return a time as PostgreSQL's JSON has it: without zeros at the end of a fraction."""
    seconds, dot, rest = moment.isoformat().partition(".")
    return f"{seconds}.{rest[:6].rstrip('0')}{rest[6:]}" if dot else seconds


def doors(url):
    """Return both doors of an Iris, whose database DATABASE_URL names, too."""
    from conftest import Http, Sql, describe  # noqa: PLC0415 (starts nothing, but needs pytest)
    from falcon.testing import TestClient  # noqa: PLC0415

    described = describe()
    return Http(TestClient(described.app), described), Sql(url)


def main():
    """Live for some time, and ask; exit status 1 when Iris and the model don't agree."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seed", default=str(time.time_ns() % 1_000_000))
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)

    from iris import embedded  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        server = embedded.Server(folder, options={"fsync": "off"})
        server.start()
        try:
            server.seed()
            os.environ["DATABASE_URL"] = server.url()
            life = Life(given.seed, *doors(server.url()))
            life.run(given.steps)
            print(f"lived: {dict(sorted(life.done.items()))}", flush=True)
            life.check(deep=max(20, given.steps // 20))
        except AssertionError as wrong:
            print(wrong)
            return 1
        finally:
            server.stop()
    print(f"{len(life.moments)} moments are what they were")
    return 0


if __name__ == "__main__":
    sys.exit(main())
