"""The files that pages load. Their addresses have a digest of them all, so that they may be kept for ever."""

import functools
import gzip
import hashlib
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent / "assets"
KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


class File(NamedTuple):
    """A file as it is sent.

    tag:      its ETag.
    plain:    its bytes.
    packed:   the same by gzip.
    """

    tag: str
    plain: bytes
    packed: bytes


def file(path):
    """Return the File that lies at a path."""
    plain = path.read_bytes()
    tag = f'W/"{hashlib.sha256(plain).hexdigest()[:32]}"'
    return File(tag, plain, gzip.compress(plain, mtime=0))


@functools.cache
def files():
    """Return {name: File} of all, read once."""
    return {path.name: file(path) for path in sorted(FOLDER.iterdir()) if path.suffix in KINDS}


@functools.cache
def digest():
    """Return what stands for all of them in addresses. Modules name each other by their bare names."""
    tags = "".join(f"{name} {each.tag}\n" for name, each in files().items())
    return hashlib.sha256(tags.encode()).hexdigest()[:12]


def kind(name):
    """Return the media type of a file."""
    return f"{KINDS[Path(name).suffix]}; charset=utf-8"
