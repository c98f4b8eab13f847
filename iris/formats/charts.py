"""Pictures of statistics, as SVG by hand: they read well small and large, by day and by night, and aloud.

Where a picture is shown small, its letters are larger, and what is less needed is left out; the style sheet
sees to it, and to colours that fit the reader's. A Content-Security-Policy lets in that one and nothing else.
"""

import base64
import hashlib
from datetime import date, datetime
from math import log10, sqrt
from xml.sax.saxutils import escape

from iris.formats.bars import span
from iris.visible import safe

MEDIA = "image/svg+xml"
WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 66, 150, 54, 46
ACROSS, DOWN = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
# By day and by night: the ground, letters, what is less important, lines of the grid, those at 50 and 85 of
# 100; then what is drawn.
COLOURS = {
    "ground": ("#ffffff", "#0d1117"),
    "ink": ("#1f2328", "#e6edf3"),
    "faint": ("#59636e", "#9198a1"),
    "grid": ("#d8dce1", "#30363d"),
    "mark": ("#a40e26", "#ff9492"),
    "c0": ("#0b63c5", "#58a6ff"),
    "c1": ("#b25400", "#f0a050"),
    "c2": ("#b3246b", "#f778ba"),
    "c3": ("#6639ba", "#bc8cff"),
    "c4": ("#0a7a75", "#39c5bb"),
    "c5": ("#8a6d00", "#d8b022"),
    "done": ("#1a7f37", "#4cba63"),
}
KINDS = [name for name in COLOURS if name[0] == "c" and name[1:].isdigit()]


def _sheet():
    def colours(place):
        return "".join(f".{name}{{color:{pair[place]}}}" for name, pair in COLOURS.items())

    return (
        "text{font:13px system-ui,sans-serif;fill:currentColor}.head{font-size:17px;font-weight:600}"
        ".shape{fill:currentColor}.line{fill:none;stroke:currentColor;stroke-width:1.5}"
        ".hair{stroke-width:.7}.dash{stroke-dasharray:6 4}"
        ".dots{fill:none;stroke:currentColor;stroke-opacity:.65;stroke-linecap:round}"
        ".bar{fill:currentColor;fill-opacity:.85}.middle{text-anchor:middle}.end{text-anchor:end}"
        + colours(0)
        + f"@media(prefers-color-scheme:dark){{{colours(1)}}}"
        "@media(max-width:480px){text{font-size:21px}.head{font-size:25px}.more{display:none}}"
    )


STYLE = _sheet()
_DIGEST = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{_DIGEST}'; frame-ancestors 'none'"


# Pieces -------------------------------------------------------------------------------------------


def text(x, y, words, kind="faint"):
    """Return a text; kind is its classes."""
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{escape(safe(str(words)))}</text>'


def path(points, kind):
    """Return a line through points, or a shape; kind is its classes."""
    return f'<path d="M{"L".join(f"{x:.1f} {y:.1f}" for x, y in points)}" class="{kind}"/>'


def level(y, kind="grid line hair"):
    return path([(LEFT, y), (LEFT + ACROSS, y)], kind)


