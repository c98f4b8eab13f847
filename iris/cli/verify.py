"""`iris verify`."""

import argparse
import contextlib
import json
import re

import psycopg2

from iris import counted, libpq, location, proof
from iris.cli import common
from iris.transfer import files

EXAMPLES = """
  iris verify
  iris verify --digest 15f3be…               # is one that was noted (/db-check shows it) still there?
"""


def hexadecimal(text):
    """Read a digest as /db-check shows it."""
    if not re.fullmatch("[0-9a-fA-F]{64}", text):
        raise argparse.ArgumentTypeError("must be 64 hexadecimal digits, as /db-check shows it")
    return text.lower()


def declare(parser):
    """Say which arguments there are."""
    parser.add_argument(
        "--digest",
        type=hexadecimal,
        metavar="HEX",
        help="one that was noted: it must still be there",
    )
    parser.add_argument("--json", action="store_true", help="a JSON document instead of a line")


def run(arguments):
    """Look whether each event is what it was when it got its digest; exit status 1 if one is not."""
    try:
        more = {"application_name": "verify", "client_encoding": "UTF8", "connect_timeout": 5}
        connection = libpq.connect(location.dsn(), **more)
    except psycopg2.OperationalError as error:
        common.say(f"the database can't be reached: {str(error).strip()}")
        return 4
    connection.autocommit = True
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute("SET statement_timeout TO 0")
        found = proof.look(cursor, files.Progress(common.say))
        place, wrong = None, found.wrong
        if arguments.digest and not wrong:
            place = proof.place_of(cursor, arguments.digest)
            if place is None:
                wrong = (
                    "no event has the digest that was noted: what led to it is not there any more"
                )
    if arguments.json:
        told = {"ok": wrong is None, **found._asdict(), "wrong": wrong, "noted": place}
        common.show_json(json.dumps(told))
    elif wrong:
        common.show(f"WRONG   {wrong}")
    else:
        last = (
            f"the last digest is {found.digest}" if found.digest else "nobody has read the feed yet"
        )
        common.show(f"ok      {counted.of(found.position, 'event')}; {last}")
        if place:
            common.show(f"ok      the digest that was noted is that of position {place}")
    return 1 if wrong else 0
