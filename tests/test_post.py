"""Handing mails over: to real mail servers, by TLS with an authority of their own, and to such as do nothing well."""

import contextlib
import os
import re
import smtplib
import socket
import subprocess
import sys
import threading
from email.message import EmailMessage
from email.policy import SMTP

import certificates
import psycopg2
import pytest
from aiosmtpd.smtp import AuthResult
from conftest import ROOT
from mails import Server
from test_delivery import Deliverer, until

from iris.doctor import findings, inside, outside
from iris.mail import post, statuses

HOST, OWN, ALICE = "mail.example.org", "iris@example.org", "alice@example.org"
UNTRUSTED = "its certificate is not to be trusted: "


class Door:
    """Who lets in iris with the password sesame, and counts who has tried."""

    def __init__(self):
        self.tries = 0

    def __call__(self, server, session, envelope, mechanism, data):
        self.tries += 1
        is_right = (data.login, data.password) == (b"iris", b"ses@me")
        return AuthResult(success=is_right, handled=False)


@pytest.fixture
def serve(monkeypatch, authority):
    """Return a factory of mail servers called mail.example.org, whose authority is trusted."""
    made = []
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    monkeypatch.setenv("IRIS_MAIL_FROM", OWN)
    found = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *more, **given: found("127.0.0.1" if host == HOST else host, *more, **given)
    )  # fmt: skip

    def start(url="smtp://{}:{}", host=HOST, pair=None, is_wrapped=False, **more):
        if pair:
            context = certificates.context(pair)
            more |= {"ssl_context": context} if is_wrapped else {"tls_context": context}
        server = Server(**more)
        server.start()
        made.append(server)
        monkeypatch.setenv("IRIS_SMTP_URL", url.format(host, server.port))
        return server

    yield start
    for each in made:
        each.stop()


def letter(name="1"):
    made = EmailMessage(policy=SMTP)
    made["From"], made["To"], made["Subject"] = OWN, ALICE, "Printer on fire"
    made["Message-ID"] = f"<{name}@example.org>"
    made.set_content("Smoke")
    return made


def send(name="1", to=ALICE, by=None):
    by = by or post.Post()
    with contextlib.closing(by):
        return by.send(letter(name), "bounce+1.00@example.org", to)


def test_tls_is_used_where_it_is_offered(serve, authority):
    server = serve(pair=authority.certify(HOST))
    assert send().accepted
    (found,) = server.to(ALICE, 1)
    assert found.is_private and found.sender == "bounce+1.00@example.org"


def test_smtps_begins_with_tls(serve, authority):
    server = serve("smtps://{}:{}", pair=authority.certify(HOST), is_wrapped=True)
    assert send().accepted
    server.to(ALICE, 1)


LOGIN = "smtp://iris:{}@{{}}:{{}}"


@pytest.mark.parametrize(("password", "is_taken"), [("ses%40me", True), ("wrong", False)])
def test_who_is_named_signs_in(serve, authority, password, is_taken):
    door = Door()
    server = serve(
        LOGIN.format(password), pair=authority.certify(HOST), authenticator=door, auth_required=True
    )
    answer = send()
    assert (answer.accepted, answer.gone, door.tries > 0) == (is_taken, False, True)
    assert len(server.handler.letters) == is_taken
    assert is_taken or answer.words == "535 5.7.8 Authentication credentials invalid"


def test_a_password_is_for_nobody_else_to_read(serve):
    """The server has no STARTTLS, or somebody on the way takes it out."""
    door = Door()
    serve(LOGIN.format("ses%40me"), authenticator=door, auth_require_tls=False)
    said = "it offers no STARTTLS, and a password is not sent for all to read"
    assert (send().words, door.tries) == (said, 0)


