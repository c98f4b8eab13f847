"""What a foreign file's columns, statuses, priorities, people and dates are here.

Each tracker has a table (iris/transfer/shapes.py); `--map FILE` lays another one over it, of the same form:

    {"columns": {"Story points": "fields.points", "*": "nothing"}, "status": {"Code review": "active"},
     "priority": {"P1": "urgent"}, "people": {"jsmith": "john"}, "dates": "DMY", "timezone": "Europe/Berlin"}
"""

import difflib
import json
import re
from collections import Counter

from iris import models
from iris.transfer import files

PARTS = ("columns", "status", "priority", "people", "dates", "timezone")
# Where a column may go besides a ticket's own columns and fields.
PLACES = {
    "key": "what the row is known by when it comes again",
    "comment": "a comment",
    "alias": "what links of the file call it, too",
    "links": "what it has to do with others, in words: Blocks #2, Related to #5",
    "nothing": "it is left out",
    "fields": "`fields`, under its own name",
    "object": "a JSON object of more `fields`",
    "links.parent": "the ticket above",
    "links.blocks": "what it blocks",
    "links.blocked_by": "what blocks it",
    "links.duplicates": "what it duplicates",
    "links.duplicated_by": "what duplicates it",
    "links.relates": "what it relates to",
}
# Kept by the database, whatever a file says; and what is not one thing.
UNGIVEN = ("ticket_id", "version", "fields")
# The statuses that the tables speak of, and whether they are open: a workflow may have others.
USUAL = {"open": True, "active": True, "blocked": True, "resolved": False, "closed": False}
# Kinds of unknown values that are counted.
MOST = 1000

# What a title may not have: postgres/schema/rules/checks.sql.
ENDS = re.compile("[\x01-\x1f\x7f-\x9f\u2028\u2029]+")
NUMBERS = re.compile(r"(\d{1,2})([/.-])(\d{1,2})\2(\d{4}|\d{2})(?!\d)(.*)", re.DOTALL)
# As JavaScript writes it. PostgreSQL would read its zone the other way round.
SCRIPT = re.compile(
    r"\w{3} (\w{3}) (\d{1,2}) (\d{4}) (\d\d:\d\d:\d\d) GMT([+-]\d\d)(\d\d)(?: \(.*\))?"
)
TURNED_ROUND = re.compile(r"(GMT|UTC|UT)[+-][0-9]", re.IGNORECASE)


class Mistake(ValueError):
    """What is wrong with a row, in words that are the same for all rows of which it is true."""


def plain(name):
    """Return a name without what people write differently: case, blanks, `_`, `-`."""
    return re.sub(r"[\s_-]+", "", name).casefold()


def columns():
    """Return the names of a ticket's columns that a file may give."""
    return [name for name in models.Ticket.__table__.c.keys() if name not in UNGIVEN]  # noqa: SIM118


