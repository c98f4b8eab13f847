"""Which of many trackers a request is for: `/t/NAME/…`, or the first word of the host's name.

What a worker keeps for one is made when it is first asked for, and dropped when nobody has asked for a while.
"""

import ipaddress
import re
import time

import gevent

from iris import current, problems, settings
from iris.intake import client

# Seconds after which nothing of a tracker is kept that nobody asks for, and between two looks.
IDLE, LOOK = 60, 5
PATH = re.compile(r"/t/([^/]*)(/.*)?", re.S)
# What is asked of the process, not of any tracker.
OF_ALL = ("/health", "/metrics")
if current.MANY:
    from iris.trackers import maps

    MAP = maps.here()


class Chosen:
    """What a worker knows of a tracker that it serves: how many answers are under way, when one last was."""

    def __init__(self):
        self.answers, self.last = 0, time.monotonic()


_KNOWN = {}


def choosing(app):
    """Return a WSGI application that says for which tracker another one is asked, where there are many."""
    if not current.MANY:
        return app
    sweeper = None

    def call(environ, start_response):
        nonlocal sweeper
        sweeper = sweeper or gevent.spawn(_sweep)
        name = _take_name(environ)
        current.TRACKER.set(name)
        if environ["PATH_INFO"] == "":
            # What stands in an answer is relative to a folder.
            start_response(
                "308 Permanent Redirect", [("location", f"{name}/"), ("content-length", "0")]
            )
            return []
        if name is None:
            return app(environ, start_response)
        known = _KNOWN.setdefault(name, Chosen())
        known.answers += 1
        try:
            return Answer(app(environ, start_response), known)
        except BaseException:
            known.answers -= 1
            raise

    return call


class Answer:
    """An answer that counts as being under way until it is closed."""

    def __init__(self, answer, known):
        self.answer, self.known = answer, known

    def __iter__(self):
        return iter(self.answer)

    def close(self):
        known, self.known = self.known, None
        if known:
            known.answers, known.last = known.answers - 1, time.monotonic()
            if hasattr(self.answer, "close"):
                self.answer.close()


def _take_name(environ):
    """Return the tracker that a request is for, None where there is none such; take it out of the path."""
    found = PATH.fullmatch(environ["PATH_INFO"])
    if found:
        name = found[1]
        environ["SCRIPT_NAME"] = f"{environ.get('SCRIPT_NAME', '')}/t/{name}"
        environ["PATH_INFO"] = found[2] or ""
    else:
        name = environ.get("HTTP_HOST", "").partition(".")[0].lower()
    if name in MAP.read():
        return name
    environ["PATH_INFO"] = environ["PATH_INFO"] or "/"
    environ["iris.no_tracker"] = bool(found)
    return None


def look(request):
    """Refuse what is for no tracker, unless it is about all of them; and what is about all, to one.

    Raises:   Problem 404.
    """
    if not current.MANY:
        return
    if current.TRACKER.get() is not None:
        if request.path == "/metrics":
            raise problems.Problem(
                "no_such_route", "what is counted is counted for all trackers together"
            )
    elif request.env["iris.no_tracker"] or request.path not in OF_ALL or not _may(request):
        raise problems.Problem(
            "no_such_tracker",
            "there is no tracker here",
            hint="Say which one: /t/NAME/…, or the host NAME.…; whoever runs this Iris knows their names.",
        )


def _may(request):
    """Whether somebody may see what tells of all trackers: who has a token has it of one."""
    if request.path == "/health" or settings.get("IRIS_AUTH") == "none":
        return True
    if "HTTP_X_FORWARDED_FOR" in request.env:
        return False
    try:
        return ipaddress.ip_address(client.address(request.env)).is_loopback
    except ValueError:
        return False


def is_outside():
    """Whether what is asked is about no tracker, where there are many."""
    return current.MANY and current.TRACKER.get() is None


def is_there():
    """Whether the tracker that is meant has not been removed."""
    return current.TRACKER.get() in MAP.read()


def _sweep():
    while True:
        gevent.sleep(LOOK)
        for name, known in list(_KNOWN.items()):
            if known.answers == 0 and time.monotonic() - known.last > IDLE:
                del _KNOWN[name]
                for each in current.known(name):
                    if hasattr(each, "end"):
                        each.end()
                current.forget(name)
