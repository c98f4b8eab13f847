"""What the fuzzer sends, a little of it: no answer is a 5xx, another's, or what it does not say it is."""

import fuzz
import replay


def test_whatever_is_sent_gets_the_answer_it_deserves(live, http, sql, owner, server):
    told = []
    fuzzer = fuzz.Fuzzer(live.port, server.url(), seed="ci", say=told.append)
    assert fuzzer.run(400, threads=2) == 0, "\n".join(told)
    assert fuzzer.done >= 400
    # Most of it gets past the first check, and some past all of them.
    assert {200, 201, 204, 400, 404, 422} <= fuzzer.statuses.keys()
    with owner.cursor() as cursor:
        assert replay.differences(cursor) == []


def test_it_knows_the_routes_and_parameters_from_outside(live, http):
    world = fuzz.World(live.port)
    assert ("PUT", "/tickets/{ticket_id}/links/{kind}/{other_id}") in world.routes
    assert {"status", "cursor", "due_before"} < set(world.known["GET", "/tickets"])
    assert world.codes["no_such_ticket"] == {404}


def test_what_it_tells_sends_the_same_once_more():
    data = b'PUT /x HTTP/1.1\r\n\r\n{"a": "' + b"b'c" * 500 + '漢"}\\n'.encode()
    spelled = fuzz.spelled(data)
    assert eval(spelled) == data
    assert len(spelled) < 200
