"""Looks after a move: if whoever does it is killed while a tracker's writers wait, they go on where it was.

It has the one end of a pipe whose other end only the move has.
"""

import signal
import sys

from iris.trackers import making, maps, moving, servers


def main(name, host, port):
    """Wait for the end of a move of a tracker to some place; if that was none, clear up after it."""
    # Whatever ends the move does not end this.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdout.write("there\n")
    sys.stdout.flush()
    if sys.stdin.readline() != "done\n":
        source = servers.at(making.place(name))
        moving.stop_waiting(name, source)
        with making.taken(name):
            moving.clear(name, source, servers.at(maps.Place(host, port)))


if __name__ == "__main__":
    main(*sys.argv[1:])
