"""What export and import share: files, progress, and words for what can't be."""

import contextlib
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
    """A file that says how much of it has been read."""

    def __init__(self, file, progress):
        self.file, self.progress, self.bytes = file, progress, 0

    def read(self, size):
        self.progress(f"{self.bytes // 1_000_000} MB read")
        data = self.file.read(size)
        self.bytes += len(data)
        return data


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
