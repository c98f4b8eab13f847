"""The templates, compiled once; nothing that comes from anybody is markup, and nothing in it stays unseen."""

import contextlib
import itertools
import re
import sys
from datetime import datetime
from pathlib import Path

import jinja2
from markupsafe import Markup, escape

from iris import bounds, visible
from iris.formats import bars, standup, terminal
from iris.intake import types
from iris.web import board, conditions, ways


def seen(value):
    """Return a value as it is told in a page: a text without what can't be seen, nothing for null."""
    if value is None:
        return ""
    if isinstance(value, str) and not isinstance(value, Markup):
        return visible.safe(value, "\n\t")
    return value


def kept(value):
    """Return a text for a form's field: as it is, for it will come back."""
    return escape("" if value is None else value)


def data(value):
    """Return a JSON value as a script reads it from an attribute, in quotes."""
    text = terminal.as_json(value)
    for char, told in (("&", "&amp;"), ("<", "&lt;"), ("'", "&#39;")):
        text = text.replace(char, told)
    return Markup(f"'{text}'")


def when(text, zone="UTC"):
    """Return a time of the API as an element: how long ago, and when it was for who asks."""
    if not text:
        return ""
    try:
        datetime.fromisoformat(text)
    except ValueError:
        # What somebody asks for may be before there were years.
        return text
    shown = terminal.moment(text, zone)
    return Markup('<time datetime="{}" title="{} {}">{}</time>').format(
        text, shown, zone, terminal.ago(text)
    )


def is_past(text):
    """Whether a time of the API is over."""
    return bool(text) and datetime.fromisoformat(text).timestamp() < datetime.now().timestamp()


def does(event, zone="UTC"):
    """Return what an event did, in words."""
    changes, kind = event["changes"], event["kind"]
    if kind == "changed":
        return "; ".join(standup.changed(changes, zone))
    if kind in ("linked", "unlinked"):
        link, other = (old or new for old, new in (changes["kind"], changes["other_id"]))
        return f"{kind}: {terminal.LINKS[link][0]} {other}"
    return DONE.get(kind) or kind.replace("_", " ")


# What an event did of which nothing more is to be said.
DONE = {
    "created": "filed it",
    "deleted": "deleted it",
    "comment_changed": "changed a comment",
    "comment_deleted": "deleted a comment",
    "workflow_changed": "changed the workflow",
}


def in_form(row, name):
    """Return the value of a column as a form has it, and as it may come back."""
    value = row[name]
    if isinstance(value, list):
        return ", ".join(_quoted(each) for each in value)
    return terminal.as_json(value) if isinstance(value, dict) else value


def _quoted(text):
    plain = text == text.strip(types.BLANKS) and not re.search('[",]', text)
    return text if plain else f'"{text.replace(QUOTE, QUOTE * 2)}"'


QUOTE = '"'


def gathered(rows, name):
    """Return rows that have the same value under a name as lists, in the order of their first ones."""
    found = {}
    for row in rows:
        found.setdefault(row[name], []).append(row)
    return list(found.values())


def runs(rows, name):
    """Return rows that stand together and have the same value under a name, as lists."""
    return [list(run) for _, run in itertools.groupby(rows, lambda row: row[name])]


class Compiled(jinja2.FileSystemBytecodeCache):
    """Compiled templates, kept beside what Python compiles of this file: it took a third of a start.

    Where nothing can be kept they are compiled at each start.
    """

    def __init__(self, folder):
        super().__init__(str(folder), "template-%s.cache")
        # What a template becomes depends on this file and on Jinja, too.
        self.before = Path(__file__).read_text() + jinja2.__version__

    def get_source_checksum(self, source):
        """Return what has to be the same for a kept one to be taken."""
        return super().get_source_checksum(self.before + source)

    def load_bytecode(self, bucket):
        """Take a kept one, if it is there and whole; whatever is wrong with it, it is compiled anew then."""
        with contextlib.suppress(Exception):
            super().load_bytecode(bucket)

    def dump_bytecode(self, bucket):
        """Keep one, whole or not at all."""
        if not sys.dont_write_bytecode:
            with contextlib.suppress(OSError):
                super().dump_bytecode(bucket)


ENVIRONMENT = jinja2.Environment(
    loader=jinja2.PackageLoader("iris.web"),
    bytecode_cache=Compiled(Path(__file__).with_name("__pycache__")),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    finalize=seen,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
    cache_size=-1,
)
ENVIRONMENT.filters |= {
    "kept": kept,
    "when": when,
    "is_past": is_past,
    "does": does,
    "in_form": in_form,
    "plain": terminal.plain,
    "data": data,
    "columns": board.columns,
    "span": bars.span,
    "sentences": standup.sentences,
    "runs": runs,
    "gathered": gathered,
    "happened": standup.happened,
    "condition": conditions.line,
    "rows_filled_in": ways.filled,
}
# Compiled now, not at the first request.
NAMES = frozenset(ENVIRONMENT.list_templates())
for _name in NAMES:
    ENVIRONMENT.get_template(_name)


def render(name, **data):
    """Return a page as bytes. A long one lets others have their turn meanwhile."""
    made = []
    for place, piece in enumerate(ENVIRONMENT.get_template(name).generate(**data)):
        made.append(piece)
        if not place % 64:
            bounds.breathe()
    return "".join(made).encode("utf-8", "replace")
