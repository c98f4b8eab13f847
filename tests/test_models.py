"""Models and sessions, as somebody uses them who knows SQLAlchemy: tickets from a script."""

import re

import pytest
from conftest import ROOT
from sqlalchemy import exc, func, select, text

from iris.database import ENGINE, SESSION
from iris.models import Comment, Event, Link, Replay, Search, Status, Ticket, Transition


def test_a_ticket_is_filed_changed_and_deleted(server, clean, http):
    with SESSION() as session:
        ticket = Ticket(title="Printer on fire", labels=["b", "a"], fields={"floor": 3})
        session.add(ticket)
        session.commit()
        assert (ticket.ticket_id, ticket.status, ticket.version) == (1, "open", 1)
        assert (ticket.reporter, ticket.priority, ticket.closed) == ("iris", "normal", None)
        assert ticket.created == ticket.updated
        ticket.status = "active"
        ticket.labels.append("c")
        ticket.fields["room"] = "7b"
        session.flush()
        # What the database keeps is read anew at once, not only after the commit.
        assert ticket.version == 2
        assert ticket.updated > ticket.created
        session.commit()
    shown = http.get("/tickets/1").json
    assert (shown["status"], shown["labels"], shown["version"]) == ("active", ["a", "b", "c"], 2)
    assert shown["fields"] == {"floor": 3, "room": "7b"}
    with SESSION.begin() as session:
        session.delete(session.get_one(Ticket, 1))
    assert http.get("/tickets/1").status == 404
    kinds = [event["kind"] for event in http.get("/tickets/1/history").json]
    assert kinds == ["deleted", "changed", "created"]


def test_tickets_comments_and_links_know_each_other(server, clean):
    with SESSION.begin() as session:
        fire, ink = Ticket(title="Printer on fire"), Ticket(title="No ink")
        fire.comments += [
            Comment(author="alice", body="Smoke"),
            Comment(author="bob", body="Coming"),
        ]
        fire.links.append(Link(kind="blocks", other=ink))
        session.add(fire)
    with SESSION() as session:
        fire, ink = session.scalars(select(Ticket).order_by(Ticket.ticket_id))
        assert [comment.body for comment in fire.comments] == ["Smoke", "Coming"]
        assert fire.comments[0].ticket is fire
        assert [link.other for link in fire.links] == [ink]
        assert [link.ticket for link in ink.linked] == [fire]
        assert (fire.linked, ink.links) == ([], [])
        assert [event.kind for event in fire.events] == [
            "created",
            "commented",
            "commented",
            "linked",
        ]
        # Counted by the rules, for comments and links show in a ticket.
        assert (fire.version, ink.version) == (4, 2)
        found = session.scalars(
            select(Ticket).join(Ticket.comments).where(Comment.author == "bob")
        ).all()
        assert found == [fire]


@pytest.mark.parametrize("loaded", [False, True])
def test_what_belongs_to_a_ticket_goes_with_it(server, clean, loaded):
    with SESSION.begin() as session:
        ink = Ticket(title="No ink")
        fire = Ticket(title="Printer on fire", comments=[Comment(body="Smoke")])
        fire.links.append(Link(kind="blocks", other=ink))
        fire.linked.append(Link(kind="relates", ticket=ink))
        session.add(fire)
        session.flush()
        number = fire.ticket_id
    with SESSION.begin() as session:
        fire = session.get_one(Ticket, number)
        if loaded:
            assert (len(fire.comments), len(fire.links), len(fire.linked)) == (1, 1, 1)
        session.delete(fire)
    with SESSION() as session:
        for model in (Comment, Link):
            assert session.scalar(select(func.count()).select_from(model)) == 0
        assert session.scalars(select(Ticket.title)).all() == ["No ink"]


