"""The shapes that files of other trackers have: what reads them, and what their columns and words are here.

A row a tracker. `--map FILE` lays another table over the one here, `--dry-run` prints what is in effect.
"""

import re
from typing import NamedTuple

from iris.transfer import github, mapping, rows, trello

ALIKE = {name: name for name in mapping.columns()}
# Work that has not begun, is under way, is held up, is over.
STATES = {
    "Backlog": "open",
    "To Do": "open",
    "New": "open",
    "Open": "open",
    "Reopened": "open",
    "Triage": "open",
    "Selected for Development": "open",
    "Feedback": "blocked",
    "Blocked": "blocked",
    "On Hold": "blocked",
    "Waiting": "blocked",
    "In Progress": "active",
    "In Review": "active",
    "Doing": "active",
    "Resolved": "resolved",
    "Done": "closed",
    "Closed": "closed",
    "Rejected": "closed",
    "Canceled": "closed",
    "Cancelled": "closed",
    "Declined": "closed",
    "Duplicate": "closed",
    "Won't Do": "closed",
    "Archived": "closed",
}


class Shape(NamedTuple):
    """One tracker's files.

    read:           (text, mapping, name of the shape, shape) → items.Item, one by one.
    table:          what its columns and words are here (mapping.Mapping).
    mention:        what in a text names another ticket.
    script_times:   whether it writes times as JavaScript does.
    pairs:          columns that tell whose a number is, {number: name}.
    closing_lies:   whether what is open may have a time of closing, from before it was reopened.
    many_assignees: whether commas stand between several.
    asks:           whether a column that is nearly known is asked about: people wrote it.
    write:          (raw rows, mapping) → the text of a file with these only.
    """

    read: callable
    table: dict
    mention: re.Pattern | None = None
    script_times: bool = False
    pairs: dict = {}
    closing_lies: bool = False
    many_assignees: bool = False
    asks: bool = False
    write: callable = rows.write


NUMBER = re.compile(r"(?<![\w&/#])#(\d{1,9})\b")
KEY = re.compile(r"(?<![\w/-])([A-Z][A-Z0-9_]{1,20}-\d{1,9})\b(?!-)")

CSV = {
    "columns": {
        **ALIKE,
        "fields": "object",
        "ticket_id": "key",
        "version": "nothing",
        "imported": "fields.imported",
        "key": "key",
        "id": "key",
        "issue key": "key",
        "number": "key",
        "#": "key",
        "summary": "title",
        "subject": "title",
        "body": "description",
        "state": "status",
        "assigned to": "assignee",
        "owner": "assignee",
        "author": "reporter",
        "created by": "reporter",
        "label": "labels",
        "tags": "labels",
        "due date": "due",
        "created at": "created",
        "updated at": "updated",
        "closed at": "closed",
        "comment": "comment",
        "comments": "comment",
        "*": "fields",
    },
}
JIRA = {
    "columns": {
        "Summary": "title",
        "Description": "description",
        "Issue key": "key",
        "Status": "status",
        "Priority": "priority",
        "Assignee": "assignee",
        "Reporter": "reporter",
        "Labels": "labels",
        "Created": "created",
        "Updated": "updated",
        "Resolved": "closed",
        "Due date": "due",
        "Comment": "comment",
        "Comments": "comment",
        "Parent": "links.parent",
        "Parent id": "links.parent",
        "Parent key": "links.parent",
        "Custom field (Epic Link)": "links.parent",
        "Outward issue link (Blocks)": "links.blocks",
        "Inward issue link (Blocks)": "links.blocked_by",
        "Outward issue link (Duplicate)": "links.duplicates",
        "Inward issue link (Duplicate)": "links.duplicated_by",
        "Outward issue link (Relates)": "links.relates",
        "Inward issue link (Relates)": "links.relates",
        "Outward issue link (Cloners)": "links.relates",
        "Inward issue link (Cloners)": "links.relates",
        "Issue id": "alias",
        "*": "fields",
    },
    "status": STATES,
    "priority": {
        "Blocker": "urgent",
        "Critical": "urgent",
        "Highest": "urgent",
        "Major": "high",
        "Medium": "normal",
        "Minor": "low",
        "Trivial": "low",
        "Lowest": "low",
    },
}
REDMINE = {
    "columns": {
        "#": "key",
        "Subject": "title",
        "Description": "description",
        "Status": "status",
        "Priority": "priority",
        "Assignee": "assignee",
        "Author": "reporter",
        "Created": "created",
        "Updated": "updated",
        "Closed": "closed",
        "Due date": "due",
        "Tags": "labels",
        "Parent task": "links.parent",
        "Related issues": "links",
        "*": "fields",
    },
    "status": STATES,
    "priority": {"Immediate": "urgent"},
}
GITLAB = {
    "columns": {
        "URL": "key",
        "Issue ID": "fields.number",
        "Title": "title",
        "Description": "description",
        "State": "status",
        "Author Username": "reporter",
        "Assignee Username": "assignee",
        "Labels": "labels",
        "Due Date": "due",
        "Created At (UTC)": "created",
        "Updated At (UTC)": "updated",
        "Closed At (UTC)": "closed",
        "*": "fields",
    },
    "status": STATES,
}
LINEAR = {
    "columns": {
        "ID": "key",
        "Title": "title",
        "Description": "description",
        "Status": "status",
        "Priority": "priority",
        "Assignee": "assignee",
        "Creator": "reporter",
        "Labels": "labels",
        "Created": "created",
        "Updated": "updated",
        "Completed": "closed",
        "Canceled": "closed",
        "Due Date": "due",
        "Parent issue": "links.parent",
        "Blocked by": "links.blocked_by",
        "Blocking": "links.blocks",
        "Related to": "links.relates",
        "Duplicate of": "links.duplicates",
        "*": "fields",
    },
    "status": {**STATES, "Todo": "open"},
    "priority": {"No priority": "normal", "Medium": "normal"},
}

ALL = {
    "github": Shape(
        github.read, {"status": {"open": "open", "closed": "closed"}}, NUMBER, write=github.write
    ),
    "csv": Shape(rows.read, CSV, asks=True),
    "tsv": Shape(rows.read_copied, CSV, asks=True),
    "jira": Shape(
        rows.read,
        JIRA,
        KEY,
        closing_lies=True,
        # Whom a comment is by is told by a number, which these columns explain.
        pairs={"Assignee Id": "Assignee", "Reporter Id": "Reporter", "Creator Id": "Creator"},
    ),
    "redmine": Shape(rows.read, REDMINE, NUMBER, closing_lies=True),
    "gitlab": Shape(rows.read, GITLAB, NUMBER, closing_lies=True, many_assignees=True),
    "linear": Shape(rows.read, LINEAR, KEY, script_times=True, closing_lies=True),
    "trello": Shape(trello.read, {"status": STATES}, write=trello.write),
}
