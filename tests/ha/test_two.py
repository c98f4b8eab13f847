"""Two Irises on one database: what one has answered, the other one knows."""

import json
import threading
import time

import pytest
from cluster import Cluster, sql
from conftest import Live
from receivers import Receiver
from test_feed import Reader


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, put_data):
    made = Cluster(tmp_path_factory.mktemp("cluster"), put_data)
    made.follow("one")
    yield made
    made.stop()


@pytest.fixture(scope="module")
def both(cluster):
    made = [Live(cluster.primary.url(), IRIS_READ_URL=cluster.url()) for _ in range(2)]
    yield made
    for each in made:
        each.stop()


def asked(live, method, path, *headers):
    status, head, body = live.send(method, path, headers=headers)
    return status, head.lower(), json.loads(body) if body else None


def at_once(both, ask):
    """Run ask(live) on each of them at once, several times; return what it gave."""
    found = []
    threads = [
        threading.Thread(target=lambda live=live: found.append(ask(live)))
        for live in both
        for _ in range(4)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return found


def test_a_key_is_good_for_one_write_whoever_has_it(cluster, both):
    found = at_once(
        both, lambda live: asked(live, "PUT", "/tickets?title=keyed", "Idempotency-Key: both")
    )
    assert {(status, ticket["ticket_id"]) for status, _, ticket in found} == {
        (201, found[0][2]["ticket_id"])
    }
    assert sum("idempotent-replayed: true" in head for _, head, _ in found) == len(found) - 1
    assert sql(cluster.primary, "SELECT count(*) FROM tickets WHERE title = 'keyed'") == [(1,)]


def test_of_those_who_have_seen_one_version_one_changes_it(both):
    _, _, ticket = asked(both[0], "PUT", "/tickets?title=versioned")
    path = f"/tickets/{ticket['ticket_id']}?priority=high"
    found = at_once(both, lambda live: asked(live, "PUT", path, 'If-Match: "1"')[0])
    assert sorted(found) == [200] + [412] * (len(found) - 1)


def test_a_reader_of_one_hears_of_writes_at_both(cluster, both):
    ((last,),) = sql(cluster.primary, "SELECT count(*) FROM events_after(0, 100000)")
    readers = [Reader(live, 0) for live in both]
    at_once(both, lambda live: [asked(live, "PUT", "/tickets?title=told")[0] for _ in range(5)])
    wanted = last + 5 * 8
    told = [reader.until(lambda found: len(found) >= wanted, 30) for reader in readers]
    assert [place for place, _ in told[0]] == list(range(1, wanted + 1))
    assert told[0] == told[1]
    for reader in readers:
        reader.close()


def test_who_reads_the_feed_at_both_sees_each_event_once_at_one_place(cluster, both):
    """What has no position is given one by whichever is asked first, while both are asked and write."""
    ((last,),) = sql(cluster.primary, "SELECT count(*) FROM events_after(0, 100000)")
    told = at_once(
        both,
        lambda live: [
            asked(live, "PUT", "/tickets?title=placed")[2]["ticket_id"]
            and asked(live, "GET", f"/events?after={last}&limit=500")[2]
            for _ in range(5)
        ],
    )
    seen = [event for pieces in told for piece in pieces for event in piece]
    places = {event["position"]: event["event_id"] for event in seen}
    assert all(places[event["position"]] == event["event_id"] for event in seen)
    assert len(set(places.values())) == len(places)
    found = sql(cluster.primary, "SELECT count(*), max(position) FROM events_after(0, 100000)")
    assert found == [(last + 40, last + 40)]


def test_of_two_who_take_back_the_same_one_does(cluster, both):
    _, _, ticket = asked(both[0], "PUT", "/tickets?title=undone")
    number = ticket["ticket_id"]
    asked(both[1], "PUT", f"/tickets/{number}?assignee=bob")
    ((change,),) = sql(cluster.primary, "SELECT max(change) FROM events")
    found = at_once(both, lambda live: asked(live, "PUT", f"/undo?change={change}")[0])
    assert sorted(found) == [200] + [409] * (len(found) - 1)
    taken = sql(
        cluster.primary,
        "SELECT count(*) FROM events WHERE ticket_id = %s AND undoes IS NOT NULL",
        number,
    )
    assert taken == [(1,)]


def test_a_hook_is_told_once_though_both_deliver(cluster):
    receiver, settings = Receiver(), {"IRIS_DELIVER": "true", "IRIS_HOOKS_INSIDE": "127.0.0.1"}
    both = [Live(cluster.primary.url(), **settings) for _ in range(2)]
    try:
        hook = asked(both[0], "PUT", f"/hooks?url={receiver.url}/&kind=created")
        assert hook[0] == 201
        at_once(both, lambda live: [asked(live, "PUT", "/tickets?title=t")[0] for _ in range(5)])
        ((last,),) = sql(cluster.primary, "SELECT max(position) FROM events_after(0, 100000)")
        deadline = time.monotonic() + 60
        while len(receiver.received) < 40 and time.monotonic() < deadline:
            time.sleep(0.1)
        # Time for what would come twice.
        time.sleep(2)
        told = [event["position"] for event in receiver.events()]
        assert told == list(range(last - 39, last + 1))
        assert both[1].send("DELETE", f"/hooks/{hook[2]['hook_id']}")[0] == 204
    finally:
        for each in both:
            each.stop()
        receiver.close()


def test_each_counts_for_itself_how_often_somebody_asks(cluster):
    """As docs/machines.md says: what is counted by the minute is no database's."""
    both = [Live(cluster.primary.url(), IRIS_AUTH="token", IRIS_RATE="3") for _ in range(2)]
    try:
        ((token,),) = sql(
            cluster.primary, "SELECT add_token('eve', 'reader') ->> 'token'", user="iris"
        )
        header = f"Authorization: Bearer {token}"
        for each in both:
            found = [asked(each, "GET", "/me", header)[0] for _ in range(4)]
            assert found == [200, 200, 200, 429]
    finally:
        for each in both:
            each.stop()


def test_who_is_revoked_at_one_is_refused_at_the_other(cluster):
    both = [Live(cluster.primary.url(), IRIS_AUTH="token") for _ in range(2)]
    try:
        ((admin,), (reader,)) = sql(
            cluster.primary,
            "SELECT add_token(name, role::token_role) ->> 'token' FROM (VALUES ('ada', 'admin'), ('dan', 'reader')) AS them (name, role)",
            user="iris",
        )
        admin, reader = f"Authorization: Bearer {admin}", f"Authorization: Bearer {reader}"
        assert [asked(each, "GET", "/me", reader)[0] for each in both] == [200, 200]
        assert both[0].send("DELETE", "/tokens/dan", headers=[admin])[0] == 204
        deadline = time.monotonic() + 30
        while asked(both[1], "GET", "/me", reader)[0] == 200:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert asked(both[1], "GET", "/me", reader)[0] == 401
    finally:
        for each in both:
            each.stop()


def test_what_one_wrote_the_other_finds_on_a_standby(both):
    for number in range(10):
        assert asked(both[number % 2], "PUT", f"/tickets?title=word{number}")[0] == 201
        _, _, found = asked(both[(number + 1) % 2], "GET", f"/tickets?q=word{number}")
        assert len(found) == 1
