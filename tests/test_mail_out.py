"""Mail goes out: by a deliverer of its own, to a real mail server that keeps what it is given."""

import json
import re
import signal

import pytest
from conftest import ALICE, BOB
from mails import Server
from test_delivery import Deliverer, until

OWN = "iris@example.org"


@pytest.fixture(scope="module")
def post():
    made = Server()
    made.start()
    yield made
    made.stop()


@pytest.fixture
def mails(post):
    post.handler.letters.clear()
    post.handler.refusing.clear()
    return post


def environment(post):
    return {
        "IRIS_SMTP_URL": f"smtp://127.0.0.1:{post.port}",
        "IRIS_MAIL_FROM": OWN,
        "IRIS_PUBLIC_URL": "https://iris.example.org",
    }


@pytest.fixture(scope="module")
def deliverer(server, post):
    made = Deliverer(server.url(), **environment(post))
    yield made
    assert made.stop() == 0


@pytest.fixture
def alice(http, deliverer):
    http.put("/people/alice", mail="alice@example.org")


def body(letter):
    return letter.get_body().get_content().replace("\r\n", "\n")


def test_killed_in_between_nothing_is_lost_and_all_is_in_order(http, server, owner, mails, post):
    """By one that is killed after the first mails; what it held is taken when its time is over."""
    http.put("/people/carol", mail="carol@example.org")
    rows = [{"title": f"Number {number}", "reporter": "carol"} for number in range(30)]
    http("PUT", "/tickets", raw=json.dumps(rows), headers={"Content-Type": "application/json"})
    for _ in range(3):
        made = Deliverer(server.url(), **environment(post))
        had = len(mails.handler.letters)
        until(lambda had=had: len(mails.handler.letters) > had + 2)
        made.stop(signal.SIGKILL)
        with owner.cursor() as cursor:
            cursor.execute("UPDATE people SET until = now()")
    made = Deliverer(server.url(), **environment(post))
    until(lambda: http.get("/people/carol").json["position"] == 30)
    assert made.stop() == 0
    got = [letter["Subject"] for letter in mails.to("carol@example.org", 30)]
    # Again at most where one was killed.
    assert list(dict.fromkeys(got)) == [f"Number {number} (#{number + 1})" for number in range(30)]
    assert len(got) <= 33


