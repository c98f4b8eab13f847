"""A form that was refused comes back: filled in, with what is wrong at the field it is about.

It is made of what was sent alone, so that nothing that somebody typed is lost, be the database gone.
"""

from iris.web import templates

# What a form has beside what somebody fills in.
HIDDEN = ("version", "event_id", "change")
# The field that a code is about, where the refusal names none.
ABOUT = {
    "transition_not_allowed": "status",
    "link_cycle": "other_id",
    "second_parent": "other_id",
    "no_such_ticket": "other_id",
}
# What comes of trying the same once more.
AGAIN = (408, 429, 503)


def wrong(problem, form):
    """Return {field: words} of what is wrong with a form.

    form:     {name: text}, as it was sent.
    """
    errors = problem.more.get("errors")
    if isinstance(errors, dict):
        # A hook's form has one field for all filters of tickets.
        where = {name: "filter" if name not in form else name for name in errors}
        return {where[name]: words for name, words in errors.items() if where[name] in form}
    name = ABOUT.get(problem.code)
    return {name: problem.detail} if name in form else {}


def choices(problem, form, enums):
    """Return {field: its values} of those fields whose values are known.

    enums:    {name of a type: its values}.
    """
    found = {
        "priority": enums["priority"],
        "role": enums["token_role"],
        "digest": enums["mail_digest"],
        "on_failure": enums["hook_failure"],
    }
    if "other_id" in form:
        # Hooks have kinds, too, of events.
        found["kind"] = enums["link_kind"]
    allowed, names = problem.more.get("allowed"), wrong(problem, form)
    if allowed and len(names) == 1 and not names.keys() <= {"filter", "kind"}:
        found |= {name: list(allowed) for name in names}
    return {name: values for name, values in found.items() if name in form}


class Lost:
    """A race that was lost: what somebody would change, and what others have made of it meanwhile.

    now:      the ticket as it is.
    then:     {column: what it was} of those that others have changed since it was read.
    form:     {name: text} as it was sent, all columns that there is a field for.
    """

    def __init__(self, now, then, form):
        self.version = now["version"]
        self.theirs = {name: self._shown(now, name) for name in form if name in now}
        self.theirs.pop("version", None)
        before = {name: self._shown(then, name) for name in then}
        self.mine = {
            name: form[name]
            for name, theirs in self.theirs.items()
            if form[name] != before.get(name, theirs)
        }

    @staticmethod
    def _shown(row, name):
        value = templates.in_form(row, name)
        return "" if value is None else str(value)

    @property
    def is_done(self):
        """Whether the ticket is by now as it was to be."""
        return all(self.theirs[name] == value for name, value in self.mine.items())

    @property
    def both(self):
        """Return {name: (theirs, mine)} of what differs by now."""
        return {
            name: (self.theirs[name], mine)
            for name, mine in self.mine.items()
            if self.theirs[name] != mine
        }

    @property
    def others(self):
        """Return {name: theirs} of everything else, which stays as it is."""
        return {name: theirs for name, theirs in self.theirs.items() if name not in self.both}
