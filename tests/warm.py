"""Processes of Iris that begin with all that others have written imported already.

To import it takes most of what a command or a service takes to begin, and tests begin hundreds of them. Nothing of
Iris is imported: each process reads Iris's own code, its settings and its words by itself, as one does that is typed.

    warm.start(["-W", "ignore", "-m", "iris.cli", "export"], env=…)   is a Popen of that
    warm.run(…)                                                      is a subprocess.run, with what it has written

One process waits, and is copied for each (fork): by a copy in between, which waits for its end and tells of it.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings

# What is Iris's to import from others, as its requirements have it.
OTHERS = ("alembic.autogenerate", "alembic.command", "alembic.runtime.migration", "cmarkgfm", "falcon", "gunicorn.app.wsgiapp",
    "gunicorn.workers.ggevent", "hug", "jinja2", "nh3", "prometheus_client", "psycopg2.extras", "sqlalchemy.dialects.postgresql",
    "sqlalchemy.ext.mutable", "sqlalchemy.orm", "wcwidth")  # fmt: skip
# What Python itself reads when it begins: with another value, a process is begun as usual.
BEFORE = ("PYTHON", "LC_", "LANG", "LD_", "GEVENT")
UNSAID = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)


class Started:
    """A process, as a Popen is one."""

    def __init__(self, pid, told):
        self.pid, self.told, self.returncode = pid, told, None

    def wait(self, timeout=None):
        if self.returncode is None:
            if not select.select([self.told], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            said = os.read(self.told, 20)
            os.close(self.told)
            self.returncode = os.waitstatus_to_exitcode(int(said or b"9"))
        return self.returncode

    def poll(self):
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def send_signal(self, number):
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def kill(self):
        self.send_signal(signal.SIGKILL)


class _Waiting:
    """The process that is copied."""

    def __init__(self):
        self.near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self.lock = threading.Lock()
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", __file__, str(far.fileno())],
            pass_fds=[far.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        far.close()
        atexit.register(self.end)

    def end(self):
        self.near.close()
        self.process.wait()

    def start(self, options, env, cwd, streams):
        told, tell = os.pipe()
        asked = json.dumps({"options": options, "env": env, "cwd": cwd}).encode()
        with self.lock:
            socket.send_fds(self.near, [asked], [*streams, tell])
        os.close(tell)
        return Started(int(os.read(told, 20)), told)


_waiting, _lock = [], threading.Lock()


def start(options, env=None, cwd=None, stdin=None, stdout=None, stderr=None):
    """Start Python with some options of its own, then -m MODULE or -c CODE and its words; return a Popen, or as good as one.

    stdin, stdout, stderr: open files.
    """
    env, cwd = {**(os.environ if env is None else env)}, os.fspath(cwd or os.getcwd())
    options = [os.fspath(each) for each in options]
    if any(env.get(name) != os.environ.get(name) for name in {*env, *os.environ}
            if name.startswith(BEFORE) and name not in ("PYTHONPATH", "PYTHONWARNINGS")):  # fmt: skip
        return subprocess.Popen([sys.executable, *options], env=env, cwd=cwd, stdin=stdin, stdout=stdout, stderr=stderr)  # fmt: skip
    with _lock:
        if not _waiting:
            _waiting.append(_Waiting())
    streams = [
        number if file is None else file.fileno()
        for number, file in enumerate((stdin, stdout, stderr))
    ]
    return _waiting[0].start(options, env, cwd, streams)


def run(options, given=b"", text=False, timeout=60, **more):
    """Run it to its end; return a CompletedProcess with what it has written."""
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(3)]
        files[0].write(given.encode() if isinstance(given, str) else given)
        files[0].seek(0)
        running = start(options, stdin=files[0], stdout=files[1], stderr=files[2], **more)
        try:
            running.wait(timeout)
        except subprocess.TimeoutExpired:
            running.kill()
            raise
        said = []
        for file in files[1:]:
            file.seek(0)
            said.append(file.read().decode() if text else file.read())
    return subprocess.CompletedProcess(options, running.returncode, *said)


# In the process that waits, and in its copies -----------------------------------------------------


def _wait(number):
    """Copy oneself for whoever asks, until nobody can."""
    for name in OTHERS:
        importlib.import_module(name)
    # What is here stays for all copies: no look for garbage touches it, which would copy it.
    gc.collect()
    gc.freeze()
    # It ends with who asks it, and not before them by their Ctrl-C.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Nobody asks whether the copies in between have ended.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    asked = socket.socket(fileno=number)
    while True:
        data, files, _flags, _address = socket.recv_fds(asked, 1 << 20, 4)
        if not data:
            return
        if os.fork() == 0:
            asked.close()
            _between(json.loads(data), *files)
        for each in files:
            os.close(each)


def _between(given, stdin, stdout, stderr, tell):
    """Start it, tell its number, wait for its end, and tell how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        for number, file in enumerate((stdin, stdout, stderr)):
            os.dup2(file, number)
        for file in {stdin, stdout, stderr, tell} - {0, 1, 2}:
            os.close(file)
        _become(**given)
    for file in (stdin, stdout, stderr):
        os.close(file)
    os.write(tell, b"%20d" % pid)
    _pid, status = os.waitpid(pid, 0)
    os.write(tell, b"%20d" % status)
    os._exit(0)


def _become(options, env, cwd):
    """Be what Python would be with these options."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    time.tzset()
    place = next(place for place, each in enumerate(options) if each in ("-m", "-c"))
    mine, how, what, *words = options[:place], *options[place:]
    sys.path[0:1] = [
        *([] if "-P" in mine else [cwd]),
        *filter(None, env.get("PYTHONPATH", "").split(":")),
    ]
    sys.argv = [what if how == "-m" else how, *words]
    if env.get("PYTHONWARNINGS") != "ignore" and "-W" not in mine:
        # As Python has it where nobody says anything.
        warnings.resetwarnings()
        warnings.filterwarnings("default", category=DeprecationWarning, module="__main__")
        for kind in UNSAID:
            warnings.simplefilter("ignore", kind, append=True)
    status = 0
    try:
        if how == "-m":
            runpy.run_module(what, run_name="__main__", alter_sys=True)
        else:
            exec(what, {"__name__": "__main__"})
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if end.code is not None and not isinstance(end.code, int):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        status = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status & 255)


if __name__ == "__main__":
    _wait(int(sys.argv[1]))
