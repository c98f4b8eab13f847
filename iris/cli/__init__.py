"""The `iris` command: a file for each of its commands.

A command's module has run(arguments), whose docstring is its help, and, where it takes any
arguments, declare(parser).
"""

import argparse
import importlib
import os
import sys
import traceback

from iris import __version__, visible, welcome

# In the order of the help, {name: module}.
COMMANDS = {
    "up": "up",
    "serve": "serve",
    "psql": "psql",
    "export": "export",
    "import": "import_",
    "backup": "backup",
    "restore": "restore",
    "doctor": "doctor",
    "verify": "verify",
    "db": "db",
    "token": "token",
}


def parser(only=None):
    """Return the parser of the command line.

    only:     the name of a command: what the others need is not even imported then. None for all.
    """
    top = argparse.ArgumentParser(
        prog="iris", description="A ticket tracker: HTTP and SQL, one set of rules."
    )
    top.add_argument("--version", action="version", version=f"iris {__version__}")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name in [only] if only else COMMANDS:
        module = importlib.import_module(f"iris.cli.{COMMANDS[name]}")
        about = module.run.__doc__
        made = commands.add_parser(name, help=about, description=about)
        made.set_defaults(run=module.run, takes_more=name == "psql")
        if hasattr(module, "declare"):
            module.declare(made)
    return top


def main():
    """Run the command that was typed."""
    if len(sys.argv) == 1:
        print(welcome.commands(), end="")
        return
    first = sys.argv[1]
    made = parser(first if first in COMMANDS else None)
    arguments, rest = made.parse_known_args()
    if rest:
        if not arguments.takes_more:
            made.error(f"unrecognized arguments: {' '.join(rest)}")
        arguments.arguments = rest + arguments.arguments
    try:
        sys.exit(arguments.run(arguments))
    except BrokenPipeError:
        # Whoever reads has seen enough. Python would complain once more while it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except SystemExit as end:
        # What ends a command in a sentence may have other people's words in it.
        if isinstance(end.code, str):
            sys.exit(visible.safe(end.code, kept="\n"))
        raise
    except Exception as error:
        import psycopg2  # noqa: PLC0415 (not every command needs it)

        if not isinstance(error, psycopg2.Error):
            sys.exit(visible.safe(traceback.format_exc(), kept="\n"))
        said = getattr(error, "diag", None)
        words, hint = (said.message_primary, said.message_hint) if said else (None, None)
        # Not where in which rule it was said, which is PostgreSQL's CONTEXT.
        lines = [f"iris: the database said: {words or str(error).strip()}"]
        lines += [f"hint: {hint}"] if words and hint else []
        sys.exit(visible.safe("\n".join(lines), kept="\n"))
