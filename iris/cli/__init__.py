"""The `iris` command: a file for each of its commands.

A command's module has run(arguments), whose docstring is its help, and, where it takes any
arguments, declare(parser); EXAMPLES, where its help shows some.
"""

import argparse
import contextlib
import importlib
import os
import sys

from iris import __version__, visible
from iris.cli import common
from iris.client import USAGE, Failed, place, screen

# In the order of the help, {name: module}: for those who use an Iris, by HTTP; then for those who run one.
COMMANDS = {
    "ls": "ls",
    "show": "show",
    "new": "new",
    "set": "set",
    "comment": "comment",
    "link": "link",
    "log": "log",
    "changes": "changes",
    "inbox": "inbox",
    "stats": "stats",
    "undo": "undo",
    "watch": "watch",
    "completion": "completion",
    "up": "up",
    "serve": "serve",
    "deliver": "deliver",
    "psql": "psql",
    "export": "export",
    "import": "import_",
    "backup": "backup",
    "restore": "restore",
    "doctor": "doctor",
    "verify": "verify",
    "mail": "mail",
    "db": "db",
    "token": "token",
    "tracker": "tracker",
}
# What others call them.
ELSEWHERE = {
    "list": "ls",
    "search": "ls q='printer'",
    "view": "show 3",
    "get": "show 3",
    "create": "new",
    "add": "new",
    "file": "new",
    "edit": "set 3",
    "update": "set 3",
    "assign": "set 3 assignee=me",
    "close": "set 3 status=closed",
    "reopen": "set 3 status=open",
    "unlink": "link 3 blocks 4 --remove",
    "history": "log 3",
    "events": "log",
    "diff": "changes",
    "revert": "undo 12",
    "follow": "watch",
    "subscribe": "inbox --join 3",
    "unsubscribe": "inbox --leave 3",
    "notifications": "inbox",
}
# What is curl's, and psql's: a method and a path.
BY_CURL = {
    **dict.fromkeys(("rm", "delete", "remove"), "-X DELETE {}/tickets/3"),
    **dict.fromkeys(("whoami", "me"), "{}/me"),
    "workflow": "{}/workflow",
    "hooks": "{}/hooks",
}
EXAMPLES = """
  iris new 'Printer on fire' priority=urgent
  iris ls status=open,active assignee=me q='net*'
  iris set 3 status=active assignee=me
  iris log 3                       # what happened to it, each change with its number
  iris undo 12                     # takes a change back
  iris up                          # runs an Iris of your own; the commands above speak to one by HTTP

Each command has a --help, with examples. Exit status: 0 done, 1 refused, 2 usage, 3 not found,
4 no connection. In the environment, or as lines NAME=VALUE in .irisrc of this folder or one above
or in ~/.config/iris/config, files that only you can read (mode 600):
"""


class Help(argparse.RawDescriptionHelpFormatter):
    """Help as it is written; as wide as the terminal, which argparse takes its time to find out."""

    def __init__(self, prog):
        super().__init__(prog, width=min(screen.width() or 100, 100) - 2)


def parser(only=None):
    """Return the parser of the command line.

    only:     the name of a command: what the others need is not even imported then. None for all.
    """
    about = "A ticket tracker: HTTP and SQL, one set of rules."
    names = "".join(f"\n  {name:<12} {is_what}" for name, is_what in place.NAMES.items())
    top = argparse.ArgumentParser("iris", None, about, EXAMPLES + names, formatter_class=Help)
    top.add_argument("--version", action="version", version=f"iris {__version__}")
    # Without its name, argparse would ask for the terminal's width to find it out, which takes its time.
    commands = top.add_subparsers(title="commands", prog="iris", required=True, metavar="COMMAND")
    for name in [only] if only else COMMANDS:
        module = importlib.import_module(f"iris.cli.{COMMANDS[name]}")
        about, examples = module.run.__doc__, getattr(module, "EXAMPLES", None)
        made = commands.add_parser(
            name,
            help=about,
            description=about,
            formatter_class=Help,
            epilog=examples and f"examples:\n{examples.rstrip()}",
        )
        made.set_defaults(run=module.run, parser=made, takes_more=name == "psql")
        if hasattr(module, "declare"):
            module.declare(made)
    return top


