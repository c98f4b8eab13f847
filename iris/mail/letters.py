"""How mails are written: a thread a ticket, plain text, nothing in a header that could end it."""

from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP

from iris import counted, visible
from iris.formats import standup, terminal
from iris.mail import addresses

# Characters of a line, and of a text that somebody wrote: what is longer is read in Iris.
WIDTH, LONGEST = 76, 20_000
# Characters of a name in front of an address.
NAME = 60


def _plain(text):
    """Return a text in one line, as it may stand in a header."""
    return " ".join(visible.safe(text).split())


def _letter(to, subject, text, name, who=None):
    """Begin a mail.

    to:       an address.
    name:     what makes its Message-ID.
    who:      who did what it tells of.
    """
    own = addresses.own()
    made = EmailMessage(policy=SMTP)
    shown = f"{_plain(who)[:NAME]} (Iris)" if who else "Iris"
    made["From"] = Address(shown, addr_spec=own)
    made["To"] = Address(addr_spec=to)
    made["Subject"] = _plain(subject)
    made["Message-ID"] = _id(name)
    made["Auto-Submitted"] = "auto-generated"
    made["Precedence"] = "bulk"
    made["X-Loop"] = own
    made.set_content(text, charset="utf-8")
    return made


def _id(name):
    local, _, domain = addresses.own().partition("@")
    return f"<{local}.{name}@{domain}>"


def _of_ticket(to, first, last, title, text):
    """Begin a mail about a ticket, in its thread.

    first:    the first event that it tells of; a ticket's filing begins its thread.
    last:     the last one.
    """
    thread = f"ticket{first['ticket_id']}"
    begins = first["kind"] == "created" and first["undoes"] is None
    subject = f"{'' if begins else 'Re: '}{title or '(gone)'} (#{first['ticket_id']})"
    made = _letter(to, subject, text, thread if begins else last["position"], last["actor"])
    made["Date"] = datetime.fromisoformat(last["at"])
    if not begins:
        made["In-Reply-To"] = made["References"] = _id(thread)
    return made


def _said(event):
    """Return what an event says, as paragraphs; what somebody wrote is there as they did."""
    body = (event["changes"].get("body") or (None, None))[1]
    if event["kind"] == "commented" and body:
        return _whole(body)
    lines = "\n".join(f"- {each}" for each in standup.happened(event))
    description = (event["changes"].get("description") or (None, None))[1]
    if event["kind"] == "created" and description:
        lines += f"\n\n{_whole(description)}"
    return lines


def _whole(text):
    text = visible.safe(text, kept="\n\t")
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _where(ticket_id):
    public = addresses.public()
    return [f"{public}/tickets/{ticket_id}"] if public else []


def event(to, told):
    """Return the mail of a hook: one event, to an address.

    told:     {"event", "ticket"} as hooks are sent it.
    """
    happened, number = told["event"], told["event"]["ticket_id"]
    # Of what was too long to be sent, there is that it happened.
    happened["changes"] = happened["changes"] or {}
    foot = ["-- ", "A hook of Iris sends you this.", ""]
    if number is None:
        what = happened["kind"].replace("_", " ")
        text = f"{_by(happened)}\n\n- {what}\n\n" + "\n".join(foot)
        return _letter(to, what, text, happened["position"], happened["actor"])
    foot[1:1] = [f"Ticket {number}", *_where(number)]
    title = (told["ticket"] or {}).get("title")
    return _of_ticket(to, happened, happened, title, _told([happened]) + "\n".join(foot))


def _by(event):
    return f"{_plain(event['actor'])}, {terminal.moment(event['at'])} UTC:"


def _told(events):
    """Return what happened, an event after the other, with who did it and when."""
    return "".join(f"{_by(each)}\n\n{_said(each)}\n\n" for each in events)


def _unsubscribed(letter, person):
    ways = addresses.unsubscribe(person["person_id"], person["seal"])
    letter["List-Unsubscribe"] = ", ".join(f"<{way}>" for way in ways)
    if ways[0].startswith("https:"):
        letter["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    return letter


def happenings(person, events):
    """Return the mail of what happened to one ticket, at once.

    person:   as people_due() gave them.
    events:   rows of mail_piece(), of one ticket.
    """
    last = events[-1]
    number = last["ticket_id"]
    foot = ["-- ", f"Ticket {number}, which you watch", *_where(number)]
    if last["seal"]:
        foot.append("A reply to this mail comments on it.")
    text = _told(events) + "\n".join([*foot, ""])
    made = _of_ticket(person["mail"], events[0], last, last["title"], text)
    if last["seal"]:
        made["Reply-To"] = addresses.reply(number, person["person_id"], last["seal"])
    return _unsubscribed(made, person)


def digest(person, rows, more):
    """Return the mail of a day.

    rows:     of mail_piece(), as JSON texts.
    more:     whether there is more than that.
    """
    events = [terminal.read(each) for each in rows]
    tickets = counted.of(len({each["ticket_id"] for each in events}), "ticket")
    subject = f"{counted.of(len(events), 'event')} on {tickets}"
    last = "There is more; your inbox has all of it." if more else ""
    text = standup.inbox(rows, terminal.Look(WIDTH, last=last))
    text += "\n".join(["", "-- ", "What happened on what you watch, once a day", ""])
    made = _letter(
        person["mail"], subject, text, f"day{events[-1]['position']}.{person['person_id']}"
    )
    return _unsubscribed(made, person)
