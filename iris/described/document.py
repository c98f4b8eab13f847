"""The document, made once for a worker and for what the workflow has, and kept."""

import gzip
import hashlib
import json
import sys
from typing import NamedTuple

from iris import __version__
from iris.described import facts, operations, schemas
from iris.intake import auth


class Kept(NamedTuple):
    """A document as it is sent.

    statuses: of the workflow that it is good for.
    tag:      its ETag.
    plain:    its bytes.
    packed:   the same by gzip.
    """

    statuses: tuple
    tag: str
    plain: bytes
    packed: bytes


ABOUT = """A ticket tracker: HTTP or psql, one set of rules, one past.

What is changed at one door is seen at the other, and refused in the same words. Answers that are no
success are problem documents (RFC 9457), of which `code` is for programs. Times are RFC 3339, dates, or
words such as `tomorrow`, `monday`, `7 days ago`; they are in the zone `tz=` unless they say where."""


def make(routes, found):
    """Return the OpenAPI document.

    routes:   {path: {method: {version: handler}}}, as Hug keeps them.
    found:    facts.Facts.
    """
    writer = schemas.Writer(found)
    known = [
        operations.Route(method, path, versions[None])
        for path, methods in sorted(routes.items())
        for method, versions in methods.items()
    ]
    describer = operations.Describer(writer, known)
    paths, tags = {}, {}
    for route in known:
        made = describer.operation(route)
        paths.setdefault(route.path, {})[route.method.lower()] = made
        about = sys.modules[route.does.__module__].__doc__
        about = about.removeprefix("Routes: ").strip().rstrip(".")
        tags[made["tags"][0]] = about[:1].upper() + about[1:]
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": "Iris",
            "version": __version__,
            "description": ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        # Relative to where this document is, under whatever prefix.
        "servers": [{"url": "."}],
        "tags": [{"name": name, "description": words} for name, words in tags.items()],
        "paths": paths,
        "components": {
            "responses": describer.problems(),
            "schemas": dict(sorted(writer.components.items())),
        },
    }
    if auth.WANTED:
        document["components"]["securitySchemes"] = {
            "token": {"type": "http", "scheme": "bearer", "description": "iris token add NAME"},
            "password": {"type": "http", "scheme": "basic", "description": "The token as password"},
        }
        document["security"] = [{"token": []}, {"password": []}]
    return document


class Document:
    """Keeps the document of these routes."""

    def __init__(self, routes):
        self.routes, self.kept = routes, None

    def get(self):
        """Return the Kept document, made anew where the workflow has other statuses by now.

        Source:   one SELECT, of statuses.
        """
        statuses = facts.statuses()
        if self.kept is None or self.kept.statuses != statuses:
            found = make(self.routes, facts.read(statuses))
            plain = json.dumps(found, ensure_ascii=False).encode() + b"\n"
            tag = f'W/"{hashlib.sha256(plain).hexdigest()[:32]}"'
            self.kept = Kept(statuses, tag, plain, gzip.compress(plain, mtime=0))
        return self.kept
