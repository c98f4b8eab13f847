"""What changed, as one reads it out on Monday."""

from iris import bounds, counted
from iris.formats import fitting, terminal
from iris.formats.terminal import HEAD, PLAIN


def inbox(rows, look=PLAIN):
    """Return what happened as one reads it out: of each ticket in turn who did what, and when.

    rows:     [row of inbox_after() as JSON text].
    look:     a Look.
    """
    made, before = [], None
    for text in rows:
        row = terminal.read(text)
        if row["ticket_id"] != before:
            before = row["ticket_id"]
            made += ["", *terminal.titled({**row, "title": row["title"] or "(gone)"}, look)]
        who = f"{row['position']}  {row['actor']}, {terminal.moment(row['at'], look.zone)}"
        made += [f"    {line}" for line in fitting.broken(who[:HEAD], look.width - 4)]
        for done in happened(row, look.zone):
            first, *others = fitting.broken(done[:HEAD], look.width - 6) or [""]
            made += [f"    - {first}", *(f"      {other}" for other in others)]
        bounds.breathe()
    if not rows:
        made.append("Nothing new.")
    else:
        made = [
            *made[1:],
            "",
            "The first number is the position: PUT /inbox (iris inbox --read) marks all up to one as read.",
        ]
    if look.last:
        made += ["", look.last]
    if rows and look.zone != "UTC":
        made += ["", f"Times are in {look.zone}."]
    return "".join(f"{line}\n" for line in made)


def happened(event, zone="UTC"):
    """Yield what an event says as sentences, to be read after who did it.

    event:    with kind, ticket_id and changes.
    """
    kind, changes = event["kind"], event["changes"]
    texts = [_brief(each) for each in changes.get("body") or (None, None)]
    if kind == "created":
        yield _filed(event, zone)
    elif kind == "changed":
        yield from changed(changes, zone)
    elif kind == "commented":
        yield f"said: {texts[1]}"
    elif kind == "comment_changed":
        yield f"rewrote a comment: {texts[0]} → {texts[1]}"
    elif kind == "comment_deleted":
        yield f"deleted a comment: {texts[0]}"
    elif kind in ("linked", "unlinked"):
        name, other = (old or new for old, new in (changes["kind"], changes["other_id"]))
        sign = "" if kind == "linked" else "no longer "
        yield f"{sign}{terminal.LINKS[name][0]} {other}"
    else:
        yield f"{kind} it"


def changes(rows, look=PLAIN):
    """Return what changed as one reads it out: of each ticket who did what, from what to what, and when last.

    rows:     [row of changes_between() as JSON text].
    look:     a Look.
    """
    made = []
    for text in rows:
        row = terminal.read(text)
        made += terminal.titled(row, look)
        who = f"{_and(row['actors'])}, {terminal.moment(row['last'], look.zone)}"
        made += [f"    {line}" for line in fitting.broken(who[:HEAD], look.width - 4)]
        for done in sentences(row, look.zone):
            first, *others = fitting.broken(done[:HEAD], look.width - 6) or [""]
            made += [f"    - {first}", *(f"      {other}" for other in others)]
        made.append("")
        bounds.breathe()
    if not rows:
        made += ["Nothing changed.", ""]
    if look.last:
        made += [look.last, ""]
    if rows and look.zone != "UTC":
        made += [f"Times are in {look.zone}.", ""]
    return "\n".join(made)


def _and(words):
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last


def sentences(row, zone):
    """Yield what was done to a ticket, a sentence each."""
    if row["kind"] == "deleted":
        yield "deleted it"
    elif row["kind"] == "created":
        yield _filed(row, zone)
    else:
        yield from changed(row["changes"], zone)
    number = row["comments"]
    if number:
        yield counted.of(abs(number), "more comment" if number > 0 else "fewer comment")
    for sign in ("added", "removed"):
        for link in row["links"][sign]:
            yield ("" if sign == "added" else "no longer ") + terminal.linked(
                row["ticket_id"], link
            )
    if row["kind"] == "changed" and not (row["changes"] or number or any(row["links"].values())):
        yield "comments were rewritten"


def _filed(row, zone):
    """Return what one says of a new ticket: what is not as it is with all of them, or is in its title."""
    now = {name: new for name, (_, new) in row["changes"].items()}
    told = [now["priority"]] if now["priority"] != "normal" else []
    if now.get("assignee"):
        told.append(f"for {now['assignee']}")
    if now.get("due"):
        told.append(f"due {terminal.timed('due', now['due'], zone)}")
    if now.get("labels"):
        told.append(f"labels {terminal.plain(now['labels'])}")
    if now["status"] != "open":
        told.append(f"now {now['status']}")
    return "filed it" + (f": {', '.join(map(_brief, told))}" if told else "")


def changed(changes, zone):
    """Yield what a ticket has now and had then, of an object member by member."""
    for name, pair in terminal.in_order(changes):
        old, new = (terminal.timed(name, each, zone) for each in pair)
        if not (isinstance(old, dict) and isinstance(new, dict)):
            yield f"{name}: {_pair(old, new)}"
            continue
        for key in sorted(old.keys() | new.keys()):
            if old.get(key) != new.get(key):
                yield f"{name}.{key}: {_pair(old.get(key), new.get(key))}"


def _brief(value):
    """Return as much of a value as one reads out."""
    text = " ".join(terminal.plain(value)[: fitting.CELL].split())
    return f"{text[: fitting.WIDTH // 2]}…" if len(text) > fitting.WIDTH // 2 else text or "–"


def _pair(old, new):
    return f"{_brief(old)} → {_brief(new)}"
