"""What is new, for feed readers: RFC 4287."""

from xml.sax.saxutils import escape, quoteattr

from iris import __version__, bounds
from iris.formats import entries, terminal

# When a feed with nothing in it has changed last.
NEVER = "1970-01-01T00:00:00Z"


def feed(rows, asked):
    """Return tickets as a feed; its addresses are relative to the request's.

    rows:     [ticket as JSON text].
    asked:    an entries.Asked.
    """
    updated, made = [], []
    for text in rows:
        ticket = terminal.read(text)
        updated.append(ticket["updated"])
        made += _entry(ticket, asked.root)
        bounds.breathe()
    head = [
        '<?xml version="1.0" encoding="utf-8"?>',
        '<feed xmlns="http://www.w3.org/2005/Atom">',
        "<title>Iris: tickets</title>",
        f"<id>urn:uuid:{entries.name('feed', asked.host, asked.list)}</id>",
        f"<updated>{max(updated, default=NEVER)}</updated>",
        f'<link rel="self" href={quoteattr(asked.query)}/>',
    ]
    if asked.next:
        head.append(f'<link rel="next" href={quoteattr(asked.next)}/>')
    head.append(f'<generator version="{__version__}">Iris</generator>')
    return "\n".join([*head, *made, "</feed>", ""]).encode()


def _entry(ticket, root):
    """Yield the lines of a ticket."""
    yield "<entry>"
    yield f"<id>urn:uuid:{entries.identity(ticket)}</id>"
    yield f"<title>{_text(ticket['title'])}</title>"
    yield f"<updated>{ticket['updated']}</updated>"
    yield f"<published>{ticket['created']}</published>"
    yield f"<author><name>{_text(ticket['reporter'])}</name></author>"
    href = quoteattr(f"{root}tickets/{ticket['ticket_id']}")
    yield f'<link rel="alternate" href={href}/>'
    for label in ticket["labels"]:
        yield f"<category term={quoteattr(entries.clean(label))}/>"
    yield f"<summary>{_text(entries.state(ticket))}</summary>"
    if ticket["description"]:
        yield f"<content>{_text(entries.description(ticket))}</content>"
    yield "</entry>"


def _text(text):
    return escape(entries.clean(text))
