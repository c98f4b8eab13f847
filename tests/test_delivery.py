"""Hooks are told: by a deliverer of its own, over real sockets, to receivers that keep what they are sent."""

import contextlib
import ipaddress
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from datetime import datetime, timedelta

import certificates
import psycopg2
import pytest
import relay
import standardwebhooks
import warm
from conftest import LATER, ROOT
from receivers import Receiver

from iris import models
from iris.delivery import addresses, courier, web
from iris.delivery.message import Message
from iris.doctor import findings, inside


class Deliverer:
    """`iris deliver`, allowed to speak to this machine.

    log:      a file for what it says, if that is asked for.
    """

    def __init__(self, url, log=None, **environment):
        self.process = warm.start(
            ["-P", "-m", "iris.cli", "deliver"],
            env={**os.environ, "DATABASE_URL": url, "IRIS_HOOKS_INSIDE": "127.0.0.1", "PYTHONPATH": str(ROOT),
                 "PYTHONWARNINGS": "ignore", **environment},
            stderr=log,
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


def until(wanted, seconds=60):
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


def places(receiver, path):
    """Return the positions that came at a path, in their order; where one came again, the first time counts."""
    return list(dict.fromkeys(each["position"] for each in receiver.events(path)))


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
    return (datetime.fromisoformat(at) - timedelta(microseconds=1)).isoformat()


def test_each_filter_finds_what_a_list_of_then_or_before_finds(http, sql, hook, receiver):
    """Hooks that are told as it happens, and those that are told of all of it much later, alike."""
    for path, filter_ in FILTERS.items():
        hook(path, **filter_)
    first = http.get("/events?after=0").json[-1]["position"]
    a_life(http, sql)
    for path, filter_ in FILTERS.items():
        hook("/later" + path, position=first, **filter_)
    end = http.get("/events?after=0&limit=1000").json[-1]["position"]
    until(lambda: min(each["position"] or 0 for each in http.get("/hooks").json) >= end - 1)
    for path, filter_ in FILTERS.items():
        wanted = [place for place in expected(http, filter_) if place > first]
        assert places(receiver, "/later" + path) == wanted, (path, filter_)
        live = [place for place in places(receiver, path) if place > first]
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


def test_a_ticket_around_an_event_is_what_it_was_then_and_before(http, sql):
    """Whether or not the past is written down by then, and with several things at one time."""
    a_life(http, sql)
    sql("SELECT undo(event_id => max(event_id)) FROM events WHERE kind = 'deleted'")
    sql("INSERT INTO links VALUES (3, 'relates', 1), (2, 'relates', 3)")
    around = """
        SELECT event_id, moment, to_jsonb(ticket) AS ticket FROM events AS event CROSS JOIN LATERAL ticket_around(event)
            ORDER BY event_id, moment"""
    plain = """
        SELECT event_id, moment, to_jsonb(ticket) AS ticket FROM events
            CROSS JOIN LATERAL (VALUES (at), (at - interval '1 microsecond')) AS ends(moment)
            CROSS JOIN LATERAL ticket_as_of(ticket_id, moment) AS ticket ORDER BY event_id, moment"""
    found = sql(around)
    assert len(found) > 30 and found == sql(plain)
    sql("SELECT write_past()")
    assert sql(around) == found == sql(plain)


def row(http, number=1):
    return http.get(f"/hooks/{number}").json


def test_who_fails_is_tried_again_and_in_order(http, sql, hook, receiver):
    receiver.answers = lambda number, path: (
        (500, {}, b"out of\ncoffee\0") if number == 1 else (200, {}, b"")
    )
    hook()
    sql("INSERT INTO tickets (title) VALUES ('first'), ('second')")
    waits = until(lambda: row(http)["next_try"] and row(http))
    assert (waits["tried"], waits["state"]) == (1, "active")
    assert waits["reason"] == "500 Internal Server Error: out of coffee"
    (span,) = sql.one(
        "SELECT extract(epoch FROM next_try - clock_timestamp())::float8 AS it FROM hooks"
    ).values()
    assert 0 < span <= 30
    assert len(receiver.tries) == 1
    # Who says so themselves need not wait.
    sql("UPDATE hooks SET state = 'active'")
    until(lambda: len(receiver.received) == 2)
    assert [each["ticket_id"] for each in receiver.events()] == [1, 2]
    (_, first, body), (_, again, same) = receiver.tries[:2]
    assert (first["webhook-id"], body) == (again["webhook-id"], same)
    until(lambda: row(http)["reason"] is None)


@pytest.mark.parametrize(
    ("status", "header"), [(429, "600"), (503, "Fri, 31 Dec 2999 23:59:59 GMT")]
)
def test_who_asks_for_time_gets_it(http, sql, hook, receiver, status, header):
    receiver.answers = lambda number, path: (status, {"Retry-After": header}, b"")
    hook()
    sql("INSERT INTO tickets (title) VALUES ('first')")
    until(lambda: row(http)["next_try"])
    (span,) = sql.one(
        "SELECT extract(epoch FROM next_try - clock_timestamp())::float8 AS it FROM hooks"
    ).values()
    assert 500 < span <= 86_400


def test_a_redirect_is_a_failure_and_is_not_followed(http, sql, hook, receiver):
    receiver.answers = lambda number, path: (307, {"Location": "/elsewhere"}, b"")
    hook()
    sql("INSERT INTO tickets (title) VALUES ('first')")
    until(lambda: row(http)["next_try"])
    assert [path for path, _, _ in receiver.tries] == ["/"]


def test_who_is_gone_is_told_nothing_any_more(http, sql, hook, receiver):
    receiver.answers = lambda number, path: (410, {}, b"moved away")
    hook()
    sql("INSERT INTO tickets (title) VALUES ('first'), ('second')")
    until(lambda: row(http)["state"] == "disabled")
    assert row(http)["reason"] == "410 Gone: moved away"
    last = http.get("/events").json[0]
    assert (last["kind"], last["source"]) == ("hook_changed", "deliver")
    assert last["changes"]["state"] == ["active", "disabled"]
    # Whoever mends it goes on where it was.
    receiver.answers = lambda number, path: (200, {}, b"")
    http.put("/hooks/1", state="active")
    until(lambda: len(receiver.received) >= 2)
    assert [each["ticket_id"] for each in receiver.events()][:2] == [1, 2]


@pytest.mark.parametrize("on_failure", ["park", "stop"])
def test_after_the_last_try_it_goes_on_or_stops_as_the_hook_says(
    http, sql, owner, hook, receiver, on_failure
):
    receiver.answers = lambda number, path: (500, {}, b"") if number <= 2 else (200, {}, b"")
    hook(on_failure=on_failure)
    sql("INSERT INTO tickets (title) VALUES ('first'), ('second')")
    until(lambda: row(http)["next_try"])
    # As if three days had passed.
    with owner.cursor() as cursor:
        cursor.execute("UPDATE hooks SET tried = %s, next_try = now()", (courier.TRIES - 1,))
    if on_failure == "stop":
        until(lambda: row(http)["state"] == "stopped")
        assert row(http)["reason"] == "given up after 10 tries: 500 Internal Server Error"
        return
    until(lambda: receiver.received)
    assert [each["ticket_id"] for each in receiver.events()] == [2]
    (parked,) = until(lambda: http.get("/hooks/1/deliveries?outcome=parked").json)
    assert (parked["tried"], parked["status"]) == (10, 500)


def test_ten_tries_take_three_days(server):
    assert courier.TRIES == 10
    assert 2.7 * 86_400 < sum(courier.PAUSES) < 3.3 * 86_400
    assert courier.PAUSES[0] * (1 + courier.JITTER) < 30
    assert list(courier.PAUSES) == sorted(courier.PAUSES)


def test_set_back_everything_comes_again_as_the_same_messages(http, sql, hook, receiver):
    hook(kind="created")
    sql("INSERT INTO tickets (title) VALUES ('first'), ('second')")
    until(lambda: len(receiver.received) == 2)
    until(lambda: row(http)["position"] == 3)
    sql("UPDATE hooks SET position = 2")
    until(lambda: len(receiver.received) >= 3)
    http.put("/hooks/1", position=1)
    until(lambda: len(receiver.received) >= 5)
    ids = [headers["webhook-id"] for _, headers, _ in receiver.received]
    assert ids[2] == ids[1] and ids[3:5] == ids[:2]
    assert receiver.received[3][2] == receiver.received[0][2]


def test_while_a_secret_rotates_both_are_good(http, sql, hook, receiver):
    first = hook()["secret"]
    second = http.put("/hooks/1", secret="new").json["secret"]
    sql("INSERT INTO tickets (title) VALUES ('first')")
    until(lambda: any(each["kind"] == "created" for each in receiver.events()))
    _, headers, body = receiver.received[-1]
    headers = {name.lower(): value for name, value in headers.items()}
    for secret in (first, second):
        standardwebhooks.Webhook(secret).verify(body, headers)
    assert len(headers["webhook-signature"].split()) == 2
    with pytest.raises(standardwebhooks.webhooks.WebhookVerificationError):
        standardwebhooks.Webhook("whsec_" + "QUJD" * 8).verify(body, headers)


@pytest.mark.parametrize(
    "given",
    [
        {"description": "é" * 100_000},
        {"description": "\x01" * 100_000, "labels": ["\x02" * 49 + chr(97 + n) for n in range(20)]},
        {
            "fields": {f"{n:04}": 0.001 for n in range(900)},
            "labels": [f"{n:02}" + "日" * 48 for n in range(50)],
        },
    ],
)
def test_a_body_is_below_twenty_kilobytes_and_says_so_where_it_was_cut(http, hook, receiver, given):
    hook()
    assert http.put("/tickets", title="Long", **given).status == 201
    http.put("/tickets/1/comments", body="x" * 100_000)
    until(lambda: len(receiver.received) == 2)
    for _, headers, body in receiver.received:
        assert len(body) == int(headers["Content-Length"]) < 20_000
        told = json.loads(body)
        assert told["data"]["ticket"]["title"] == "Long"
        assert "cut" in told
    assert receiver.events()[1]["changes"]["body"][1].endswith("…")


def test_one_that_is_dead_delays_no_other(http, sql, hook, receiver):
    """Nor does one whose row somebody has locked, nor one whose filter means nothing any more."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for number in range(3):
            hook_of_silence = f"http://127.0.0.1:{silent.getsockname()[1]}/{number}"
            http.put("/hooks", url=hook_of_silence)
        hook("/lives")
        sql("INSERT INTO statuses (status, position) VALUES ('asleep', 9)")
        hook("/asleep", status="asleep")
        sql("DELETE FROM statuses WHERE status = 'asleep'")
        hook("/locked")
        other = psycopg2.connect(sql.url)
        with other.cursor() as cursor:
            cursor.execute("UPDATE hooks SET on_failure = 'stop' WHERE url LIKE '%/locked'")
            sql("INSERT INTO tickets (title) VALUES ('first')")
            until(
                lambda: [each for each in receiver.events("/lives") if each["kind"] == "created"],
                15,
            )
            assert not receiver.events("/locked")
        other.commit()
        other.close()
        until(lambda: [each for each in receiver.events("/locked") if each["kind"] == "created"])
        (asleep,) = until(lambda: http.get("/hooks?state=stopped").json)
        assert asleep["reason"] == 'its filter means nothing: there is no status "asleep"'
        assert http.delete("/hooks/1").status == 204


def test_it_goes_on_where_another_was_killed(http, sql, owner, server, hook, receiver):
    def holders():
        return [each["holder"] for each in sql("SELECT holder FROM hooks WHERE holder IS NOT NULL")]

    for number in range(3):
        hook(f"/{number}", kind="created")
    other = Deliverer(server.url())
    try:
        mine = f" {other.process.pid} "
        for _ in range(40):
            # Whoever looks first has them.
            sql("INSERT INTO tickets (title) VALUES ('one of many')")
            if any(mine in holder for holder in until(holders)):
                break
            until(lambda: not holders())
        other.stop(signal.SIGKILL)
        assert any(mine in holder for holder in holders())
        owner.cursor().execute(LATER)
        sql("INSERT INTO tickets (title) VALUES ('last')")
        for number in range(3):
            path = f"/{number}"
            # None, where it was killed before it had told anything.
            until(
                lambda path=path: [
                    each
                    for each in receiver.events(path)[-1:]
                    if each["changes"]["title"][1] == "last"
                ]
            )
            came = places(receiver, path)
            assert came == sorted(came)
            assert len(came) == len(places(receiver, "/0"))
        until(lambda: not holders())
    finally:
        other.process.kill()


# Nobody's inside ------------------------------------------------------------------------------------

INSIDE = (
    "127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.5.5", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
    "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "::1", "::", "fe80::1", "fc00::1",
    "fec0::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1", "2002:7f00:1::1", "::127.0.0.1", "2001:db8::1", "2001:0:1:1:1:1:80ff:fffe",
)  # fmt: skip
OUTSIDE = ("93.184.215.14", "1.1.1.1", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101")


def test_which_addresses_are_inside(server):
    for text in INSIDE:
        assert addresses.is_inside(ipaddress.ip_address(text)), text
    for text in OUTSIDE:
        assert not addresses.is_inside(ipaddress.ip_address(text)), text


@pytest.fixture
def looked_up(monkeypatch):
    """Return a function: let names be looked up as these addresses, one after the other."""

    def let(*texts):
        asked = []

        def look(host, port, **more):
            asked.append(host)
            where = texts[min(len(asked), len(texts)) - 1]
            family = socket.AF_INET6 if ":" in where else socket.AF_INET
            return [
                (
                    family,
                    socket.SOCK_STREAM,
                    6,
                    "",
                    (where, port) if family == socket.AF_INET else (where, port, 0, 0),
                )
            ]

        monkeypatch.setattr(addresses.socket, "getaddrinfo", look)
        return asked

    return let


MESSAGE = Message(
    "iris_1_1_ab", 1, "created", "alice", "{}", ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",)
)


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::1", "169.254.169.254", "::ffff:127.0.0.1", "10.1.2.3"]
)
def test_a_name_that_leads_inside_is_never_connected_to(looked_up, monkeypatch, address):
    looked_up(address)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        for name in ("example.org", "127.0.0.1", "[::1]", "2130706433", "0x7f.1"):
            answer = web.Receiver(f"http://{name}:{listener.getsockname()[1]}/").send(MESSAGE)
            assert (answer.accepted, "which is inside" in answer.words) == (False, True), answer
        with pytest.raises(TimeoutError):
            listener.accept()


def test_a_name_that_leads_elsewhere_at_the_second_look_leads_nowhere(looked_up, monkeypatch):
    """It is looked up once for a connection, and what was found is what is connected to."""
    monkeypatch.setenv("IRIS_HOOKS_INSIDE", "127.0.0.2")
    asked = looked_up("127.0.0.2", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as inner:
        inner.settimeout(0.2)
        outer = Receiver(host="127.0.0.2", port=inner.getsockname()[1])
        outer.answers = lambda number, path: (200, {"Connection": "close"}, b"")
        to = web.Receiver(f"http://example.org:{outer.port}/")
        assert to.send(MESSAGE).accepted
        assert asked == ["example.org"]
        again = to.send(MESSAGE)
        assert (again.accepted, asked) == (False, ["example.org"] * 2)
        assert "example.org is 127.0.0.1, which is inside" in again.words
        with pytest.raises(TimeoutError):
            inner.accept()
        assert len(outer.received) == 1
        outer.close()


def test_by_tls_the_name_is_what_is_certified(looked_up, monkeypatch, certificate):
    monkeypatch.setenv("IRIS_HOOKS_INSIDE", "127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    looked_up("127.0.0.1")
    secure = Receiver(certificate=certificate)
    assert web.Receiver(f"https://localhost:{secure.port}/a?b=c d").send(MESSAGE).accepted
    assert secure.received[0][0] == "/a?b=c%20d"
    assert "certificate" in web.Receiver(f"https://example.org:{secure.port}/").send(MESSAGE).words
    secure.close()


@pytest.mark.parametrize("wrong", ["expired", "another's", "untrusted", "no TLS"])
def test_a_certificate_that_does_not_fit_is_told_and_nothing_is_sent(
    looked_up, monkeypatch, authority, certificate, wrong
):
    monkeypatch.setenv("IRIS_HOOKS_INSIDE", "127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    looked_up("127.0.0.1")
    pair, said = {
        "expired": (authority.certify("example.org", certificates.PAST), "certificate has expired"),
        "another's": (authority.certify("example.com"), "not valid for 'example.org'"),
        "untrusted": (certificate, "self-signed certificate"),
        "no TLS": (None, "TLS failed: "),
    }[wrong]
    made = Receiver(certificate=pair)
    answer = web.Receiver(f"https://example.org:{made.port}/").send(MESSAGE)
    made.close()
    assert answer.words.startswith("its certificate is not to be trusted: " if pair else said)
    assert said in answer.words.replace("self signed", "self-signed")
    assert (answer.accepted, answer.status, answer.gone, made.tries) == (False, None, False, [])


def test_the_name_is_asked_for_by_tls_and_the_checked_address_is_connected_to(
    looked_up, monkeypatch, authority
):
    """One address may be many names', of which each has its own certificate."""
    monkeypatch.setenv("IRIS_HOOKS_INSIDE", "127.0.0.2")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    # Whoever looks a second time is led elsewhere.
    asked, names = looked_up("127.0.0.2", "127.0.0.1"), []
    made = Receiver(host="127.0.0.2", certificate=authority.certify("example.com"))
    other = certificates.context(authority.certify("example.org"))

    def choose(connection, name, context):
        names.append(name)
        connection.context = other

    made.server.socket.context.sni_callback = choose
    assert web.Receiver(f"https://example.org:{made.port}/").send(MESSAGE).accepted
    made.close()
    assert (asked, names, len(made.received)) == (["example.org"], ["example.org"], 1)


def test_deliveries_say_what_is_wrong_with_a_certificate(http, sql, deliverer, authority):
    secure = Receiver(certificate=authority.certify("localhost"))
    http.put("/hooks", url=f"https://127.0.0.1:{secure.port}/")
    sql("INSERT INTO tickets (title) VALUES ('first')")
    until(lambda: row(http)["next_try"])
    (tried,) = http.get("/hooks/1/deliveries").json
    secure.close()
    said = "its certificate is not to be trusted: unable to get local issuer certificate"
    assert (tried["outcome"], tried["status"], tried["answer"]) == ("failed", None, said)
    assert row(http)["reason"] == said


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"", "closed connection"),
        (b"SSH-2.0-OpenSSH\r\n", "SSH-2.0"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 300, "headers"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", None),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense", None),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1_000_000, None),
    ],
)
def test_whatever_is_answered_is_no_more_than_an_answer(monkeypatch, sent, said):
    monkeypatch.setenv("IRIS_HOOKS_INSIDE", "127.0.0.1")

    def serve(listener):
        for _ in range(2):
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                connection.recv(65536)
                connection.sendall(sent)
                connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        answer = web.Receiver(f"http://127.0.0.1:{listener.getsockname()[1]}/").send(MESSAGE)
    assert answer.accepted == (said is None), answer
    assert said is None or said in answer.words
    assert len(answer.words) <= 300


