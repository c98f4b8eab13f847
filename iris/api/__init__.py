"""The routes. This package holds nothing else; each module is a noun's."""

import re

import hug

from iris import formats

# future: no commas split in a query, no blank value dropped.
API = hug.API(__name__, future=True)
ROUTE = hug.http(api=API, output=formats.as_json, output_invalid=formats.as_invalid)


def paged(page, request, response):
    """Say where a list goes on, and how long it is.

    page:     a pages.Page.
    Returns:  its rows, as JSON text.
    """
    if page.cursor:
        response.set_header("Link", f'<{request.context.here(cursor=page.cursor)}>; rel="next"')
    if page.total is not None:
        response.set_header("Total-Count", str(page.total))
    return page.rows


def versions(header):
    """Read If-Match or If-None-Match.

    Returns:  None for no header or `*`; else the versions it names. What is no version of ours
              is none that a ticket can have.
    """
    if header is None or header.strip() == "*":
        return None
    return [
        int(number) for number in re.findall(r'(?<![\w"])(?:W/)?"?(\d{1,18})"?(?![\w"])', header)
    ]


def tagged(response, version):
    """Say which version an answer shows."""
    response.set_header("ETag", f'"{version}"')
