"""What is said to who knows nothing yet: by GET /, and by `iris` alone."""

from iris import __version__

ABOUT = f"Iris {__version__}, a ticket tracker: HTTP or psql, one set of rules, one past."

# What to type, and what it does.
HTTP = (
    ("curl '{at}/tickets?format=text'", "list"),
    ("""curl {at}/tickets --json '{{"title": "A ticket"}}'""", "file one"),
    ("git log -1 | curl -T - {at}/tickets", "file a text"),
    ("curl '{at}/tickets/1?format=text'", "read it"),
    ("curl -X PUT -d status=active {at}/tickets/1", "change it"),
    ("curl {at}/tickets/1/comments -d body=Done", "comment on it"),
    ("curl '{at}/tickets?as_of=yesterday'", "as it was"),
)
COMMANDS = (
    ("iris up", "start a PostgreSQL of its own and serve"),
    ("iris new 'A ticket' assignee=me", "file a ticket"),
    ("iris ls mine", "what is yours and open"),
    ("iris set 1 status=active", "change it"),
    ("iris log", "what happened, each change with its number"),
    ("iris undo 12", "take a change back"),
    ("iris watch", "what happens, as it happens"),
    ("iris psql", "psql on the database in use"),
    ("iris export > all.ndjson", "everything, as it is and as it was"),
    ("iris import --from csv FILE", "tickets from another tracker"),
)


def _table(rows):
    width = max(len(typed) for typed, _ in rows)
    return "".join(f"    {typed:<{width}}  # {does}\n" for typed, does in rows)


def page(address, wants_tokens=False):
    """Return the page of text that GET / gives.

    address:        HOST:PORT as the reader has it.
    wants_tokens:   whether who asks is known by a token.
    """
    typed = _table([(line.format(at=address), does) for line, does in HTTP])
    who = "-u :TOKEN" if wants_tokens else "-H 'Iris-Actor: alice'"
    return (
        f"{ABOUT}\n\n{typed}\n"
        "The same in psql (make psql), under the same rules:  SELECT * FROM tickets;\n"
        f"A text's first line is the title. Who you are: {who}.\n"
        f"All routes: curl '{address}/?format=json'. The rest: README.md\n"
    )


def commands():
    """Return what `iris` alone says."""
    return (
        f"{ABOUT}\n\n{_table(COMMANDS)}\n"
        "All commands: iris --help; each one's own, with examples: iris ls --help.\n"
        "Where it is: IRIS_URL. curl there says what to type to it. The rest: README.md.\n"
    )
