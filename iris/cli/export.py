"""`iris export`."""

import os
import sys

from iris import location, transfer
from iris.cli import common
from iris.transfer import export

EXAMPLES = """
  iris export > all.ndjson                   # as of one moment, with the whole history
  iris export | gzip > all.ndjson.gz
"""


def run(arguments):
    """Write everything to stdout, a JSON document a line."""
    try:
        export.write(location.dsn(), sys.stdout.buffer, common.say)
    except BrokenPipeError:
        # Python would complain once more while it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        raise transfer.Refused(f"the export can't be written: {error.strerror}") from None
    return 0
