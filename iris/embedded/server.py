"""One server: made, started, seeded, stopped."""

import contextlib
import fcntl
import os
import pwd
import secrets
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

from iris import schema
from iris.embedded import programs

# The same on every machine, whatever locales it has.
LOCALE = ("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
# PostgreSQL refuses to run as root; this account, which Debian's packages use, steps in.
ACCOUNT = "postgres"
# A socket's path has to fit into 107 bytes, its name .s.PGSQL.5432 included.
LONGEST = 90
# Seconds: for a server to answer that says it is ready; for the processes of one that is dead to
# end; for a server to end by itself when it is told to.
ANSWER_SECONDS, ORPHAN_SECONDS, STOP_SECONDS = 30, 30, 60
# Where the system tells of processes, if it does.
PROC = Path("/proc/self")
# What pg_isready tells by its exit status.
ACCEPTS, REFUSES, SILENT = 0, 1, 2


# What a socket's folder is called that is not the data's, and what PostgreSQL makes in it.
ELSEWHERE, IN_IT = "iris-", (".s.PGSQL.5432", ".s.PGSQL.5432.lock")
# What a server says of itself: which data it serves, and by which number.
WHO = """
    SELECT concat_ws(E'\\n', (SELECT system_identifier FROM pg_control_system()),
        current_setting('data_directory'), split_part(pg_read_file('postmaster.pid'), E'\\n', 1))
"""


def _number_in(path):
    """Return the process id that a lock file of PostgreSQL begins with, or None."""
    try:
        return int(path.read_text().partition("\n")[0])
    except (OSError, ValueError):
        return None


def _is_same(one, other):
    """Whether two paths lead to the same folder."""
    try:
        return os.path.samefile(one, other)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _is_there(pid):
    """Whether any process has this number, even a dead one that nobody has asked for."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


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
        self._lock = None
        self._process = None
        # Where its socket is, if not in its data: the same place when it is started again, for others
        # have its name. And where that is noted, to be found again after a crash.
        self._elsewhere, self._note = None, self.folder / "socket"

    # Where it is ----------------------------------------------------------------------------------

    def pid(self):
        """Return the process id of the server that runs here, or None."""
        # A child that has died is there until it is asked; one that lives is ours, wherever its folder is.
        if self._process is not None and self._process.poll() is None:
            return self._process.pid
        pid = _number_in(self.data / "postmaster.pid")
        return pid if pid and self._runs_here(pid) else None

    def status(self):
        """Return what the running server says of itself: starting, ready, stopping …; or None."""
        try:
            lines = (self.data / "postmaster.pid").read_text().split("\n")
        except OSError:
            return None
        # Until it has written the file, that of the one before is there.
        is_its_own = len(lines) > 7 and lines[0] == str(self.pid())
        return lines[7].strip() if is_its_own else None

    def has_data(self):
        """Whether there are data here that a server can serve."""
        return (self.data / "PG_VERSION").exists()

    def is_ready(self):
        """Whether the server says that it takes connections."""
        return self.status() == "ready"

    def _runs_here(self, pid):
        """Whether this process lives and is a PostgreSQL of this very folder.

        After a crash the number may be somebody else's, and what was killed may still be listed
        until its parent asks for it.
        """
        process = PROC.parent / str(pid)
        if not PROC.exists():
            return _is_there(pid)
        try:
            if (process / "comm").read_text().strip() != "postgres":
                return False
            try:
                # A dead one is nowhere. Not by name: one may have two, and a folder that was moved another.
                return _is_same(process / "cwd", self.data)
            except PermissionError:
                # In a container even root may not look; then it is known by how it was started.
                return os.fsencode(self.data) in (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            return False

    def _orphans(self):
        """Return the processes of a server here that is dead itself."""
        numbers = [int(path.name) for path in PROC.parent.glob("[0-9]*")]
        return [pid for pid in numbers if self._runs_here(pid)]

    def identify(self):
        """Ask the running server itself whether it is the one of this folder, before it is used or stopped.

        Its lock file may tell of another one: a copy's does, or that of a folder which was moved.

        Raises:   Failed when it is not, or does not answer.
        """
        pid = self.pid()
        try:
            identifier, data, number = self._psql("postgres", "-At", "-c", WHO).splitlines()
        except (programs.Failed, OSError, ValueError):
            if self.pid() is None:
                raise programs.Failed(f"PostgreSQL in {self.folder} has just stopped") from None
            raise programs.Failed(
                f"PostgreSQL (process {pid}) says that it is ready, and does not answer on {self.socket()}:"
                " stop that process, then start again"
            ) from None
        with open(self.data / "global" / "pg_control", "rb") as control:
            own = int.from_bytes(control.read(8), sys.byteorder)
        # Where the system tells that this very process runs here, the folder may have had another name.
        is_here = PROC.exists() or _is_same(data, self.data)
        if (int(identifier), int(number)) != (own, pid) or not is_here:
            raise programs.Failed(
                f"what answers on {self.socket()} is the PostgreSQL of {data} (process {number}), not the"
                f" one of {self.data}: it is left alone. If the folder was moved or copied while it ran, stop"
                " that process first"
            )

    def socket(self):
        """Return the folder of the running server's socket."""
        lines = (self.data / "postmaster.pid").read_text().split("\n")
        return lines[4] if len(lines) > 4 else ""

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
        self._open_ways()
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
                self._leave(self._elsewhere)
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
        for pid in self._orphans():
            # What their server would have told them to do; nothing that was acknowledged is lost.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._elsewhere = self._elsewhere or self._left_by_the_last()
        socket = (self._elsewhere or self.data) / IN_IT[1]
        for path in (self.data / "postmaster.pid", socket):
            pid = _number_in(path)
            if pid is None:
                # Left from before anything was written into it.
                path.unlink(missing_ok=True)
            elif _is_there(pid):
                _first, _newline, rest = path.read_text().partition("\n")
                path.write_text(f"{os.getpid()}\n{rest}")

    def _left_by_the_last(self):
        """Return the folder that the last server had for its socket, if it is there still and ours; or None.

        It stands where everybody may make folders, so its name proves nothing; and what a copy of our folder
        has noted is the original's.
        """
        try:
            place, data = self._note.read_text().splitlines()
            socket = Path(place)
            found = socket.lstat()
        except (OSError, ValueError):
            return None
        if data != str(self.data):
            return None
        owner = self._account()[0] if os.geteuid() == 0 else os.geteuid()
        is_ours = stat.S_ISDIR(found.st_mode) and (found.st_uid, found.st_mode & 0o777) == (
            owner,
            0o700,
        )
        return socket if is_ours and socket.name.startswith(ELSEWHERE) else None

    def _leave(self, socket):
        """Remove what is outside of our folder: where the socket was, if that is not in the data."""
        if socket is None or not socket.name.startswith(ELSEWHERE):
            return
        for name in IN_IT:
            with contextlib.suppress(OSError):
                (socket / name).unlink()
        with contextlib.suppress(OSError):
            socket.rmdir()
            self._note.unlink()

    def _prepare(self):
        version = self.data / "PG_VERSION"
        if self.has_data():
            if version.read_text().strip() != programs.VERSION:
                raise programs.Failed(
                    f"{self.data} holds data of PostgreSQL {version.read_text().strip()}, this is"
                    f" {programs.VERSION}: dump with the old one, restore with this"
                )
            return
        if self.data.exists() and any(self.data.iterdir()):
            raise programs.Failed(f"{self.data} is not empty, but holds no PostgreSQL data")
        self.say(f"making a database in {self.folder}")
        # Whole or not at all: half of it must not be taken for data at the next start.
        new = self.folder / "postgres.new"
        subprocess.run(["rm", "-rf", new], check=True)
        new.mkdir(mode=0o700)
        if os.geteuid() == 0:
            os.chown(new, *self._account())
        done = self._run(
            "initdb",
            f"--pgdata={new}",
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            *LOCALE,
            "--no-instructions",
            *(["--no-sync"] if self.options.get("fsync") == "off" else []),
        )
        if done.returncode:
            raise programs.Failed(f"initdb failed:\n{done.stdout}{done.stderr}")
        if self.data.exists():
            self.data.rmdir()
        new.rename(self.data)

    def _launch(self):
        socket = self.data
        # A comma would begin another folder.
        if len(str(socket)) > LONGEST or "," in str(socket):
            if self._elsewhere is None:
                usual = tempfile.gettempdir()
                fits = len(usual) + 20 <= LONGEST and "," not in usual
                self._elsewhere = Path(
                    tempfile.mkdtemp(prefix=ELSEWHERE, dir=usual if fits else "/tmp")
                )
            socket = self._elsewhere
            self._note.write_text(f"{socket}\n{self.data}\n")
            # Somebody tidies up there, too.
            socket.mkdir(mode=0o700, exist_ok=True)
            if os.geteuid() == 0:
                os.chown(socket, *self._account())
        options = {
            # Nobody but this account and root gets past the data folder's 0700.
            "listen_addresses": "",
            "unix_socket_directories": str(socket),
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
                **self._identity(),
            )

    def stop(self):
        """Stop the server: open transactions are rolled back, everything else is on disk.

        Raises:   Failed when it is another's.
        """
        pid = self.pid()
        if pid is None:
            self._leave(self._elsewhere)
            return
        is_child = self._process is not None and self._process.pid == pid
        socket = self._elsewhere if is_child else Path(self.socket())
        # One that does not answer is known by its folder, where the system tells that.
        if not is_child and self.is_ready() and (self._ask() == ACCEPTS or not PROC.exists()):
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
                self._leave(socket)
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

    # As root --------------------------------------------------------------------------------------

    def _account(self):
        """Return (user id, group id) that stand in for root."""
        try:
            entry = pwd.getpwnam(ACCOUNT)
        except KeyError:
            self.say(f"making the account {ACCOUNT}, for PostgreSQL refuses to run as root")
            try:
                subprocess.run(
                    ["useradd", "--system", "--no-create-home", ACCOUNT],
                    check=True,
                    capture_output=True,
                )
            except (OSError, subprocess.CalledProcessError):
                raise programs.Failed(
                    f"PostgreSQL refuses to run as root, and no account {ACCOUNT} could be made:"
                    " run this as another user"
                ) from None
            entry = pwd.getpwnam(ACCOUNT)
        return entry.pw_uid, entry.pw_gid

    def _identity(self):
        if os.geteuid() != 0:
            return {}
        user, group = self._account()
        return {"user": user, "group": group, "extra_groups": []}

    def _run(self, program, *arguments):
        return subprocess.run(
            [programs.binaries() / program, *arguments],
            check=False,
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=programs.environment(),
            **self._identity(),
        )

    def _open_ways(self):
        """Let the other account through the folders above the data and the programs."""
        if os.geteuid() != 0:
            return
        for folder in dict.fromkeys(
            (self.folder, *self.folder.parents, *programs.binaries().parents)
        ):
            mode = folder.stat().st_mode
            if not mode & stat.S_IXOTH:
                self.say(
                    f"letting others pass through {folder} (chmod o+x): PostgreSQL runs as {ACCOUNT}"
                )
                folder.chmod(mode | stat.S_IXOTH)
        if self._run("postgres", "--version").returncode:
            raise programs.Failed(
                f"the account {ACCOUNT} can't run {programs.binaries()}/postgres: look at its permissions"
            )

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
