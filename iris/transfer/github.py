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

    def login(user):
        return user["login"] if user else "ghost"

    people = issue.get("assignees") or [issue.get("assignee")]
    people = [login(user) for user in people if user]
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
        label if isinstance(label, str) else label["name"] for label in issue.get("labels") or ()
    ]
    return {
        "title": issue["title"],
        "description": issue.get("body") or None,
        "state": issue["state"],
        "reporter": login(issue.get("user")),
        "assignee": people[0] if people else None,
        "labels": json.dumps(labels),
        "fields": json.dumps({name: value for name, value in fields.items() if value}),
        "created": issue.get("created_at"),
        "updated": issue.get("updated_at"),
        "closed": issue.get("closed_at"),
        "comments": [
            {
                "author": login(comment.get("user")),
                "body": comment["body"],
                "created": comment.get("created_at"),
                "updated": comment.get("updated_at"),
            }
            for comment in (comments if isinstance(comments, list) else ())
        ],
    }, origin
