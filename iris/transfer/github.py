"""Issues of GitHub: as its REST API gives them, one page or all, and as `gh issue list --json` does."""

import re

from iris.transfer import documents, items


def read(text, table, kind, shape):
    """Yield the items of a file of issues (foreign.take())."""
    for place, issue in enumerate(documents.each(text)):
        number = issue.get("number") if isinstance(issue, dict) else None
        shown = f"issue {place} (number {documents.written(number)[:20]})"
        try:
            item = _item(issue, table, shown)
        except (AttributeError, KeyError, TypeError, ValueError):
            item = items.Item(shown, {"imported": shown}, is_keyed=False)
            item.wrong.append("is not as GitHub's API gives it")
        item.raw = issue
        if item.origin.get("url") and not item.wrong:
            items.add_mentions(item, shape.mention, lambda number, of=item: _called(of, number))
        yield item


def write(rows, table):
    """Yield the text of a file with these issues only."""
    yield from documents.listed(rows)


def _called(item, number):
    """Return the addresses that an issue of the same repository may have."""
    return [
        {"url": re.sub(r"(issues|pull)/\d+$", f"{kind}/{number}", item.origin["url"])}
        for kind in ("issues", "pull")
    ]


def _item(issue, table, shown):
    def get(name, default=None):
        """Return what the API calls `closed_at`, and gh `closedAt`."""
        turned = re.sub(r"_(\w)", lambda found: found[1].upper(), name)
        return issue.get(name, issue.get(turned, default))

    # Of gh, the one address; of the API, the one for people.
    url = _text(issue.get("html_url") or (issue.get("url") if "created_at" not in issue else None))
    if url:
        origin = {"url": url}
    elif issue.get("id"):
        origin = {"id": issue["id"] if isinstance(issue["id"], int) else _text(issue["id"])}
    else:
        origin = {"imported": f"github #{int(issue['number'])}"}
    state = issue["state"].lower()
    if state not in ("open", "closed", "merged"):
        raise ValueError(state)
    people = issue.get("assignees") or [issue.get("assignee")]
    people = [_login(user) for user in people if user]
    fields = {
        "number": issue.get("number"),
        "milestone": (issue.get("milestone") or {}).get("title"),
        "state_reason": get("state_reason"),
        "assignees": people[1:],
        "pull_request": bool(issue.get("pull_request")) or state == "merged",
    }
    ticket = {
        "title": table.line(_text(issue["title"])),
        "status": table.status(state.replace("merged", "closed")),
    }
    if "body" in issue:
        ticket["description"] = _text(issue["body"] or None)
    if "user" in issue or "author" in issue:
        ticket["reporter"] = _login(issue.get("user", issue.get("author")))
    if "assignees" in issue or "assignee" in issue:
        ticket["assignee"] = people[0] if people else None
    if "labels" in issue:
        ticket["labels"] = [
            label if isinstance(label, str) else _text(label["name"])
            for label in issue["labels"] or ()
        ]
        if None in ticket["labels"]:
            raise TypeError(None)
    for name in ("created", "updated", "closed"):
        ticket[name] = _text(get(f"{name}_at"))
    ticket["fields"] = {name: value for name, value in fields.items() if value} | origin
    item = items.Item(shown, origin, ticket)
    comments = issue.get("comments")
    if isinstance(comments, list):
        item.comments = [_comment(comment) for comment in comments]
    elif isinstance(comments, int):
        table.untold += comments
    return item


def _comment(comment):
    return {
        "author": _login(comment.get("user", comment.get("author"))),
        "body": _text(comment["body"]),
        "created": _text(comment.get("created_at", comment.get("createdAt"))),
        "updated": _text(comment.get("updated_at")),
    }


def _text(value):
    """Return a text or None as it is; what is neither would be bent on its way into a column."""
    if value is not None and not isinstance(value, str):
        raise TypeError(value)
    return value


def _login(user):
    return _text(user["login"]) if user else "ghost"
