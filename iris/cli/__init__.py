"""The `iris` command: a file for each of its commands.

A command's module has run(arguments), whose docstring is its help, and, where it takes any
arguments, declare(parser).
"""

import argparse
import importlib
import sys

import psycopg2

from iris import __version__

# In the order of the help, {name: module}.
COMMANDS = {
    "up": "up",
    "serve": "serve",
    "psql": "psql",
    "export": "export",
    "import": "import_",
    "db": "db",
}


def parser():
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(
        prog="iris", description="A ticket tracker: HTTP and SQL, one set of rules."
    )
    top.add_argument("--version", action="version", version=f"iris {__version__}")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, file in COMMANDS.items():
        module = importlib.import_module(f"iris.cli.{file}")
        about = module.run.__doc__
        made = commands.add_parser(name, help=about, description=about)
        made.set_defaults(run=module.run, takes_more=name == "psql")
        if hasattr(module, "declare"):
            module.declare(made)
    return top


def main():
    """Run the command that was typed."""
    arguments, rest = parser().parse_known_args()
    if rest:
        if not arguments.takes_more:
            parser().error(f"unrecognized arguments: {' '.join(rest)}")
        arguments.arguments = rest + arguments.arguments
    try:
        sys.exit(arguments.run(arguments))
    except psycopg2.Error as error:
        sys.exit(f"iris: the database said: {str(error).strip()}")
