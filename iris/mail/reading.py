"""What a mail says: who sent it, to which address, and what was written newly in it."""

import email
import hashlib
import html.parser
import re
import signal
from email import policy
from email.utils import getaddresses
from typing import NamedTuple

from iris import counted, visible
from iris.mail import addresses, statuses

# Bytes of a mail; what is larger is refused.
MOST = 10 << 20
# Where an address stands that a mail was sent to, the surest first.
TO = ("Delivered-To", "X-Original-To", "Envelope-To", "To", "Cc")
# Languages of the lines that stand before quoted text, "On Monday Alice wrote:".
LANGUAGES = ["en", "de", "fr", "es", "it", "nl", "pl", "sv", "da", "pt", "ja", "zh"]
TITLE, LINE = 300, 300
# What a report says of a recipient, and what a server answered, in one that is in words.
SAID = re.compile(r"\b([45][0-9]{2})[ -].*")
REPORTED = ("Action", "Status", "Diagnostic-Code", "Final-Recipient", "Original-Recipient")
# Seconds that a text may take to be parted from what it quotes.
PATIENCE = 5
# Precedence of what programs send to many.
BULK = ("bulk", "junk", "list", "auto_reply")


class Unfit(ValueError):
    """A mail that says nothing that could be taken."""


class Machine(Unfit):
    """A mail that a program has sent: to answer it, even by a bounce, could go on for ever."""


class Bounce(NamedTuple):
    """A mail server's report that a mail could not be delivered, and never will be.

    to:       the addresses that it went to.
    recipients: the addresses that it is about, lower case.
    words:    what was said, in a line.
    """

    to: list
    recipients: list
    words: str


class Mail(NamedTuple):
    """What a mail says.

    key:      the same for each copy of it that arrives.
    sender:   an address.
    to:       the addresses that it went to.
    subject:  one line; "" for none.
    text:     all of it.
    left_out: what hung on it, in words.
    """

    key: str
    sender: str
    to: list
    subject: str
    text: str
    left_out: list


def read(data):
    """Read a mail.

    data:     its bytes, as an MTA passes it on.
    Returns:  a Mail, or a Bounce.
    Raises:   Unfit.
    """
    if len(data) > MOST:
        raise Unfit(f"the mail has more than {MOST >> 20} MiB")
    # An mbox's first line is no header.
    data = re.sub(rb"\A(?:From |>From )[^\n]*\n", b"", data)
    try:
        found = email.message_from_bytes(data, policy=policy.default)
        if bounce := _bounce(found):
            return bounce
        _look_for_machines(found)
        senders = [each for _, each in getaddresses(_headers(found, "From")) if "@" in each]
        if len(senders) != 1:
            raise Unfit("it has no sender, or several")
        text, left_out = _parts(found)
        return Mail(
            _key(found, data),
            senders[0],
            _to(found),
            _line(" ".join(_headers(found, "Subject")[:1])),
            _clean(text),
            left_out,
        )
    except Unfit:
        raise
    except (ValueError, LookupError, AttributeError, TypeError, IndexError, KeyError) as error:
        # The standard library's parser fails on some rubbish in ways of its own.
        raise Unfit(f"it is no mail that can be read: {type(error).__name__}") from error


def _headers(found, name):
    """Return a header's values as texts, whatever is wrong with them."""
    return [str(each) for each in found.get_all(name, [])]


def _to(found):
    return [each for name in TO for _, each in getaddresses(_headers(found, name))]


def _bounce(found):
    """Return what a mail server reports of an address that is not there, or None."""
    told = list(
        _reports(found) if found.get_content_type() == "multipart/report" else _report(found)
    )
    gone = [(recipients, words) for recipients, words in told if recipients]
    if not gone:
        return None
    recipients = sorted({each for some, _ in gone for each in some})
    return Bounce(_to(found), recipients, _line(gone[0][1])[:LINE])


def _reports(found):
    """Yield (addresses, words) of each recipient that a report as RFC 3464 has it says is not there."""
    for part in found.walk():
        if part.get_content_type() != "message/delivery-status":
            continue
        # One of the mail, and one of each recipient.
        for each in part.get_payload():
            said = {name: " ".join(_headers(each, name)) for name in REPORTED}
            kind, _, why = said["Diagnostic-Code"].partition(";")
            words = f"{said['Status']} {why or kind}"
            if said["Action"].strip().lower() == "failed" and statuses.is_gone(None, words):
                yield _failed([said["Final-Recipient"], said["Original-Recipient"]]), why or words


def _report(found):
    """Yield the same of a report in words alone, as Exim sent it for long."""
    if failed := _headers(found, "X-Failed-Recipients"):
        text, _ = _parts(found)
        said = SAID.search(text)
        if said is None or statuses.is_gone(int(said[1]), said[0]):
            yield _failed(failed), said[0] if said else "it came back"


def _failed(texts):
    """Return the addresses in texts such as rfc822;alice@example.org."""
    found = getaddresses([each.partition(";")[2] or each for each in texts])
    return [each.lower() for _, each in found if "@" in each]


def _look_for_machines(found):
    def says(name):
        return " ".join(_headers(found, name)).strip().lower()

    submitted = says("Auto-Submitted").partition(";")[0].strip()
    if submitted not in ("", "no"):
        raise Machine(f"a program sent it (Auto-Submitted: {submitted[:50]})")
    if says("Precedence") in BULK:
        raise Machine(f"it was sent to many (Precedence: {says('Precedence')})")
    for name in ("List-Id", "X-Loop", "X-Autoreply", "X-Autorespond"):
        if found.get_all(name):
            raise Machine(f"a program sent it ({name})")
    if "Return-Path" in found and says("Return-Path") in ("<>", ""):
        raise Machine("it is a bounce (Return-Path: <>)")
    if found.get_content_type() == "multipart/report":
        raise Machine("it is a report of a mail server")


