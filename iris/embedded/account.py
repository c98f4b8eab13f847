"""Whose PostgreSQL is: ours, or, as it refuses to run as root, an account's that steps in.

say:      called with a sentence when something is done about it.
"""

import os
import pwd
import stat
import subprocess

from iris.embedded import programs

# Debian's packages use it, too.
ACCOUNT = "postgres"


def numbers(say):
    """Return (user id, group id) as which PostgreSQL runs; as root, the account is made if there is none."""
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    try:
        entry = pwd.getpwnam(ACCOUNT)
    except KeyError:
        say(f"making the account {ACCOUNT}, for PostgreSQL refuses to run as root")
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


def give(path, say):
    """Make a file or folder of ours PostgreSQL's."""
    if os.geteuid() == 0:
        os.chown(path, *numbers(say))


def identity(say):
    """Return what a process of PostgreSQL's is started with, arguments of subprocess.run()."""
    if os.geteuid() != 0:
        return {}
    user, group = numbers(say)
    return {"user": user, "group": group, "extra_groups": []}


def run(program, *arguments, folder, say):
    """Run one of PostgreSQL's programs in a folder; return the CompletedProcess, with its output as text."""
    return subprocess.run(
        [programs.binaries() / program, *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        env=programs.environment(),
        **identity(say),
    )


def open_ways(data, say):
    """Let the account through the folders above its data and the programs.

    data:     the folder that holds the data's.
    Raises:   Failed when it can't run them all the same.
    """
    if os.geteuid() != 0:
        return
    for folder in dict.fromkeys((data, *data.parents, *programs.binaries().parents)):
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            say(f"letting others pass through {folder} (chmod o+x): PostgreSQL runs as {ACCOUNT}")
            folder.chmod(mode | stat.S_IXOTH)
    if run("postgres", "--version", folder=data, say=say).returncode:
        raise programs.Failed(
            f"the account {ACCOUNT} can't run {programs.binaries()}/postgres: look at its permissions"
        )
