"""How Iris's work grows with the number of tickets: the same work at each size, turn by turn.

    make growth
    make growth ARGS='--sizes 1000,5000 --rounds 2 --seconds 1 --svg growth.svg'

Prints Markdown on stdout, what it is doing on stderr.
"""

import contextlib
import json
from math import floor, log10
from pathlib import Path
from statistics import mean, median
from xml.sax.saxutils import escape

import harness
import psycopg2
from harness import BULK, CONNECTIONS, Failed, Load, Service, heading, number, row, say, spread

# What a work is called at the end of its line, and the colour of its kind.
LABELS = {
    "one": ("one ticket", "read"),
    "304": ("one ticket, not modified", "read"),
    "page": ("first page", "read"),
    "deep": ("page in the middle", "read"),
    "filtered": ("filtered page", "read"),
    "rare": ("search, rare word", "search"),
    "search": ("search, common word", "search"),
    "count": ("count", "read"),
    "one_then": ("one ticket, then", "past"),
    "page_then": ("first page, then", "past"),
    "filtered_then": ("filtered page, then", "past"),
    "rare_then": ("search, rare word, then", "past"),
    "search_then": ("search, common word, then", "past"),
    "count_then": ("count, then", "past"),
    "export": ("export, each 1,000", "many"),
    "change": ("change", "write"),
    "comment": ("comment", "write"),
    "create": ("file", "write"),
    "bulk": ("file 1,000 at once", "many"),
}
# What is found where not all are wanted: as many as there are in the smallest of trackers, too.
FOUND = 10
FACTS = """SELECT (SELECT count(*) FROM tickets), pg_database_size(current_database()),
    sum(pg_table_size(oid))::bigint, sum(pg_indexes_size(oid))::bigint
    FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"""


class Tracker:
    """An Iris with so many tickets.

    size:     how many.
    owner:    a connection to its database.
    """

    def __init__(self, size, server, name, stack):
        self.size = size
        self.owner = stack.enter_context(
            contextlib.closing(psycopg2.connect(server.url("postgres", name)))
        )
        self.owner.autocommit = True
        command, environment = harness.iris(server.url(database=name))
        self.service = Service(f"Iris of {size:,} tickets", command, **environment)
        stack.callback(self.service.stop)
        self.works = harness.works(size, harness.middle(self.owner, size), FOUND, past=True)

    def facts(self):
        """Return (tickets, bytes of the database, of its tables, of its indexes)."""
        with self.owner.cursor() as cursor:
            cursor.execute(FACTS)
            return cursor.fetchone()

    def check(self, name):
        """End loudly where a request is not answered as it should be."""
        work = self.works[name]
        made = {"id": 7, "ten": 42, "early": 42, "n": 1000, "rare": 7, "then": "2025-11-26"}
        path, body = (harness.filled(text, **made) for text in (work.path, work.body))
        # Not all of a million tickets, only to look at them.
        path += "&limit=50" if name == "export" else ""
        status, data = self.service.ask(work.method, path, body, work.header)
        rows = json.loads(data) if data and name != "export" else data.splitlines()
        many = {
            "304": 0, "page": 50, "deep": 50, "filtered": FOUND, "rare": 10, "search": FOUND,
            "export": 50, "bulk": BULK, "page_then": 50, "filtered_then": FOUND, "search_then": FOUND,
        }  # fmt: skip
        many = len(rows) == many[name] if name in many else len(rows) > 0
        if status not in ((304,) if name == "304" else (200, 201)) or not many:
            self.service.fail(f"answers {name} with {status} {data[:500]}")


def measure(trackers, name, load, rounds):
    """Return {size: samples of each round}; one round before that isn't counted.

    Samples of an export are of a thousand tickets.
    """
    found, order = {each.size: [] for each in trackers}, list(trackers)
    for turn in range(rounds + 1):
        for each in order:
            work = each.works[name]
            sample = load.sample(each.service, work, work.path, each.size, turn + 1)
            if turn:
                found[each.size].append(sample.part(work.rows / BULK if work.rows else 1))
        # Nobody always comes after the same one.
        order = order[1:] + order[:1]
    return found


# Telling ------------------------------------------------------------------------------------------