# What docs/hooks.md says ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["slack", "matrix", "ci"])
def test_a_relay_passes_on_what_others_want(http, sql, hook, receiver, kind):
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    between = relay.serve(0, kind, f"{receiver.url}/there?token=x", secret)
    threading.Thread(target=between.serve_forever, args=(0.05,), daemon=True).start()
    port = between.server_address[1]
    http.put("/hooks", url=f"http://127.0.0.1:{port}/", kind="created,changed", secret=secret)
    http.put("/tickets", title="Printer", reporter="alice", actor="alice")
    sql("UPDATE tickets SET priority = 'urgent'")
    until(lambda: len(receiver.received) >= 2)
    (path, _, first), (_, _, second) = receiver.received[:2]
    first, second = json.loads(first), json.loads(second)
    if kind == "ci":
        assert (path, second["data"]["ticket"]["priority"]) == ("/there?token=x", "urgent")
    elif kind == "slack":
        assert first == {"text": "alice created #1 Printer"}
        assert second == {"text": "iris changed #1 Printer: priority normal → urgent"}
    else:
        assert path.startswith("/there/iris_1_") and path.endswith("?token=x")
        assert first == {"msgtype": "m.text", "body": "alice created #1 Printer"}
    # Nobody else is believed.
    request = urllib.request.Request(f"http://127.0.0.1:{port}/", b"{}", {"webhook-id": "x"})
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(request)
    between.shutdown()
    between.server_close()


