"""What PostgreSQL refuses, as a Problem: one table from SQLSTATE to status and code.

A problem's words come from whoever knows best. Rules are PostgreSQL's, so their message and hint
are passed on as psql prints them.
"""

import json
import re

import psycopg2

from iris import models, problems

UNAVAILABLE = (503, "database_unavailable", "the database is away; try again")
REFUSED = (503, "database_refused", "the database does not let Iris in; Iris's log says why")
# libpq tells no SQLSTATE of a connection that was not made, so these are its words, and in English; in
# other languages, the database is merely away.
NOT_LET_IN = re.compile(
    r"FATAL: .*(authentication failed|pg_hba\.conf|(role|database) .* does not exist"
    r"|not permitted to log in|permission denied for database)"
)

# Rules that Iris holds in the database, by SQLSTATE or, where one state says too little, by the
# constraint's name. None: the message is PostgreSQL's own words to the client.
RULES = {
    "IR001": (409, "transition_not_allowed", None),
    "IR002": (409, "link_cycle", None),
    "IR003": (409, "second_parent", None),
    "IR004": (409, "status_in_use", None),
    "IR005": (422, "key_reused", None),
    "IR007": (422, "given_twice", None),
    "links_parent_key": (409, "second_parent", "a ticket has at most one parent"),
    "tickets_status_fkey": (422, "invalid_value", None),
    "comments_ticket_id_fkey": (404, "no_such_ticket", None),
    "links_ticket_id_fkey": (404, "no_such_ticket", None),
    "links_other_id_fkey": (404, "no_such_ticket", None),
}

# Everything else, by SQLSTATE or by its class, the first two characters.
STATES = {
    "22": (422, "invalid_value", None),
    "23502": (422, "invalid_value", None),
    "23503": (409, "conflict", None),
    "23505": (409, "conflict", None),
    "23514": (422, "invalid_value", None),
    "54": (422, "invalid_value", None),
    "25006": UNAVAILABLE,
    "40": (503, "database_busy", "others changed the same just now; try again"),
    "53": (503, "database_busy", "the database is short of resources; try again"),
    "55P03": (503, "database_busy", "somebody else holds this too long; try again"),
    "57014": (503, "database_slow", "this took too long and was given up; ask for less"),
    "57": UNAVAILABLE,
    "58": UNAVAILABLE,
    "08": UNAVAILABLE,
    "28": REFUSED,
    "3D": REFUSED,
    "42501": (503, "database_not_ready", "the database lacks what this Iris needs: iris db check"),
    "42P01": (503, "database_not_ready", "the database lacks what this Iris needs: iris db check"),
    "42883": (503, "database_not_ready", "the database lacks what this Iris needs: iris db check"),
    "42703": (503, "database_not_ready", "the database lacks what this Iris needs: iris db check"),
}


def is_disconnect(error):
    """Whether a connection is of no more use after this psycopg2 error."""
    state = getattr(error, "pgcode", None) or ""
    return (
        state.startswith(("08", "57P"))
        or state == "25006"
        or (not state and isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError))
    )


def from_database(error, given):
    """Turn what the database said into a Problem.

    error:    a psycopg2 error, or SQLAlchemy's around one.
    given:    {name: value} of the request, to find which one a message is about.
    Returns:  a Problem, or None for what only a mistake of ours explains.
    """
    # SQLAlchemy wraps it.
    error = getattr(error, "orig", error)
    state = getattr(error, "pgcode", None) or ""
    diag = getattr(error, "diag", None)
    if state == "IR006":
        said = json.loads(diag.message_detail)
        told = [
            refusal(each["state"], each["rule"], each["message"], each["hint"], each["about"], {})
            for each in said
        ]
        mistakes = [
            {
                "index": each["index"],
                "detail": problem.detail,
                "code": problem.code,
                **problem.given(),
            }
            for each, problem in zip(said, told, strict=True)
        ]
        return problems.bulk(told[0].status, told[0].code, mistakes)
    if not state and is_disconnect(error):
        status, code, detail = REFUSED if NOT_LET_IN.search(str(error)) else UNAVAILABLE
        return problems.Problem(status, code, detail, headers={"Retry-After": "1"})
    if diag is None:
        return None
    return refusal(
        state,
        diag.constraint_name,
        diag.message_primary,
        diag.message_hint,
        diag.column_name,
        given,
    )


def refusal(state, rule, message, hint, about, given):
    """Turn one refusal into a Problem.

    state:    its SQLSTATE.
    rule:     the constraint's name, or None.
    about:    the column's name, or None.
    Returns:  a Problem, or None for what only a mistake of ours explains.
    """
    found = RULES.get(state) or RULES.get(rule) or STATES.get(state) or STATES.get(state[:2])
    if found is None:
        return None
    status, code, detail = found
    if status == 503:
        return problems.Problem(status, code, detail, headers={"Retry-After": "1"})
    detail = detail or message
    more = {"hint": hint}
    field = about or _field_of(detail, given)
    if field and status == 422:
        more["errors"] = {field: detail}
    enum = re.match(r"invalid input value for enum (\w+)", detail)
    if enum:
        more["allowed"] = models.ENUMS[enum[1]]
    elif state == "IR001":
        _, _, names = (hint or "").partition(" to: ")
        more["allowed"] = names.split(", ") if names else []
    return problems.Problem(status, code, detail, **more)


def _field_of(message, given):
    """Find which value PostgreSQL means by `… for type timestamp: "nonsense"`."""
    quoted = re.search(r'"(.*)"', message, re.DOTALL)
    if not quoted:
        return None
    return next((name for name, value in given.items() if quoted[1] in str(value)), None)