def main():
    """Run the command that was typed."""
    # What a terminal can't show is no reason to end.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    if len(sys.argv) == 1:
        from iris import welcome  # noqa: PLC0415 (not every command needs it)

        print(welcome.commands(), end="")
        return
    if sys.argv[1] == "help":
        sys.argv[1:] = [*sys.argv[2:3], "--help"]
    first = sys.argv[1]
    try:
        if first not in COMMANDS and not first.startswith("-"):
            # Before all commands, and what they need, are imported.
            raise Failed(USAGE, _unknown(first))
        sys.exit(_run(parser(first if first in COMMANDS else None)))
    except BrokenPipeError:
        # Whoever reads has seen enough. Python would complain once more while it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except SystemExit as end:
        # What ends a command in a sentence may have other people's words in it.
        if isinstance(end.code, str):
            sys.exit(visible.safe(end.code, kept="\n"))
        raise
    except (Failed, KeyboardInterrupt) as error:
        sys.exit(_failed(error))
    except Exception as error:
        import psycopg2  # noqa: PLC0415 (not every command needs it)

        if not isinstance(error, psycopg2.Error):
            import traceback  # noqa: PLC0415

            sys.exit(visible.safe(traceback.format_exc(), kept="\n"))
        said = getattr(error, "diag", None)
        words, hint = (said.message_primary, said.message_hint) if said else (None, None)
        # Not where in which rule it was said, which is PostgreSQL's CONTEXT.
        lines = [f"iris: the database said: {words or str(error).strip()}"]
        lines += [f"hint: {hint}"] if words and hint else []
        if why := _misfit(error):
            lines = ["iris: {}. {}".format(*why)]
        sys.exit(visible.safe("\n".join(lines), kept="\n"))


def _unknown(name):
    """Say of something that it is no command, and what may be meant."""
    import difflib  # noqa: PLC0415 (takes its time)

    if name in BY_CURL:
        with contextlib.suppress(Failed):
            there = BY_CURL[name].format(place.find().url)
            return (
                f"{name} is no command, but curl's: curl {there}\nhint: All there are: iris --help"
            )
    near = [*filter(None, [ELSEWHERE.get(name)]), *difflib.get_close_matches(name, COMMANDS, 1)]
    meant = f"; did you mean iris {near[0]}?" if near else ""
    return f"{name} is no command{meant}\nhint: All there are: iris --help"


def _unheard(arguments, rest):
    """Say of words that a command does not take what may be meant."""
    import difflib  # noqa: PLC0415 (takes its time)

    known = arguments.parser._option_string_actions
    typed = next((word for word in rest if word.startswith("-")), rest[0])
    name = typed.partition("=")[0]
    if name in known:
        return f"{name} stands after the command: {arguments.parser.prog} {name}"
    if near := difflib.get_close_matches(name, [each for each in known if len(each) > 2], 1):
        return f"{typed} is no option; did you mean {near[0]}?"
    if typed.startswith("-"):
        pairs = "; columns and filters have no dashes: status=open"
        return f"{typed} is no option{pairs if hasattr(arguments, 'words') else ''}"
    return f"{typed} is too much"


def _misfit(error):
    """Return (sentence, what to do) where what a statement lacks is the schema of this Iris, or None."""
    import psycopg2  # noqa: PLC0415 (not every command needs it)

    from iris import location, schema  # noqa: PLC0415

    gone = psycopg2.errors.UndefinedTable | psycopg2.errors.UndefinedFunction
    if isinstance(error, gone | psycopg2.errors.UndefinedColumn):
        with contextlib.suppress(SystemExit, psycopg2.Error):
            return schema.misfit(common.revision_of(location.dsn()))
    return None


def _run(made):
    """Run the command of a parser; return its exit status."""
    arguments, rest = made.parse_known_args()
    if rest and arguments.takes_more:
        arguments.arguments = rest + arguments.arguments
    elif rest:
        # argparse takes words in one place only; people write options between them.
        if not hasattr(arguments, "words") or any(word.startswith("-") for word in rest):
            arguments.parser.error(_unheard(arguments, rest))
        arguments.words += rest
    return arguments.run(arguments)


def _failed(error):
    """Say what ended a command; return its exit status."""
    is_json = isinstance(error, Failed) and error.words.startswith("{")
    lines = [
        *([error.words] if isinstance(error, Failed) else []),
        *getattr(error, "__notes__", []),
    ]
    for number, line in enumerate(lines):
        said = line if is_json and not number else f"iris: {line}"
        print(visible.safe(said, kept="\n"), file=sys.stderr)
    # Of Ctrl-C, what shells have for it.
    return error.status if isinstance(error, Failed) else 130
