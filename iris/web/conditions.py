"""A hook's filter as one line of a form: as in the address of a list of tickets."""

import json
from urllib.parse import quote, urlencode

from iris.intake import bodies, places


def line(filter_):
    """Return a filter, {name: text}, as a form has it: label=ops&open=true."""
    return urlencode(filter_, safe=places.LEFT, quote_via=quote)


def document(form):
    """Return what the form of a hook means for its route.

    form:     {name: text}, as it was sent; a filter that is empty is none, one in JSON stays as it is.
    Raises:   Problem 400 for a name that is given twice.
    """
    text = form.get("filter")
    if text is None or text.lstrip().startswith("{"):
        return form
    given = {
        name: str(value) for name, value in bodies.parse_form(text.strip().lstrip("?")).items()
    }
    return {**form, "filter": bodies.Untyped(json.dumps(given, ensure_ascii=False))}


def new(form):
    """Return what the form of a new hook means: what is left empty is as it usually is."""
    return {name: value for name, value in document(form).items() if value != ""}