def test_on_this_machine_tls_is_used_where_nobody_signs_in_without(serve, authority):
    """Whatever its certificate says, for it has no name there."""
    door = Door()
    server = serve(
        LOGIN.format("ses%40me"), host="127.0.0.1", pair=authority.certify(HOST), authenticator=door, auth_required=True
    )  # fmt: skip
    assert send().accepted
    assert server.to(ALICE, 1)[0].is_private
    plain = serve(host="127.0.0.1", pair=authority.certify(HOST))
    assert send("2").accepted
    assert not plain.to(ALICE, 1)[0].is_private


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
@pytest.mark.parametrize("wrong", ["expired", "another's", "untrusted"])
def test_a_certificate_that_does_not_fit_is_told(serve, authority, certificate, scheme, wrong):
    pair, said = {
        "expired": (authority.certify(HOST, certificates.PAST), "certificate has expired"),
        "another's": (authority.certify("mail.example.com"), f"not valid for '{HOST}'"),
        "untrusted": (certificate, "self-signed certificate"),
    }[wrong]
    server = serve(scheme + "://iris:x@{}:{}", pair=pair, is_wrapped=scheme == "smtps")
    answer = send()
    assert answer.words.startswith(UNTRUSTED), answer
    assert said in answer.words.replace("self signed", "self-signed")
    assert (answer.accepted, answer.gone, server.handler.letters) == (False, False, [])


def test_what_a_server_refuses_for_now_goes_later(serve):
    server, by = serve(), post.Post()
    server.handler.refusing["data"] = "451 4.3.0 try again"
    assert by.send(letter(), OWN, ALICE) == (False, "451 4.3.0 try again", 451, None, False)
    server.handler.refusing.clear()
    assert send(by=by).accepted


def test_an_end_in_the_middle_is_a_failure_and_the_same_mail_goes_again(serve):
    server = serve()
    server.handler.refusing["data"] = None
    answer = send()
    assert (answer.accepted, answer.gone) == (False, False)
    assert answer.words == "Connection unexpectedly closed"
    server.handler.refusing.clear()
    assert send().accepted
    (found,) = server.to(ALICE, 1)
    assert (found["Message-ID"], server.handler.tries) == ("<1@example.org>", 2)


def test_one_recipient_that_is_not_there_is_no_matter_of_the_next(serve):
    server, by = serve(), post.Post()
    server.handler.refusing["eve@example.org"] = "550 5.1.1 no such user"
    assert by.send(letter(), OWN, "eve@example.org").gone
    assert by.send(letter(), OWN, ALICE).accepted
    server.handler.refusing["eve@example.org"] = "554 5.7.1 relay access denied"
    assert by.send(letter(), OWN, "eve@example.org")[:2] == (False, "554 5.7.1 relay access denied")
    assert send("2", by=by).accepted


@pytest.mark.parametrize(
    ("code", "words", "gone"),
    [
        (550, "550 5.1.1 no such user", True),
        (550, "550 5.2.1 The email account that you tried to reach is disabled", True),
        (550, "550 5.4.1 Recipient address rejected: Access denied", True),
        (550, "550 unknown user", True),
        (553, "553 sorry, that domain isn't in my list", True),
        (554, "554 5.7.1 Relay access denied", False),
        (550, "550 5.7.26 Unauthenticated email is not accepted due to domain's DMARC policy", False),
        (530, "530 5.7.0 Must issue a STARTTLS command first", False),
        (530, "530 Authentication required", False),
        (552, "552 5.3.4 Message size exceeds fixed limit", False),
        (554, "554 spam", False),
        (450, "450 4.1.1 no such user, perhaps", False),
        (451, "451 greylisted", False),
    ],
)  # fmt: skip
def test_which_refusals_are_about_the_address(code, words, gone):
    assert statuses.is_gone(code, words) == gone


