"""PostgreSQL's own pg_dump, pg_restore and psql: which ones will do, and how they learn where to connect."""

import contextlib
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from psycopg2.extensions import make_dsn, parse_dsn

from iris import embedded, settings
from iris.transfer import files


def _version(path):
    """Return the major version of one of the programs."""
    shown = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"\) (\d+)", shown)
    return int(found[1]) if found else 0


def folders():
    """Return {folder with all three programs: its major version}, those to be tried first first.

    Those that came along are for the embedded server; for another one, whoever looks after it has put the
    right ones into PATH, or else ours have to do.
    """
    found = []
    with contextlib.suppress(embedded.Failed):
        found.append(embedded.binaries())
    if path := shutil.which("pg_dump"):
        found.insert(0 if settings.names_a_server() else 1, Path(path).parent)
    return {
        folder: _version(folder / "pg_dump")
        for folder in found
        if all((folder / name).exists() for name in ("pg_dump", "pg_restore", "psql"))
    }


def fit_for(server):
    """Return the folder of programs that understand a server.

    server:   its version as PostgreSQL numbers it, such as 180004.
    Raises:   Refused when there are none, or older ones only.
    """
    major, known = server // 10000, folders()
    for folder, version in known.items():
        if version >= major:
            return folder
    there = f"is of version {max(known.values())}, which is older" if known else "is not here"
    raise files.Refused(
        f"the server is PostgreSQL {major}, and pg_dump {there}: install PostgreSQL {major}'s client programs"
        f" (on Debian: postgresql-client-{major}), or put the folder that they are in first into PATH"
    )


def target(url):
    """Return (connection string, environment) for a program, with the password where `ps` doesn't show it."""
    parts = parse_dsn(url)
    password = parts.pop("password", None)
    more = {"PGPASSWORD": password} if password else {}
    return make_dsn(**parts), embedded.environment(**more, PGCONNECT_TIMEOUT="10")


class Program:
    """A running program of PostgreSQL's, in a session of its own: Ctrl-C is for us, who end it then.

    more:     what subprocess.Popen takes.
    """

    def __init__(self, folder, name, *arguments, **more):
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as it runs)
        self.process = subprocess.Popen(
            [folder / name, *arguments], stderr=self._said, start_new_session=True, **more
        )

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def words(self):
        """Return what it has complained of, in a sentence or two."""
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").splitlines()
        lines = [re.sub(r"^(psql:<stdin>:\d+|pg_\w+|psql): +", "", line) for line in lines if line]
        found = re.compile(r"^(?:error|ERROR|FATAL): +")
        errors = [found.sub("", line) for line in lines if found.match(line)]
        return "; ".join(errors or lines[-2:]) or "it ended without a word"
