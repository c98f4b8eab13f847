"""Which tracker is meant, where a process serves many: each request says so before anything is done for it.

What a worker keeps is kept for each tracker by itself, so that nothing of one is ever seen in another.
"""

import contextvars

from iris import problems, settings

# Whether this process serves many.
MANY = settings.get("IRIS_TRACKERS") is not None and settings.get("IRIS_TRACKER") is None
# The name of the one that is meant; None where none is.
TRACKER = contextvars.ContextVar("tracker", default=None)
# All there are of Each.
_ALL = []


class Each:
    """One of something for each tracker, made when it is first used; it is used as the thing itself is.

    make:     () → the thing.
    """

    def __init__(self, make):
        vars(self).update(_make=make, _made={})
        _ALL.append(self)

    def _mine(self):
        name = TRACKER.get()
        if name is None:
            raise problems.Problem("no_such_tracker", "no tracker is meant here")
        if name not in self._made:
            self._made[name] = self._make()
        return self._made[name]

    def __getattr__(self, name):
        return getattr(self._mine(), name)

    def __setattr__(self, name, value):
        setattr(self._mine(), name, value)

    def __enter__(self):
        return self._mine().__enter__()

    def __exit__(self, *error):
        return self._mine().__exit__(*error)


def each(make):
    """Return what make() gives; where this process serves many trackers, one of it for each of them."""
    return Each(make) if MANY else make()


def known(name):
    """Return what is kept of a tracker just now."""
    return [each._made[name] for each in _ALL if name in each._made]


def forget(name):
    """Keep nothing of a tracker any more."""
    for each in _ALL:
        each._made.pop(name, None)


def carried(function):
    """Return a function that does the same for the tracker that is meant now, whichever greenlet runs it."""
    name = TRACKER.get()

    def run(*given):
        TRACKER.set(name)
        return function(*given)

    return run
