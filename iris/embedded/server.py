"""One server: made, started, seeded, stopped. Which one it is: identity.py; as whom it runs: account.py."""

import contextlib
import fcntl
import os
import secrets
import signal
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

from iris import schema
from iris.embedded import account, identity, places, programs

# The same on every machine, whatever locales it has.
LOCALE = ("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
# Seconds: for a server to answer that says it is ready; for the processes of one that is dead to
# end; for a server to end by itself when it is told to.
ANSWER_SECONDS, ORPHAN_SECONDS, STOP_SECONDS = 30, 30, 60
# What pg_isready tells by its exit status.
ACCEPTS, REFUSES, SILENT = 0, 1, 2


class _Waiting:
    """Waits in small steps, and says every five seconds what for."""

    def __init__(self, say):
        self.say, self.began = say, time.monotonic()
        self.said = self.began

    def seconds(self):
        return time.monotonic() - self.began

    def __call__(self, sentence):
        if time.monotonic() - self.said > 5:
            self.said = time.monotonic()
            self.say(f"{sentence} ({self.seconds():.0f} s)")
        time.sleep(0.02)


class Server:
    """One PostgreSQL server in a folder.

    folder:   holds everything: postgres/ (the data), postgres.log, lock, socket (where that is, if not here).
    say:      called with a sentence whenever something takes a moment.
    options:  more of the server's settings, {name: value}.
    """

    def __init__(self, folder, say=lambda sentence: None, options=None):
        self.folder = Path(folder).resolve()
        self.data = self.folder / "postgres"
        self.log = self.folder / "postgres.log"
        self.say = say
        self.options = options or {}
        self._place = places.Place(self.data, self.folder / "socket", say)
        self._lock = None
        self._process = None

    # Which it is ----------------------------------------------------------------------------------

    def pid(self):
        """Return the process id of the server that runs here, or None."""
        # A child that has died is there until it is asked; one that lives is ours, wherever its folder is.
        if self._process is not None and self._process.poll() is None:
            return self._process.pid
        return identity.found(self.data)

    def status(self):
        """Return what the running server says of itself: starting, ready, stopping …; or None."""
        return identity.status(self.data, self.pid())

    def has_data(self):
        """Whether there are data here that a server can serve."""
        return (self.data / "PG_VERSION").exists()

    def is_ready(self):
        """Whether the server says that it takes connections."""
        return self.status() == "ready"

    def identify(self):
        """Ask the running server itself whether it is the one of this folder, before it is used or stopped.

        Its lock file may tell of another one: a copy's does, or that of a folder which was moved.

        Raises:   Failed when it is not, or does not answer.
        """
        pid = self.pid()
        try:
            identifier, data, number = self._psql(
                "postgres", "-At", "-c", identity.WHO
            ).splitlines()
        except (programs.Failed, OSError, ValueError):
            if self.pid() is None:
                raise programs.Failed(f"PostgreSQL in {self.folder} has just stopped") from None
            raise programs.Failed(
                f"PostgreSQL (process {pid}) says that it is ready, and does not answer on {self.socket()}:"
                " stop that process, then start again"
            ) from None
        if not identity.is_of(self.data, pid, (identifier, data, number)):
            raise programs.Failed(
                f"what answers on {self.socket()} is the PostgreSQL of {data} (process {number}), not the"
                f" one of {self.data}: it is left alone. If the folder was moved or copied while it ran, stop"
                " that process first"
            )

    def socket(self):
        """Return the folder of the running server's socket."""
        return identity.socket(self.data)

    def url(self, user="iris", database="iris"):
        """Return the libpq URL of the running server."""
        # What psql would take from PGPORT and PGSSLMODE, too.
        where = f"host={quote(self.socket(), safe='')}&port=5432&sslmode=disable"
        return f"postgresql://{user}@/{database}?{where}"

    # Starting and stopping ------------------------------------------------------------------------

    def lock(self):
        """Make this folder ours until the process ends.

        Raises:   Failed when it is another's.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = open(self.folder / "lock", "a+")  # noqa: SIM115 (open as long as we live)
        except OSError as error:
            raise programs.Failed(
                f"{self.folder} can't be written ({error.strerror}): set IRIS_DATA to a folder that can"
            ) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.seek(0)
            raise programs.Failed(
                f"another `iris up` ({self._lock.read().strip() or 'just starting'}) uses"
                f" {self.folder}; stop it first, or set IRIS_DATA to another folder"
            ) from None
        self._lock.truncate(0)
        self._lock.write(f"process {os.getpid()}")
        self._lock.flush()

    def start(self):
        """Start the server, making its data first where there are none; wait until it answers.

        Raises:   Failed.
        """
        waiting = _Waiting(self.say)
        while self.status() == "stopping":
            waiting("PostgreSQL is still stopping")
        if self.pid() is not None:
            self.say(f"PostgreSQL runs in {self.folder} already (process {self.pid()}): using it")
            if self._await_ready():
                self.identify()
                return
        self.folder.mkdir(parents=True, exist_ok=True)
        account.open_ways(self.folder, self.say)
        self._prepare()
        self._clear_away()
        waiting = _Waiting(self.say)
        while True:
            before = self._log_size()
            self._launch()
            if self._await_ready():
                self.identify()
                return
            # Processes of the server before may outlive it for a while, and keep its memory.
            kept = "is still in use" in self._log_since(before)
            if not kept or waiting.seconds() > ORPHAN_SECONDS:
                self._place.leave()
                raise programs.Failed(
                    f"PostgreSQL did not start; the end of {self.log}:\n{self._log_end()}"
                )
            waiting("processes of the last PostgreSQL are still ending")

    def _await_ready(self):
        """Wait until the server accepts connections; return whether it does, or has ended before.

        Raises:   Failed when it says that it is ready, and does not answer.
        """
        waiting, silent = _Waiting(self.say), _Waiting(self.say)
        while self.pid() is not None or (self._process and self._process.poll() is None):
            answer = self._ask() if self.is_ready() else REFUSES
            if answer == ACCEPTS:
                return True
            if answer == REFUSES:
                silent = _Waiting(self.say)
            elif silent.seconds() > ANSWER_SECONDS:
                raise programs.Failed(
                    f"PostgreSQL (process {self.pid()}) says that it is ready, and has not answered"
                    f" for {ANSWER_SECONDS} s: stop that process, then start again"
                )
            waiting("PostgreSQL is still getting ready")
        return False

    def _ask(self):
        """Return what a try to connect tells: ACCEPTS, REFUSES or SILENT."""
        command = [
            programs.binaries() / "pg_isready",
            "-q",
            "-t",
            "5",
            "-h",
            self.socket(),
            "-U",
            "postgres",
        ]
        return subprocess.run(
            [*command, "-d", "postgres"], check=False, env=programs.environment()
        ).returncode

    def _clear_away(self):
        """Make way for a server after one that was killed.

        PostgreSQL refuses to start while a process has the number of the one before, be it dead or
        somebody else's; but not if that is its own parent, which we are. The rest of the files
        stays as it is: by it, PostgreSQL makes sure that nobody uses the memory of the last one.
        """
        for pid in identity.orphans(self.data):
            # What their server would have told them to do; nothing that was acknowledged is lost.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._place.recall()
        for path in (identity.lock_file(self.data), self._place.lock_file()):
            pid = identity.number_in(path)
            if pid is None:
                # Left from before anything was written into it.
                path.unlink(missing_ok=True)
            elif identity.is_there(pid):
                _first, _newline, rest = path.read_text().partition("\n")
                path.write_text(f"{os.getpid()}\n{rest}")

    def _prepare(self):
        version = self.data / "PG_VERSION"
        if self.has_data():
            if version.read_text().strip() != programs.VERSION:
                raise programs.Failed(
                    f"{self.data} holds data of PostgreSQL {version.read_text().strip()}, this is"
                    f" {programs.VERSION}: `iris backup` by the Iris of before, move the folder aside,"
                    " `iris restore` by this one (docs/backup.md)"
                )
            return
        if self.data.exists() and any(self.data.iterdir()):
            raise programs.Failed(f"{self.data} is not empty, but holds no PostgreSQL data")
        self.say(f"making a database in {self.folder}")
        # Whole or not at all: half of it must not be taken for data at the next start.
        new = self.folder / "postgres.new"
        subprocess.run(["rm", "-rf", new], check=True)
        new.mkdir(mode=0o700)
        account.give(new, self.say)
        done = account.run(
            "initdb",
            f"--pgdata={new}",
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            *LOCALE,
            "--no-instructions",
            *(["--no-sync"] if self.options.get("fsync") == "off" else []),
            folder=self.folder,
            say=self.say,
        )
        if done.returncode:
            raise programs.Failed(f"initdb failed:\n{done.stdout}{done.stderr}")
        if self.data.exists():
            self.data.rmdir()
        new.rename(self.data)

    def _launch(self):
        options = {
            # Nobody but this account and root gets past the data folder's 0700.
            "listen_addresses": "",
            "unix_socket_directories": str(self._place.make()),
            # Memory is taken as it is used. With PostgreSQL's own 128 MB and 1 GB, many writes push
            # pages out, and log whole pages anew after each of many checkpoints.
            "shared_buffers": "512MB",
            "max_wal_size": "2GB",
            # By its words Iris tells why it was not let in.
            "lc_messages": "C",
            # What was slow, and who waited for whom for more than a second, is in postgres.log.
            "log_min_duration_statement": "1s",
            "log_lock_waits": "on",
            "log_line_prefix": "%m [%p] %q%u %a ",
            **self.options,
        }
        arguments = [part for item in options.items() for part in ("-c", "=".join(item))]
        with open(self.log, "ab") as log:
            self._process = subprocess.Popen(
                [programs.binaries() / "postgres", "-D", self.data, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.data,
                env=programs.environment(),
                # Ctrl-C is for us, who stop it after the service.
                start_new_session=True,
                **account.identity(self.say),
            )

    def stop(self):
        """Stop the server: open transactions are rolled back, everything else is on disk.

        Raises:   Failed when it is another's.
        """
        pid = self.pid()
        if pid is None:
            self._place.leave()
            return
        is_child = self._process is not None and self._process.pid == pid
        socket = None if is_child else Path(self.socket())
        # One that does not answer is known by its folder, where the system tells that.
        if (
            not is_child
            and self.is_ready()
            and (self._ask() == ACCEPTS or not identity.PROC.exists())
        ):
            self.identify()
        # One that does not hear ends by the next, harder one; it recovers at the next start.
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
            waiting = _Waiting(self.say)
            while self.pid() is not None:
                if number != signal.SIGKILL and waiting.seconds() > STOP_SECONDS:
                    break
                waiting("PostgreSQL is still stopping")
            else:
                self._place.leave(socket)
                return

    def seed(self):
        """Make the database iris and feed it initdb.sql, unless that is done; return whether it was not."""

        def lacks(database, what):
            return self._psql(database, "-At", "-c", f"SELECT 'found' FROM {what}") == ""

        if lacks("postgres", "pg_database WHERE datname = 'iris'"):
            self._psql("postgres", "-c", "CREATE DATABASE iris")
        new = lacks("iris", "pg_tables WHERE tablename = 'tickets'")
        if new:
            self.say(f"feeding it {schema.INITDB.name}")
            # The socket lets nobody else in, so the password is only for those who open a port.
            password = os.environ.get("IRIS_PASS") or secrets.token_urlsafe()
            self._psql("iris", "-f", str(schema.INITDB), IRIS_PASS=password)
        return new

    def _psql(self, database, *arguments, **more):
        command = [programs.binaries() / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1"]
        command += ["-h", self.socket(), "-U", "postgres", "-d", database, *arguments]
        env = programs.environment(PGCONNECT_TIMEOUT="5", **more)
        done = subprocess.run(command, check=False, env=env, capture_output=True, text=True)
        if done.returncode:
            raise programs.Failed(f"psql failed:\n{done.stderr}")
        return done.stdout

    def _log_size(self):
        return self.log.stat().st_size if self.log.exists() else 0

    def _log_since(self, size):
        with open(self.log, "rb") as log:
            log.seek(size)
            return log.read().decode(errors="replace")

    def _log_end(self):
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-10:])
        except OSError as error:
            return str(error)