def _key(found, data):
    given = " ".join(_headers(found, "Message-ID")).strip()
    return "mail " + hashlib.sha256(given.encode("utf-8", "replace") or data).hexdigest()


def _parts(found):
    """Return the text of a mail, and what else hangs on it, in words."""
    body = found.get_body(("plain", "html"))
    left_out = []
    for part in found.walk():
        if part.is_multipart() or part is body:
            continue
        kind, name = part.get_content_type(), part.get_filename()
        is_other = body is not None and kind in ("text/plain", "text/html") and not name
        if is_other and not part.is_attachment():
            # The same text once more, as a browser has it.
            continue
        size = len(part.get_payload(decode=True) or b"")
        shown = _line(str(name or "without a name"))[:100]
        left_out.append(f"{shown} ({kind}, {counted.of(size, 'byte')})")
    if body is None:
        return "", left_out
    payload = body.get_payload(decode=True) or b""
    text = _decoded(payload, body.get_content_charset() or "utf-8")
    return (_unmarked(text) if body.get_content_type() == "text/html" else text), left_out


def _decoded(payload, charset):
    """Return bytes as text; of a charset that nobody knows, or that is none of theirs, what can be read."""
    try:
        return payload.decode(charset, "replace")
    except (LookupError, ValueError):
        return payload.decode("utf-8", "replace")


class _Text(html.parser.HTMLParser):
    """Takes the text out of HTML, with lines where blocks are."""

    BLOCKS = frozenset(
        (
            *("p", "div", "br", "tr", "li", "ul", "ol", "table", "pre", "hr", "blockquote"),
            *("h1", "h2", "h3", "h4", "h5", "h6"),
        )
    )
    SILENT = frozenset(("script", "style", "head", "title"))

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.parts, self.silent, self.quoted = [], 0, 0

    def handle_starttag(self, tag, attrs):
        self.silent += tag in self.SILENT
        self.quoted += tag == "blockquote"
        if tag in self.BLOCKS:
            self.parts.append("\n")
        if tag == "li":
            self.parts.append("- ")

    def handle_endtag(self, tag):
        self.silent = max(0, self.silent - (tag in self.SILENT))
        self.quoted = max(0, self.quoted - (tag == "blockquote"))
        if tag in self.BLOCKS and tag != "br":
            self.parts.append("\n")

    def handle_data(self, data):
        # What is quoted is what others wrote.
        if not self.silent and not self.quoted:
            self.parts.append(re.sub(r"\s+", " ", data))


def _unmarked(text):
    reader = _Text()
    reader.feed(text)
    reader.close()
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \t]*\n[ \t]*", "\n", "".join(reader.parts)))


def _clean(text):
    """Return a text as PostgreSQL takes it."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")
    return text.encode("utf-8", "replace").decode()


def _line(text):
    """Return a text in one line, without what is no character of it."""
    return _clean(" ".join(visible.safe(text).split()))


# What is meant --------------------------------------------------------------------------------------


def reply(mail):
    """Return what somebody wrote newly, without what they quoted and signed with.

    Raises:   Unfit, where that is nothing.
    """
    lines = _unsigned(_unquoted(mail.text)).rstrip().split("\n")
    # What is answered line by line stays with its answers.
    while lines and (not lines[-1].strip() or lines[-1].startswith(">")):
        lines.pop()
    return _with("\n".join(lines).strip(), mail.left_out)


def _unquoted(text):
    """Return a text without the mail that it answers."""
    from mailparser_reply import EmailReplyParser  # noqa: PLC0415 (it takes its time)

    def give_up(number, frame):
        raise TimeoutError

    # Its expressions take for ever for some texts; those are kept whole.
    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    try:
        return EmailReplyParser(languages=LANGUAGES).parse_reply(text=text) or ""
    except TimeoutError:
        return text
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _unsigned(text):
    return re.sub(r"\n-- ?\n.*\Z", "", f"\n{text}", flags=re.DOTALL)


def filing(mail):
    """Return what a new ticket is filed with, {"title", "description"}.

    Raises:   Unfit, where it says nothing.
    """
    text = _unsigned(mail.text).strip()
    subject = mail.subject
    if not subject:
        subject, _, text = text.partition("\n")
        subject, text = _line(subject), text.strip()
    if not subject:
        raise Unfit("it has neither a subject nor a text")
    if len(subject) > TITLE:
        text = f"{subject}\n\n{text}".strip()
        subject = f"{subject[: TITLE - 1]}…"
    description = _with(text, mail.left_out) if text or mail.left_out else None
    return {"title": subject, "description": description}


def _with(text, left_out):
    """Return a text that names what was left out."""
    if not text and not left_out:
        raise Unfit("it says nothing new")
    return "\n\n".join([*([text] if text else []), *(f"[left out: {each}]" for each in left_out)])


def address(mail, pattern, envelope=None):
    """Return what stands in one of the addresses that a mail went to, or None.

    pattern:  of addresses.
    envelope: the address that the MTA has it for, if it says so.
    """
    given = [envelope] if envelope else mail.to
    for each in given:
        local, _, domain = each.strip("<> ").rpartition("@")
        if domain.lower() == addresses.domain().lower() and (match := pattern.fullmatch(local)):
            return match.groups()
    return None
