"""Mail comes in: `iris mail` reads one from an MTA's pipe, and ends as MTAs understand."""

import os
import re
from email.message import EmailMessage
from email.policy import SMTP

import pytest
import warm
from conftest import ALICE, ROOT

OWN = "iris@example.org"
TAKEN, DATA, LATER, NOT_PERMITTED, CONFIG = 0, 65, 75, 77, 78


@pytest.fixture
def pipe(server, http):
    """Return a function that has `iris mail` read bytes: (status, what it said). alice@example.org is alice."""
    http.put("/people/alice", mail="alice@example.org")

    def send(data, *words, **environment):
        done = warm.run(
            ["-P", "-m", "iris.cli", "mail", *words],
            given=data,
            env={**os.environ, "DATABASE_URL": server.url(), "IRIS_MAIL_FROM": OWN, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore", **environment},
        )  # fmt: skip
        assert b"Traceback" not in done.stderr, done.stderr
        return done.returncode, done.stderr.decode()

    return send


def letter(text="Smoke", subject="Printer on fire", to=OWN, html=None, **headers):
    made = EmailMessage(policy=SMTP)
    made["From"], made["To"], made["Subject"] = "Alice <Alice@Example.org>", to, subject
    made["Message-ID"] = "<1@example.org>"
    if text is not None:
        made.set_content(text)
    if html:
        (made.add_alternative if text is not None else made.set_content)(html, subtype="html")
    for key, value in headers.items():
        name = key.replace("_", "-")
        del made[name]
        made[name] = value
    return made


@pytest.fixture
def to_reply(http, sql, owner, ticket):
    """File a ticket; return the address that replies of alice go to."""
    number = ticket("Printer on fire", reporter="bob")

    def make(number=number, name=ALICE):
        with owner.cursor() as cursor:
            cursor.execute(
                "SELECT person_id, sealed(person_id, 'reply ' || %s) FROM people WHERE name = %s",
                (number, name),
            )
            person, seal = cursor.fetchone()
        return f"reply+{number}.{person}.{seal}@example.org"

    return make


def test_a_new_mail_files_a_ticket_once(pipe, http):
    data = letter("It smokes.\n\nPlease come\n\n-- \nAlice\nExample Ltd.").as_bytes()
    assert pipe(data) == (TAKEN, "iris: ticket 1 filed by alice\n")
    assert pipe(b"Received: from somewhere\r\n" + data)[0] == TAKEN
    (found,) = http.get("/tickets").json
    assert (found["title"], found["reporter"]) == ("Printer on fire", ALICE)
    assert found["description"] == "It smokes.\n\nPlease come"
    (event,) = http.get("/events").json
    assert (event["actor"], event["source"]) == (ALICE, "mail")


REPLY = """Coming *now*

Best regards
Alice

-- 
Alice

On Mon, 2 Nov 2026 at 10:00, Iris <iris@example.org> wrote:

> anonymous, 2026-11-26 17:11 UTC:
>
> - filed it
"""  # noqa: W291 (mail's sign of a signature)


def test_a_reply_comments_without_what_it_quotes(pipe, http, to_reply):
    data = letter(REPLY, "Re: Printer on fire (#1)", to_reply()).as_bytes()
    status, said = pipe(data)
    assert (status, said) == (TAKEN, "iris: comment 1 of alice on ticket 1\n")
    assert pipe(data)[0] == TAKEN
    (comment,) = http.get("/tickets/1").json["comments"]
    assert comment["author"] == ALICE
    assert comment["body"].startswith("Coming *now*")
    assert "wrote:" not in comment["body"] and "filed it" not in comment["body"]
    assert "-- " not in comment["body"]
    # As the MTA has it, whatever the headers say.
    other = letter("Twice", to="x@y.org", Message_ID="<2@x>").as_bytes()
    assert pipe(other, "--to", to_reply())[0] == TAKEN
    assert len(http.get("/tickets/1").json["comments"]) == 2


def test_an_address_that_nobody_was_told_is_nobodys(pipe, http, sql, to_reply):
    right = to_reply()
    seal = right.partition("@")[0].rpartition(".")[2]
    for to in (
        right.replace(seal, "0" * 20),
        right.replace("+1.", "+2."),
        right.replace(".", ".9", 1),
    ):
        status, said = pipe(letter("x", to=to).as_bytes())
        assert (status, said) == (
            NOT_PERMITTED,
            "iris: not taken: Iris has told nobody this address\n",
        )
    # Whose domain is another's, it is not.
    assert pipe(letter("x", to=right.replace("example", "evil")).as_bytes())[1].startswith(
        "iris: ticket 2"
    )
    sql("UPDATE people SET state = 'disabled'")
    assert pipe(letter("x", to=right).as_bytes())[0] == NOT_PERMITTED
    assert http.get("/tickets/1").json["comments"] == []


def test_strangers_may_not(pipe, http, sql):
    status, said = pipe(letter(From="eve@example.org").as_bytes())
    assert status == NOT_PERMITTED
    assert "nobody here writes from eve@example.org" in said
    assert http.get("/tickets").json == []


def test_with_tokens_each_may_what_their_tokens_may(pipe, http, sql, to_reply):
    def tried(number):
        return pipe(letter(Message_ID=f"<{number}@x>").as_bytes(), IRIS_AUTH="token")

    assert tried(1) == (
        NOT_PERMITTED,
        "iris: not taken: alice has no token, and so may not write\n",
    )
    sql("SELECT add_token('alice', 'reader')")
    status, said = tried(2)
    assert status == NOT_PERMITTED and "permission denied for" in said
    sql("SELECT add_token('alice at work', 'writer', 'alice')")
    assert tried(3)[0] == TAKEN


MACHINES = [
    {"Auto_Submitted": "auto-replied"},
    {"Auto_Submitted": "auto-generated; x=y"},
    {"Precedence": "bulk"},
    {"Precedence": "list"},
    {"List_Id": "<x.example.org>"},
    {"X_Loop": OWN},
    {"Return_Path": "<>"},
]


@pytest.mark.parametrize("headers", MACHINES, ids=str)
def test_programs_are_not_answered(pipe, http, to_reply, headers):
    status, said = pipe(letter(to=to_reply(), **headers).as_bytes())
    assert status == TAKEN and said.startswith("iris: not taken: "), said
    assert http.get("/tickets/1").json["comments"] == []


def test_what_is_auto_submitted_by_a_person_is_taken(pipe):
    assert (
        pipe(letter(Auto_Submitted="no", Return_Path="<alice@example.org>").as_bytes())[0] == TAKEN
    )


# What comes back, in the words of mail servers: to TO, about ABOUT, with the address for replies in what is returned.
BOUNCES = sorted(path.name for path in (ROOT / "tests" / "fixtures" / "bounces").iterdir())


@pytest.fixture
def bounce(owner, to_reply):
    """Return a function that reads a bounce, of alice's mail unless said otherwise: its bytes."""

    def make(name="postfix.eml", to=None, about="alice@example.org", **changed):
        if to is None:
            with owner.cursor() as cursor:
                cursor.execute(
                    "SELECT person_id, sealed(person_id, 'bounce ' || lower(mail)) FROM people WHERE name = 'alice'"
                )
                person, seal = cursor.fetchone()
            to = f"bounce+{person}.{seal}@example.org"
        text = (ROOT / "tests" / "fixtures" / "bounces" / name).read_text()
        for old, new in {"TO": to, "ABOUT": about, "REPLY": to_reply(), **changed}.items():
            text = re.sub(rf"\b{old}\b", new, text)
        return text.replace("\n", "\r\n").encode()

    return make


@pytest.mark.parametrize("name", BOUNCES)
def test_what_comes_back_ends_the_mail_and_files_nothing(pipe, http, bounce, name):
    before = http.get("/events").json
    status, said = pipe(bounce(name))
    assert (status, "alice gets no more mail: 550 5.1.1 " in said) == (TAKEN, True), said
    alice = http.get("/people/alice").json
    assert (alice["state"], alice["reason"][:9]) == ("bounced", "550 5.1.1")
    assert http.get("/events").json == before and len(http.get("/tickets").json) == 1
    # It may come twice, and her word that it is good again holds.
    assert pipe(bounce(name))[0] == TAKEN
    assert http.put("/people/alice", state="active").json["state"] == "active"


def test_what_comes_back_to_the_address_of_replies_does_so_too(pipe, http, bounce, to_reply):
    """Where it is about the address that she has; who else has that of replies could say so of anybody."""
    for about in ("eve@example.org", ""):
        assert pipe(bounce(to=to_reply(), about=about))[0] == TAKEN
        assert http.get("/people/alice").json["state"] == "active"
    # As the MTA has it, whatever stands in the header.
    assert (
        pipe(bounce(to="iris@example.org", about="Alice@Example.org"), "--to", to_reply())[0]
        == TAKEN
    )
    assert http.get("/people/alice").json["state"] == "bounced"
    assert http.get("/tickets/1").json["comments"] == []


@pytest.mark.parametrize(
    "changed",
    [
        {"Action: failed": "Action: delayed", "Status: 5.1.1": "Status: 4.4.1"},
        {"Action: failed": "Action: relayed", "Status: 5.1.1": "Status: 2.1.5"},
        {"Status: 5.1.1": "Status: 4.4.1", "smtp; 550 5.1.1 ": "smtp; 451 4.4.1 "},
        {"Status: 5.1.1": "Status: 5.7.1", "smtp; 550 5.1.1 ": "smtp; 554 5.7.1 spam of "},
        {"Status: 5.1.1": "Status: 5.3.4"},
        {"report-type=delivery-status": "report-type=disposition-notification", "Action: failed": "X: y"},
        {"message/delivery-status": "text/plain"},
    ],
    ids=str,
)  # fmt: skip
def test_what_may_pass_or_is_not_about_the_address_ends_nothing(pipe, http, bounce, changed):
    status, said = pipe(bounce(**changed))
    assert status == TAKEN and said.startswith("iris: not taken: "), said
    assert http.get("/people/alice").json["state"] == "active"
    assert len(http.get("/tickets").json) == 1


def test_a_bounce_that_is_nobodys_ends_nothing(pipe, http, sql, bounce):
    right = bounce()
    seal = re.search(rb"bounce\+[0-9]+\.([0-9a-f]{20})", right)[1]
    said = "iris: not taken: it is a bounce, of a mail that Iris sent to nobody here\n"
    for data in (
        right.replace(seal, b"0" * 20),
        right.replace(b"bounce+", b"bounce+9"),
        right.replace(b"@example.org", b"@evil.org"),
        bounce(to=OWN),
    ):
        assert pipe(data) == (TAKEN, said)
    # Of an address that she had before, it comes late.
    http.put("/people/alice", mail="alice@example.com")
    assert pipe(right) == (TAKEN, said)
    assert http.get("/people/alice").json["state"] == "active"
    # Who may not write may not write for that.
    http.put("/people/alice", mail="alice@example.org")
    sql("UPDATE people SET state = 'disabled'")
    assert pipe(right) == (TAKEN, said)
    assert http.get("/people/alice").json["state"] == "disabled"


@pytest.mark.parametrize("name", BOUNCES)
def test_a_torn_bounce_ends_nothing_by_accident(pipe, http, bounce, name):
    """Half sent, it says nothing, or all that counts."""
    whole = bounce(name)
    for end in (len(whole) // 4, len(whole) // 2):
        status, said = pipe(whole[:end])
        assert status == TAKEN, said
    assert len(http.get("/tickets").json) == 1


HTML = """<html><head><title>x</title><style>p {}</style></head><body><p>It&nbsp;<b>smokes</b> &amp;
burns</p><ul><li>one<li>two</ul><script>alert(1)</script><blockquote>old</blockquote></body></html>"""


def test_html_becomes_text_and_attachments_are_named(pipe, http):
    made = letter(None, html=HTML)
    made.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="über.pdf")
    assert pipe(made.as_bytes())[0] == TAKEN
    text = http.get("/tickets/1").json["description"]
    assert "It smokes & burns" in text and "- one" in text
    assert "alert" not in text and "old" not in text and "{}" not in text
    assert text.endswith("[left out: über.pdf (application/pdf, 4 bytes)]")
    both = letter("Plain", "Both", html="<p>Marked</p>", Message_ID="<2@x>")
    assert pipe(both.as_bytes())[0] == TAKEN
    assert http.get("/tickets/2").json["description"] == "Plain"


HEAD = b"From: alice@example.org\r\nTo: iris@example.org\r\nSubject: x\r\n"
# What is wrong with it, and what becomes of it: taken, with such a text, or not.
RUBBISH = {
    "nothing": (b"", DATA, None),
    "no headers": (b"\r\nhello", DATA, None),
    "no sender": (b"Subject: x\r\n\r\nhello", DATA, None),
    "two senders": (b"From: a@example.org, alice@example.org\r\nSubject: x\r\n\r\nhello", DATA, None),
    "neither subject nor text": (b"From: alice@example.org\r\n\r\n \r\n", DATA, None),
    "no subject": (b"From: alice@example.org\r\n\r\nFirst\r\n\r\nSecond", TAKEN, ("First", "Second")),
    "NUL": (HEAD + b"\r\na\0b", TAKEN, ("x", "a\ufffdb")),
    "no such charset": (HEAD + b"Content-Type: text/plain; charset=klingon\r\n\r\n\xc3\xa9", TAKEN, ("x", "é")),
    "not its charset": (HEAD + b"Content-Type: text/plain; charset=utf-8\r\n\r\na\xffb", TAKEN, ("x", "a\ufffdb")),
    "broken base64": (HEAD + b"Content-Transfer-Encoding: base64\r\n\r\nQUJD=REVG!!", TAKEN, None),
    "broken parts": (HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nhello", TAKEN, ("x", "hello")),
    "no boundary": (HEAD + b"Content-Type: multipart/mixed\r\n\r\nhello", TAKEN, None),
    "broken word": (b"From: alice@example.org\r\nSubject: =?utf-8?q?=C3?= =?x?z?y?=\r\n\r\nhello", TAKEN, None),
    "many parts": (HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\n\r\n" * 5000, TAKEN, None),
    "a line of an mbox": (b"From alice Thu Nov 26\n" + HEAD + b"\r\nhello", TAKEN, ("x", "hello")),
    "a long subject": (b"From: alice@example.org\r\nSubject: " + b"w" * 900 + b"\r\n\r\nhello", TAKEN, ("w" * 299 + "…", "w" * 900 + "\n\nhello")),
    "too long a text": (HEAD + b"\r\n" + b"long line\r\n" * 20_000, DATA, None),
    "huge": (HEAD + b"\r\n" + b"x" * (10 << 20), DATA, None),
}  # fmt: skip


@pytest.mark.parametrize("name", RUBBISH)
def test_whatever_comes_has_a_clear_end(pipe, http, name):
    data, status, told = RUBBISH[name]
    found, said = pipe(data)
    assert found == status, said
    tickets = http.get("/tickets").json
    assert len(tickets) == (status == TAKEN)
    if told:
        assert (tickets[0]["title"], tickets[0]["description"]) == told


def test_what_says_nothing_new_is_no_comment(pipe, http, to_reply):
    status, said = pipe(letter("> all\n> old\n", to=to_reply()).as_bytes())
    assert (status, said) == (DATA, "iris: not taken: it says nothing new\n")


def test_what_cant_be_parted_from_its_quotes_is_kept_whole(pipe, http, to_reply):
    """Of a text that would keep the parser busy for hours."""
    text = ("On " * 300 + "\n") * 100
    assert pipe(letter(text, to=to_reply()).as_bytes())[0] == TAKEN
    assert http.get("/tickets/1").json["comments"][0]["body"].startswith("On On On")


def test_on_a_ticket_that_is_gone(pipe, http, to_reply):
    to = to_reply()
    http.delete("/tickets/1")
    assert pipe(letter("x", to=to).as_bytes()) == (DATA, "iris: not taken: there is no ticket 1\n")


def test_an_address_ends_the_mail(pipe, http, owner):
    with owner.cursor() as cursor:
        cursor.execute("SELECT person_id, sealed(person_id, 'unsubscribe') FROM people")
        person, seal = cursor.fetchone()
    to = f"unsubscribe+{person}.{seal}@example.org"
    assert pipe(letter("", to=to).as_bytes()) == (TAKEN, "iris: alice gets no more mail\n")
    assert http.get("/people/alice").json["digest"] == "none"
    assert pipe(letter("", to=to.replace(seal, "0" * 20)).as_bytes())[0] == NOT_PERMITTED


def test_with_the_database_away_the_mta_keeps_it(pipe):
    status, said = pipe(letter().as_bytes(), DATABASE_URL="postgresql://iris@127.0.0.1:1/iris")
    assert status == LATER and "not taken" in said


def test_without_an_address_of_its_own_it_says_so(pipe):
    assert pipe(letter().as_bytes(), IRIS_MAIL_FROM="")[0] == CONFIG
