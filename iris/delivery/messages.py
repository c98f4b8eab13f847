"""What there is to tell from a position on, read once for all couriers that are there at the same time.

A hook's filter is asked in SQL, as that of a list is, of the ticket as it was after an event and before it.
Filters of all who are at one position go in one statement, a branch each, its values under names of its own.
"""

import json
import logging
import re
from functools import lru_cache
from typing import NamedTuple

import gevent
import psycopg2
from gevent.event import AsyncResult, Event
from sqlalchemy import column, literal_column, select, table

from iris import hooks, past, tickets
from iris.database import refusals, statements
from iris.lists import filters
from iris.lists import tickets as ticket_list

log = logging.getLogger("iris")

# Events that are read at once; seconds for which others may join, and filters that one statement asks.
PIECE, GATHER, TOGETHER = 50, 0.005, 100
BEFORE = (
    "SELECT set_config('role', 'none', true), set_config('application_name', 'deliver', true); "
)

ROWS = table("then_", *(column(each.name, each.type) for each in tickets.TABLE.columns))
READ = """
WITH piece AS MATERIALIZED (
    SELECT event, event.position, event.kind::text AS kind, event.ticket_id FROM events AS event
        WHERE event.position > %(after)s ORDER BY event.position LIMIT %(limit)s),
then_ AS MATERIALIZED (
    SELECT piece.position AS then_position, piece.kind AS then_kind, ends.moment AS then_moment, ends.ticket AS then_ticket, (ends.ticket).*
        FROM piece CROSS JOIN LATERAL ticket_around(piece.event) AS ends WHERE piece.ticket_id IS NOT NULL),
met AS MATERIALIZED (SELECT NULL::integer AS which, NULL::bigint AS position WHERE false{met})
SELECT piece.position, piece.kind, (piece.event).actor, encode(substr((piece.event).digest, 1, 8), 'hex'),
        CASE WHEN wanted.by <> '{{}}' THEN delivery_body(piece.event,
            (SELECT then_ticket FROM then_ WHERE then_position = piece.position ORDER BY then_moment DESC LIMIT 1)) END,
        wanted.by
    FROM piece CROSS JOIN LATERAL (SELECT ARRAY(SELECT met.which FROM met WHERE met.position = piece.position)) AS wanted(by)
    ORDER BY piece.position
"""  # noqa: E501 (SQL)
# In place of a branch, of a hook without a filter: all events, those without a ticket, too.
ALL = "SELECT position AS then_position, kind AS then_kind FROM piece"


class Told(NamedTuple):
    """An event as a hook is told of it."""

    position: int
    kind: str
    actor: str
    digest: str
    body: str


class Piece(NamedTuple):
    """What a hook is told of a piece of the feed.

    end:      the position of its last event.
    events:   [Told], those that the hook's filter and kinds let through.
    """

    end: int
    events: list


@lru_cache(1000)
def _branch(shapes):
    """Return the SELECT of the positions whose tickets meet filters of these shapes."""
    if not shapes:
        return ALL
    found = select(literal_column("then_position"), literal_column("then_kind")).select_from(ROWS)
    return statements.compiled(
        found.where(*filters.where(ticket_list.LIST_EACH.filters, shapes, ROWS))
    )


@lru_cache(1000)
def _condition(filter_, kinds):
    """Return (SELECT, values) of what lets events through to a hook.

    filter_:  the hook's, JSON text.
    kinds:    the kinds of events that it gets; empty: all.
    Raises:   ValueError, in words.
    """
    shapes, values = filters.split(ticket_list.LIST_EACH.filters, hooks.meant(json.loads(filter_)))
    sql = f"SELECT then_position FROM ({_branch(shapes)}) AS found"
    if kinds:
        sql += " WHERE then_kind = ANY (%(kinds)s)"
    return sql, {**values, "zone": statements.ZONE, "kinds": list(kinds)}


def _statement(conditions):
    """Return the text of READ for some conditions, and their values by names of their own."""
    made, given = [], {}
    for place, (sql, values) in enumerate(conditions):
        named = re.sub(r"%\((\w+)\)s", rf"%(f{place}_\1)s", sql)
        made.append(f"\n    UNION ALL SELECT {place}, then_position FROM ({named}) AS met")
        given |= {f"f{place}_{name}": value for name, value in values.items()}
    return READ.format(met="".join(made)), given


class Reader:
    """Reads for couriers: whoever asks for the same position within a moment is answered by one statement."""

    def __init__(self):
        self.asked, self.is_asked = {}, Event()

    def read(self, position, filter_, kinds, is_behind):
        """Return the next Piece of the feed from a position on, or None where there is nothing.

        filter_, kinds: of the hook, as _condition() takes them.
        is_behind: whether there is much more to come.
        Raises:   ValueError for a filter that means nothing (any more); psycopg2.Error.
        """
        answer = AsyncResult()
        self.asked.setdefault((position, is_behind), []).append(((filter_, kinds), answer))
        self.is_asked.set()
        return answer.get()

    def run(self):
        """Answer, for ever."""
        while True:
            self.is_asked.wait()
            gevent.sleep(GATHER)
            self.is_asked.clear()
            asked, self.asked = self.asked, {}
            for (position, is_behind), many in asked.items():
                for start in range(0, len(many), TOGETHER):
                    _answered(position, many[start : start + TOGETHER], is_behind)


def _answered(position, asked, is_behind):
    """Answer those who have asked for a position, whatever goes wrong."""
    try:
        if is_behind:
            # Else most tickets are as they were then, and to write the past would cost more than the rest.
            past.write()
        _answer(position, asked)
    except Exception as error:
        for _, answer in asked:
            if not answer.ready():
                answer.set_exception(error)


def _answer(position, asked):
    """Answer those who have asked for a position, [((filter, kinds), AsyncResult)]."""
    known = {}
    for what, answer in asked:
        try:
            known.setdefault(what, _condition(*what))
        except ValueError as error:
            answer.set_exception(error)
    asked = [each for each in asked if not each[1].ready()]
    if not asked:
        return
    try:
        sql, values = _statement(known.values())
        rows = statements.rows(
            sql, {**values, "after": position, "limit": PIECE}, before=BEFORE, again=True
        )
    except Exception as error:
        if (
            len(known) > 1
            and isinstance(error, psycopg2.Error)
            and not refusals.is_disconnect(error)
        ):
            # One of them has what the database does not take, which is no matter of the others.
            for each in asked:
                _answer(position, [each])
            return
        for (filter_, _), answer in asked:
            # Of somebody's values, in the database's words.
            problem = refusals.from_database(error) if isinstance(error, psycopg2.Error) else None
            is_theirs = filter_ != "{}" and problem is not None and problem.status == 422
            answer.set_exception(ValueError(problem.detail) if is_theirs else error)
        return
    wanted = {what: [] for what in known}
    whose = list(wanted.values())
    for *row, met in rows:
        told = Told(*row)
        for place in set(met):
            whose[place].append(told)
    for what, answer in asked:
        answer.set(Piece(rows[-1][0], wanted[what]) if rows else None)