def test_the_shell_verifies_a_signature_as_the_page_says(hook, http, receiver, tmp_path):
    secret = hook()["secret"]
    http.put("/tickets", title="Drucker – brennt")
    until(lambda: len(receiver.received) >= 1)
    _, headers, body = receiver.received[-1]
    page = (ROOT / "docs" / "hooks.md").read_text()
    lines = re.search(r"\n    expected=.*?esac\n", page, re.DOTALL)[0]
    for change, said in ((b"", "good\n"), (b" ", "forged\n")):
        (tmp_path / "body.json").write_bytes(body + change)
        values = {"id": headers["webhook-id"], "timestamp": headers["webhook-timestamp"],
                  "signature": headers["webhook-signature"], "secret": secret}  # fmt: skip
        done = subprocess.run(
            ["sh", "-c", lines],
            check=False,
            env={**os.environ, **values},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.stdout == said, done


def test_metrics_and_the_doctor_tell_of_hooks(http, sql, hook, receiver):
    def told():
        lines = http.get("/metrics").text.splitlines()
        return dict(line.rsplit(" ", 1) for line in lines if line.startswith("iris_hooks"))

    receiver.answers = lambda number, path: (500, {}, b"")
    hook()
    http.put("/hooks", url="https://example.org/", state="stopped")
    http.put("/tickets", title="first")
    until(lambda: row(http)["next_try"])
    lines = told()
    assert lines['iris_hooks{state="active"}'] == "1.0"
    assert lines['iris_hooks{state="stopped"}'] == "1.0"
    assert lines['iris_hooks{state="disabled"}'] == "0.0"
    assert lines["iris_hooks_failing"] == "1.0"
    assert float(lines["iris_hooks_lag_seconds"]) > 0
    with contextlib.closing(psycopg2.connect(sql.url)) as connection, connection.cursor() as cursor:
        found = list(inside.hooks(findings.Place(cursor, None, 26)))
    assert [each.status for each in found] == ["note", "note"]
    assert found[0].found == "hook 1 was tried 1 time in vain: 500 Internal Server Error"
    assert found[1].found == "hook 2 is stopped"
