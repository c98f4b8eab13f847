"""The database's disk is really full: what is said, that nothing acknowledged is lost, and that all works once there is room."""

import json
import subprocess
import time
from contextlib import closing

import psycopg2
import pytest
from conftest import Live

from iris import embedded

# Bytes of the disk; an empty database with its log has some 60 MB.
DISK = 160 << 20
# A description that needs pages of its own: PostgreSQL can't make all that is different small.
WORDS = " ".join(f"{n * 2654435761 % 2**32:08x}" for n in range(11_000))


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    """Return a small disk, mounted."""
    folder = tmp_path_factory.mktemp("disk")
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=755", "none", folder]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"nothing can be mounted here: {getattr(error, 'stderr', error)}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture(scope="module")
def small(disk):
    """Return (a server on the small disk, what files by a service of it)."""
    options = {
        "max_wal_size": "64MB",
        "min_wal_size": "32MB",
        # Else PostgreSQL tries again by itself, and now and then what it throws away is room enough.
        "restart_after_crash": "off",
    }
    server = embedded.Server(disk, options=options)
    server.start()
    server.seed()
    # The next piece of the log is a new one, with room for all that a test files.
    with (
        closing(psycopg2.connect(server.url("postgres"))) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT pg_switch_wal()")
    service = Live(server.url())
    yield server, Filing(service)
    service.stop()
    server.stop()


def fill(path):
    """Take all the room that is left."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 16))
        except OSError:
            pass


class Filing:
    """Files tickets and keeps the numbers of those that were acknowledged."""

    def __init__(self, service):
        self.service, self.kept = service, []

    def __call__(self):
        body = json.dumps({"title": "x", "description": WORDS}).encode()
        kind = ["Content-Type: application/json"]
        status, _, answer = self.service.send("PUT", "/tickets", body, kind)
        told = json.loads(answer)
        if status == 201:
            self.kept.append(told["ticket_id"])
        return status, told.get("code"), told.get("detail")

    def is_all_there(self):
        _, _, answer = self.service.send("GET", "/tickets?limit=1000&columns=ticket_id")
        return {row["ticket_id"] for row in json.loads(answer)} == {*self.kept}


def test_a_full_disk_is_named_at_both_doors_and_loses_nothing(disk, small):
    server, file = small
    service = file.service
    assert file()[0] == 201
    fill(disk / "filler")
    # What there is room for in pages that are there is still written.
    refused = next(said for said in (file() for _ in range(100)) if said[0] != 201)
    assert refused[:2] == (503, "database_full")
    assert refused[2].startswith("the disk of the database is full: nothing is written until")
    # What is there can be read, and db-check says how it is.
    assert service.send("GET", "/tickets")[0] == service.send("GET", "/db-check")[0] == 200
    with psycopg2.connect(server.url()) as connection, connection.cursor() as cursor:
        with pytest.raises(psycopg2.errors.DiskFull, match="No space left on device"):
            cursor.execute("INSERT INTO tickets (title, description) VALUES ('x', %s)", (WORDS,))
    connection.close()
    (disk / "filler").unlink()
    assert file()[0] == 201
    assert file.is_all_there()


def test_a_log_that_finds_no_room_ends_the_database_and_loses_nothing(disk, small):
    """PostgreSQL stops rather than to go on without its log; it is started again where there is room."""
    server, file = small
    service = file.service
    assert file()[0] == 201
    fill(disk / "filler")
    with pytest.raises(psycopg2.Error):
        connection = psycopg2.connect(server.url("postgres"))
        connection.autocommit = True
        with connection.cursor() as cursor:
            for _ in range(200):
                cursor.execute("SELECT pg_logical_emit_message(true, '', %s)", (WORDS * 10,))
    # Whose connection has ended is one thing, that all of PostgreSQL has ended another.
    until = time.monotonic() + 30
    while server.pid() is not None:
        assert time.monotonic() < until
        time.sleep(0.05)
    for path in ("/tickets", "/db-check"):
        status, _, answer = service.send("GET", path)
        assert (status, json.loads(answer)["code"]) == (503, "database_unavailable")
    assert service.send("GET", "/health")[0] == 200
    (disk / "filler").unlink()
    server.start()
    assert file()[0] == 201
    assert file.is_all_there()
