"""The workflow as a form without script, and the document that such a form means.

A row a status, by its place in the form, from 0; the last one is for a status that is not there yet:

    place.0    where in the order
    status.0   its name
    is_open.0  true, where it is open
    drop.0     true, where it is to go
    to.0.1     true, where a ticket may go from the one of row 0 to that of row 1
"""

import json
import re

from iris import bounds
from iris.intake import bodies

NAME = re.compile(r"(place|status|is_open|drop)\.([0-9]{1,3})|to\.([0-9]{1,3})\.([0-9]{1,3})")
# Statuses that a form has rows for, at most: a row has a box for each other one. More are edited as JSON.
MOST = 40


def rows(document):
    """Return the rows of a workflow's form.

    document: what workflow() gives.
    Returns:  [{"place", "status", "is_open", "is_dropped", "to"}]; None where they would be too many.
    """
    names = [each["status"] for each in document["statuses"]]
    if len(names) > MOST:
        return None
    places = {name: place for place, name in enumerate(names)}
    found = [
        _row(
            str(place + 1),
            each["status"],
            each["is_open"],
            {places[name] for name in document["transitions"].get(each["status"], ())},
        )
        for place, each in enumerate(document["statuses"])
    ]
    return [*found, _row()]


def _row(place="", status="", is_open=False, to=()):
    return {
        "place": place,
        "status": status,
        "is_open": is_open,
        "is_dropped": False,
        "to": set(to),
    }


def texts(document):
    """Return each part of a workflow as JSON, for a form without rows."""
    return {name: json.dumps(part, ensure_ascii=False) for name, part in document.items()}


def filled(form):
    """Return the rows as somebody has filled them in.

    form:     {name: text}.
    """
    found = {}
    for name, value in form.items():
        match = NAME.fullmatch(name)
        if not match:
            continue
        kind, place, origin, target = match.groups()
        row = found.setdefault(int(place or origin), _row())
        if kind is None:
            row["to"].add(int(target))
        elif kind in ("place", "status"):
            row[kind] = value
        else:
            row["is_dropped" if kind == "drop" else kind] = True
    return [found.get(place) or _row() for place in range(max(found, default=-1) + 1)]


def document(form):
    """Return what a form means.

    form:     {name: text}.
    Returns:  {"statuses", "transitions"}, each as JSON text, and whatever is no field of it; just what was
              sent, where it has none of them.
    """
    found = filled(form)
    if not found:
        return form
    kept = {
        place: row
        for place, row in enumerate(found)
        if not row["is_dropped"] and row["status"] != ""
    }
    order = sorted(kept, key=lambda place: (_number(kept[place]["place"]), place))
    statuses = [{name: kept[place][name] for name in ("status", "is_open")} for place in order]
    transitions = {}
    for place in order:
        bounds.breathe()
        # Of two rows with the same name, so that the database says that there are two.
        targets = transitions.setdefault(kept[place]["status"], [])
        targets += [kept[target]["status"] for target in sorted(kept[place]["to"] & kept.keys())]
    others = {name: value for name, value in form.items() if not NAME.fullmatch(name)}
    made = texts({"statuses": statuses, "transitions": transitions})
    return {**others, **{name: bodies.Untyped(text) for name, text in made.items()}}


def _number(place):
    """Return a place as a number; what is none comes last."""
    place = place.strip()
    return int(place) if re.fullmatch(r"-?[0-9]{1,9}", place, re.ASCII) else 10**9
