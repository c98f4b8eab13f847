"""Items of files with a header and a row a ticket: CSV, TSV, and the trackers that write such."""

import hashlib
import json
import re

from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP

from iris import models
from iris.transfer import csv, files, formerly, items, mapping

COLUMNS = {name: models.Ticket.__table__.c[name] for name in mapping.columns()}
# Of what is not empty, these are texts as they are; of all others blanks at the ends mean nothing.
TEXTS = ("title", "description")
# Date, who, and what was said, as Jira puts them into a cell.
SAID = re.compile(r"([^;\n]{0,20}\d[^;\n]{0,30});([^;\n]{0,200});(.*)", re.DOTALL)
# What Redmine calls other tickets.
RELATIONS = (
    (r"blocked by", "blocks", True),
    (r"blocks", "blocks", False),
    (r"(?:is )?duplicated by|has duplicate", "duplicates", True),
    (r"(?:is )?duplicates?(?: of)?", "duplicates", False),
)
LINKS = {
    "links.parent": ("parent", False),
    "links.blocks": ("blocks", False),
    "links.blocked_by": ("blocks", True),
    "links.duplicates": ("duplicates", False),
    "links.duplicated_by": ("duplicates", True),
    "links.relates": ("relates", False),
}
# People whose numbers are explained by other columns of the file.
PEOPLE = 100_000


def read(text, table, kind, shape):
    """Yield the items of a CSV (foreign.take())."""
    yield from _items(csv.records(text), table, kind, shape)


def read_copied(text, table, kind, shape):
    """Yield the items of a TSV as Iris and COPY write it; they are known as those of a CSV are."""
    yield from _items(csv.copied(text), table, "csv", shape)


def write(rows, table):
    """Yield the text of a file with these raw rows only."""
    yield table.head
    for raw in rows:
        yield raw if raw.endswith(("\n", "\r")) else raw + "\n"


def _items(records, table, kind, shape):
    header = next(records, None)
    if header is None:
        raise files.Refused("line 1: the file is empty")
    table.head, table.kind = header.raw, kind
    columns = _Columns(header.cells, table, shape)
    for record in records:
        if not any(cell and cell.strip() for cell in record.cells):
            table.empty += 1
            continue
        yield columns.item(record, kind)


