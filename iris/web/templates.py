"""The templates, compiled once; nothing that comes from anybody is markup, and nothing in it stays unseen."""

from datetime import datetime

import jinja2
from markupsafe import Markup, escape

from iris import bounds, visible
from iris.formats import terminal


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


def when(text, zone="UTC"):
    """Return a time of the API as an element: how long ago, and when it was for who asks."""
    if not text:
        return ""
    shown = terminal.moment(text, zone)
    return Markup('<time datetime="{}" title="{} {}">{}</time>').format(
        text, shown, zone, terminal.ago(text)
    )


def is_past(text):
    """Whether a time of the API is over."""
    return bool(text) and datetime.fromisoformat(text).timestamp() < datetime.now().timestamp()


ENVIRONMENT = jinja2.Environment(
    loader=jinja2.PackageLoader("iris.web"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    finalize=seen,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
    cache_size=-1,
)
ENVIRONMENT.filters |= {"kept": kept, "when": when, "is_past": is_past, "plain": terminal.plain}
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
