"""What PostgreSQL refuses, as a Problem: one table from SQLSTATE to code.

A problem's words come from whoever knows best. Rules are PostgreSQL's, so their message and hint
are passed on as psql prints them.
"""

import json
import logging
import re

import psycopg2
from psycopg2.extensions import parse_dsn

from iris import location, problems, schema, settings

log = logging.getLogger("iris")

UNAVAILABLE = ("database_unavailable", "the database is away; try again")
NOT_READY = ("database_not_ready", "the database lacks what this Iris needs: iris doctor says what")
WRONG_PASSWORD = "28P01"
# libpq tells no SQLSTATE of a connection that was not made, so these are the words that stand for it, of
# PostgreSQL and of pgbouncer, in English, which `iris up` and docker-compose set; _is_named() is for others.
UNMADE = {
    WRONG_PASSWORD: r"FATAL: .*authentication failed|no password supplied",
    "3D000": r'FATAL: .*(database "[^"]*" does not exist|no such database)',
    "28000": r"FATAL: .*(pg_hba\.conf|role .* does not exist|no such user|not permitted to log in"
    r"|permission denied for database)",
    "53300": r"FATAL: .*(too many (clients|connections)|connection slots are reserved)",
}

# What a server says begins with a severity, in its language, and two blanks; libpq's own words have none.
SERVERS = re.compile(r"(?:^|failed: )[^\s:]+:  (.*)", re.MULTILINE)
REFUSED = "28000"

# A lock was not to be had in time.
WAITED_IN_VAIN = "55P03"

# Rules that Iris holds in the database, by SQLSTATE or, where one state says too little, by the
# constraint's name. The message is PostgreSQL's own words to the client.
RULES = {
    "IR001": "transition_not_allowed",
    "IR002": "link_cycle",
    "IR003": "second_parent",
    "IR004": "status_in_use",
    "IR005": "key_reused",
    "IR007": "given_twice",
    "IR009": "version_moved_on",
    "IR008": "unknown_parameter",
    "IR020": "no_such_change",
    "IR021": "no_such_event",
    "IR022": "changed_since",
    "tickets_status_fkey": "invalid_value",
    "comments_ticket_id_fkey": "no_such_ticket",
    "links_ticket_id_fkey": "no_such_ticket",
    "watches_ticket_id_fkey": "no_such_ticket",
    "links_other_id_fkey": "no_such_ticket",
}

# Everything else, by SQLSTATE or by its class, the first two characters. None: in PostgreSQL's own words.
STATES = {
    "22": ("invalid_value", None),
    "23502": ("invalid_value", None),
    "23503": ("conflict", None),
    "23505": ("conflict", None),
    "23514": ("invalid_value", None),
    "54": ("invalid_value", None),
    "25006": UNAVAILABLE,
    "40": ("database_busy", "others changed the same just now; try again"),
    "53100": (
        "database_full",
        "the disk of the database is full: nothing is written until there is room on it",
    ),
    "53": ("database_busy", "the database is short of resources; try again"),
    WAITED_IN_VAIN: ("database_busy", "somebody else holds this too long; try again"),
    "57014": ("database_slow", "this took too long and was given up; ask for less"),
    "57": UNAVAILABLE,
    "58": UNAVAILABLE,
    "08": UNAVAILABLE,
    WRONG_PASSWORD: (
        "database_refused",
        "the database does not let Iris in: the password that Iris was given is not the one there",
    ),
    "28": ("database_refused", "the database does not let Iris in; Iris's log says why"),
    "3D": ("database_refused", "the database server has no such database; Iris's log says which"),
    "42501": NOT_READY,
    "42P01": NOT_READY,
    "42883": NOT_READY,
    "42703": NOT_READY,
}


# What who runs Iris can do about it.
HINTS = {
    WRONG_PASSWORD: "The database keeps the passwords that IRIS_PASS and IRIS_SERVICE_PASS were when it was"
    " made. After a change: ALTER ROLE iris_service PASSWORD '…' as its owner, and of iris likewise.",
}


# What a statement needs is gone: the schema has become another one since the connection was made.
OUTDATED = {"42P01", "42883", "42703"}


def misfit(revision):
    """Return the Problem of a database of another revision than this Iris needs, or None.

    revision: None where there is nothing of Iris.
    """
    found = schema.misfit(revision)
    if found is None:
        return None
    detail, hint = found
    return problems.Problem("database_not_ready", detail, headers={"Retry-After": "10"}, hint=hint)


# What Iris's own rules say beside an answer.
OWN = re.compile(r":\s+(the role|there are events without a position)\b")