class Mapping:
    """A tracker's table, with another one laid over it, and what it has met.

    table:    the table in effect, as `--map` takes it.
    workflow: [(status, whether it is open)], in order.
    asks:     whether columns that are nearly known are asked about: a tracker knows how it spells its own.
    met:      {"status": Counter of (theirs, ours), …}.
    people:   {theirs: ours}, also those that the file itself explains.
    placed:   {(column, where it goes): None}; empty: lines that were left out; untold: comments that the file
              only counts; mended: titles that had more than one line; head: what comes before the rows;
              kind: the tracker, as keys are kept under it.
    """

    def __init__(self, table, over, workflow, asks=False):
        self.workflow, self.asks = workflow, asks
        self.own = {part: over.get(part) or {} for part in ("columns", "status", "priority")}
        self.table = {
            part: {**table.get(part, {}), **over.get(part, {})}
            for part in ("columns", "status", "priority", "people")
        }
        self.table["dates"] = over.get("dates", table.get("dates"))
        self.table["timezone"] = over.get("timezone", table.get("timezone", "UTC"))
        self.met = {"status": Counter(), "priority": Counter()}
        self.kind, self.head, self.empty, self.untold, self.mended, self.placed = (
            "",
            "",
            0,
            0,
            0,
            {},
        )
        self.people = dict(self.table["people"])
        self._statuses = {plain(status): status for status, _ in workflow}
        self._theirs = {
            part: {plain(name): value for name, value in self.table[part].items()}
            for part in ("status", "priority")
        }
        self._known = {}
        self._check()

    def _check(self):
        for status in self.own["status"].values():
            if status not in dict(self.workflow):
                raise files.Refused(
                    f'--map: the workflow has no status "{status}"; it has {_list(dict(self.workflow))}'
                )
        for priority in self.own["priority"].values():
            if priority not in models.ENUMS["priority"]:
                raise files.Refused(
                    f'--map: there is no priority "{priority}"; there are {_list(models.ENUMS["priority"])}'
                )
        for place in self.own["columns"].values():
            if (
                place not in PLACES
                and place not in columns()
                and not re.match(r"fields\..", place, re.DOTALL)
            ):
                raise files.Refused(
                    f'--map: a column can\'t go to "{place}"; it can go to {_list([*columns(), *PLACES])}'
                    " or fields.NAME"
                )

    def status(self, theirs):
        """Return what a status is here; raise Mistake where nobody has said."""
        return self._find("status", theirs, self._status)

    def _status(self, theirs):
        name = plain(theirs)
        own = {plain(name): status for name, status in self.own["status"].items()}
        if name in own:
            return own[name]
        if name in self._statuses:
            return self._statuses[name]
        usual = self._theirs["status"].get(name)
        if usual in dict(self.workflow):
            return usual
        if usual is not None:
            # A workflow of one's own: its first one that is open, or is not.
            return next((name for name, is_open in self.workflow if is_open == USUAL[usual]), None)
        return None

    def priority(self, theirs):
        """Return what a priority is here; raise Mistake where nobody has said."""
        return self._find("priority", theirs, self._priority)

    def _priority(self, theirs):
        name = plain(theirs)
        own = {plain(name): priority for name, priority in self.own["priority"].items()}
        known = {each: each for each in models.ENUMS["priority"]}
        return own.get(name) or known.get(name) or self._theirs["priority"].get(name)

    def _find(self, part, theirs, find):
        if (part, theirs) not in self._known:
            if len(self._known) > MOST:
                self._known.clear()
            self._known[part, theirs] = find(theirs)
        ours = self._known[part, theirs]
        if ours is None:
            raise Mistake(f'there is no {part} "{theirs}"')
        if len(self.met[part]) < MOST or (theirs, ours) in self.met[part]:
            self.met[part][theirs, ours] += 1
        return ours

    def line(self, theirs):
        """Return a title as one line, as titles are here."""
        if not theirs or not ENDS.search(theirs):
            return theirs
        self.mended += 1
        return ENDS.sub(" ", theirs).strip()

    def moment(self, theirs, script=False):
        """Return a time as PostgreSQL reads it; raise Mistake where it may mean two things.

        script:   whether the tracker writes times as JavaScript does.
        """
        if found := NUMBERS.fullmatch(theirs):
            one, mark, two, year, rest = found.groups()
            if mark == "." or (int(one) > 12 >= int(two)):
                order = "DMY"
            elif int(two) > 12 >= int(one):
                order = "MDY"
            else:
                order = self.table["dates"]
            if order is None:
                raise Mistake(
                    "a date such as 03/04/2024 is the third of April or March 4th:"
                    ' say which, --map FILE with {"dates": "DMY"} or {"dates": "MDY"}'
                )
            day, month = (one, two) if order == "DMY" else (two, one)
            return f"{year if len(year) == 4 else '20' + year}-{month}-{day}{rest}"
        if TURNED_ROUND.search(theirs):
            if script and (found := SCRIPT.fullmatch(theirs)):
                return "{2}-{0}-{1} {3}{4}:{5}".format(*found.groups())
            if not re.search(r"(GMT|UTC|UT)[+-]0+(:?0+)?\b", theirs, re.IGNORECASE):
                raise Mistake(
                    "a time must not name its zone like GMT+0100, which means one hour west of Greenwich"
                    " to PostgreSQL; write it like 2026-12-01T09:00:00+01:00"
                )
        return theirs

    def place(self, name):
        """Return where a column goes, or None where nobody has said.

        Raises:   files.Refused where it is nearly one that is known: it is not guessed at.
        """
        for table in (self.own["columns"], self.table["columns"]):
            known = {plain(each): place for each, place in table.items()}
            if plain(name) in known:
                return known[plain(name)]
        names = {plain(each): _words(each) for each in (*self.table["columns"], *columns())}
        likely = sorted(each for each in names if names[each] == _words(name))
        near = difflib.get_close_matches(plain(name), likely, n=1, cutoff=0.8)
        if near and self.asks and "*" not in self.own["columns"]:
            raise files.Refused(
                f'line 1: is the column "{name}" meant to be "{near[0]}"? Rename it, or say where it goes:'
                f" --map FILE with {json.dumps({'columns': {name: 'fields'}}, ensure_ascii=False)}"
            )
        return self.table["columns"].get("*")

    def advice(self, part, unknown):
        """Return what to do about statuses or priorities that nobody knows, as a sentence.

        unknown:  {theirs: how often}.
        """
        there = dict(self.workflow) if part == "status" else models.ENUMS["priority"]
        example = {part: {next(iter(unknown)): "…"}}
        return (
            f"say what {'they are' if len(unknown) > 1 else 'it is'} here:"
            f" --map FILE with {json.dumps(example, ensure_ascii=False)}, of {_list(there)}"
            + ("; or add it to the workflow first" if part == "status" else "")
        )


def read(path):
    """Read a map; return it, {} where there is none, or refuse."""
    if path is None:
        return {}
    with files.opened(path) as file:
        try:
            over = json.loads(file.read(1 << 24))
        except (ValueError, RecursionError) as error:
            raise files.Refused(f"{path}: this is no JSON: {error}") from None
    if not isinstance(over, dict):
        raise files.Refused(f"{path}: a map is a JSON object")
    for part, value in over.items():
        if part not in PARTS:
            raise files.Refused(f'{path}: a map has no "{part}"; it has {_list(PARTS)}')
        if part == "dates" and value not in ("DMY", "MDY", None):
            raise files.Refused(f'{path}: dates are "DMY" or "MDY"')
        if part == "timezone" and not isinstance(value, str):
            raise files.Refused(f"{path}: timezone is a name, such as Europe/Berlin")
        if part in PARTS[:4] and not (
            isinstance(value, dict) and all(isinstance(each, str) for each in value.values())
        ):
            raise files.Refused(f'{path}: {part} must be like {{"theirs": "ours"}}')
    return over


def _words(name):
    """Return how many words a name has: `Closed by` is not `closed` mistyped."""
    return len(re.findall(r"[^\s_-]+", name))


def _list(names):
    return ", ".join(names)
