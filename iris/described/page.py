"""The page to read the document and to try it: Swagger UI, whose files lie in swagger/ as npm has them."""

import functools
import gzip
import hashlib
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent / "swagger"
# The files that the page loads, and what each is.
TYPES = {
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
}
# Only what this very Iris has is loaded, nothing stands in the page that runs, and only Iris is asked.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class File(NamedTuple):
    """A file as it is sent.

    tag:      its ETag.
    plain:    its bytes.
    packed:   the same by gzip.
    """

    tag: str
    plain: bytes
    packed: bytes


@functools.cache
def file(name):
    """Return a File of TYPES, read once."""
    plain = (FOLDER / name).read_bytes()
    return File(
        f'W/"{hashlib.sha256(plain).hexdigest()[:32]}"', plain, gzip.compress(plain, mtime=0)
    )


def page(root):
    """Return the page.

    root:     the way from its address to Iris's first one, such as "" or "../".
    """
    return (FOLDER / "page.html").read_text().replace("{root}", root)
