"""What pages cost: how soon a change is seen, how fast a large board is, what many readers of one board take.

make pages
make pages ARGS='--cards 1000 --readers 2000 --rounds 30'
"""

import argparse
import resource
import selectors
import socket
import tempfile
import threading
import time
from statistics import median

import chromium
import psycopg2
from conftest import Live, spent

from iris import embedded

# From a key to what is drawn then, in ms.
MOVE = """() => new Promise(told => {
    const began = performance.now();
    const key = new KeyboardEvent("keydown", {key: "L", bubbles: true});
    document.activeElement.dispatchEvent(key);
    requestAnimationFrame(() => setTimeout(() => told(performance.now() - began)));
})"""
DRAWN = "performance.getEntriesByType('navigation')[0].loadEventEnd"
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
FILE = """INSERT INTO tickets (title, assignee, labels)
    SELECT 'Ticket number ' || n, 'person ' || n %% 20, ARRAY['label ' || n %% 7]
    FROM generate_series(1, %s) AS n"""
END = "SELECT coalesce(max(position), 0) FROM events"


def listening(browser, url, path):
    """Open a page and wait until it listens."""
    page = browser.new_page()
    page.goto(f"{url}{path}")
    page.wait_for_selector('body[data-feed="live"]')
    return page


def seen(browser, url, run, rounds):
    """Return how long it takes from a change's commit until an open board has it, in ms."""
    page, times = listening(browser, url, "/tickets?view=board"), []
    for number in range(rounds):
        # Not in step with the poller.
        time.sleep(0.3 + number % 7 / 70)
        run("UPDATE tickets SET title = %s WHERE ticket_id = 1", f"Seen {number}")
        began = time.monotonic()
        page.get_by_text(f"Seen {number}", exact=True).wait_for()
        times.append(1000 * (time.monotonic() - began))
    page.close()
    return times


def large(browser, url, cards, rounds):
    """Return (until a board is loaded, until it is painted, how long moves take), each in ms; and its bytes."""
    loaded, painted, moves, size = [], [], [], 0
    for _ in range(3):
        page = browser.new_page()
        size = len(page.goto(f"{url}/tickets?view=board&limit={cards}").body())
        page.wait_for_selector('body[data-feed="live"]')
        loaded.append(page.evaluate(DRAWN))
        painted.append(page.evaluate(PAINTED))
        for _ in range(rounds // 3):
            page.locator('[data-column="open"] [data-ticket] a').first.focus()
            moves.append(page.evaluate(MOVE))
            page.wait_for_timeout(50)
        page.close()
    return loaded, painted, moves, size


class Readers:
    """Who has a board open, as the script has: a stream each, and no request where an event tells it all."""

    def __init__(self, port, number, position):
        self.got, self.over = 0, False
        self.selector = selectors.DefaultSelector()
        for _ in range(number):
            made = socket.create_connection(("127.0.0.1", port), timeout=60)
            head = f"GET /events?after={position} HTTP/1.1\r\nHost: iris\r\nAccept: text/event-stream\r\n\r\n"
            made.sendall(head.encode())
            self.selector.register(made, selectors.EVENT_READ)
        self.thread = threading.Thread(target=self._read)
        self.thread.start()

    def _read(self):
        while not self.over:
            for key, _ in self.selector.select(0.2):
                self.got += key.fileobj.recv(1 << 16).count(b"\ndata:")

    def leave(self):
        self.over = True
        self.thread.join()
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()


def many(live, run, position, readers, changes, seconds=10):
    """Return the CPU seconds a minute that readers take while nothing happens, and those of one change for all."""
    there = Readers(live.port, readers, position)
    time.sleep(3)
    began = spent(live.process.pid)
    time.sleep(seconds)
    idle = (spent(live.process.pid) - began) * 60 / seconds
    began, there.got = spent(live.process.pid), 0
    for number in range(changes):
        run("UPDATE tickets SET title = %s WHERE ticket_id = 1", f"Read {number}")
        time.sleep(0.2)
    deadline = time.monotonic() + 60
    while there.got < readers * changes and time.monotonic() < deadline:
        time.sleep(0.1)
    each = (spent(live.process.pid) - began) / changes
    got = there.got
    there.leave()
    return idle, each, got


def main():
    parser = argparse.ArgumentParser(prog="make pages", description=__doc__.partition("\n")[0])
    parser.add_argument("--cards", type=int, default=1000)
    parser.add_argument("--readers", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=30)
    given = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    playwright, browser = chromium.start()
    with tempfile.TemporaryDirectory() as folder:
        server = embedded.Server(folder)
        server.start()
        try:
            server.seed()
            live = Live(server.url(), IRIS_WORKERS="2")
            try:
                _measure(browser, live, server.url(), given)
            finally:
                live.stop()
        finally:
            server.stop()
            browser.close()
            playwright.stop()


def _measure(browser, live, database, given):
    connection = psycopg2.connect(database, application_name="psql")
    connection.autocommit = True
    cursor, url = connection.cursor(), f"http://127.0.0.1:{live.port}"

    def run(text, *values):
        cursor.execute(text, values or None)

    run(FILE, given.cards)
    times = seen(browser, url, run, given.rounds)
    print(f"a change in psql is seen after {median(times):.0f} ms (at most {max(times):.0f})")
    loaded, painted, moves, size = large(browser, url, given.cards, given.rounds)
    print(
        f"{given.cards} cards, {size / 1000:.0f} KB: painted after {median(painted):.0f} ms, loaded after {median(loaded):.0f} ms"
    )
    print(f"a move is drawn after {median(moves):.0f} ms (at most {max(moves):.0f})")
    run(END)
    for number in (2, given.readers):
        idle, each, got = many(live, run, cursor.fetchone()[0], number, given.rounds)
        print(
            f"{number} readers: {idle:.2f} CPU seconds a minute while nothing happens, {1000 * each:.0f} ms of CPU a change, {got / number / given.rounds:.0%} of events read"
        )
        run(END)


main()
