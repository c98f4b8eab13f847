"""Each line of `iris` and `make` that README, docs/ and CONTRIBUTING type, as it stands there; curl's and psql's: test_docs.py."""

import os
import re
import shlex
import shutil
import subprocess

import pytest
from conftest import RESET, ROOT, seeds
from test_up import IRIS

import docs

LINE = re.compile(r"    (\$ )?((?:iris|make) .*)")
# What is not typed here, by what it begins with, and where it is.
LEFT_OUT = {
    "iris up": "starts another server: tests/test_up.py",
    "iris serve": "goes on until it is stopped: tests/test_connections.py",
    "iris restore": "wants an empty Iris: tests/test_backup.py",
    "iris import all.ndjson": "wants an empty Iris: tests/test_transfer.py",
    "iris verify --digest": "is about the digest that somebody noted of theirs: tests/test_proof.py",
    "iris doctor": "shows a database that is broken, on purpose: tests/test_doctor.py",
    "iris tracker": "wants servers of its own: tests/test_trackers.py",
    "make up": "goes on until it is stopped: tests/test_up.py",
}
# Targets that nobody has to wait for here.
TARGETS = {
    "up": "tests/test_up.py",
    "test": "this is it",
    "slow": "minutes; what of it is short is in the tests",
    "lint": ".ci/run",
    "psql": "wants a terminal; iris psql is typed",
    "revision": "tests/test_schema.py takes what CONTRIBUTING says of it",
    "crowd": "a minute; its short form is tests/test_crowd.py",
    "kills": "minutes; its short form is tests/test_kills.py",
    "heard": "a minute; its short form is tests/test_heard.py",
    "hooks": "minutes; its short form is tests/test_delivery.py",
    "reads": "minutes; its short form is tests/ha/test_standbys.py",
    "ha": "minutes; its short form is tests/ha/test_failover.py",
    "apart": "minutes",
    "fuzz": "minutes; its short form is tests/test_fuzz.py",
    "scale": "says what docs/scale.md says",
    "moving": "a minute; the same of 10,000 rows is tests/test_transfer.py",
    "lives": "minutes; its short form is in the tests",
    "trackers": "minutes; its short form is tests/test_trackers.py",
    "described": "minutes; its short form is tests/test_described.py",
    "swagger": "wants npm's registry; what it makes is kept",
    "axe": "the same",
    "pages": "a minute; what pages do is tests/test_browser_live.py",
    "pictures": "would draw what is kept anew",
    "bench": "an hour",
    "growth": "hours",
    "lock": "wants uv, and what is newest today",
    "fresh": "would throw away what runs this",
}


def lines():
    """Yield (page, command, what is printed or None) of each line, in the order of docs/; of the same once."""
    known = set()
    for path in docs.pages():
        there = path.read_text().splitlines()
        for place, line in enumerate(there, 1):
            found = LINE.fullmatch(line)
            if found and found[2] not in known:
                known.add(found[2])
                shown = "\n".join(there[place:]).partition("\n    $ ")[0].partition("\n\n")[0]
                yield (
                    path.name,
                    found[2],
                    shown.replace("\n    ", "\n").strip() if found[1] else None,
                )


def same(printed):
    """Return what is printed, without its numbers."""
    return re.sub(r"\d+", "N", printed).strip()


@pytest.fixture
def shell(live, server, owner, clean, tmp_path):
    """Return a function that types a line where the files are that it names, and returns what became of it."""
    shutil.copy(ROOT / "tests/fixtures/import/jira.csv", tmp_path / "issues.csv")
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    (tmp_path / "backups").mkdir()
    (tmp_path / "iris").write_text(f'#!/bin/sh\nexec {shlex.join(map(str, IRIS))} "$@"\n')
    (tmp_path / "iris").chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "DATABASE_URL": server.url(),
        "IRIS_OWNER_URL": server.url("postgres"),
        "IRIS_URL": f"http://127.0.0.1:{live.port}",
        "IRIS_ACTOR": "alice",
    }

    def run(command):
        with owner.cursor() as cursor:
            # The page's number is of when it was written; it means the last one.
            cursor.execute("SELECT max(change) FROM events")
            command = re.sub(r"change=\d+", f"change={cursor.fetchone()[0]}", command)
        return subprocess.run(
            ["bash", "-c", command.replace("/var/backups/iris", str(tmp_path / "backups"))],
            env=environment, cwd=tmp_path, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        )  # fmt: skip

    return run


def test_each_line_of_iris_does_what_it_says(shell, owner):
    page, left, typed = None, set(), 0
    for name, command, printed in lines():
        if page != name:
            page = name
            with owner.cursor() as cursor:
                cursor.execute(RESET + seeds() + "SET session_replication_role = origin;")
        if beginning := next(filter(command.startswith, LEFT_OUT), None):
            left.add(beginning)
            continue
        done = shell(command)
        assert done.returncode == 0, (name, command, done.stdout, done.stderr)
        if printed is not None:
            assert same(done.stdout) == same(printed), (name, command)
        typed += 1
    assert left == LEFT_OUT.keys()
    assert typed > 15


def test_each_target_of_make_is_said_where_it_is():
    told = subprocess.check_output(["make", "-C", ROOT, "help"], text=True)
    there = set(re.findall(r"^  make (\w+)", told, re.MULTILINE))
    pages = docs.text() + (ROOT / "CONTRIBUTING.md").read_text()
    named = re.findall(r"^    make (\w+)", pages, re.MULTILINE)
    assert named
    # A target that is written about has its line above.
    assert set(named) <= there & TARGETS.keys()
