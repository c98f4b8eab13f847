"""`iris mail`: takes one mail from an MTA's pipe."""

import sys

import psycopg2

from iris import settings
from iris.cli import common

EXAMPLES = """
  iris mail < message                        # what came to Iris's address
  iris mail --to "$ORIGINAL_RECIPIENT"       # an MTA that says which address it came to, by a pipe

A reply to a mail of Iris comments; any other mail of somebody who is in /people files a ticket. Exit
status, as MTAs have it: 0 taken (or sent by a program, which is told nothing), 65 nothing in it that
could be taken, 75 try again, 77 who sent it may not, 78 a setting is missing.
"""
# As sysexits.h has them.
TAKEN, DATA, LATER, NOT_PERMITTED, CONFIG = 0, 65, 75, 77, 78
# SQLSTATEs of refusals that will be the same tomorrow, by class.
FOR_GOOD = ("22", "23", "IR")


def declare(parser):
    """Say which arguments there are."""
    parser.add_argument(
        "--to",
        metavar="ADDRESS",
        help="the address that it came to; its headers say so, unless given",
    )


def run(arguments):
    """Take one mail from stdin: a reply comments, a new one files a ticket; for an MTA's pipe."""
    from iris.mail import reading, taking  # noqa: PLC0415 (they take their time)

    try:
        if not settings.get("IRIS_MAIL_FROM"):
            common.say("IRIS_MAIL_FROM is not set: whose domain replies go to")
            return CONFIG
        data = sys.stdin.buffer.read(reading.MOST + 1)
        common.say(taking.take(data, arguments.to))
    except reading.Machine as error:
        # Whoever bounces it would answer a program, and be answered.
        common.say(f"not taken: {error}")
        return TAKEN
    except reading.Unfit as error:
        common.say(f"not taken: {error}")
        return DATA
    except taking.Stranger as error:
        common.say(f"not taken: {error}")
        return NOT_PERMITTED
    except settings.Wrong as error:
        common.say(str(error))
        return CONFIG
    except psycopg2.Error as error:
        return _refused(error)
    return TAKEN


def _refused(error):
    """Say what the database said; return whether it will say the same tomorrow."""
    words = error.diag.message_primary or str(error).strip()
    state = error.pgcode or ""
    common.say(f"not taken: {words}")
    if state == "42501":
        return NOT_PERMITTED
    return DATA if state.startswith(FOR_GOOD) else LATER
