"""The schema's files: which postgres/initdb.sql brings in, in which order, and what revision they make."""

import re
from pathlib import Path

# It stands beside this package in a checkout, and in it where Iris has been installed.
POSTGRES = Path(__file__).parent / "postgres"
if not POSTGRES.exists():
    POSTGRES = Path(__file__).parent.parent / "postgres"
INITDB = POSTGRES / "initdb.sql"
FOLDER = POSTGRES / "schema"
MIGRATIONS = POSTGRES / "migrations"
# What is run once, when a database is made; revisions change it afterwards. All other files say what
# there is to be, and may be run again and again.
ONCE = {FOLDER / "types.sql", FOLDER / "seeds.sql", FOLDER / "revision.sql", FOLDER / "tables"}
REVISION = re.search(r"VALUES \('(\w+)'\)", (FOLDER / "revision.sql").read_text())[1]


def read(path):
    r"""Return the SQL of a file, with that of the files that it brings in by psql's \ir."""
    return re.sub(
        r"^\\ir (\S+)\n", lambda match: read(path.parent / match[1]), path.read_text(), flags=re.M
    )


def files():
    """Return the paths of the files that initdb.sql brings in, in its order."""
    return [POSTGRES / name for name in re.findall(r"^\\ir (\S+)$", INITDB.read_text(), re.M)]


def everything():
    """Return the SQL that makes a database of an empty one: initdb.sql without the passwords."""
    return "\n".join(path.read_text() for path in files())


def rules():
    """Return the SQL that may run again: roles, functions, triggers, privileges and all comments."""
    parts = []
    for path in files():
        text = path.read_text()
        if not ONCE.isdisjoint((path, path.parent)):
            text = "".join(re.findall(r"^COMMENT ON [^']*'(?:[^']|'')*';\n", text, re.M))
        parts.append(text)
    return "\n".join(part for part in parts if part)


def made():
    """Return {name: what it is}: TABLE, TYPE, SEQUENCE, VIEW, MATERIALIZED VIEW."""
    kinds = "TABLE|TYPE|SEQUENCE|VIEW|MATERIALIZED VIEW"
    found = re.findall(rf"^CREATE (?:OR REPLACE )?({kinds}) (\w+)", everything(), re.M)
    return {name: kind for kind, name in found}


def roles():
    """Return the names of the roles that are Iris's own."""
    named = re.findall(r"'\{([\w,]+)\}'::text\[\]", (FOLDER / "roles.sql").read_text())
    return sorted({name for names in named for name in names.split(",")})


def misfit(revision, what="the database"):
    """Say why this Iris can't use what is of this revision, None where there is none; or return None.

    Returns:  (sentence, what to do).
    """
    if revision == REVISION:
        return None
    if revision is None:
        return f"{what} has nothing of Iris in it", "Run `iris db upgrade`, which makes it."
    sentence = f"{what}'s schema is at revision {revision}, this Iris needs {REVISION}"
    if revision > REVISION:
        return (
            sentence,
            "It is newer than this Iris: use the Iris that brought it there, or a newer one.",
        )
    return sentence, "Run `iris db upgrade`."
