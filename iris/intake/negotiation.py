"""Which format an answer comes in."""

from functools import lru_cache

from falcon.vendor import mimeparse

from iris import formats, problems


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


def choose(request, given, offers):
    """Settle the format of the answer: what ?format= says, else what Accept prefers."""
    known = _formats(offers)
    name = given.pop("format", None) if len(offers) > 1 else None
    if name is None:
        name = _preferred(request.accept, offers)
    if not isinstance(name, str) or name not in known:
        detail = f"this comes as {', '.join(reversed(known.values()))}"
        hint = f"format= takes {', '.join(reversed(known))}." if len(known) > 1 else None
        raise problems.Problem("not_acceptable", detail, hint=hint)
    request.context.format = name
