"""Issues of GitHub."""

import io
import json

from iris.transfer import files, writing


def stage(cursor, file):
    """Stage issues as GitHub's REST API gives them.

    Returns:  ({place: mistake}, a function that writes the issues of some places to a file).
    """
    try:
        issues = json.load(file)
    except (ValueError, RecursionError) as error:
        raise files.Refused(f"this is no JSON: {error}") from None
    if not isinstance(issues, list):
        raise files.Refused("this is no list of issues: it should start with [")
    mistakes, lines = {}, io.StringIO()
    for place, issue in enumerate(issues):
        number = issue.get("number") if isinstance(issue, dict) else None
        label = f"issue {place} (number {json.dumps(number)})"
        try:
            entry, origin = _issue(issue)
        except (AttributeError, KeyError, TypeError, ValueError):
            mistakes[place] = f"{label}: is not as GitHub's API gives it"
            continue
        lines.write("\x02".join((str(place), label, json.dumps(entry), json.dumps(origin))) + "\n")
    lines.seek(0)
    cursor.copy_expert(f"COPY foreigners FROM STDIN {writing.RAW}", lines)

    def write(bad, places):
        issues_left = [issues[place] for place in places]
        bad.write(json.dumps(issues_left, indent=1).encode() + b"\n")

    return mistakes, write


def _issue(issue):
    """Return (what LOAD reads, how to know it again) of one issue."""

    people = issue.get("assignees") or [issue.get("assignee")]
    people = [_login(user) for user in people if user]
    comments = issue.get("comments")
    origin = {"url": issue["html_url"]} if issue.get("html_url") else {"id": int(issue["id"])}
    # PostgreSQL's texts hold neither.
    if "\x00" in origin.get("url", "").encode().decode() or issue["state"] not in (
        "open",
        "closed",
    ):
        raise ValueError(issue)
    fields = {
        "number": issue.get("number"),
        "milestone": (issue.get("milestone") or {}).get("title"),
        "state_reason": issue.get("state_reason"),
        "assignees": people[1:],
        "pull_request": bool(issue.get("pull_request")),
    }
    labels = [
        label if isinstance(label, str) else _text(label["name"])
        for label in issue.get("labels") or ()
    ]
    return {
        "title": _text(issue["title"]),
        "description": _text(issue.get("body") or None),
        "state": issue["state"],
        "reporter": _login(issue.get("user")),
        "assignee": people[0] if people else None,
        "labels": json.dumps(labels),
        "fields": json.dumps({name: value for name, value in fields.items() if value}),
        "created": _text(issue.get("created_at")),
        "updated": _text(issue.get("updated_at")),
        "closed": _text(issue.get("closed_at")),
        "comments": [
            {
                "author": _login(comment.get("user")),
                "body": _text(comment["body"]),
                "created": _text(comment.get("created_at")),
                "updated": _text(comment.get("updated_at")),
            }
            for comment in (comments if isinstance(comments, list) else ())
        ],
    }, origin


def _text(value):
    """Return a text or None as it is; what is neither would be bent on its way into a column."""
    if value is not None and not isinstance(value, str):
        raise TypeError(value)
    return value


def _login(user):
    return _text(user["login"]) if user else "ghost"
