"""Strangers: programs of others that know Iris from openapi.json alone, in an environment of their own.

`make .venv-described/ready` makes it; what they do there is in tests/described/.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
HERE = ROOT / "tests" / "described"
BIN = ROOT / ".venv-described" / "bin"


def are_here():
    """Whether their environment has been made."""
    return (BIN.parent / "ready").exists()


def run(*command, check=True, **more):
    """Run one of their programs; return what it says.

    Raises:   AssertionError with that, if it fails and check is true.
    """
    program, *others = map(str, command)
    done = subprocess.run(
        [BIN / program, *others],
        cwd=HERE,
        env={**os.environ, "PYTHONPATH": str(HERE), "COLUMNS": "120"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        **more,
    )
    assert not check or done.returncode == 0, done.stdout
    return done.stdout


def search(url, seconds, phases, seed):
    """Let schemathesis look for an answer that the document does not allow; return what it says.

    url:      of an Iris with a few tickets.
    phases:   names of schemathesis's.
    Raises:   AssertionError with what it has found.
    """
    command = ["st", "run", f"{url}/openapi.json", "--url", url, "--checks", "all", "--seed", seed]
    command += ["--max-time", seconds, "--phases", ",".join(phases), "--continue-on-failure"]
    return run(*command, "--warnings", "off", "--output-sanitize", "false")


def main():
    """Start an Iris of its own and let schemathesis search, half of the time by each of its ways."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    given = parser.parse_args()

    import psycopg2  # noqa: PLC0415
    from conftest import Live  # noqa: PLC0415 (starts nothing, but needs pytest)

    from iris import embedded  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        server = embedded.Server(folder, options={"fsync": "off", "max_connections": "200"})
        server.start()
        try:
            server.seed()
            with psycopg2.connect(server.url()) as connection, connection.cursor() as cursor:
                cursor.execute(TICKETS)
            live = Live(server.url(), IRIS_WORKERS="2")
            try:
                for phases in (("coverage",), ("examples", "fuzzing", "stateful")):
                    url = f"http://127.0.0.1:{live.port}"
                    print(search(url, given.seconds // 2, phases, given.seed), flush=True)
            finally:
                log = live.stop()
        finally:
            server.stop()
    return int("Traceback" in log)


# What they find there, so that small numbers are somebody's.
TICKETS = """
    INSERT INTO tickets (title) SELECT 'Ticket ' || number FROM generate_series(1, 20) AS number;
    INSERT INTO comments (ticket_id, body) SELECT ticket_id, 'x' FROM tickets;
    INSERT INTO links SELECT ticket_id, 'relates', ticket_id + 1 FROM tickets WHERE ticket_id < 20
"""

if __name__ == "__main__":
    sys.exit(main())
