"""JSON documents one after the other: lists, lists of lists, lists behind lists, or a document a line."""

import json
import re

from iris.transfer import files

BLANKS = re.compile(r"[\s,]*")
# How deep lists of documents may stand in each other: `--slurp` puts pages into a list.
DEEPEST = 2


def each(text):
    """Yield the documents of a text, each as Python has it, as they are read.

    text:     a texts.Text.
    Raises:   files.Refused where it is no JSON, or ends too soon.
    """
    decoder, depth, seen = json.JSONDecoder(), 0, False
    while True:
        end = BLANKS.match(text.window, text.at).end()
        if end == len(text.window) and text.more():
            continue
        text.take(end)
        if text.at == len(text.window):
            break
        char = text.window[text.at]
        if char in "[]":
            depth += 1 if char == "[" else -1
            if not 0 <= depth <= DEEPEST:
                raise files.Refused(f"line {text.line}: this is no list of issues")
            seen = True
            text.take(text.at + 1)
            continue
        document, end = _decoded(decoder, text)
        seen = True
        text.take(end)
        yield document
    if depth or not seen:
        raise files.Refused(
            f"line {text.line}: the file ends in the middle: this is no list of issues"
        )


def _decoded(decoder, text):
    """Return (the document that begins here, where it ends), reading on as need be."""
    while True:
        try:
            document, end = decoder.raw_decode(text.window, text.at)
        except json.JSONDecodeError as error:
            # Where a text is cut, it is wrong at its end, or in a string that doesn't end.
            cut = error.msg.startswith("Unterminated") or error.pos > len(text.window) - 16
            if cut and text.more():
                continue
            line = text.line + error.lineno - 1 - text.window.count("\n", 0, text.at)
            raise files.Refused(f"line {line}: this is no JSON: {error.msg}") from None
        except (RecursionError, ValueError) as error:
            words = "nested too deeply" if isinstance(error, RecursionError) else str(error)
            raise files.Refused(f"line {text.line}: this is no JSON for Iris: {words}") from None
        # A number may go on.
        if end < len(text.window) or not text.more():
            return document, end


def written(value):
    """Return JSON in ASCII."""
    return json.dumps(value)


def listed(rows):
    """Yield the text of a list of JSON documents."""
    yield "["
    for nth, row in enumerate(rows):
        yield ("," if nth else "") + "\n" + json.dumps(row)
    yield "\n]\n"
