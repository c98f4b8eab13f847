"""What the fuzzer sends, a little of it: no answer is a 5xx, another's, or what it does not say it is."""

import fuzz
import psycopg2
import pytest
import replay
import rubbish
from conftest import Live


def test_whatever_is_sent_gets_the_answer_it_deserves(live, http, sql, owner, server):
    told = []
    fuzzer = fuzz.Fuzzer(live.port, server.url(), seed="ci", say=told.append)
    assert fuzzer.run(400, threads=2) == 0, "\n".join(told)
    assert fuzzer.done >= 400
    # Most of it gets past the first check, and some past all of them.
    assert {200, 201, 204, 400, 404, 422} <= fuzzer.statuses.keys()
    with owner.cursor() as cursor:
        assert replay.differences(cursor) == []


def test_whoever_comes_in_by_a_token_gets_it_too(http, server, owner):
    tokens, told = fuzz.tokens_of(server.url()), []
    guarded = Live(server.url(), IRIS_AUTH="token")
    try:
        fuzzer = fuzz.Fuzzer(guarded.port, None, "ci", told.append, tokens)
        assert fuzzer.run(300, threads=2) == 0, "\n".join(told)
    finally:
        assert "Traceback" not in guarded.stop()
    assert {200, 201, 401, 403, 404, 422} <= fuzzer.statuses.keys()
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


class Five(fuzz.World):
    """A world of five tickets, of which there is nothing more to know."""

    def __init__(self):
        self.cursors, self.largest, self.tokens = [], 5, ()


@pytest.mark.parametrize("seed", range(5))
def test_both_doors_say_the_same_of_any_rows(http, sql, seed):
    sql("INSERT INTO tickets (title) SELECT 'x' FROM generate_series(1, 5)")
    some, told = rubbish.Some(f"doors/{seed}", Five()), set()
    for _ in range(60):
        some.malice = some.of((0, 0.05, 0.2, 0.5))
        rows = [
            some.json() if some.wilful(0.1) else some.document([*rubbish.COLUMNS, "titel"])
            for _ in range(some.of((0, 1, 2, 4)))
        ]
        body = f"[{','.join(rows)}]".encode("utf-8", "surrogatepass")
        answer = http(
            "PUT", "/tickets?dry_run=true", raw=body, headers={"Content-Type": "application/json"}
        )
        told.add(answer.status)
        if answer.status == 400 and answer.json["code"].startswith("malformed"):
            continue
        try:
            sql("SELECT put_tickets(%s, true)", body.decode())
        except psycopg2.Error as error:
            # What JSON can spell and no text can be, PostgreSQL refuses before anybody calls it a row.
            if error.pgcode in ("22P02", "22P05"):
                assert answer.status == 422
            else:
                assert error.diag.message_primary == answer.json["detail"], body
        else:
            assert answer.status == 200, (body, answer.text)
    assert {200, 422} <= told
