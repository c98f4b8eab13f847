"""Long texts, by the person's own editor. What was refused is kept in a file whose name is told."""

import os
import sys

from iris.client import REFUSED, USAGE, Failed


def text(file, begin="", title=False):
    """Return the text that somebody wants to send, and what keeps it where it is refused.

    It is that of a file (-F), of stdin (-F -), or what they write in their editor.

    file:     the name of a file, - for stdin, or None.
    begin:    what the editor shows first.
    title:    whether its first line is a title.
    Returns:  (text, Kept).
    Raises:   Failed.
    """
    if file == "-":
        given = sys.stdin.buffer.read()
        return _read(given, "stdin"), Kept(None, given)
    if file is not None:
        try:
            with open(file, "rb") as opened:
                return _read(opened.read(), file), Kept(file)
        except OSError as error:
            words = f"{file} can't be read: {error.strerror.lower()}"
            raise Failed(USAGE, words) from None
    return _edited(begin, title)


def _read(data, name):
    try:
        found = data.decode()
    except UnicodeError:
        raise Failed(USAGE, f"{name} is no UTF-8") from None
    if not found.strip():
        raise Failed(USAGE, f"{name} is empty")
    return found


class Kept:
    """A text that is not lost while it is refused.

    name:     of the file that it is in, or None.
    data:     the text, where it is in no file yet.
    is_ours:  whether the file is one of ours, which goes when the text has arrived.
    """

    def __init__(self, name, data=b"", is_ours=False):
        self.name, self.data, self.is_ours = name, data, is_ours

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if error is not None:
            self.tell(error)
        elif self.is_ours:
            os.unlink(self.name)

    def tell(self, error):
        """Have an error say where the text is."""
        if self.name is None:
            self.name = _new(self.data)
        error.add_note(f"your text is in {self.name}; to send it again: -F {self.name}")


def _new(data):
    """Write a file that nobody else can read; return its name."""
    import tempfile  # noqa: PLC0415 (takes its time)

    handle, name = tempfile.mkstemp(".md", "iris-")
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    return name


def _edited(begin, title):
    import subprocess  # noqa: PLC0415 (takes its time)

    if not (sys.stdin.isatty() or os.environ.get("VISUAL") or os.environ.get("EDITOR")):
        words = "there is no terminal to write at; give the text, or a file by -F (- is stdin)"
        raise Failed(USAGE, words)
    program = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    name = _new(begin.encode())
    # By a shell, for it may have arguments of its own; the name is one.
    ended = subprocess.run(["/bin/sh", "-c", f'{program} "$1"', program, name], check=False)
    try:
        with open(name, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        raise Failed(REFUSED, "the file is gone: nothing was sent") from None
    if data.strip() == begin.strip().encode() or not data.strip():
        os.unlink(name)
        raise Failed(REFUSED, f"no {'ticket' if title else 'text'} was written: nothing was sent")
    kept = Kept(name, is_ours=True)
    try:
        if ended.returncode:
            words = f"{program} ended with {ended.returncode}: nothing was sent"
            raise Failed(REFUSED, words)
        return _read(data, name), kept
    except Failed as error:
        kept.tell(error)
        raise
