"""Who runs in a data folder: which process, what it says of itself, and whether it is the one of this folder.

After a crash the number in a lock file may be anybody's, and a copy's or a moved folder's lock file tells of
another server; so nothing is used or stopped by what a file says alone.
"""

import os
import sys
from pathlib import Path

# Where the system tells of processes, if it does.
PROC = Path("/proc/self")
# What a server says of itself: which data it serves, and by which number.
WHO = """
    SELECT concat_ws(E'\\n', (SELECT system_identifier FROM pg_control_system()),
        current_setting('data_directory'), split_part(pg_read_file('postmaster.pid'), E'\\n', 1))
"""


def lock_file(data):
    """Return the file in which a server writes who it is."""
    return data / "postmaster.pid"


def number_in(path):
    """Return the process id that a lock file of PostgreSQL begins with, or None."""
    try:
        return int(path.read_text().partition("\n")[0])
    except (OSError, ValueError):
        return None


def is_there(pid):
    """Whether any process has this number, even a dead one that nobody has asked for."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def runs_in(data, pid):
    """Whether this process lives and is a PostgreSQL of this very folder.

    After a crash the number may be somebody else's, and what was killed may still be listed
    until its parent asks for it.
    """
    process = PROC.parent / str(pid)
    if not PROC.exists():
        return is_there(pid)
    try:
        if (process / "comm").read_text().strip() != "postgres":
            return False
        try:
            # A dead one is nowhere. Not by name: one may have two, and a folder that was moved another.
            return _is_same(process / "cwd", data)
        except PermissionError:
            # In a container even root may not look; then it is known by how it was started.
            return os.fsencode(data) in (process / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False


def found(data):
    """Return the process id of the server that runs in a folder, or None."""
    pid = number_in(lock_file(data))
    return pid if pid and runs_in(data, pid) else None


def orphans(data):
    """Return the processes of a server here that is dead itself."""
    numbers = [int(path.name) for path in PROC.parent.glob("[0-9]*")]
    return [pid for pid in numbers if runs_in(data, pid)]


def status(data, pid):
    """Return what the server with this number says of itself: starting, ready, stopping …; or None."""
    try:
        lines = lock_file(data).read_text().split("\n")
    except OSError:
        return None
    # Until it has written the file, that of the one before is there.
    is_its_own = len(lines) > 7 and lines[0] == str(pid)
    return lines[7].strip() if is_its_own else None


def socket(data):
    """Return the folder of the running server's socket."""
    lines = lock_file(data).read_text().split("\n")
    return lines[4] if len(lines) > 4 else ""


def is_of(data, pid, said):
    """Whether who answers on a socket is the server of this number and this folder.

    said:     what it has answered to WHO, (its data's identifier, their folder, its number).
    """
    identifier, its_data, number = said
    with open(data / "global" / "pg_control", "rb") as control:
        own = int.from_bytes(control.read(8), sys.byteorder)
    # Where the system tells that this very process runs here, the folder may have had another name.
    is_here = PROC.exists() or _is_same(its_data, data)
    return (int(identifier), int(number)) == (own, pid) and is_here


def _is_same(one, other):
    """Whether two paths lead to the same folder."""
    try:
        return os.path.samefile(one, other)
    except (FileNotFoundError, NotADirectoryError):
        return False
