"""What a tracker has at a moment, in plain Python, for tests: it knows nothing of how Iris keeps its past."""

import copy

COLUMNS = (
    "title", "description", "status", "assignee", "reporter", "priority", "labels", "fields", "due",
)  # fmt: skip
START = {
    "statuses": [["open", True], ["active", True], ["blocked", True], ["resolved", False], ["closed", False]],
    "transitions": {
        "open": {"active", "resolved", "closed"},
        "active": {"open", "blocked", "resolved", "closed"},
        "blocked": {"open", "active", "closed"},
        "resolved": {"open", "closed"},
        "closed": {"open"},
    },
}  # fmt: skip


class State:
    """What there is at a moment."""

    def __init__(self):
        self.tickets, self.comments, self.links = {}, {}, set()
        self.workflow = copy.deepcopy(START)

    def open(self, status):
        return dict(map(tuple, self.workflow["statuses"]))[status]

    def things(self):
        """Return {thing: its value}: what one can change by itself."""
        made = {("ticket", number): True for number in self.tickets}
        for number, row in self.tickets.items():
            made |= {("column", number, name): value for name, value in row.items()}
        for number, row in self.comments.items():
            made["comment", row["ticket_id"], number] = dict(row)
        made |= {("link", link[0], *link[1:]): True for link in self.links}
        made["workflow", None, "statuses"] = self.workflow["statuses"]
        made["workflow", None, "transitions"] = self.workflow["transitions"]
        return copy.deepcopy(made)

    def set(self, thing, value):
        """Make a thing be this, None for not there."""
        kind, number, *rest = thing
        if kind == "ticket":
            self.tickets.setdefault(number, {}) if value else self.tickets.pop(number)
        elif kind == "column" and value is not MISSING:
            self.tickets[number][rest[0]] = value
        elif kind == "comment":
            self.comments.pop(rest[0], None)
            if value is not MISSING:
                self.comments[rest[0]] = value
        elif kind == "link":
            (self.links.discard if value is MISSING else self.links.add)((number, *rest))
        elif kind == "workflow":
            self.workflow[rest[0]] = value

    def words(self, number):
        row = self.tickets[number]
        texts = [row["title"], row["description"] or "", *row["labels"]]
        texts += [each["body"] for each in self.comments.values() if each["ticket_id"] == number]
        return {
            part for text in texts for word in text.split() for part in (word, *word.split("."))
        }

    def ends(self, number):
        return {link for link in self.links if number in (link[0], link[2])}

    def leads(self, kind, start, to):
        """Whether links of a kind lead from one ticket to another."""
        seen, ahead = set(), [start]
        while ahead:
            here = ahead.pop()
            if here == to:
                return True
            if here not in seen:
                seen.add(here)
                ahead += [link[2] for link in self.links if link[:2] == (here, kind)]
        return False


# What a thing is that is not there.
MISSING = type("Missing", (), {"__repr__": lambda self: "missing", "__deepcopy__": lambda self, memo: self, "__bool__": lambda self: False})()  # fmt: skip


def difference(before, after):
    """Return {thing: (then, now)} of two things()."""
    return {
        thing: (before.get(thing, MISSING), after.get(thing, MISSING))
        for thing in before.keys() | after.keys()
        if before.get(thing, MISSING) != after.get(thing, MISSING)
    }


class Wrong(AssertionError):
    """Iris and the model don't agree."""


def agree(found, wanted, *about):
    if found != wanted:
        raise Wrong(f"{about}: found {found!r}, wanted {wanted!r}")


def document(workflow):
    """Return a workflow as /workflow has it."""
    order = [status for status, _ in workflow["statuses"]]
    return {
        "statuses": [{"status": status, "is_open": is_open} for status, is_open in workflow["statuses"]],
        "transitions": {one: sorted(workflow["transitions"].get(one, ()), key=order.index) for one in order},
    }  # fmt: skip


def changed(then, now):
    """Return {ticket_id: (kind, changes, comments more, links)} of what differs between two states."""
    made = {}
    for number in then.tickets.keys() | now.tickets.keys():
        was, is_ = then.tickets.get(number), now.tickets.get(number)
        kind = "created" if was is None else "deleted" if is_ is None else "changed"
        was, is_ = was or dict.fromkeys(COLUMNS), is_ or dict.fromkeys(COLUMNS)
        columns = {name: [was[name], is_[name]] for name in COLUMNS if was[name] != is_[name]}
        before, after = (
            {key: row["body"] for key, row in state.comments.items() if row["ticket_id"] == number}
            for state in (then, now)
        )
        links = [
            sorted(now.ends(number) - then.ends(number)),
            sorted(then.ends(number) - now.ends(number)),
        ]
        if columns or before != after or any(links):
            made[number] = (kind, columns, len(after) - len(before), links)
    return made