class _Columns:
    """Where each cell of a row goes."""

    def __init__(self, cells, table, shape):
        self.table, self.shape = table, shape
        self.names = [(cell or "").strip().removeprefix("\ufeff") for cell in cells]
        while self.names and not self.names[-1]:
            self.names.pop()
        self.places = [table.place(name) if name else "fields" for name in self.names]
        self._one_each()
        if "title" not in self.places:
            raise files.Refused(
                f"line 1: there is no column {self._wanted()}; there are: {', '.join(self.names)}\n"
                'say which is the title: --map FILE with {"columns": {"…": "title"}}'
            )
        self.as_they_are = cells
        self.was_read = table.kind == "csv" and formerly.reads(cells)
        self.is_keyed = "key" in self.places
        self.is_own = ("ticket_id", "key") in zip(self.names, self.places, strict=True)
        table.placed = dict.fromkeys(zip(self.names, self.places, strict=True))

    def _wanted(self):
        """Return by which names there may be a title."""
        columns = self.table.table["columns"].items()
        return " or ".join(name for name, place in columns if place == "title")

    def _one_each(self):
        """See to it that a column of a ticket comes from one of the file's, or from the first that has it."""
        order = [mapping.plain(name) for name in self.table.table["columns"]]
        own = {mapping.plain(name) for name in self.table.own["columns"]}
        for place in {*self.places} - {"labels", "comment", "nothing", "fields", "alias", "links"}:
            if place.startswith("links."):
                continue
            here = [at for at, each in enumerate(self.places) if each == place]
            names = [mapping.plain(self.names[at]) for at in here]
            for at, name in zip(here, names, strict=True):
                if names.count(name) > 1 and name not in own and not place.startswith("fields."):
                    raise files.Refused(
                        f'line 1: there are {names.count(name)} columns "{self.names[at]}", and a ticket'
                        f" has one {place}"
                    )
            if len(here) > 1 and self.shape.asks:
                best = min(here, key=lambda at: order.index(mapping.plain(self.names[at])))
                for at in here:
                    if at != best:
                        self.places[at] = "fields"

    def item(self, record, kind):
        """Return the item of one record."""
        ticket, fields, rest = {}, {}, {"labels": [], "closing": None, "key": None}
        item = items.Item(f"line {record.line}", {}, ticket, raw=record.raw)
        for at, cell in enumerate(record.cells):
            try:
                self._put(item, fields, rest, at, cell)
            except mapping.Mistake as mistake:
                item.wrong.append(str(mistake))
        for at in range(len(record.cells), len(self.places)):
            if self.places[at] in COLUMNS:
                ticket.setdefault(self.places[at], None)
        if "labels" in self.places:
            ticket["labels"] = rest["labels"]
        self._close(item, fields, rest)
        self._pair(record.cells)
        self._know(item, fields, rest["key"], kind)
        if self.was_read and len(record.cells) == len(self.as_they_are):
            item.formerly = formerly.of(self.as_they_are, record.cells)
            if rest["key"] is not None:
                at = self.places.index("key")
                item.formerly |= {"name": self.names[at], "key": record.cells[at]}
        ticket["fields"] = fields
        return item

    def _put(self, item, fields, rest, at, cell):
        """Put a cell where it goes."""
        empty = cell is None or not cell.strip()
        if at >= len(self.places):
            if not empty:
                more = json.dumps(cell[:50], ensure_ascii=False)
                raise mapping.Mistake(
                    f"it has more cells than the header's {len(self.places)}: {more}"
                )
            return
        place = self.places[at]
        if place in TEXTS and cell is not None:
            item.ticket[place] = self.table.line(cell) if place == "title" else cell
        elif place in COLUMNS and empty:
            item.ticket.setdefault(place, None)
        elif place in COLUMNS:
            self._set(item, fields, rest, place, cell.strip(), self.names[at])
        elif not empty and place != "nothing":
            self._put_aside(item, fields, rest, at, cell)

    def _put_aside(self, item, fields, rest, at, cell):
        """Put a cell where it goes, which is no column of a ticket."""
        place = self.places[at]
        if place == "key":
            rest["key"] = cell.strip()
        elif place == "object":
            item.own = cell
        elif place == "alias":
            item.names.append({"alias": cell.strip()})
            _keep(fields, self.names[at], cell)
        elif place == "comment":
            item.comments.append(self._said(cell))
        elif place == "links":
            item.links += _related(cell, self._called)
        elif place in LINKS:
            link, turned = LINKS[place]
            item.links += [
                items.Link(link, turned, self._called(name.strip())) for name in cell.split(",")
            ]
        else:
            _keep(fields, place.partition(".")[2] or self.names[at] or f"column {at + 1}", cell)

    def _set(self, item, fields, rest, place, text, name):
        """Set a ticket's column to what is not empty."""
        ticket, kind = item.ticket, COLUMNS[place].type
        if place == "status":
            ticket[place] = self.table.status(text)
        elif place == "priority":
            ticket[place] = self.table.priority(text)
        elif place == "labels":
            rest["labels"] += _labels(text)
        elif place == "assignee" and self.shape.many_assignees:
            ticket[place], *others = re.split(r"\s*,\s*", text)
            if others:
                fields["assignees"] = others
        elif place == "closed":
            rest["closing"] = name
            ticket[place] = ticket.get(place) or self.table.moment(text, self.shape.script_times)
        elif isinstance(kind, TIMESTAMP):
            ticket[place] = self.table.moment(text, self.shape.script_times)
        elif isinstance(kind, ARRAY | JSONB):
            try:
                ticket[place] = json.loads(text)
            except (ValueError, RecursionError):
                raise mapping.Mistake(f"{place} must be JSON") from None
        else:
            ticket[place] = text

    def _close(self, item, fields, rest):
        """Keep a time of closing in `fields` where the ticket is open: some keep it when they reopen."""
        closed = item.ticket.get("closed")
        open_here = dict(self.table.workflow).get(item.ticket.get("status"))
        if closed and open_here and self.shape.closing_lies:
            item.ticket["closed"] = None
            _keep(fields, rest["closing"], closed)

    def _said(self, cell):
        """Return the comment of a cell."""
        author, when, body = None, None, cell
        if found := SAID.fullmatch(cell):
            when, author, body = found.groups()
            when = self.table.moment(when.strip(), self.shape.script_times)
        return {"author": author or None, "body": body, "created": when}

    def _pair(self, cells):
        """Note whose number stands in a row."""
        if self.shape.pairs and len(self.table.people) < PEOPLE:
            row = {name: cell for name, cell in zip(self.names, cells, strict=False) if cell}
            for number, name in self.shape.pairs.items():
                if number in row and name in row:
                    self.table.people.setdefault(row[number], row[name])

    def _called(self, key):
        """Return what a ticket of this key may be called."""
        return [{"imported": f"{self.table.kind} {key}"}, {"alias": key}]

    def _know(self, item, fields, key, kind):
        """Set what the ticket is known by."""
        if key is None:
            item.is_keyed = False
            if self.is_keyed:
                item.wrong.append("it has no key, unlike the others")
            parts = [item.ticket.get("title"), item.ticket.get("created")]
            digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
            item.origin = {"imported": digest}
        else:
            name = "url" if key.startswith(("http://", "https://")) else "key"
            name = "number" if key.isascii() and key.isdigit() else name
            item.origin = {"imported": f"{kind} {key}"}
            came_with = {}
            if self.is_own and name == "number":
                item.own_id, came_with = min(int(key), 2**63 - 1), _object(item.own)
            # What an Iris has from elsewhere is known by that.
            for known in ("imported", "url"):
                if isinstance(came_with.get(known), str):
                    item.origin = {known: came_with[known]}
                    break
            if name not in came_with and not item.origin.keys() & came_with.keys():
                _claim(fields, name, _number(key))
        for name, value in item.origin.items():
            _claim(fields, name, value)
        if self.shape.mention:

            def called(other):
                return self._called(re.sub(r"\d+$", other, key or "") if other.isdigit() else other)

            items.add_mentions(item, self.shape.mention, called)


