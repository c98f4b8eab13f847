"""How Iris 0.1.0 knew the rows of a CSV: by all that is in them, from its column `fields.imported`."""

import hashlib
import json

# What it took for columns of a ticket, by no other spelling; where false, an empty text was as good as none.
COLUMNS = {
    "title": True, "description": True, "assignee": True, "status": False, "reporter": False,
    "priority": False, "labels": False, "fields": False, "due": False, "created": False,
    "updated": False, "closed": False,
}  # fmt: skip


def reads(names):
    """Whether it would have read a file with this header."""
    return "title" in names and all(names) and len(set(names)) == len(names)


def of(names, cells):
    """Return what it knew a row by, {"digest": text}; the same again in one file had a number behind it.

    names:    the header as it stands in the file.
    cells:    texts; None where there is nothing, not even quotes.
    """
    known, extra = {"reporter": "import"}, {}
    for name, cell in zip(names, cells, strict=True):
        if name not in COLUMNS:
            extra |= {name: cell} if cell else {}
        elif cell or (cell is not None and COLUMNS[name]):
            known[name] = cell
    text = _jsonb({**known, "extra": _jsonb_order(extra)})
    return {"digest": hashlib.sha256(text.encode(errors="replace")).hexdigest()}


def _jsonb(document):
    return json.dumps(_jsonb_order(document), ensure_ascii=False)


def _jsonb_order(document):
    """Return an object as jsonb has it: short names first, then by their bytes."""
    names = sorted(
        document,
        key=lambda name: (len(name.encode(errors="replace")), name.encode(errors="replace")),
    )
    return {name: document[name] for name in names}
