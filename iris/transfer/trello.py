"""Cards of a board of Trello, as its menu exports them: one JSON document, read as a whole."""

import json
from collections import defaultdict
from datetime import UTC, datetime

from iris.transfer import documents, files, items, mapping

NONE = "a board of Trello is a JSON object with cards and lists"


def read(text, table, kind, shape):
    """Yield the items of a board (foreign.take())."""
    while text.more():
        pass
    try:
        board = json.loads(text.window[text.at :])
        cards = board["cards"]
        lists = {each["id"]: each for each in board["lists"]}
        people = {each["id"]: each["username"] for each in board.get("members") or ()}
        said, made, archived = _told(board.get("actions") or ())
        checks = defaultdict(list)
        for each in board.get("checklists") or ():
            checks[each["idCard"]].append(each)
    except (ValueError, RecursionError) as error:
        raise files.Refused(f"this is no JSON: {error}") from None
    except (KeyError, TypeError, AttributeError):
        raise files.Refused(NONE) from None
    if not isinstance(cards, list):
        raise files.Refused(NONE)
    table.head = {name: value for name, value in board.items() if name != "cards"}
    for place, card in enumerate(cards):
        name = card.get("idShort") if isinstance(card, dict) else None
        shown = f"card {place} (number {documents.written(name)[:20]})"
        try:
            key = card["id"]
            item = items.Item(shown, {"imported": f"{kind} {key}"})
            item.comments = said[key]
            is_over = card.get("closed") or lists[card["idList"]].get("closed")
            state = "Archived" if is_over else lists[card["idList"]]["name"]
            _fill(item, table, card, people, checks[key])
            item.ticket["reporter"] = made.get(key)
            if is_over:
                item.ticket["closed"] = archived.get(key)
            try:
                item.ticket["status"] = table.status(state)
            except mapping.Mistake as mistake:
                item.wrong.append(str(mistake))
            if not item.ticket.get("closed") and not dict(table.workflow).get(
                item.ticket.get("status"), True
            ):
                item.ticket["closed"] = item.ticket["updated"]
        except (AttributeError, KeyError, TypeError, ValueError):
            item = items.Item(shown, {"imported": shown}, is_keyed=False)
            item.wrong.append("is not as Trello exports it")
        item.raw = card
        yield item


def write(rows, table):
    """Yield the text of a board with these cards only."""
    head = json.dumps(table.head)
    yield head[:-1] + ("" if head == "{}" else ", ") + '"cards": '
    yield from documents.listed(rows)
    yield "}\n"


def _told(actions):
    """Return what is told of cards: comments, who made them, and when they were archived."""
    said, made, archived = defaultdict(list), {}, {}
    # The newest comes first.
    for action in reversed(actions):
        data, kind = action.get("data") or {}, action.get("type")
        card = (data.get("card") or {}).get("id")
        who = (action.get("memberCreator") or {}).get("username") or "ghost"
        if kind == "commentCard":
            said[card].append({"author": who, "body": data["text"], "created": action["date"]})
        elif kind in ("createCard", "copyCard", "convertToCardFromCheckItem"):
            made[card] = who
        elif kind == "updateCard" and "closed" in (data.get("old") or {}):
            archived[card] = action["date"]
    return said, made, archived


def _fill(item, table, card, people, checklists):
    """Set what a card says by itself."""
    description = card.get("desc") or ""
    for checklist in checklists:
        lines = [
            f"- [{'x' if each['state'] == 'complete' else ' '}] {each['name']}"
            for each in checklist["checkItems"]
        ]
        description += f"\n\n{checklist['name']}:\n" + "\n".join(lines)
    members = [people.get(each, each) for each in card.get("idMembers") or ()]
    # What an address begins with, counted from 1970 in seconds.
    created = datetime.fromtimestamp(int(card["id"][:8], 16), UTC).isoformat()
    fields = {
        "number": card.get("idShort"),
        "url": card.get("url") or card.get("shortUrl"),
        "assignees": members[1:],
        "attachments": [each["url"] for each in card.get("attachments") or () if each.get("url")],
        **item.origin,
    }
    item.ticket = {
        "title": table.line(card["name"]),
        "description": description.strip() or None,
        "assignee": members[0] if members else None,
        "labels": [label["name"] or label["color"] for label in card.get("labels") or ()],
        "due": card.get("due"),
        "created": created,
        "updated": max(card.get("dateLastActivity") or created, created),
        "fields": {name: value for name, value in fields.items() if value},
    }