def _keep(fields, name, cell):
    """Keep a cell in `fields`; those of columns of one name become a list."""
    value = _number(cell) if name == "number" else cell
    if name not in fields:
        fields[name] = value
    elif isinstance(fields[name], list):
        fields[name].append(value)
    else:
        fields[name] = [fields[name], value]


def _claim(fields, name, value):
    """Set what is Iris's own of `fields`; what the file has there of the same name moves to `name_`."""
    if name in fields and fields[name] != value:
        _claim(fields, f"{name}_", fields[name])
    fields[name] = value


def _object(text):
    """Return the object that a text is in JSON, else an empty one."""
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _number(text):
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else text


def _labels(text):
    """Return the labels of a cell: a JSON list of texts, else with commas between them."""
    if text.startswith("["):
        try:
            labels = json.loads(text)
        except (ValueError, RecursionError):
            labels = None
        if isinstance(labels, list) and all(isinstance(label, str) for label in labels):
            return labels
    return [label.strip() for label in text.split(",") if label.strip()]


def _related(cell, called):
    """Return the links of a cell such as `Blocks #2, Related to #5`."""
    links = []
    for part in cell.split(","):
        for number in re.findall(r"#(\d+)", part):
            for pattern, kind, turned in RELATIONS:
                if re.match(pattern, part.strip(), re.IGNORECASE):
                    links.append(items.Link(kind, turned, called(number)))
                    break
            else:
                links.append(items.Link("relates", False, called(number)))
    return links
