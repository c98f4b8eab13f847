"""What somebody at a shell may mean by what is typed so far; Iris is asked, and remembered for a while."""

import json
import os
import shlex
import time

from iris.client import Failed, asking, connection, place, words

# Seconds that an answer is remembered; that one may take, for somebody has pressed a key and waits.
KEPT, PATIENCE = 300, 2
# The newest tickets, by which names are known; how many names are offered.
NEWEST, MOST = 500, 200
# Of what happened, as much as somebody may want to take back.
LATEST = 50
# Columns that the database keeps, and what changes one that is no column.
NEVER_GIVEN = {"ticket_id", "created", "updated", "closed", "version"}
RELABELLING = ("add_label", "remove_label")
# What a filter looks for, where that is no column.
COLUMNS = {"label": "labels", **dict.fromkeys(RELABELLING, "labels")}
COLUMNS |= dict.fromkeys(("commented_by", "mentions", "watched_by", "actor"), "assignee")
FLAGS = ("true", "false")
# What a command's words are about: the path of the list whose filters they are.
PATHS = {
    "ls": "/tickets",
    "changes": "/changes",
    "log": "/events",
    "stats": "/stats",
    "inbox": "/inbox",
}
ABOUT_ONE = ("show", "set", "comment", "link", "log", "watch")


class Memory:
    """What Iris has answered of late, in a file of the user's."""

    def __init__(self):
        self.where = place.find()
        who = self.where.token or self.where.actor or ""
        self.file = None
        if folder := place.folder("XDG_CACHE_HOME", ".cache"):
            import hashlib  # noqa: PLC0415 (takes its time)

            name = hashlib.sha256(f"{self.where.url} {who}".encode("utf-8", "replace")).hexdigest()
            self.file = os.path.join(folder, "iris", f"names-{name[:16]}")
        try:
            with open(self.file or os.devnull, encoding="utf-8") as file:
                kept = json.load(file)
            self.known = kept if 0 <= time.time() - kept["at"] < KEPT else {}
        except (OSError, ValueError, KeyError, TypeError):
            self.known = {}

    def find(self, name, ask):
        """Return what is known by a name; if there is nothing, what ask() says."""
        if name not in self.known:
            self.known[name] = ask()
            self.known.setdefault("at", time.time())
            self._write()
        return self.known[name]

    def _write(self):
        if self.file is None:
            return
        beside = f"{self.file}.{os.getpid()}"
        try:
            os.makedirs(os.path.dirname(self.file), 0o700, exist_ok=True)
            opened = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(opened, "w", encoding="utf-8") as file:
                json.dump(self.known, file)
            os.replace(beside, self.file)
        except OSError:
            # A home that can't be written: it is asked again.
            pass

    def allowed(self, path, name):
        """Return what a list takes in the place of something that it surely does not take."""

        def ask():
            with_wrong = f"{path}?{words.query([(name, '?')])}"
            headers = {"Accept": "application/json"}
            answer = connection.send(self.where, "GET", with_wrong, headers, b"", PATIENCE)
            said = json.loads(answer.body())
            return said.get("allowed", []) if answer.status >= 400 else []

        return self.find(f"{path} {name}", ask)

    def newest(self):
        """Return the newest tickets, without their long texts."""

        def ask():
            (first, *_) = self._document("/tickets", [("limit", "1")]) or [{}]
            short = [name for name in first if name not in ("title", "description", "fields")]
            pairs = [("limit", str(NEWEST)), ("columns", ",".join(short))]
            return self._document("/tickets", pairs) if short else []

        return self.find("newest", ask)

    def changes(self):
        """Return the numbers of the latest changes, the newest first: what was done just now, too."""
        pairs = [("limit", str(LATEST)), ("columns", "change")]
        return list(dict.fromkeys(str(row["change"]) for row in self._document("/events", pairs)))

    def next(self, number):
        """Return the statuses that a ticket may go to."""
        return self._document(f"/tickets/{number}", [])["next"]

    def _document(self, path, pairs):
        answer = asking.ask("GET", path, pairs, None, where=self.where, patience=PATIENCE)
        return json.loads(answer.body())

    def seen(self, column):
        """Return what stands in a column of the newest tickets, the most frequent first."""
        found = {}
        for ticket in self.newest():
            value = ticket.get(column)
            for each in value if isinstance(value, list) else [value]:
                if isinstance(each, str | bool):
                    text = each if isinstance(each, str) else str(each).lower()
                    found[text] = found.get(text, 0) + 1
        return sorted(found, key=lambda text: (-found[text], text))[:MOST]


