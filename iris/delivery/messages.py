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
    SELECT event.position, event.kind::text AS kind, event.actor, event.at, event.ticket_id, event.digest,
            delivery_body(event, coalesce(
                (SELECT ticket FROM ticket_as_of(event.ticket_id, event.at) AS ticket),
                (SELECT ticket FROM ticket_as_of(event.ticket_id, event.at - interval '1 microsecond') AS ticket))) AS body
        FROM events AS event WHERE event.position > %(after)s ORDER BY event.position LIMIT %(limit)s),
then_ AS MATERIALIZED (
    SELECT piece.position AS then_position, moment AS then_moment, ticket.* FROM piece
        CROSS JOIN LATERAL (VALUES (piece.at), (piece.at - interval '1 microsecond')) AS ends(moment)
        CROSS JOIN LATERAL ticket_as_of(piece.ticket_id, moment) AS ticket),
met AS MATERIALIZED (SELECT NULL::integer AS which, NULL::bigint AS position WHERE false{met})
SELECT piece.position, piece.kind, piece.actor, encode(substr(piece.digest, 1, 8), 'hex'), piece.body,
        ARRAY(SELECT met.which FROM met WHERE met.position = piece.position)
    FROM piece ORDER BY piece.position
"""  # noqa: E501 (SQL)


class Told(NamedTuple):
    """An event as a hook is told of it.

    is_met:   whether the hook's filter lets it through.
    """

    position: int
    kind: str
    actor: str
    digest: str
    body: str
    is_met: bool


@lru_cache(1000)
def _branch(shapes):
    """Return the SELECT of the positions whose tickets meet filters of these shapes."""
    found = select(literal_column("then_position")).select_from(ROWS)
    return statements.compiled(
        found.where(*filters.where(ticket_list.LIST_EACH.filters, shapes, ROWS))
    )


@lru_cache(1000)
def _condition(filter_):
    """Return (SELECT, values) of a hook's filter, JSON text.

    Raises:   ValueError, in words.
    """
    shapes, values = filters.split(ticket_list.LIST_EACH.filters, hooks.meant(json.loads(filter_)))
    return _branch(shapes), {**values, "zone": statements.ZONE}


def _statement(conditions):
    """Return the text of READ for some conditions, and their values by names of their own."""
    made, given = [], {}
    for place, (sql, values) in enumerate(conditions):
        named = re.sub(r"%\((\w+)\)s", rf"%(f{place}_\1)s", sql)
        made.append(f"\n    UNION ALL SELECT {place}, then_position FROM ({named}) AS found")
        given |= {f"f{place}_{name}": value for name, value in values.items()}
    return READ.format(met="".join(made)), given


class Reader:
    """Reads for couriers: whoever asks for the same position within a moment is answered by one statement."""

    def __init__(self):
        self.asked, self.is_asked = {}, Event()

    def read(self, position, filter_):
        """Return the next events from a position on, [Told], at most PIECE of them, or none.

        filter_:  the hook's, JSON text.
        Raises:   ValueError for a filter that means nothing (any more); psycopg2.Error.
        """
        answer = AsyncResult()
        self.asked.setdefault(position, []).append((filter_, answer))
        self.is_asked.set()
        return answer.get()

    def run(self):
        """Answer, for ever."""
        while True:
            self.is_asked.wait()
            gevent.sleep(GATHER)
            self.is_asked.clear()
            asked, self.asked = self.asked, {}
            for position, many in asked.items():
                for start in range(0, len(many), TOGETHER):
                    _answered(position, many[start : start + TOGETHER])


def _answered(position, asked):
    """Answer those who have asked for a position, whatever goes wrong."""
    try:
        # What is behind is read from what is written of the past.
        past.write()
        _answer(position, asked)
    except Exception as error:
        for _, answer in asked:
            if not answer.ready():
                answer.set_exception(error)


def _answer(position, asked):
    """Answer those who have asked for a position, [(filter, AsyncResult)]."""
    known = {}
    for filter_, answer in asked:
        try:
            known.setdefault(filter_, _condition(filter_) if filter_ != "{}" else None)
        except ValueError as error:
            answer.set_exception(error)
    asked = [each for each in asked if not each[1].ready()]
    if not asked:
        return
    names = [filter_ for filter_, condition in known.items() if condition]
    try:
        sql, values = _statement([known[name] for name in names])
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
        for filter_, answer in asked:
            # Of somebody's values, in the database's words.
            problem = refusals.from_database(error) if isinstance(error, psycopg2.Error) else None
            is_theirs = filter_ != "{}" and problem is not None and problem.status == 422
            answer.set_exception(ValueError(problem.detail) if is_theirs else error)
        return
    for filter_, answer in asked:
        place = names.index(filter_) if filter_ in names else None
        answer.set([Told(*row, place is None or place in met) for *row, met in rows])
