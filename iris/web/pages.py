"""A page: who asks, where they are, what they may, and how to go on from there."""

import hashlib
import secrets
from urllib.parse import quote, urlencode

import falcon
from markupsafe import Markup

from iris import models, problems, rights
from iris.formats import terminal
from iris.intake import auth, forms, places
from iris.web import assets, refused, templates

# Only what Iris itself has is loaded, nothing that stands in a page runs, and forms go nowhere else.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none';"
    " require-trusted-types-for 'script'; trusted-types 'none'"
)
# The pages that are named on each, {path: what it is called}: for everybody's day, and for who runs it.
NAMED = {
    "tickets": "Tickets",
    "tickets?view=board": "Board",
    "inbox": "Inbox",
    "changes": "Changes",
    "events": "History",
    "stats": "Statistics",
}
RUN = {
    "workflow": "Workflow",
    "hooks": "Hooks",
    "people": "People",
    "tokens": "Tokens",
}
# What stands for the keys of forms, which differ each time, while a page's ETag is made.
# No text that is kept anywhere has a NUL.
KEY = Markup("\0key")


class Page:
    """What a template knows of the request: `page`.

    root:     the way to `/`.
    path:     of the request, without its first slash.
    query:    {name: text} of the request, with what a view has unless one asks for something else.
    """

    def __init__(self, request):
        self.request, self.root = request, places.address(request, "")
        self.path = request.path.lstrip("/")
        self.query = {**(request._params or {}), **request.context.get("usual", {})}
        self.query.pop("format", None)

    @property
    def named(self):
        """Return the pages of everybody's day, for who may read them."""
        return self._readable(NAMED)

    @property
    def run(self):
        """Return the pages for who runs this Iris, as far as one may read them."""
        return self._readable(RUN)

    def _readable(self, paths):
        return {
            path: name for path, name in paths.items() if self.may(f"GET /{path.partition('?')[0]}")
        }

    @property
    def role(self):
        caller = self.request.context.get("caller")
        return caller.role if caller else None if auth.WANTED else rights.ROLES[-1]

    @property
    def actor(self):
        if auth.WANTED:
            caller = self.request.context.get("caller")
            return caller.actor if caller else None
        try:
            return auth.actor(self.request)
        except problems.Problem:
            # It has just been refused.
            return None

    @property
    def zone(self):
        return self.query.get("tz", "UTC")

    @property
    def as_of(self):
        """Return the moment that is asked for, as it was asked for, or None."""
        return self.query.get("as_of")

    @property
    def done(self):
        """Return the number of the change that led here, or None."""
        return self.request.context.get("done")

    def may(self, route):
        """Whether who asks may do what a route does, such as `PUT /tickets`; in a past nobody may."""
        right = rights.of(*route.split())
        if self.role is None:
            return False
        is_write = not route.startswith("GET ")
        return rights.suffices(self.role, right.role) and not (is_write and self.as_of)

    def here(self, **more):
        """Return the query of this address, with other values for some names; None leaves one out."""
        given = {**self.query, **more}
        given = {name: value for name, value in given.items() if value is not None}
        # Of a query that is empty browsers make none; this is the same address without one.
        there = quote(self.path.rpartition("/")[2], safe="") or "./"
        return f"?{urlencode(given, safe=places.LEFT)}" if given else there

    @property
    def back(self):
        """Return this address as a form's _back has it."""
        return self.path + (self.here() if self.query else "")

    @property
    def curl(self):
        """Return the command that gives the same."""
        return self.command()

    def command(self, **more):
        """Return the command that gives what stands at this address, with more in its query."""
        given = {**self.query, **dict.fromkeys(SHOWN_ONLY), **more}
        query = urlencode({name: value for name, value in given.items() if value}, safe=places.LEFT)
        path = quote(self.path, safe=places.LEFT)
        return f"{self.curls} '{self.address(path)}{'?' if query else ''}{query}'"

    @property
    def curls(self):
        """Return how a command begins: whom pages know by a token, it has to name theirs."""
        return 'curl -s -u ":$IRIS_TOKEN"' if auth.WANTED else "curl -s"

    def address(self, path):
        """Return the whole address of a path from `/`, to be typed."""
        return f"{self.request.scheme}://{places.host(self.request)}/{path}"

    @property
    def view(self):
        """Return the query of this view, as the names of pages have it."""
        view = self.query.get("view", "list")
        return "" if view == "list" else f"?view={view}"

    def sorts(self, listing):
        """Return the orders that a list can have."""
        known = (sign + name for name in listing.sorts for sign in ("", "-"))
        return [name for name in known if name.lstrip("-") != "rank" or "q" in self.query]

    def ticket(self, number):
        """Return the address of a ticket, as it was then where a past is shown."""
        then = self._then
        return f"{self.root}tickets/{number}" + (
            f"?{urlencode(then, safe=places.LEFT)}" if then else ""
        )

    @property
    def _then(self):
        """Return what says when, of the query."""
        return {name: self.query[name] for name in ("as_of", "tz") if name in self.query}

    def filtered(self, **given):
        """Return the address of the list with other filters; their values as they are."""
        known = self.query if self.path == "tickets" else self._then
        quoted = {name: f'"{value.replace(QUOTE, QUOTE * 2)}"' for name, value in given.items()}
        query = {name: value for name, value in {**known, **quoted}.items() if name != "cursor"}
        return f"{self.root}tickets?{urlencode(query, safe=places.LEFT)}"

    def live(self, around):
        """Return what the script needs to follow the feed, as attributes: not in a past."""
        workflow = {
            status: {"next": around.transitions.get(status, []), "open": is_open}
            for status, is_open in around.is_open.items()
        }
        made = Markup(f" data-workflow={templates.data(workflow)}")
        return made if self.as_of else made + Markup(' data-live="{}"').format(around.position)

    def asset(self, name):
        """Return the address of a file."""
        return f"{self.root}assets/{assets.digest()}/{name}"

    def to(self, path):
        """Return the address of a page, by its path from `/`."""
        return self.root + path if path else self.root or "./"


