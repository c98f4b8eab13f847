"""What commands ask Iris: an answer, or what ends the command, with the exit status that it has."""

import os

from iris import visible
from iris.client import (
    AWAY,
    DONE,
    NOT_FOUND,
    REFUSED,
    USAGE,
    Failed,
    connection,
    place,
    screen,
    words,
)

# Exit statuses of answers that are none; of all others that are no success it is REFUSED.
STATUSES = {400: USAGE, 404: NOT_FOUND, 406: USAGE, 414: USAGE, 502: AWAY, 503: AWAY, 504: AWAY}
FORM = "application/x-www-form-urlencoded"
TEXT, JSON = "text/plain; charset=utf-8", "application/json"
# Columns in which `me` is who asks, when they are written, too.
PEOPLE = ("assignee", "reporter")


def declare(parser, drawn=True):
    """Declare what all commands that ask have.

    drawn:    whether what comes may be long, and in colours.
    """
    parser.add_argument("--json", action="store_true", help="as JSON, mistakes too")
    if drawn:
        parser.add_argument(
            "--color",
            choices=("auto", "always", "never"),
            default="auto",
            help="auto, unless given: on a terminal, without NO_COLOR",
        )


def get(path, pairs, arguments, table=False):
    """Ask for something and show it, as Iris draws it.

    pairs:    [(name, value)] of its query; what is given there counts more than what is usual.
    arguments: what declare() has declared.
    table:    whether it comes as one: a program gets it whole, and cuts it by itself.
    Returns:  an exit status.
    Raises:   Failed.
    """
    usual = {"format": "json"} if arguments.json else {"format": "text"}
    given = dict(pairs)
    if given.get("format", usual["format"]) == "text":
        if wide := screen.width() or table * screen.WIDEST:
            usual["width"] = str(wide)
        if screen.colored(arguments.color):
            usual["color"] = "always"
    usual = [(name, value) for name, value in usual.items() if name not in given]
    show(ask("GET", path, [*pairs, *usual], _form(arguments)))
    return DONE


def _form(arguments):
    return "json" if arguments.json else "text"


def show(answer):
    """Show what an answer says."""
    kind = answer.headers.get("content-type", "")
    if kind.startswith("text/plain"):
        screen.show(answer.body().decode("utf-8", "replace"))
    elif "json" in kind:
        for piece in decoded(answer.pieces()):
            screen.write(visible.escaped(piece).encode())
    else:
        for piece in decoded(answer.pieces()) if screen.is_terminal() else answer.pieces():
            screen.write(visible.safe(piece, "\t\n").encode() if isinstance(piece, str) else piece)


def decoded(pieces):
    """Yield pieces of UTF-8 as texts."""
    left = b""
    for piece in pieces:
        data = left + piece
        # A character has at most four bytes: the last ones may be a part of one.
        cut = next((n for n in (1, 2, 3) if len(data) >= n and data[-n] >= 0xC0), 0)
        left, data = (data[-cut:], data[:-cut]) if cut else (b"", data)
        yield data.decode("utf-8", "replace")
    yield left.decode("utf-8", "replace")


def put(path, pairs, arguments, body=None, kind=TEXT, method="PUT"):
    """Write something, and say what Iris says of it.

    pairs:    [(name, value)]: a form; beside a body, the query.
    body:     a text, or None; kind: its media type.
    Returns:  an exit status.
    Raises:   Failed.
    """
    # By this key, what was sent twice is done once.
    sent = {"Idempotency-Key": os.urandom(16).hex()}
    if body is None:
        body, pairs, kind = words.query(pairs), [], FORM
    try:
        data = body.encode()
    except UnicodeError:
        raise Failed(USAGE, "the text is no UTF-8") from None
    show(ask(method, path, pairs, _form(arguments), sent, data, kind))
    return DONE


def ask(method, path, pairs, form, headers=None, body=b"", kind=None, where=None, patience=None):
    """Send a request; return its connection.Answer, which is a success.

    pairs:    [(name, value)] of its query.
    form:     text, json, or None: JSON, but mistakes in words.
    where:    a place.Place, unless it is to be found.
    patience: seconds to wait for the next byte, unless it is as usual.
    Raises:   Failed.
    """
    where = where or place.find()
    pairs = list(pairs)
    if form == "text" and all(name != "format" for name, _ in pairs):
        pairs.append(("format", form))
    there = f"{path}?{words.query(pairs)}" if pairs else path
    sent = {"Accept": "*/*" if form == "text" else "application/json", **(headers or {})}
    if kind:
        sent["Content-Type"] = kind
    patience = patience or (connection.READING if method == "GET" else connection.WRITING)
    try:
        answer = connection.send(where, method, there, sent, body, patience)
    except connection.Broken:
        # Once more: what reads changes nothing, and what writes has a key.
        answer = connection.send(where, method, there, sent, body, patience)
    if 200 <= answer.status < 300 and "html" not in answer.headers.get("content-type", ""):
        return answer
    raise refusal(where, answer, form == "json")


def refusal(where, answer, as_json):
    """Return what ends a command whose request was answered, and not by a success."""
    kind = answer.headers.get("content-type", "")
    if 300 <= answer.status < 400 and "location" in answer.headers:
        leads = visible.safe(answer.headers["location"])
        words_ = f"{where.url} leads on to {leads}, where nothing is sent by itself"
        return Failed(AWAY, f"{words_}\nhint: If that is Iris, set IRIS_URL to it.")
    if not kind.startswith(("text/plain", "application/problem+json")):
        return Failed(AWAY, f"what answers at {where.url} is no Iris (HTTP {answer.status})")
    said = answer.body().decode("utf-8", "replace").strip()
    if "json" in kind and not as_json:
        import json  # noqa: PLC0415 (not every refusal needs it)

        told = json.loads(said)
        allowed = ", ".join(map(str, told.get("allowed", ())))
        hint = told.get("hint") or (allowed and f"Allowed are: {allowed}")
        said = told["detail"] + (f"\nhint: {hint}" if hint else "")
    if answer.status == 401 and not as_json:
        # What the hint says is for curl.
        said = said.partition("\nhint: ")[0]
        makes = "who runs this Iris makes one by iris token add NAME"
        said += f"\nhint: IRIS_TOKEN says it, or a file (iris --help); {makes}."
    return Failed(STATUSES.get(answer.status, REFUSED), said)


def document(path, pairs=()):
    """Ask for a JSON document; return it as Python has it.

    Raises:   Failed.
    """
    import json  # noqa: PLC0415 (not every command needs it)

    return json.loads(ask("GET", path, pairs, None).body())


def me():
    """Return the name of who asks.

    Raises:   Failed.
    """
    return document("/me")["actor"]


def named(pairs):
    """Return what is to be written, [(name, value)], with who asks in the place of `me`.

    Raises:   Failed.
    """
    return [(name, me() if name in PEOPLE and value == "me" else value) for name, value in pairs]