def test_what_happens_on_what_one_watches_comes_by_mail_in_one_thread(
    http, sql, ticket, alice, mails
):
    http.put("/people/bob", mail="bob@example.org")
    number = ticket("Printer on fire", reporter=ALICE, description="Smoke, and\nworse")
    http.put(f"/tickets/{number}/comments", body="Coming\n\n> with water", actor=BOB)
    http.put(f"/tickets/{number}/comments", body="No water!", actor=ALICE)
    sql("UPDATE tickets SET status = 'active' WHERE ticket_id = %s", number)
    filed, said, changed = mails.to("alice@example.org", 3)
    assert filed["Subject"] == "Printer on fire (#1)"
    assert {said["Subject"], changed["Subject"]} == {"Re: Printer on fire (#1)"}
    assert filed["Message-ID"] == "<iris.ticket1@example.org>"
    for later in (said, changed):
        assert later["In-Reply-To"] == later["References"] == filed["Message-ID"]
    assert len({each["Message-ID"] for each in (filed, said, changed)}) == 3
    assert filed["From"] == '"anonymous (Iris)" <iris@example.org>'
    assert said["From"] == '"bob (Iris)" <iris@example.org>'
    assert "Smoke, and\nworse" in body(filed) and "- filed it" in body(filed)
    assert "Coming\n\n> with water\n" in body(said)
    assert "- status: open → active" in body(changed)
    assert "https://iris.example.org/tickets/1" in body(changed)
    for each in (filed, said, changed):
        assert each["Auto-Submitted"] == "auto-generated"
        assert re.fullmatch(r"reply\+1\.[0-9]+\.[0-9a-f]{20}@example\.org", each["Reply-To"])
        assert each["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        assert each.get_content_type() == "text/plain"
    # Bob hears of what alice did, and neither of what they did themselves.
    bobs = [body(each) for each in mails.to("bob@example.org", 3)]
    assert any("No water!" in each for each in bobs)
    assert not any("Coming" in each for each in bobs)
    assert not any("No water!" in body(each) for each in mails.to("alice@example.org", 3))
    until(lambda: http.get("/people/alice").json["position"] == 4)


def test_one_click_ends_it(http, ticket, alice, mails):
    ticket(reporter=ALICE)
    (letter,) = mails.to("alice@example.org", 1)
    (page,) = re.findall(
        r"<https://iris.example.org(/unsubscribe/[^>]+)>", letter["List-Unsubscribe"]
    )
    shown = http.get(page)
    assert "<form" in shown.text and http.get("/people/alice").json["digest"] == "now"
    assert http.put(page[:-1] + ("0" if page[-1] != "0" else "1")).status == 404
    answer = http("POST", page, raw="List-Unsubscribe=One-Click", headers={"Content-Type": "application/x-www-form-urlencoded"})  # fmt: skip
    assert answer.status == 200, answer.text
    assert http.get("/people/alice").json["digest"] == "none"


AWKWARD = 'Ünïcode 日本語 \u202e "quoted", <x@y.z> ' + "w" * 200


def test_nothing_gets_into_a_header(http, sql, ticket, alice, mails):
    sql(
        "SELECT set_config('iris.actor', %s, false)", "mal\r\nBcc: eve@example.org\nlory" + "ö" * 60
    )
    sql(
        "INSERT INTO tickets (title, reporter, description) VALUES (%s, 'alice', %s)",
        AWKWARD,
        "x" * 5000 + "\n.\n..\nFrom me\n",
    )
    (letter,) = mails.to("alice@example.org", 1)
    assert letter["Bcc"] is None
    assert "Ünïcode 日本語" in letter["Subject"] and "w" * 200 in letter["Subject"]
    assert "mal" in letter["From"] and "Bcc" in letter["From"]
    assert max(len(line) for line in letter.raw.split(b"\r\n")) < 998
    assert "x" * 5000 + "\n.\n..\nFrom me\n" in body(letter)


def test_a_bounce_ends_it_and_another_address_begins_it(http, ticket, alice, mails):
    mails.handler.refusing["alice@example.org"] = "550 5.1.1 no such\tuser here"
    ticket(reporter=ALICE)
    until(lambda: http.get("/people/alice").json["state"] == "bounced")
    assert http.get("/people/alice").json["reason"] == "550 5.1.1 no such user here"
    ticket(reporter=ALICE)
    again = http.put("/people/alice", mail="alice@example.com").json
    assert (again["state"], again["reason"]) == ("active", None)
    number = ticket("Now", reporter=ALICE)
    assert f"(#{number})" in mails.to("alice@example.com", 1)[0]["Subject"]


@pytest.mark.parametrize("where", ["alice@example.org", "data"])
def test_what_may_pass_is_tried_again(http, sql, owner, ticket, alice, mails, where):
    mails.handler.refusing[where] = "451 4.7.1 later"
    ticket("One", reporter=ALICE)
    until(lambda: http.get("/people/alice").json["next_try"])
    found = http.get("/people/alice").json
    assert (found["state"], found["reason"]) == ("active", "451 4.7.1 later")
    ticket("Two", reporter=ALICE)
    mails.handler.refusing.clear()
    with owner.cursor() as cursor:
        cursor.execute("UPDATE people SET next_try = now()")
    first, second = mails.to("alice@example.org", 2)
    assert (first["Subject"], second["Subject"]) == ("One (#1)", "Two (#2)")
    until(lambda: http.get("/people/alice").json["reason"] is None)


def test_once_a_day_it_is_one_mail(http, owner, ticket, deliverer, mails):
    http.put("/people/alice", mail="alice@example.org", digest="daily")
    for number in range(3):
        ticket(f"Number {number}", reporter=ALICE)
    with owner.cursor() as cursor:
        cursor.execute("UPDATE people SET mailed = now() - interval '25 hours'")
    (letter,) = mails.to("alice@example.org", 1)
    assert letter["Subject"] == "3 events on 3 tickets"
    assert all(f"Ticket {n + 1}: Number {n}" in body(letter) for n in range(3))
    assert "List-Unsubscribe" in letter and "Reply-To" not in letter
    until(lambda: http.get("/people/alice").json["position"] == 3)


def test_a_hook_may_lead_to_mail(http, ticket, deliverer, mails):
    http.put("/people/bob", mail="ops@example.org", digest="none")
    hook = http.put("/hooks", url="mailto:ops@example.org", label="ops").json["hook_id"]
    number = ticket("Disk is full", labels=["ops"])
    ticket("Not theirs")
    http.put(f"/tickets/{number}", priority="urgent", actor=BOB)
    http.put(f"/tickets/{number}/comments", body="Emptied", actor=ALICE)
    filed, said = mails.to("ops@example.org", 2)
    assert (filed["Subject"], said["Subject"]) == ("Disk is full (#1)", "Re: Disk is full (#1)")
    assert said["In-Reply-To"] == filed["Message-ID"]
    assert "Emptied" in body(said)
    # What bob did, who reads there, was not sent to him.
    until(lambda: len(http.get(f"/hooks/{hook}/deliveries").json) == 3)
    told = [each["answer"] for each in http.get(f"/hooks/{hook}/deliveries?sort=delivery_id").json]
    assert told == ["taken", "not sent: they did it themselves", "taken"]
    mails.handler.refusing["ops@example.org"] = "550 gone"
    http.put(f"/tickets/{number}/comments", body="x", actor=ALICE)
    until(lambda: http.get(f"/hooks/{hook}").json["state"] == "disabled")
    assert http.get(f"/hooks/{hook}").json["reason"] == "550 gone"
