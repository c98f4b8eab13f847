"""The workflow as a picture, by hand: statuses from top to bottom, ways on at the right, back at the left.

However many ways there are, none lies upon another, and no layout has to be found.
"""

import itertools

from iris import bounds, counted
from iris.formats import charts

# Statuses and ways that are drawn, at most; a workflow may have any number.
MOST, MOST_WAYS = 60, 600
# Of a status: how wide, how high, and how far it is to the next.
WIDE, HIGH, STEP = 190, 34, 62
# Letters of a name.
LETTERS = 22
# How far ways reach out: the shortest, and how much more each status on the way takes, up to so many.
REACH, MORE, MOST_REACH = 26, 17, 12
HEAD = 7


def size(found):
    """Return how wide and how high the picture of a workflow is."""
    side, (statuses, _) = _side(found), _drawn(found)
    return WIDE + 2 * side, 40 + STEP * len(statuses)


def draw(found):
    """Draw a workflow.

    found:    what workflow() gives.
    Returns:  SVG, as text.
    """
    statuses, ways = _drawn(found)
    side, farthest = _side(found), _farthest(ways)
    made = charts.Picture("Which status may follow which", *size(found))
    for origin, target in ways:
        bounds.breathe()
        made.add(_way(origin, target, side, farthest))
    for number, each in enumerate(statuses):
        made.add(_status(each, side, number))
    made.told = _told(found, statuses, ways)
    return made.svg(is_headed=False)


def _drawn(found):
    """Return the statuses that are drawn, and the ways, each as the places of two statuses."""
    statuses = found["statuses"][:MOST]
    place = {each["status"]: number for number, each in enumerate(statuses)}
    ways = (
        (place[origin], place[target])
        for origin in place
        for target in found["transitions"].get(origin, ())
        if target in place
    )
    return statuses, list(itertools.islice(ways, MOST_WAYS))


def _farthest(ways):
    return max((abs(origin - target) for origin, target in ways), default=0)


def _side(found):
    """Return how much room there is beside the statuses."""
    farthest = _farthest(_drawn(found)[1])
    return REACH + MORE * min(farthest, MOST_REACH) + 2 * HEAD


def _middle(number):
    return 24 + STEP * number + HIGH / 2


def _status(each, side, number):
    y, kind = _middle(number), "c0" if each["is_open"] else "done"
    name = each["status"]
    short = name if len(name) <= LETTERS else f"{name[: LETTERS - 1]}…"
    dashes = "" if each["is_open"] else " dash"
    box = f'<rect x="{side}" y="{y - HIGH / 2:.0f}" width="{WIDE}" height="{HIGH}" rx="7"'
    words = charts.text(side + WIDE / 2, y + 5, short, "ink middle")
    return f'{box} class="ground shape"/>{box} class="{kind} line{dashes}"/>{words}'


def _way(origin, target, side, farthest):
    """Return an arrow: on the right where it leads on, on the left where it leads back."""
    is_ahead, far = target > origin, abs(target - origin)
    out, edge = (1, side + WIDE) if is_ahead else (-1, side)
    # Those that go far leave nearer to the middle, so that hardly any begins where another ends.
    apart = HIGH / 2 - 4 - (HIGH / 2 - 6) * far / max(farthest, 3)
    from_y, to_y = _middle(origin) + out * apart, _middle(target) - out * apart
    reach = edge + out * (REACH + MORE * min(far - 1, MOST_REACH))
    tip = edge + out * 2
    curve = f"M{edge} {from_y:.1f}C{reach} {from_y:.1f} {reach} {to_y:.1f} {tip + out * HEAD} {to_y:.1f}"
    head = [(tip, to_y), (tip + out * HEAD, to_y - 4), (tip + out * HEAD, to_y + 4)]
    kind = "c0" if is_ahead else "c1"
    return f'<path d="{curve}" class="{kind} line"/>{charts.path(head, f"{kind} shape")}'


def _told(found, statuses, ways):
    """Return in words what one sees."""
    parts = []
    for each in statuses:
        targets = found["transitions"].get(each["status"], ())[:MOST]
        parts.append(
            f"{each['status']} ({'open' if each['is_open'] else 'not open'}) to"
            f" {', '.join(targets) or 'nowhere'}"
        )
    left = len(found["statuses"]) - len(statuses)
    if left:
        parts.append(f"{counted.of(left, 'more status', 'more statuses')} not drawn")
    if len(ways) == MOST_WAYS:
        parts.append(f"not more than {MOST_WAYS} ways drawn")
    return "; ".join(parts) + "."