def title(name, work):
    """Return what a work is called in the tables."""
    return f"{work.title}, for each {BULK:,}" if name == "export" else work.title


def costs(found):
    """Return the cells of what was found: ms of each size, and how many times the first one's.

    found:    {size: samples}.
    """
    times = [[1000 / sample.rate for sample in samples] for samples in found.values()]
    cells = [spread(times[0])]
    for each in times[1:]:
        ratios = [more / first for more, first in zip(each, times[0], strict=True)]
        cells += [spread(each), spread(ratios)]
    return cells


def grow(stack, arguments):
    """Start everything, measure, print; what is started ends with the stack."""
    sizes = arguments.sizes
    server, names = harness.serve(stack, arguments.folder, sizes)
    say("starting an Iris for each")
    trackers = [Tracker(size, server, names[size], stack) for size in sizes]
    for each in trackers:
        each.service.wait()
    before = {each.size: each.facts() for each in trackers}
    load, works, found = Load(server, arguments.seconds), trackers[0].works, {}
    print(f"# Iris as it grows\n\n{harness.machine()} {arguments.rounds} rounds of {arguments.seconds} s,"
          f" in which the sizes take turns; {CONNECTIONS} connections, but one where many tickets go in or"
          " out. Medians (min–max); ratios are made within a round.\n")  # fmt: skip
    print("Milliseconds from one answer to the next (1,000 / rate), and × what they are at"
          f" {sizes[0]:,} tickets:\n")  # fmt: skip
    heading(["", f"{sizes[0]:,}", *(cell for size in sizes[1:] for cell in (f"{size:,}", "×"))])
    for name in arguments.only:
        say(f"measuring {name}")
        try:
            for each in trackers:
                each.check(name)
            found[name] = measure(trackers, name, load, arguments.rounds)
        except Failed as failed:
            # Such as by taking too long; the others are measured all the same.
            say(f"MIND: {name} failed, as told here:\n{failed}")
            row([title(name, works[name]), "failed", *[""] * (2 * len(sizes) - 2)])
            continue
        row([title(name, works[name]), *costs(found[name])])
        if arguments.svg:
            # Each time, so that there is something to see if the rest is not waited for.
            Path(arguments.svg).write_text(plot(found))
    print("\nMilliseconds of CPU for each request, service + database:\n")
    heading(["", *(f"{size:,}" for size in sizes)])
    for name, samples in found.items():
        cells = (
            [number(median(sample[place] for sample in samples[size])) for place in (3, 4)]
            for size in sizes
        )
        row([title(name, works[name]), *(" + ".join(cell) for cell in cells)])
    print("\nDatabases:\n")
    heading(["tickets", "MB", "KB each", "tables", "indexes", "tickets in the end"])
    for each in trackers:
        size, (_, *sums) = each.size, before[each.size]
        kilobytes = [number(bytes_ / 1000 / size) for bytes_ in sums]
        row([f"{size:,}", number(sums[0] / 1e6), *kilobytes, f"{each.facts()[0]:,}"])


# The plot -----------------------------------------------------------------------------------------

# By day and by night.
COLOURS = {
    "ground": ("#ffffff", "#0d1117"),
    "ink": ("#1f2328", "#e6edf3"),
    "axis": ("#656d76", "#9198a1"),
    "grid": ("#d8dce1", "#30363d"),
    "read": ("#0b63c5", "#6cb6ff"),
    "search": ("#b04a00", "#f69d50"),
    "past": ("#9a6700", "#d4a72c"),
    "write": ("#1a7f37", "#57c764"),
    "many": ("#8250df", "#c297ff"),
}
STYLE = """text { font: 12px system-ui, sans-serif; }
text.title { font-size: 16px; font-weight: 600; }
path { fill: none; stroke-width: 2; }
path.grid, path.axis { stroke-width: 0.5; }"""


def style():
    """Return the style sheet: what fills texts, dots and the ground is what lines are drawn with."""

    def colours(place):
        for name, pair in COLOURS.items():
            yield f"text.{name}, circle.{name}, rect.{name} {{ fill: {pair[place]}; }}"
            yield f"path.{name} {{ stroke: {pair[place]}; }}"

    night = "\n".join(["@media (prefers-color-scheme: dark) {", *colours(1), "}"])
    return "\n".join(["<style>", STYLE, *colours(0), night, "</style>"])


WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM, GAP = 820, 600, 64, 248, 56, 56, 17


def apart(wanted, low, high):
    """Return heights as near to the wanted ones as labels can be without touching each other.

    wanted:   pixels from the top, in this order.
    """
    # Labels that would touch stand around the middle of where they would be.
    groups = []
    for place, height in enumerate(wanted):
        groups.append([height - place * GAP])
        while len(groups) > 1 and mean(groups[-2]) > mean(groups[-1]):
            groups[-2:] = [groups[-2] + groups[-1]]
    placed = [mean(group) for group in groups for _ in group]
    most = high - (len(wanted) - 1) * GAP
    return [min(max(height, low), most) + place * GAP for place, height in enumerate(placed)]


def plot(found):
    """Return an SVG: milliseconds by tickets, both logarithmic, a line for each work.

    found:    {work: {size: samples}}.
    """
    lines = {
        name: {size: median(1000 / sample.rate for sample in each) for size, each in sizes.items()}
        for name, sizes in found.items()
    }
    sizes = list(next(iter(lines.values())))
    every = [log10(ms) for line in lines.values() for ms in line.values()]
    bottom, top = floor(min(every)), floor(max(every)) + 1
    first, last = log10(sizes[0]), log10(sizes[-1])

    def x(size):
        return LEFT + (log10(size) - first) / ((last - first) or 1) * (WIDTH - LEFT - RIGHT)

    def y(ms):
        return HEIGHT - BOTTOM - (log10(ms) - bottom) / (top - bottom) * (HEIGHT - TOP - BOTTOM)

    def text(x, y, words, kind="axis", anchor="middle", more=""):
        where = f'x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}"{more}'
        return f"<text {where}>{escape(words)}</text>"

    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        "<title>What a request costs as tickets become more</title>",
        style(),
        f'<rect width="{WIDTH}" height="{HEIGHT}" class="ground"/>',
        text(LEFT, 28, "What a request costs as tickets become more", "ink title", "start"),
        text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14, "tickets"),
        text(18, middle, "ms from one answer to the next", "axis", "middle",
             f' transform="rotate(-90 18 {middle:.1f})"'),
    ]  # fmt: skip
    for decade in range(bottom, top + 1):
        for ms in (10**decade * digit for digit in ((1,) if decade == top else (1, 2, 5))):
            height = y(ms)
            parts.append(f'<path d="M{LEFT} {height:.1f}H{WIDTH - RIGHT}" class="grid"/>')
            parts.append(text(LEFT - 8, height + 4, f"{ms:,g}", "axis", "end"))
    for size in sizes:
        parts.append(f'<path d="M{x(size):.1f} {TOP}V{HEIGHT - BOTTOM}" class="grid"/>')
        parts.append(text(x(size), HEIGHT - BOTTOM + 18, f"{size:,}"))
    # Labels from top to bottom, as the lines end.
    names = sorted(lines, key=lambda name: -lines[name][sizes[-1]])
    ends = [y(lines[name][sizes[-1]]) for name in names]
    edge = WIDTH - RIGHT
    for name, end, height in zip(names, ends, apart(ends, TOP, HEIGHT - BOTTOM), strict=True):
        words, kind = LABELS[name]
        points = [(x(size), y(ms)) for size, ms in lines[name].items()]
        path = "L".join(f"{across:.1f} {down:.1f}" for across, down in points)
        parts.append(f'<path d="M{path}" class="{kind}"/>')
        parts += [f'<circle cx="{a:.1f}" cy="{d:.1f}" r="3" class="{kind}"/>' for a, d in points]
        parts.append(f'<path d="M{edge + 5} {end:.1f}L{edge + 22} {height:.1f}" class="axis"/>')
        words = f"{words} · {number(lines[name][sizes[-1]])} ms"
        parts.append(text(edge + 26, height + 4, words, kind, "start"))
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    parser = harness.parser("growth", __doc__)
    parser.add_argument(
        "--sizes",
        type=lambda text: sorted(map(int, text.split(","))),
        default="1000,100000,1000000",
        help="how many tickets, with commas between them",
    )
    parser.add_argument("--svg", help="a file to draw a plot into")
    harness.main(parser.parse_args(), grow, past=True)