QUOTE = '"'
# What says how a page looks, and nothing of what it tells.
SHOWN_ONLY = ("view", "by")


def page(request, response, template, again=True, **data):
    """Answer with a page.

    template: a name in templates/.
    again:    whether a browser that has it may show it again. Not a form whose page is the same when it
              has been sent: so would be its key, and the next ticket the one before.
    data:     what it knows beside `page`.
    Returns:  its bytes; or None, with 304, where who asks has just that.
    """
    body = _drawn(request, response, template, data)
    tag = f'W/"{hashlib.sha256(body).hexdigest()[:32]}"'
    if again:
        response.set_header("ETag", tag)
    else:
        response.set_header("Cache-Control", "no-store")
    if (
        again
        and response.status[:3] == "200"
        and tag[2:] in (request.get_header("If-None-Match") or "")
    ):
        response.status = falcon.HTTP_304
        return None
    return body.replace(KEY.encode(), secrets.token_urlsafe(12).encode())


def _drawn(request, response, template, data):
    response.content_type = "text/html; charset=utf-8"
    response.set_headers(
        {
            "Content-Security-Policy": POLICY,
            # By no-referrer a browser would send forms with the Origin null.
            "Referrer-Policy": "same-origin",
        }
    )
    known = {"page": Page(request), "KEY": KEY, "ENUMS": models.ENUMS}
    return templates.render(template, **known, **data)


def document(request, response, text):
    """Answer with a page of a JSON document, which has none of its own."""
    return page(request, response, "document.html", document=terminal.read(text))


def problem(problem, request, response):
    """Return a page that tells a problem; a form that was refused is in it, filled in."""
    form, own = request.context.get("form"), request.context.get("own") or {}
    query = request.query_string
    data = {
        "problem": problem,
        "request_id": request.context.get("request_id"),
        "form": form,
        "own": own,
        "action": places.address(request, quote(request.path)) + (f"?{query}" if query else ""),
        "wrong": refused.wrong(problem, form or {}),
        "choices": refused.choices(problem, form or {}, models.ENUMS),
        "is_filled": bool(form) and not form.keys() <= set(refused.HIDDEN),
        "lost": problem.more.pop("lost", None),
        "HIDDEN": refused.HIDDEN,
        "AGAIN": refused.AGAIN,
    }
    body = _drawn(request, response, "problem.html", data)
    return body.replace(KEY.encode(), secrets.token_urlsafe(12).encode())


def done(request, response, path, change=None):
    """Send a browser to the page that shows what it has done: where its form says, else to a path.

    change:   the number of the change, which can be taken back there.
    """
    path = (request.context.get("own") or {}).get("_back", path.lstrip("/"))
    if change is not None:
        path += f"{'&' if '?' in path else '?'}{forms.DONE}={change}"
    response.status = falcon.HTTP_303
    response.content_type = "text/html; charset=utf-8"
    response.set_header("Location", places.address(request, path) or "./")
