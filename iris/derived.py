"""What is read that is no table: the tables as they were at a moment, and what functions and a view give.

Of a function that gives other columns, they are said here, as models.py says those of tables.
"""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Identity, bindparam, column, false, func, literal_column
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.sql.expression import FromClause

from iris import models


def moment(parameter, past=True):
    """Return the time that a statement's parameter says, in words or not; the parameter zone says where.

    parameter: its name.
    past:     whether a day's name is the last one, or the next one.
    """
    words = literal_column(str(past).lower())
    return func.moment_once(bindparam(parameter), words, bindparam("zone"), type_=models.Time)


# When it was, by the parameter as_of.
AS_OF = moment("as_of")
# From when until when, of what differs.
SINCE, UNTIL = moment("since"), moment("until")
# When it was, of rows that have a moment each.
EACH = literal_column("then_.then_moment")


class Tables(NamedTuple):
    """Where reading reads: the tables as they are, or as they were."""

    tickets: FromClause
    comments: FromClause
    links: FromClause
    searches: FromClause


_READ = (models.Ticket, models.Comment, models.Link, models.Search)


def _like(model, function):
    """Return what a function gives, with the columns of a table that it is like."""
    table = model.__table__
    columns = (column(each.name, each.type) for each in table.columns)
    return function.table_valued(*columns, name=table.name)


_ORDERS = {False: false(), None: literal_column("NULL")}


def at(when, in_order=True):
    """Return the Tables as they were at a moment, of tickets_as_of(…) and the like.

    in_order: whether most tickets are wanted, newest first; or few, which are found by what they are; or,
              if None, in the order of their numbers.
    """
    return Tables(
        *(
            _like(
                each,
                getattr(func, f"{each.__table__.name}_as_of")(
                    when, *([] if in_order or each is not models.Ticket else [_ORDERS[in_order]])
                ),
            )
            for each in _READ
        )
    )


NOW = Tables(*(model.__table__ for model in _READ))
THEN, THEN_FEW, THEN_NUMBERED = at(AS_OF), at(AS_OF, in_order=False), at(AS_OF, in_order=None)


class Apart(DeclarativeBase):
    """What models share that are no tables: functions give their rows."""

    type_annotation_map = models.Base.type_annotation_map


class Change(Apart):
    """What differs of a ticket between two moments: a row of changes_between()."""

    __tablename__ = "changes"

    # What a table's column says of itself in SQL, these say here.
    ticket_id: Mapped[int] = mapped_column(
        Identity(always=True), primary_key=True, comment="Its number"
    )
    title: Mapped[str] = mapped_column(comment="Its title at the end, or the last it had")
    kind: Mapped[str] = mapped_column(models.EventKind, comment="created, changed or deleted")
    changes: Mapped[dict] = mapped_column(comment='{"column": [then, now]}')
    comments: Mapped[int] = mapped_column(comment="How many comments there are more")
    links: Mapped[dict] = mapped_column(comment="Which links were added and removed")
    actors: Mapped[list[str]] = mapped_column(comment="Who changed it meanwhile")
    last: Mapped[datetime] = mapped_column(comment="When it last changed", info=models.SORTED)


class Watcher(Apart):
    """Who hears of a ticket: a row of the view watchers."""

    __tablename__ = "watchers"

    ticket_id: Mapped[int] = mapped_column(primary_key=True, comment="The ticket")
    who: Mapped[str] = mapped_column(
        primary_key=True, comment="Who it is", info=models.FILTERED | models.PERSON
    )
    muted: Mapped[bool] = mapped_column(
        comment="Whether they left: they hear nothing of it, whoever calls them",
        info=models.FILTERED,
    )


class Happening(Apart):
    """What happened on what somebody watches: a row of inbox_after()."""

    __tablename__ = "inbox"

    position: Mapped[int] = mapped_column(primary_key=True, comment="Its place in the feed")
    event_id: Mapped[int] = mapped_column(comment="The event's number")
    at: Mapped[datetime] = mapped_column(comment="When it happened", info=models.FILTERED)
    actor: Mapped[str] = mapped_column(comment="Who did it", info=models.FILTERED | models.PERSON)
    source: Mapped[str] = mapped_column(comment="By which door", info=models.FILTERED)
    ticket_id: Mapped[int] = mapped_column(comment="The ticket")
    title: Mapped[str | None] = mapped_column(comment="Its title now; null where it is gone")
    kind: Mapped[str] = mapped_column(
        models.EventKind, comment="What happened", info=models.FILTERED
    )
    comment_id: Mapped[int | None] = mapped_column(comment="The comment that it happened to")
    changes: Mapped[dict] = mapped_column(comment='{"column": [old, new]}')
    change: Mapped[int] = mapped_column(comment="What all events of one transaction share")
    undoes: Mapped[int | None] = mapped_column(comment="The event that it took back")


WATCHERS = Watcher.__table__
INBOX = _like(Happening, func.inbox_after(bindparam("whose"), bindparam("position")))
CHANGES = _like(Change, func.changes_between(SINCE, UNTIL))
