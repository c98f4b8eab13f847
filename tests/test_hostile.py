"""However requests are garbled: none is answered with another's answer."""

import hostile
import pytest
from wire import Connection, request

MARKERS = ["one", "two"]


@pytest.mark.parametrize("case", hostile.CASES)
def test_no_request_is_answered_with_anothers_answer(live, http, sql, case):
    data, expected = hostile.CASES[case]
    with Connection(live.port) as connection:
        connection.send(data)
        connection.half_close()
        answers = connection.answers(*(["HEAD"] if case.endswith("HEAD") else []))
    markers = [answer.marker for answer in answers]
    # What is refused before it is understood has no marker, and ends the connection.
    known = [marker for marker in markers if marker in MARKERS]
    assert known == MARKERS[: len(known)]
    assert "smuggled" not in markers, [answer.head for answer in answers]
    assert len(answers) <= max(expected, 1)
    if expected == 2 and len(answers) < 2:
        # Whose body nobody has read.
        assert answers[0].headers["connection"] == "close"
        assert answers[0].status == 413 or case.startswith("chunks")
    elif expected == 2:
        assert markers == MARKERS
        assert answers[1].json in ([], answers[1].json[:1])
    for answer in answers:
        assert answer.status < 500 or answer.status == 501
        if answer.status >= 400 and answer.body:
            assert answer.kind == "application/problem+json"
            assert answer.json["status"] == answer.status
    assert len(sql("TABLE tickets")) <= 1


def test_a_connection_is_good_after_each_kind_of_refusal(live, http):
    """One after the other on one connection, as long as Iris keeps it."""
    refused = [
        ("GET", "/nothing", 404),
        ("GET", "/tickets/77", 404),
        ("DELETE", "/workflow", 405),
        ("GET", "/tickets?limit=0", 422),
        ("GET", "/tickets?a=1&a=2", 400),
        ("GET", "/tickets?nothing=1", 400),
        ("GET", "/tickets?format=nothing", 406),
        ("PUT", "/tickets", 422),
    ]
    with Connection(live.port) as connection:
        for number, (method, path, status) in enumerate(refused * 3):
            connection.send(request(method, path, f"refused-{number}"))
            answer = connection.answer(method)
            assert (answer.status, answer.marker) == (status, f"refused-{number}")
            connection.send(request("GET", "/health", f"fine-{number}"))
            answer = connection.answer()
            assert (answer.status, answer.marker) == (200, f"fine-{number}")


def test_what_is_no_request_is_told_whole_in_any_letters(live):
    with Connection(live.port) as connection:
        connection.send('GET /tickets?q="ä€" HTTP/1.1\r\nHost: iris\r\n\r\n'.encode())
        answer = connection.answer()
        assert (answer.status, answer.json["code"]) == (400, "malformed_request")


def test_a_hundred_at_once_are_answered_in_order(live, http):
    markers = [f"request-{number}" for number in range(100)]
    with Connection(live.port) as connection:
        for marker in markers:
            connection.send(request("GET", f"/tickets/{marker[8:]}", marker))
        for marker in markers:
            answer = connection.answer()
            assert (answer.marker, answer.json["request_id"]) == (marker, marker)


@pytest.mark.parametrize("accept", ["text/plain", "text/html", "application/json"])
@pytest.mark.parametrize(
    "body, refused, words",
    [
        (rb'{"\ud800": 1}', 400, b"is unknown here"),
        (rb'[{"title": "x", "\udc00y": 1}]', 422, b"half a surrogate pair"),
        (rb'{"title": "\ud800"}', 422, b"half a surrogate pair"),
    ],
)
def test_what_is_in_no_encoding_is_refused_in_any_form(live, accept, body, refused, words):
    kind = ["Content-Type: application/json", f"Accept: {accept}"]
    status, _, answer = live.send("PUT", "/tickets", body, kind)
    assert status == refused and words in answer