def steps(most):
    """Return round numbers from 0 to above the greatest value: four or five of them."""
    size = 10 ** int(log10(max(most, 1)))
    step = next(
        each
        for each in (size / 10, size / 5, size / 2, size, size * 2, size * 5)
        if each * 4 >= most
    )
    step = max(1, int(step))
    return [step * place for place in range(-(-int(most) // step) + 1)] or [0]


def short(number):
    """Return a whole number in few characters: 9,500 or 20k."""
    return f"{number:,}" if number < 10_000 else f"{number / 1000:,g}k"


def apart(wanted, gap, low, high):
    """Return heights near the wanted ones, in their order from the top, that don't touch each other."""
    made = []
    for height in wanted:
        made.append(max(height, made[-1] + gap if made else low))
    over = made[-1] - high if made else 0
    for place in range(len(made) - 1, -1, -1):
        if over > 0:
            made[place] = min(made[place], high - (len(made) - 1 - place) * gap)
    return made


class Picture:
    """A picture that is being drawn.

    title:    what it is called; told says in words what one sees in it.
    """

    def __init__(self, title, width=WIDTH, height=HEIGHT):
        self.title, self.told, self.parts = title, "", []
        self.width, self.height = width, height

    def add(self, *parts):
        self.parts += parts

    def scale(self, most):
        """Draw a scale from 0; return (value) → its height."""
        marks = steps(most)
        top = max(marks[-1], 1)

        def height(value):
            return TOP + DOWN - value * DOWN / top

        for mark in marks:
            self.add(
                level(height(mark)), text(LEFT - 8, height(mark) + 4, short(mark), "faint end")
            )
        return height

    def spans(self, low, high):
        """Draw a scale of spans of time; return (12 times the logarithm of hours) → its height."""
        known = ((1 / 60, "1 min"), (1, "1 h"), (8, "8 h"), (24, "1 d"), (168, "1 w"), (720, "30 d"),
                 (2160, "90 d"), (8760, "1 y"), (43800, "5 y"))  # fmt: skip
        low, high = low - 2, high + 3
        # One mark says where it is, two say how far it is from there to here.
        while sum(low <= 12 * log10(hours) <= high for hours, _ in known) < 2:
            low, high = low - 1, high + 1

        def height(place):
            return TOP + DOWN - (place - low) * DOWN / (high - low)

        for hours, words in known:
            place = 12 * log10(hours)
            if low <= place <= high:
                y = height(place)
                self.add(level(y), text(LEFT - 8, y + 4, words, "faint end"))
        return height

    def quantiles(self, took, height):
        """Draw lines at what half of them took at most, and 85 of 100."""
        marks = [("85 of 100", took["p85"]), ("half", took["median"])]
        marks = [(words, hours) for words, hours in marks if hours]
        wanted = [height(12 * log10(hours)) for _, hours in marks]
        for (words, hours), y, at in zip(
            marks, wanted, apart(wanted, 34, TOP, HEIGHT), strict=True
        ):
            self.add(
                level(y, "mark line dash"),
                text(LEFT + ACROSS + 8, at, words, "mark"),
                text(LEFT + ACROSS + 8, at + 15, f"within {span(hours)}", "mark more"),
            )

    def dates(self, days, x):
        """Draw dates below, as many as there is room for; x gives where the one of a place is."""
        every = -(-len(days) // 6)
        for place in range(0, len(days), every):
            kind = "faint middle" + (" more" if place // every % 2 else "")
            words = f"{date.fromisoformat(days[place]):%-d %b %y}"
            self.add(text(x(place), HEIGHT - BOTTOM + 26, words, kind))

    def svg(self, is_headed=True):
        """Return the picture; its title stands in it, unless it has no room for one."""
        names = f'<title id="t">{escape(self.title)}</title><desc id="d">{escape(safe(self.told))}</desc>'
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" role="img"'
                ' aria-labelledby="t d">',
                names,
                f"<style>{STYLE}</style>",
                f'<rect width="{self.width}" height="{self.height}" class="ground shape"/>',
                *([text(LEFT, 30, self.title, "ink head")] if is_headed else []),
                *self.parts,
                "</svg>",
                "",
            ]
        )


# What each is called.
TITLES = {
    "flow": "What is open, and what was closed",
    "age": "How old what is open is",
    "cycle": "How long it took until closed",
    "throughput": "Filed and closed, week by week",
}


# Pictures -----------------------------------------------------------------------------------------


def _weeks(weeks):
    return f"From the week of {weeks[0]['week']} to that of {weeks[-1]['week']}"


def _flow(found):
    """What stood where at the end of each week, one status above the other; below, what was closed since."""
    made, weeks = Picture(TITLES["flow"]), found["weeks"]
    kinds = [each["status"] for each in found["status"] if each["is_open"]]
    kinds = [name for name in kinds if any(week["status"].get(name) for week in weeks)]
    colours = {name: KINDS[place % len(KINDS)] for place, name in enumerate(kinds)}
    done, total = [], 0
    for week in weeks:
        total += week["closed"]
        done.append(total)
    bands = [("closed", "done", done)]
    # What is nearest to being closed lies next to it.
    bands += [
        (name, colours[name], [week["status"].get(name, 0) for week in weeks])
        for name in reversed(kinds)
    ]
    height = made.scale(
        max(sum(values) for values in zip(*(band[2] for band in bands), strict=True))
    )

    def x(place):
        return LEFT + (place * ACROSS / (len(weeks) - 1) if len(weeks) > 1 else ACROSS / 2)

    below, labels = [0] * len(weeks), []
    for name, colour, values in bands:
        above = [low + value for low, value in zip(below, values, strict=True)]
        if len(weeks) == 1:
            edges = [(LEFT, above[0]), (LEFT + ACROSS, above[0])]
            back = [(LEFT + ACROSS, below[0]), (LEFT, below[0])]
        else:
            edges = [(x(place), value) for place, value in enumerate(above)]
            back = [(x(place), value) for place, value in reversed(list(enumerate(below)))]
        made.add(path([(at, height(value)) for at, value in edges + back], f"{colour} bar"))
        labels.append((name, colour, values[-1], height((above[-1] + below[-1]) / 2)))
        below = above
    labels.reverse()
    places = apart([each[3] + 4 for each in labels], 24, TOP + 8, HEIGHT - BOTTOM)
    for (name, colour, value, _), y in zip(labels, places, strict=True):
        made.add(text(LEFT + ACROSS + 8, y, f"{name[:14]} {value:,}", colour))
    made.dates([week["week"] for week in weeks], x)
    now = ", ".join(f"{value:,} {name}" for name, _, value, _ in labels[:-1]) or "nothing open"
    made.told = f"{_weeks(weeks)}, {done[-1]:,} were closed. In the end there is {now}."
    return made


def _throughput(found):
    """What was filed and closed in each week, side by side."""
    made, weeks = Picture(TITLES["throughput"]), found["weeks"]
    height = made.scale(max(max(week["filed"], week["closed"]) for week in weeks))
    room = ACROSS / len(weeks)
    for place, week in enumerate(weeks):
        for side, (name, colour) in enumerate((("filed", "c1"), ("closed", "done"))):
            if week[name]:
                left, wide, top = (
                    LEFT + room * (place + 0.1 + 0.4 * side),
                    room * 0.4,
                    height(week[name]),
                )
                made.add(
                    f'<rect x="{left:.1f}" y="{top:.1f}" width="{wide:.1f}" height="{TOP + DOWN - top:.1f}"'
                    f' class="{colour} bar"/>'
                )
    sums = {name: sum(week[name] for week in weeks) for name in ("filed", "closed")}
    for place, (name, colour) in enumerate((("filed", "c1"), ("closed", "done"))):
        made.add(text(LEFT + ACROSS + 8, TOP + 20 + 26 * place, f"{name} {sums[name]:,}", colour))
    made.dates([week["week"] for week in weeks], lambda place: LEFT + room * (place + 0.5))
    most = max(weeks, key=lambda week: week["closed"])
    made.told = (
        f"{_weeks(weeks)}, {sums['filed']:,} were filed and {sums['closed']:,} closed; the most,"
        f" {most['closed']:,}, in the week of {most['week']}."
    )
    return made


def _dots(found, most):
    """Return dots whose area says how many each stands for: a path for each size, a third of circles' bytes.

    found:    [(x, y, how many)].
    most:     the most that one of all stands for.
    """
    sizes = {}
    for x, y, many in found:
        size = 7 if most <= 3 else round(4 + 10 * sqrt(many / most))
        sizes.setdefault(size, []).append(f"M{x:.1f} {y:.1f}h0")
    return [
        f'<path d="{"".join(places)}" stroke-width="{size}" class="dots"/>'
        for size, places in sorted(sizes.items(), reverse=True)
    ]


def _in_words(took):
    if not took["tickets"]:
        return "Nothing was closed in these weeks."
    return (
        f"Of {took['tickets']:,} that were closed, half were open for {span(took['median'])} at most,"
        f" 85 of 100 for {span(took['p85'])}."
    )


def _bounds(places, took):
    """Return the lowest and the highest of places, and of the lines that are drawn among them."""
    lines = [12 * log10(hours) for hours in (took["median"], took["p85"]) if hours]
    places = [*places, *lines] or [12, 36]
    return min(places), max(places)


def _cycle(found):
    """How long each ticket was open that was closed, by when."""
    made, took, dots = (
        Picture(TITLES["cycle"]),
        found["hours_to_close"],
        found["closed"],
    )
    height = made.spans(*_bounds([place for _, place, _ in dots], took))
    most = max((many for _, _, many in dots), default=1)
    places = [
        (LEFT + (place - 0.5) * ACROSS / 120, height(high + 0.5), many)
        for place, high, many in dots
    ]
    made.add('<g class="c0">', *_dots(places, most), "</g>")
    made.quantiles(took, height)
    since, until = (datetime.fromisoformat(found[name]) for name in ("since", "as_of"))
    days = [(since + (until - since) * place / 5).date().isoformat() for place in range(6)]
    made.dates(days, lambda place: LEFT + ACROSS * place / 5)
    made.told = _in_words(took)
    return made


def _age(found):
    """How old what is open is, by its status; with lines at how long it took what was closed."""
    made, took, kinds = Picture(TITLES["age"]), found["hours_to_close"], found["open"]
    height = made.spans(*_bounds([high for kind in kinds for high, _ in kind["ages"]], took))
    most = max((many for kind in kinds for _, many in kind["ages"]), default=1)
    room, told = ACROSS / max(len(kinds), 1), []
    for place, kind in enumerate(kinds):
        middle, many = LEFT + room * (place + 0.5), sum(number for _, number in kind["ages"])
        made.add(f'<g class="{KINDS[place % len(KINDS)]}">')
        for high, number in kind["ages"]:
            y = height(high + 0.5)
            if most <= 8:
                beside = [(middle + 10 * (i - (number - 1) / 2), y, 1) for i in range(number)]
                made.add(*_dots(beside, 1))
                continue
            # Too many to count: as wide as there are many.
            wide, thick = max(5, room * 0.8 * number / most), max(2.0, y - height(high + 1.5) - 1)
            made.add(
                f'<rect x="{middle - wide / 2:.1f}" y="{y - thick / 2:.1f}" width="{wide:.1f}"'
                f' height="{thick:.1f}" rx="2" class="bar"/>'
            )
        made.add(
            "</g>",
            text(middle, HEIGHT - BOTTOM + 26, f"{kind['status'][:14]} {many:,}", "faint middle"),
        )
        told.append(f"{many:,} {kind['status']}")
    made.quantiles(took, height)
    made.told = f"Open are {', '.join(told) or 'none'}. {_in_words(took)}"
    return made


CHARTS = {"flow": _flow, "age": _age, "cycle": _cycle, "throughput": _throughput}
# Those that are drawn of what spread() gives; the others of what stats() does.
SPREAD = ("age", "cycle")


def draw(chart, found):
    """Draw a picture.

    chart:    a name of CHARTS.
    found:    what stats() or, for one of SPREAD, spread() gave.
    Returns:  SVG, as text.
    """
    return CHARTS[chart](found).svg()


def served(response):
    """Say of an answer that it is a picture."""
    response.content_type = MEDIA
    # Opened by itself it has its style sheet, and nothing else.
    response.set_header("Content-Security-Policy", POLICY)
