"""Makes a virtual environment ready, for the Makefile: install.py FOLDER REQUIREMENTS [PACKAGE].

Two that are started at once make one.
"""

import fcntl
import os
import subprocess
import sys
import tempfile
from pathlib import Path


def say(sentence):
    print(sentence, file=sys.stderr, flush=True)


def run(*command):
    """Run what speaks for itself when it fails."""
    if subprocess.run(command, check=False).returncode:
        sys.exit("Installing failed; what is above says why.")


def main(folder, requirements, package=None):
    """Install the requirements, and the package that is worked on, unless that is done."""
    ready = Path(folder) / "ready"
    sources = [Path(requirements), *([Path("pyproject.toml")] if package else [])]
    with open(requirements) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"Another make is installing into {folder}: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        if ready.exists() and all(
            ready.stat().st_mtime >= each.stat().st_mtime for each in sources
        ):
            return
        say(f"Installing into {folder} with {sys.executable} (once; half a minute or so)")
        beside = Path(folder).absolute().parent
        try:
            with tempfile.TemporaryFile(dir=beside):
                pass
        except OSError as error:
            sys.exit(
                f"{beside} can't be written ({error.strerror}), and {folder} has to be made in it"
            )
        run(sys.executable, "-m", "venv", "--clear", folder)
        pip = (os.path.join(folder, "bin", "python"), "-m", "pip", "--disable-pip-version-check")
        # All of it is compiled where people start what begins soon; elsewhere, what is used is when it is.
        compiled = () if package else ("--no-compile",)
        run(*pip, "install", "-q", "--require-hashes", *compiled, "-r", requirements)
        if package:
            run(*pip, "install", "-q", "--no-deps", "--no-build-isolation", "-e", package)
        ready.touch()


main(*sys.argv[1:])
