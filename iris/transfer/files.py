"""What export and import share: files, progress, and words for what can't be."""

import contextlib
import re
import sys
import time
from pathlib import Path


class Refused(SystemExit):
    """An import that can't be; its words go to stderr, and nothing has changed."""

    def __init__(self, words):
        super().__init__(f"iris: {words}")


def sql(name):
    """Return the statements of a file in this folder."""
    return (Path(__file__).parent / f"{name}.sql").read_text()


class Progress:
    """Says how far it is, once a second and not before the first one is over."""

    def __init__(self, say):
        self.say, self.next = say, time.monotonic() + 1

    def __call__(self, sentence):
        if time.monotonic() >= self.next:
            self.say(sentence)
            self.next = time.monotonic() + 1


class Reading:
    """A file of JSON documents, a line each, that says how much of it has been read.

    Neither of the two characters that writing.RAW makes use of stands in a JSON text: there it ends.

    line:     the one that is being read, from 1.
    ended:    whether it has ended at such a character, in that line.
    """

    def __init__(self, file, progress, line=1):
        self.file, self.progress, self.bytes = file, progress, 0
        self.line, self.ended = line, False

    def read(self, size):
        self.progress(f"{self.bytes // 1_000_000} MB read")
        data = b"" if self.ended else self.file.read(size)
        if found := re.search(rb"[\x01\x02]", data):
            self.ended, data = True, data[: found.start()]
        self.bytes += len(data)
        self.line += data.count(b"\n")
        return data


class Lines:
    """Lines that are made one by one, as a file that COPY reads.

    error:    what was raised while they were made: psycopg2 passes on the words only.
    """

    def __init__(self, lines):
        self.lines, self.rest, self.error = lines, "", None

    def read(self, size):
        """Return at most so many characters; none at the end."""
        parts, length = [self.rest], len(self.rest)
        try:
            while length < size and (line := next(self.lines, None)) is not None:
                parts.append(line)
                length += len(line)
        except BaseException as error:
            self.error = error
            raise
        text = "".join(parts)
        self.rest = text[size:]
        return text[:size]


@contextlib.contextmanager
def opened(path):
    if path == "-":
        yield sys.stdin.buffer
        return
    try:
        file = open(path, "rb")  # noqa: SIM115 (closed below)
    except OSError as error:
        raise Refused(f"{path} can't be read: {error.strerror}") from None
    with file:
        yield file
