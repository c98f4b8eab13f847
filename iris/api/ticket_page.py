"""Routes: a ticket in a browser, and the form that files one."""

from iris import bounds, events, models, problems, surroundings, tickets, titles, watchers
from iris.api import ROUTE, page, read
from iris.formats import letters, markdown, terminal
from iris.intake import auth, routes, types
from iris.web import refused, texts

# What a form offers to change, and to file.
CHANGED = tuple(
    name
    for name in tickets.WRITABLE
    if name not in (*tickets.KEPT, *tickets.TOLD, *tickets.RELABELLING)
)
FILED = tuple(name for name in CHANGED if name != "reporter")
# What a form begins with, unless its address says otherwise.
USUAL = {"priority": "normal", "fields": "{}"}
# Events of a timeline, the latest; and characters of the comments in it, the latest.
MOST_EVENTS, MOST_TEXT = 200, letters.LETTER
MOST_WATCHERS = 100
TOLD = (
    "event_id",
    "at",
    "actor",
    "source",
    "ticket_id",
    "kind",
    "comment_id",
    "changes",
    "change",
    "undoes",
)


def whole(request, response, ticket_id, as_of, zone):
    """Answer with a ticket as a page.

    Source:   six SELECTs at most: what is around it, the ticket, its history, the titles of what it
              names, who watches it, and what was done just before; in a past also past.write().
    """
    around = surroundings.read(as_of, zone)
    row, _ = tickets.one(ticket_id, (), as_of, zone)
    ticket, comments, links = letters.parts(row)
    comments, earlier = _latest(letters.items(row, comments))
    links = list(letters.items(row, links))
    told, older = _history(ticket_id, as_of, zone)
    written = [ticket["description"], *(each["body"] for each in comments)]
    ends = [_end(ticket_id, link) for link in links]
    numbers = {*markdown.numbers(written), *(number for number, _ in ends)}
    shown = titles.of(numbers, as_of, zone)
    return page(
        request,
        response,
        "ticket.html",
        around=around,
        ticket={**ticket, "next": around.transitions.get(ticket["status"], [])},
        links=[
            {**link, "number": number, "words": words, "ticket": shown.get(number)}
            for link, (number, words) in zip(links, ends, strict=True)
        ],
        timeline=_timeline(comments, told),
        earlier=earlier or older,
        texts=texts.Texts(request, shown),
        watching=[] if as_of else _watching(ticket_id),
        me=auth.actor(request),
        FIELDS=CHANGED,
    )


def _history(ticket_id, as_of, zone):
    """Return (the latest events of a ticket up to some moment, oldest first; whether there are others)."""
    given = {"ticket_id": ticket_id, "limit": MOST_EVENTS, "columns": TOLD, "tz": zone}
    if as_of is not None:
        given["at_before"] = as_of
    try:
        found = events.page(given)
    except problems.Problem as problem:
        if problem.code != "no_such_ticket":
            raise
        # It has none: somebody has put it there past the rules.
        return [], False
    return list(read(reversed(found.rows))), found.cursor is not None


def lost(request, stale, ticket_id, version):
    """Let the page of a lost race show both sides, and choose; return the refused.Lost.

    stale:    a problems.Stale.
    version:  the one that was seen.
    Source:   one SELECT, of events.
    """
    now = terminal.read(stale.more["current"])
    then = tickets.changed_since(ticket_id, version)
    made = refused.Lost(now, then, request.context.get("form") or {})
    stale.more["lost"] = made
    return made


def _watching(ticket_id):
    """Return who hears of a ticket, the first by name."""
    try:
        found = watchers.page({"ticket_id": ticket_id, "muted": False, "limit": MOST_WATCHERS})
    except problems.Problem as problem:
        if problem.code != "no_such_ticket":
            raise
        # It has just gone.
        return []
    return [each["who"] for each in read(found.rows)]


def _latest(comments):
    """Return (the latest comments that a page has room for, whether there are others)."""
    kept, room, is_cut = [], MOST_TEXT, False
    for comment in comments:
        kept.append(comment)
        room -= len(comment["body"])
        bounds.breathe()
        while room < 0 and len(kept) > 1:
            room += len(kept.pop(0)["body"])
            is_cut = True
    return kept, is_cut


def _end(ticket_id, link):
    """Return (the ticket at the other end of a link, what it is to this one)."""
    here, there = terminal.LINKS[link["kind"]]
    if link["ticket_id"] == ticket_id:
        return link["other_id"], here
    return link["ticket_id"], there


def _timeline(comments, told):
    """Return comments and events as one list, oldest first: [{"event", "comment"}], one of both.

    A comment stands for the event that wrote it; one that was written elsewhere, and imported, has none.
    """
    numbers = {each["comment_id"] for each in comments}
    made = [(each["created"], {"event": None, "comment": each}) for each in comments]
    made += [
        (each["at"], {"event": each, "comment": None})
        for each in told
        if each["kind"] != "commented" or each["comment_id"] not in numbers
    ]
    return [each for _, each in sorted(made, key=lambda pair: pair[0])]


@ROUTE.get("/new")
@routes.serves("text/html")
@routes.takes(
    **{name: types.concerning(models.Ticket.__table__.c[name], types.Text()) for name in FILED}
)
def new(request, response, **given):
    """Show a form that files a ticket, in a browser; with what the address says in it, to be linked to.

    curl '0.0.0.0:8000/new?priority=high&labels=bug'
    """
    around = surroundings.read()
    usual = {"status": around.statuses[0], **USUAL}
    known = {"around": around, "given": {**usual, **given}, "FIELDS": FILED}
    return page(request, response, "new.html", again=False, **known)