def test_a_comment_is_changed_and_taken_out_of_its_ticket(server, clean):
    with SESSION.begin() as session:
        ticket = Ticket(title="x", comments=[Comment(body="one"), Comment(body="two")])
        session.add(ticket)
    with SESSION.begin() as session:
        ticket = session.scalars(select(Ticket)).one()
        one, two = ticket.comments
        one.body = "first"
        session.flush()
        assert one.updated > one.created
        ticket.comments.remove(two)
    with SESSION() as session:
        assert session.scalars(select(Comment.body)).all() == ["first"]
        kinds = session.scalars(select(Event.kind).order_by(Event.event_id)).all()
        assert kinds[-2:] == ["comment_changed", "comment_deleted"]


def test_the_workflow_is_read_and_changed(server, clean, http):
    with SESSION.begin() as session:
        closed = session.get_one(Status, "closed")
        assert not closed.is_open
        before = {each.to_status for each in closed.transitions}
        waiting = Status(status="waiting", position=99)
        waiting.transitions.append(Transition(to_status="closed"))
        session.add(waiting)
    allowed = http.get("/workflow").json["transitions"]
    assert (set(allowed["closed"]), allowed["waiting"]) == (before, ["closed"])


def test_what_only_the_rules_write_can_be_read(server, clean, http):
    http.put("/tickets", title="Printer on fire", headers={"Idempotency-Key": "k"})
    with SESSION() as session:
        event = session.scalars(select(Event)).one()
        assert (event.kind, event.source, event.changes["title"]) == (
            "created", "http", [None, "Printer on fire"],
        )  # fmt: skip
        words = Search.words.bool_op("@@")(func.to_tsquery("simple", "fire"))
        assert session.scalars(select(Search.ticket_id).where(words)).all() == [event.ticket_id]
        event.actor = "mallory"
        with pytest.raises(exc.ProgrammingError) as caught:
            session.flush()
        assert caught.value.orig.pgcode == "42501"
        session.rollback()
        # What somebody was answered nobody reads, be it a script.
        with pytest.raises(exc.ProgrammingError) as caught:
            session.scalars(select(Replay)).all()
        assert caught.value.orig.pgcode == "42501"


def test_the_rules_hold_for_a_script_too(server, clean):
    with SESSION() as session:
        session.add(Ticket(title="x", status="closed"))
        session.commit()
        session.add(Ticket(title=" "))
        with pytest.raises(exc.IntegrityError, match="title must have 1 to 300") as caught:
            session.flush()
        assert caught.value.orig.diag.column_name == "title"
        session.rollback()
        assert session.scalar(select(func.count()).select_from(Ticket)) == 1


def test_nothing_stays_of_what_was_not_committed(server, clean):
    with SESSION() as session:
        session.add(Ticket(title="x"))
        session.flush()
    with SESSION() as session:
        assert session.scalars(select(Ticket)).all() == []


def test_who_acts_can_be_said(server, clean):
    with SESSION.begin() as session:
        session.execute(select(func.set_config("iris.actor", "alice", True)))
        session.add(Ticket(title="x"))
    with SESSION() as session:
        event = session.scalars(select(Event)).one()
        assert (event.actor, event.source) == ("alice", "python")


def test_a_session_leaves_no_connection_behind(server, clean, sql):
    count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'python'"
    with SESSION() as session:
        session.execute(text("SELECT 1"))
        assert sql.one(count)["count"] == 1
    for _ in range(100):
        if sql.one(count)["count"] == 0:
            break
    assert sql.one(count)["count"] == 0
    assert ENGINE.pool.status() == "NullPool"


def test_the_readmes_script_works(server, clean, http, ticket):
    (script,) = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(), re.DOTALL
    )
    assert len(script.splitlines()) <= 8
    number = ticket()
    http.put(f"/tickets/{number}", status="resolved")
    exec(compile(script, "python.md", "exec"), {})
    shown = http.get(f"/tickets/{number}").json
    assert (shown["status"], len(shown["comments"])) == ("closed", 1)