def heed(notices):
    """Take what a server has said beside an answer; refuse to pass on what no standby has.

    Where somebody ends the wait for a synchronous standby, PostgreSQL says so by a warning, in whatever
    language, and answers as if all were well. There is no other one that is not ours.

    notices:  psycopg2's, which are taken.
    Raises:   Problem 503.
    """
    said = list(notices)
    notices.clear()
    if not all(OWN.search(each) for each in said):
        log.warning("%s", " ".join(said).strip())
        raise problems.Problem(
            UNAVAILABLE[0],
            "the database has this on one machine only, which may be lost; try again",
            headers={"Retry-After": "1"},
        )


def is_disconnect(error):
    """Whether a connection is of no more use after this psycopg2 error."""
    state = getattr(error, "pgcode", None) or ""
    return (
        state.startswith(("08", "57P"))
        or state == "25006"
        or state in OUTDATED
        or (not state and isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError))
    )


def _is_named(words):
    """Whether a server, in whatever language, has refused a connection for who asks or for which database.

    Then it says their names, in some kind of quotes; while it starts, ends or has too many clients, none.
    """
    if not settings.names_a_server():
        return False
    asked = parse_dsn(location.dsn())
    names = {re.escape(asked[name]) for name in ("user", "dbname") if asked.get(name)}
    quoted = re.compile(rf"[\"'`‘’‚“”„«»‹›]\s*(?:{'|'.join(names)})\s*[\"'`‘’‚“”„«»‹›]")
    return bool(names) and any(quoted.search(said) for said in SERVERS.findall(words))


def from_database(error, given=None, known=None):
    """Turn what the database said into a Problem.

    error:    a psycopg2 error, or SQLAlchemy's around one.
    given:    {name: value} of the request, if it is about one.
    known:    {name: type} of it, to find which one PostgreSQL's own words are about.
    Returns:  a Problem, or None for what only a mistake of ours explains.
    """
    # SQLAlchemy wraps it.
    error = getattr(error, "orig", error)
    state = getattr(error, "pgcode", None) or ""
    diag = getattr(error, "diag", None)
    if not state and is_disconnect(error):
        for state, words in UNMADE.items():
            if re.search(words, str(error)):
                return refusal({"sqlstate": state})
        if _is_named(str(error)):
            return refusal({"sqlstate": REFUSED})
        return problems.Problem(*UNAVAILABLE, headers={"Retry-After": "1"})
    if diag is None:
        return None
    # What programs need of a refusal the rules put where psql doesn't show it.
    data = json.loads(diag.datatype_name) if diag.datatype_name else {}
    said = {
        "sqlstate": state,
        "message": diag.message_primary,
        "hint": diag.message_hint,
        "column": diag.column_name,
        "constraint": diag.constraint_name,
        **data,
    }
    if "mistakes" in data:
        return _bulk(said)
    if not diag.column_name and state.startswith("22"):
        said.update(_unfit(diag.message_primary, given or {}, known or {}))
    return refusal(said)


def refusal(said):
    """Turn one refusal into a Problem.

    said:     {"sqlstate", "message", "hint", "column", "constraint", "errors", "allowed"}, as they are.
    Returns:  a Problem, or None for what only a mistake of ours explains.
    """
    state, column = said["sqlstate"], said.get("column")
    rule = RULES.get(state) or RULES.get(said.get("constraint"))
    code, detail = (
        (rule, None) if rule else STATES.get(state) or STATES.get(state[:2], (None, None))
    )
    if code is None:
        return None
    if detail is not None:
        headers = {"Retry-After": "1"}
        return problems.Problem(code, detail, headers, hint=HINTS.get(state), sqlstate=state)
    problem = problems.Problem(code, said["message"], sqlstate=state)
    errors = {column: problem.detail} if column and problem.status == 422 else None
    problem.more |= {
        "errors": said.get("errors") or errors,
        "hint": said.get("hint"),
        "allowed": said.get("allowed"),
        "conflicts": said.get("conflicts"),
    }
    return problem


def _bulk(said):
    """Return the problem of many rows, which has the status and the code of the first one."""
    told = [refusal(mistake) for mistake in said["mistakes"]]
    mistakes = [
        {
            "index": mistake["index"],
            "detail": problem.detail,
            "code": problem.code,
            **problem.given(),
        }
        for mistake, problem in zip(said["mistakes"], told, strict=True)
    ]
    return problems.Problem(
        told[0].code,
        said["message"],
        index=mistakes[0]["index"],
        errors=mistakes,
        hint=said["hint"],
        sqlstate=said["sqlstate"],
    )


def _unfit(message, given, known):
    """Return which value PostgreSQL can't read as what its column or filter is, {"column", "allowed"}.

    By the types: they know which values can be told to be wrong by PostgreSQL only.
    """
    for name, value in given.items():
        kind = known.get(name)
        if hasattr(kind, "is_unfit") and kind.is_unfit(value, message):
            return {"column": name, "allowed": getattr(kind, "allowed", None)}
    return {}
