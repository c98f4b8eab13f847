"""Which format an answer comes in, and how it looks as text."""

from functools import lru_cache

from falcon.vendor import mimeparse

from iris import formats, problems
from iris.formats import terminal
from iris.intake import types

# How an answer as text is to look, whatever it says.
LOOK = {
    "width": types.about("Of an answer as text: cells across", types.Number(*terminal.WIDTHS)),
    "color": types.about("Of an answer as text: colours", types.OneOf(["always", "never"])),
}


@lru_cache
def _formats(offers):
    """Return {name: media type} of what a route offers."""
    names = {media: name for name, media in formats.MEDIA.items()}
    return {names[media]: media for media in offers}


@lru_cache(100)
def _preferred(accept, offers):
    """Return the name of the format that an Accept header likes best, or None."""
    try:
        media = mimeparse.best_match(offers, accept)
    except ValueError:
        return None
    return next((name for name, known in _formats(offers).items() if known == media), None)


def choose(request, response, given, offers):
    """Settle the format of the answer: what ?format= says, else what Accept prefers."""
    known = _formats(offers)
    name = given.pop("format", None)
    if name is None:
        name = _preferred(request.accept, offers)
    if not isinstance(name, str) or name not in known:
        detail = f"this comes as {', '.join(reversed(known.values()))}"
        hint = f"format= takes {', '.join(reversed(known))}." if len(known) > 1 else None
        allowed = [*reversed(known)]
        raise problems.Problem("not_acceptable", detail, hint=hint, allowed=allowed)
    request.context.format = name
    response.append_header("Vary", "Accept")


def look(request, given, known):
    """Settle how an answer is to look whose route leaves that to others.

    given:    {name: text} of the request; what is settled is taken out of it.
    known:    the names that the route takes.
    Raises:   Problem 400 where it is for text, and something else is asked for; 422.
    """
    request.context.look = {}
    for name in (LOOK.keys() & given.keys()) - known.keys():
        if request.context.format != "text":
            raise formats.only_for(name)
        try:
            request.context.look[name] = LOOK[name](given.pop(name))
        except ValueError as error:
            raise problems.invalid({name: str(error)}) from None
