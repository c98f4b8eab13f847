"""The routes. This package holds nothing else; each module is a noun's."""

import re

import falcon
import hug

from iris import bounds, formats

# By other names, for the routes of events and of undoing are modules in here.
from iris import events as history
from iris import undo as undoing
from iris.database.statements import ZONE
from iris.described import shapes
from iris.formats import entries, fitting, problem, terminal, told
from iris.intake import auth, routes
from iris.intake.places import address, host
from iris.lists.statement import MOST_LEFT
from iris.web import pages, templates

# future: no commas split in a query, no blank value dropped.
API = hug.API(__name__, future=True)
ROUTE = hug.http(api=API, output=told.answer, output_invalid=problem.as_invalid)


def lists(noun, kinds=formats.LISTS, **others):
    """Say that a route answers with the list of a noun.

    kinds:    the formats that it comes in.
    others:   as of routes.gives().
    """
    headers = ("Link", "Total-Count", "Content-Disposition")
    described = routes.gives(shapes.Rows(noun.LIST), headers, **others)
    offered = routes.offers(*(each.media for each in kinds.values()))
    return lambda function: described(offered(function))


def listed(noun, given, request, response, onwards=None, data=None, **more):
    """Answer with a list, in the format that was asked for.

    noun:     a module with LIST and page(given, form).
    given:    what the request has, validated.
    onwards:  {name: value} that the next page's address has, too.
    data:     {name: value} that the template of its page knows beside; or how that is made: (rows) → it.
    more:     what else page() takes.
    """
    form, name = request.context.format, noun.LIST.name
    kind = formats.TICKETS[form]
    given = {**kind.usual, **auth.with_names(given, request)}
    found = noun.page(given, form, **more)
    if form != "json":
        response.content_type = f"{kind.media}; charset=utf-8"
    if kind.line:
        response.set_header("Content-Disposition", f'attachment; filename="{name}.{form}"')
        # A proxy that gathers an answer before it passes it on would gather all of it.
        response.set_header("X-Accel-Buffering", "no")
        response.stream = found
        return None
    there = None
    if found.cursor:
        there = request.context.here(cursor=found.cursor, **(onwards or {}))
        response.set_header("Link", f'<{there}>; rel="next"')
    if found.total is not None:
        response.set_header("Total-Count", str(found.total))
    if kind.page:
        return browsed(noun, found, request, response, data or {})
    if kind.publish:
        return kind.publish(found.rows, asked(request, given, there))
    if not kind.drawn:
        return kind.render(found.rows, found.columns, noun.LIST.times, None)
    if noun.LIST.told and "columns" not in given:
        return noun.LIST.told(found.rows, look(given, found))
    columns = [
        name
        for name in found.columns
        if "columns" in given
        or name not in noun.LIST.seldom
        or any(f'"{name}":null' not in row for row in found.rows)
    ]
    return kind.render(found.rows, columns, noun.LIST.times, look(given, found))


def browsed(noun, found, request, response, data):
    """Answer with a list as a page: by a template of its name, unless the request chooses columns.

    found:    a pages.Page.
    data:     as of listed(); its `template` is another's name.
    """
    rows = list(read(found.rows))
    data = data(rows) if callable(data) else {**data}
    name = data.pop("template", f"{noun.LIST.name}.html")
    own = name in templates.NAMES and "columns" not in request.context.given
    return page(
        request,
        response,
        name if own else "rows.html",
        found=found,
        rows=rows,
        listing=noun.LIST,
        next=found.cursor and request.context.here(cursor=found.cursor),
        **data,
    )


def read(rows):
    """Yield what rows, JSON texts, are; others have their turn meanwhile."""
    for row in rows:
        yield terminal.read(row)
        bounds.breathe()


def page(request, response, template, **data):
    """Answer with a page, which also tells what was done just before.

    template: a name in iris/web/templates/.
    data:     {name: value} that it knows.
    Source:   one SELECT, if something was.
    """
    change = request.context.get("done")
    done = []
    if change is not None:
        done = [terminal.read(row) for row in history.page({"change": change, "limit": 20}).rows]
    known = {"done": done, "NEVER_UNDONE": undoing.NEVER}
    return pages.page(request, response, template, **known, **data)


def asked(request, given, onwards):
    """Return what somebody has subscribed to.

    given:    {name: value} of the request.
    onwards:  the query of the next page, or None.
    """
    here = request.context.here()
    whole = re.sub("(?<=[?&])cursor=[^&]*&?", "", here).rstrip("&")
    zone, root = given.get("tz", ZONE), address(request, "/")
    return entries.Asked(host(request), whole, here, onwards, root, zone)


def look(given, found=None):
    """Return how an answer as text is to look.

    given:    {name: value} of the request.
    found:    the page, if it is one of a list.
    """
    last = ""
    if found and found.left > 0:
        many = len(found.rows) + found.left
        known = many <= MOST_LEFT
        last = (
            f"… {found.left:,} more"
            if known
            else f"… more than {MOST_LEFT - len(found.rows):,} more"
        )
        last += (
            f": limit={many} shows them" if many <= 1000 else f": go on with cursor={found.cursor}"
        )
    return terminal.Look(
        given.get("width", fitting.WIDTH),
        given.get("tz", ZONE),
        given.get("color") == "always",
        last,
    )


def said(request, response, row, words, page="/"):
    """Return what was written; as text, a sentence about it; to a browser, where it is to be seen.

    row:      JSON text, or None where the answer is 204: as text it is 200, for it has the sentence.
    page:     the path of the page that shows it.
    """
    if request.context.format == "html":
        writer = request.context.writer
        pages.done(request, response, page, None if writer.replayed else writer.change)
        return None
    if request.context.format != "text":
        return row
    if row is None:
        response.status = falcon.HTTP_200
    lines = fitting.broken(words, told.look(request).width)
    return drawn(response, "".join(f"{line}\n" for line in lines))


def drawn(response, text):
    """Answer with a text for a terminal."""
    response.content_type = "text/plain; charset=utf-8"
    return text


# A version as a tag, or bare, as people type it; and what else may stand in a header of tags.
TAG = re.compile(r'\s*(?:(?:W/)?"(\d{1,18})"|(\d{1,18})|(?:W/)?"[^"]*"|[^",]*)\s*(?:,|$)')


def versions(header):
    """Read If-Match or If-None-Match.

    Returns:  None for no header or `*`; else the versions it names. What is no version of ours
              is none that a ticket can have.
    """
    if header is None or header.strip() == "*":
        return None
    found, place = [], 0
    while place < len(header):
        tag = TAG.match(header, place)
        if not tag:
            # Not even a list of tags.
            return []
        found += [int(number) for number in tag.groups() if number]
        place = tag.end()
    return found


def tagged(response, version):
    """Say which version an answer shows."""
    response.set_header("ETag", f'"{version}"')
