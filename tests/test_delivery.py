"""Hooks are told: by a deliverer of its own, over real sockets, to receivers that keep what they are sent."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import standardwebhooks
from conftest import ROOT
from receivers import Receiver

from iris import models


class Deliverer:
    """`iris deliver`, allowed to speak to this machine."""

    def __init__(self, url, **environment):
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "iris.cli", "deliver"],
            env={**os.environ, "DATABASE_URL": url, "IRIS_HOOKS_INSIDE": "127.0.0.1", "PYTHONPATH": str(ROOT),
                 "PYTHONWARNINGS": "ignore", **environment},
        )  # fmt: skip

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(timeout=30)


@pytest.fixture(scope="module")
def deliverer(server):
    made = Deliverer(server.url())
    yield made
    assert made.stop() == 0


@pytest.fixture
def receiver():
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def hook(http, deliverer, receiver):
    """Return a factory of hooks that lead to the receiver: the answer to the PUT, as JSON."""

    def make(path="/", **given):
        answer = http.put("/hooks", {"url": receiver.url + path, **given})
        assert answer.status == 201, answer.text
        return answer.json

    return make


def until(wanted, seconds=20):
    """Wait until something is true; return it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := wanted():
            return found
        time.sleep(0.02)
    raise AssertionError("it did not come")


def test_what_happens_at_either_door_is_told_as_standard_webhooks_has_it(http, sql, hook, receiver):
    made = hook()
    http.put("/tickets", title="By HTTP")
    sql("UPDATE tickets SET title = 'By SQL'")
    until(lambda: len(receiver.received) >= 2)
    keys = standardwebhooks.Webhook(made["secret"])
    for _, headers, body in receiver.received:
        assert headers["Content-Type"] == "application/json"
        told = keys.verify(body, {name.lower(): value for name, value in headers.items()})
        assert told["type"] == told["data"]["event"]["kind"]
    feed = {each["position"]: each for each in http.get("/events?after=0").json}
    assert [each["kind"] for each in receiver.events()] == ["created", "changed"]
    for event in receiver.events():
        assert event == feed[event["position"]]
    first, second = (json.loads(body)["data"]["ticket"] for _, _, body in receiver.received)
    assert (first["title"], second["title"], second["version"]) == ("By HTTP", "By SQL", 2)
    assert len({headers["webhook-id"] for _, headers, _ in receiver.received}) == 2
    tries = until(
        lambda: http.get("/hooks/1/deliveries").json[1:] and http.get("/hooks/1/deliveries").json
    )
    assert [(each["outcome"], each["status"], each["tried"]) for each in tries] == [
        ("accepted", 204, 1)
    ] * 2


FILTERS = {
    "/open": {"status": "open"},
    "/not-bob": {"assignee": "!bob"},
    "/ops": {"label": "ops"},
    "/overdue": {"overdue": True},
    "/q": {"q": "smoke"},
    "/blocked": {"blocked": True},
    "/commented": {"commented_by": "bob"},
    "/mentions": {"mentions": "carol"},
    "/linked": {"linked": 1},
    "/fields": {"fields.n": "5"},
    "/urgent": {"priority": "urgent,high", "open": True},
    "/late": {"due_before": "2020-01-01"},
    "/closed": {"closed_after": "2020-01-01"},
    "/idle": {"idle_over": "1d"},
    "/created": {"kind": ["created"]},
    "/comments": {"kind": "commented,comment_deleted"},
}


def a_life(http, sql):
    """Let some things happen to some tickets, at both doors."""
    for title in ("Printer", "Smoke", "Drill"):
        http.put("/tickets", title=title, reporter="alice", description="x" * 50)
    http.put("/tickets/1", assignee="bob", labels=["ops"], priority="urgent")
    sql("UPDATE tickets SET labels = '{}' WHERE ticket_id = 1")
    sql("INSERT INTO links VALUES (1, 'blocks', 2)")
    http.put("/tickets/2", fields={"n": 5}, due="2019-12-31")
    http.put("/tickets/3/comments", body="ask @carol about the smoke", author="bob")
    http.put("/tickets/1", status="closed")
    http.put("/tickets/2", fields={}, due=None)
    http.put("/workflow", json.loads(http.get("/workflow").text))
    sql("UPDATE tickets SET title = title || '!'")
    http.delete("/tickets/1/links/blocks/2")
    http.delete("/comments/1")
    http.delete("/tickets/2")
    sql(
        "UPDATE tickets SET status = 'open', assignee = 'carol', description = NULL WHERE ticket_id = 1"
    )


def expected(http, filter_):
    """Return the positions whose tickets a filter finds then or before, by asking GET /tickets for both moments."""
    found = []
    kinds = filter_.get("kind")
    kinds = kinds.split(",") if isinstance(kinds, str) else kinds
    query = "&".join(
        f"{name}={str(value).lower()}" for name, value in filter_.items() if name != "kind"
    )
    for event in http.get("/events?after=0&limit=1000").json:
        if kinds is not None and event["kind"] not in kinds:
            continue
        if not query:
            found.append(event["position"])
            continue
        for moment in ("at", "before"):
            at = event["at"] if moment == "at" else before(event["at"])
            tickets = http.get(
                f"/tickets?{query}&as_of={at.replace('+', '%2B')}&columns=ticket_id"
            ).json
            if {"ticket_id": event["ticket_id"]} in tickets:
                found.append(event["position"])
                break
    return found


def before(at):
    """Return the microsecond before a time."""
    from datetime import datetime, timedelta  # noqa: PLC0415

    return (datetime.fromisoformat(at) - timedelta(microseconds=1)).isoformat()


def test_each_filter_finds_what_a_list_of_then_or_before_finds(http, sql, hook, receiver):
    """Hooks that are told as it happens, and those that are told of all of it much later, alike."""
    for path, filter_ in FILTERS.items():
        hook(path, **filter_)
    first = http.get("/events?after=0").json[-1]["position"]
    a_life(http, sql)
    numbers = {
        path: hook("/later" + path, position=first, **filter_)["hook_id"]
        for path, filter_ in FILTERS.items()
    }
    end = http.get("/events?after=0&limit=1000").json[-1]["position"]
    until(lambda: min(each["position"] or 0 for each in http.get("/hooks").json) >= end - 1)
    for path, filter_ in FILTERS.items():
        wanted = [place for place in expected(http, filter_) if place > first]
        told = [each["position"] for each in receiver.events("/later" + path)]
        assert told == wanted, (path, filter_, numbers)
        live = [each["position"] for each in receiver.events(path) if first < each["position"]]
        assert live == wanted, (path, filter_)
    bodies = {}
    for _, _, body in receiver.received:
        place = json.loads(body)["data"]["event"]["position"]
        assert bodies.setdefault(place, body) == body
    for body in bodies.values():
        event, ticket = (json.loads(body)["data"][name] for name in ("event", "ticket"))
        if event["ticket_id"] is None:
            assert ticket is None
            continue
        at = before(event["at"]) if event["kind"] == "deleted" else event["at"]
        then = http.get(f"/tickets/{event['ticket_id']}?as_of={at.replace('+', '%2B')}").json
        assert ticket == {name: then[name] for name in ticket}
        assert list(ticket) == models.Ticket.__table__.c.keys()