def taken_apart(line):
    """Return the words of a command line that is being typed, the last one as far as it goes."""
    for end in ("", "'", '"', "\\"):
        try:
            # What is typed after this stands at the very end, so that a blank before it counts.
            found = shlex.split(f"{line}\x01{end}" if end != "\\" else f"{line}\\\x01")
        except ValueError:
            continue
        if found:
            return [*found[:-1], found[-1].replace("\x01", "")]
    return [""]


def candidates(typed, commands, options):
    """Return what the last word may become.

    typed:    words after `iris`.
    commands: names of all commands; options: (command) → its options.
    """
    *before, last = typed or [""]
    if before in ([], ["help"]):
        return [name for name in commands if name.startswith(last)]
    command = before[0]
    if last.startswith("-"):
        return [name for name in options(command) if name.startswith(last)]
    try:
        found = _words(Memory(), command, before[1:], last)
    except (Failed, ValueError, OSError, KeyError, TypeError):
        # Nobody who presses a key wants to read what is wrong.
        return []
    return [word for word in found if word.startswith(last)]


def _words(memory, command, before, last):
    name, sign, value = last.partition("=")
    if sign:
        return [f"{name}={each}" for each in _values(memory, command, before, name, value)]
    found = []
    if command == "link" and len(before) == 1:
        return words.LINKS
    if command == "undo":
        return memory.changes()
    if command in ABOUT_ONE and (command == "link" or not any(word.isdigit() for word in before)):
        found = [str(ticket["ticket_id"]) for ticket in memory.newest()]
    if command in PATHS:
        found = ["mine"] * (command == "ls") + found
        found += [f"{each}=" for each in memory.allowed(PATHS[command], "?")]
    elif command == "watch":
        from iris.client import following  # noqa: PLC0415 (takes its time)

        found += [f"{each}=" for each in following.CHOSEN]
    elif command in ("new", "set"):
        (first, *_) = memory.newest() or [{}]
        columns = {"title", "description", *first} - NEVER_GIVEN
        found += [f"{each}=" for each in (*sorted(columns), *RELABELLING)]
    return found


def _values(memory, command, before, name, value):
    """Yield what may stand after NAME=, of several values the last one."""
    name, exact = name.removesuffix("!"), value.startswith("=")
    writes = command in ("new", "set")
    numbers = [word for word in before if word.isdigit()]
    if name == "status" and command == "set" and numbers:
        found = memory.next(numbers[0])
    elif name in ("open", "unassigned", "overdue", "blocked", "count"):
        found = FLAGS
    else:
        found = (
            ()
            if writes and name != "priority"
            else memory.allowed(PATHS.get(command, "/tickets"), name)
        )
        if writes and name == "status":
            found = memory.allowed("/tickets", name)
        found = found or memory.seen(COLUMNS.get(name, name))
    done, comma, _ = value.rpartition(",")
    if writes and not name.endswith(("label", "labels")):
        done, comma = "", ""
    start = "!" if value.startswith("!") and not comma and not writes else ""
    for each in found:
        plain = exact or (writes and not comma and not name.endswith(("label", "labels")))
        odd = not plain and (set(each) & set(',"') or each.startswith("!"))
        yield f"{'=' if exact else ''}{done}{comma}{start}{words.quoted(each) if odd else each}"