def test_who_says_nothing_is_not_waited_for(serve, monkeypatch):
    monkeypatch.setattr(post, "SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("IRIS_SMTP_URL", f"smtp://127.0.0.1:{silent.getsockname()[1]}")
        assert send().words == "timed out"


def test_what_keeps_mail_is_told_in_the_log_and_by_the_doctor(
    server, http, sql, owner, ticket, serve, authority, tmp_path, request
):
    """Once while it is the same, however many wait; and it goes when that is mended."""
    door, words = Door(), "535 5.7.8 Authentication credentials invalid"
    mails = serve(LOGIN.format("wrong"), "127.0.0.1", pair=authority.certify(HOST), authenticator=door, auth_required=True)  # fmt: skip
    for name in ("alice", "bob"):
        http.put(f"/people/{name}", mail=f"{name}@example.org")
        ticket("Printer on fire", reporter=name)
    with (tmp_path / "log").open("w+") as log:
        made = Deliverer(server.url(), log)
        request.addfinalizer(made.process.kill)
        until(lambda: len(sql("SELECT 1 FROM people WHERE next_try IS NOT NULL")) == 2)
        assert made.stop() == 0
        log.seek(0)
        assert log.read().count(f"mail waits: {words}") == 1
    assert {each["reason"] for each in http.get("/people").json} == {words}
    with contextlib.closing(psycopg2.connect(sql.url)) as connection, connection.cursor() as cursor:
        place = findings.Place(cursor, None, 26)
        found = [*inside.people(place), *outside.mail(place)]
    assert [(each.status, each.found) for each in found] == [
        ("note", f"mail for alice was tried 1 time in vain: {words}"),
        ("note", f"mail for bob was tried 1 time in vain: {words}"),
        ("wrong", f"the mail server takes nothing from Iris: {words}"),
    ]
    port = mails.port
    mended = Deliverer(server.url(), IRIS_SMTP_URL=f"smtp://iris:ses%40me@127.0.0.1:{port}")
    request.addfinalizer(mended.process.kill)
    mails.handler.refusing["bob@example.org"] = "550 5.1.1 no such user"
    with owner.cursor() as cursor:
        cursor.execute("UPDATE people SET next_try = now()")
    (letter_,) = mails.to(ALICE, 1)
    until(lambda: http.get("/people/bob").json["state"] == "bounced")
    assert mended.stop() == 0
    person = http.get("/people/alice").json["person_id"]
    assert re.fullmatch(rf"bounce\+{person}\.[0-9a-f]{{20}}@example\.org", letter_.sender)
    assert http.get("/people/alice").json["state"] == "active"


# As a deliverer has it: with gevent's sockets.
DRIP = """
from gevent import monkey
monkey.patch_all()
from iris.mail import post
import test_post
post.ALL_SECONDS = 1
print(test_post.send().words)
"""


def test_who_says_a_byte_now_and_then_is_not_waited_for_either():
    """Each of them is in time."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip():
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                while True:
                    connection.sendall(b"2")
                    connection.settimeout(0.2)
                    with contextlib.suppress(TimeoutError):
                        connection.recv(1)

        threading.Thread(target=drip, daemon=True).start()
        environment = {
            "IRIS_SMTP_URL": f"smtp://127.0.0.1:{listener.getsockname()[1]}", "IRIS_MAIL_FROM": OWN,
            "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "PYTHONWARNINGS": "ignore",
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", DRIP], check=False, env={**os.environ, **environment}, capture_output=True, text=True, timeout=30
        )  # fmt: skip
    assert done.stdout == "not taken within 1 s\n", done.stderr


@pytest.mark.parametrize("kind", ["nobody", "no mail server", "hangs up"])
def test_who_is_no_mail_server_is_told(serve, monkeypatch, kind):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setenv("IRIS_SMTP_URL", f"smtp://127.0.0.1:{listener.getsockname()[1]}")
        if kind == "nobody":
            listener.close()
        else:

            def answer():
                connection, _ = listener.accept()
                connection.sendall(b"SSH-2.0-OpenSSH\r\n" if kind == "no mail server" else b"")
                connection.close()

            threading.Thread(target=answer, daemon=True).start()
        found = send()
    assert not found.accepted and not found.gone
    assert found.words, found


def test_words_of_an_error_are_a_line():
    said = smtplib.SMTPAuthenticationError(535, b"5.7.8 Bad\r\n\x1b[31mcredentials")
    assert post.words_of(said) == "535 5.7.8 Bad [31mcredentials"
