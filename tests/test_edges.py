"""What Iris is like from outside: headers, other origins, TLS."""

import socket
import ssl
import time

import pytest
from conftest import Live, free_port, read_all

from iris import worker
from iris.intake import cross

STRICT = (
    "x-content-type-options: nosniff",
    "x-frame-options: deny",
    "referrer-policy: no-referrer",
    "content-security-policy: default-src 'none'; frame-ancestors 'none'",
    "cache-control: private, no-cache",
)


@pytest.mark.parametrize(
    "path", ["/tickets", "/nothing", "/tickets?format=ndjson", "/events?limit=0"]
)
def test_browsers_are_told_to_be_careful(live, path):
    _, head, _ = live.send("GET", path)
    assert all(line in head.lower() for line in STRICT)


def test_also_of_what_is_no_request(live):
    assert all(line in live.raw(b"nonsense\r\n\r\n").decode().lower() for line in STRICT)


# Other origins ------------------------------------------------------------------------------------

BOARD = "https://board.example.org"


@pytest.fixture
def open_to_board(http, monkeypatch):
    monkeypatch.setattr(cross, "ORIGINS", frozenset([BOARD]))
    return http


def test_pages_of_others_get_nothing(http):
    answer = http.get("/tickets", headers={"Origin": BOARD})
    assert "access-control-allow-origin" not in answer.headers
    assert http.put("/tickets", title="x", headers={"Origin": BOARD}).json["code"] == "cross_origin"
    asked = {"Origin": BOARD, "Access-Control-Request-Method": "PUT"}
    assert "access-control-allow-origin" not in http("OPTIONS", "/tickets", headers=asked).headers


def test_pages_of_an_origin_that_is_named_may(open_to_board):
    asked = {"Origin": BOARD, "Access-Control-Request-Method": "PUT"}
    told = open_to_board("OPTIONS", "/tickets", headers=asked)
    assert told.status == 204
    assert told.headers["access-control-allow-origin"] == BOARD
    assert "PUT" in told.headers["access-control-allow-methods"]
    assert "Authorization" in told.headers["access-control-allow-headers"]
    made = open_to_board.put("/tickets", title="x", headers={"Origin": BOARD})
    assert made.status == 201
    assert made.headers["access-control-allow-origin"] == BOARD
    assert made.headers["vary"] == "Origin, Accept"
    assert "ETag" in made.headers["access-control-expose-headers"]
    # Not with what a browser keeps of its own accord, and a problem is told, too.
    assert "access-control-allow-credentials" not in made.headers
    missing = open_to_board.get("/tickets/99", headers={"Origin": BOARD})
    assert (missing.status, missing.headers["access-control-allow-origin"]) == (404, BOARD)


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", f"{BOARD}.evil.example", f"{BOARD}:444", "null", BOARD.upper()],
)
def test_no_other_one_is_that_one(open_to_board, origin):
    answer = open_to_board.put("/tickets", title="x", headers={"Origin": origin})
    assert answer.json["code"] == "cross_origin"
    assert "access-control-allow-origin" not in answer.headers


# TLS ----------------------------------------------------------------------------------------------


class Tls(Live):
    """A service that speaks TLS, to who trusts its certificate."""

    def __init__(self, url, certificate, **environment):
        self.context = ssl.create_default_context(cafile=certificate[0])
        named = {"IRIS_TLS_CERT": str(certificate[0]), "IRIS_TLS_KEY": str(certificate[1])}
        super().__init__(url, **named, **environment)

    def connect(self):
        return self.context.wrap_socket(super().connect(), server_hostname="localhost")


@pytest.fixture(scope="module")
def tls(server, certificate):
    made = Tls(server.url(), certificate)
    yield made
    made.stop()


def test_all_of_it_by_tls(tls, clean):
    status, _head, _body = tls.send(
        "PUT", "/tickets", b'{"title": "x"}', ["Content-Type: application/json"]
    )
    assert status == 201
    # More than the kernel takes at once, and a stream.
    text = b'{"description": "' + b"x" * 90_000 + b'"}'
    for _ in range(20):
        assert (
            tls.send(
                "PUT",
                "/tickets",
                text.replace(b"{", b'{"title": "y", ', 1),
                ["Content-Type: application/json"],
            )[0]
            == 201
        )
    assert len(tls.send("GET", "/tickets")[2]) > 1_800_000
    assert len(tls.send("GET", "/tickets?format=ndjson")[2]) > 1_800_000
    with tls.connect() as connection:
        assert connection.version() in ("TLSv1.2", "TLSv1.3")
        # Kept, too.
        for _ in range(2):
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: iris\r\n\r\n")
            assert connection.recv(4096).startswith(b"HTTP/1.1 200")


def test_who_does_not_speak_it_or_says_nothing_is_in_nobodys_way(tls):
    silent = [Live.connect(tls) for _ in range(50)]
    with Live.connect(tls) as plain:
        plain.sendall(b"GET /health HTTP/1.1\r\nHost: iris\r\n\r\n")
        assert b"200 OK" not in read_all(plain)
    assert tls.send("GET", "/health")[0] == 200
    for each in silent:
        each.close()


# Many connections ---------------------------------------------------------------------------------


class Wide(Live):
    """A service that listens to others, asked from this machine's own address."""

    def __init__(self, url, here):
        self.here = here
        port = free_port()
        super().__init__(url, IRIS_BIND=f"0.0.0.0:{port}", IRIS_AUTH="token", port=port)

    def connect(self):
        return socket.create_connection((self.here, self.port), timeout=30)


def test_one_address_leaves_room_for_others(server):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Nothing is sent.
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but its own")
        here = probe.getsockname()[0]
    wide = Wide(server.url(), here)
    try:
        held = [wide.connect() for _ in range(worker.MOST_OF_ONE)]
        assert wide.raw(b"GET /health HTTP/1.1\r\nHost: iris\r\nConnection: close\r\n\r\n") == b""
        with Live.connect(wide) as other:
            other.sendall(b"GET /health HTTP/1.1\r\nHost: iris\r\nConnection: close\r\n\r\n")
            assert b"200 OK" in read_all(other)
        for each in held:
            each.close()
        for _ in range(100):
            answer = wide.raw(b"GET /health HTTP/1.1\r\nHost: iris\r\nConnection: close\r\n\r\n")
            if answer:
                break
            time.sleep(0.05)
        assert b"200 OK" in answer
    finally:
        assert "gets no more" in wide.stop()
