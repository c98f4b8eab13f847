"""The tables as declarative models: the one place in Python that names columns.

postgres/initdb.sql is the truth; tests/test_schema.py holds the two together.
"""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    FetchedValue,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Text,
    UniqueConstraint,
    bindparam,
    column,
    false,
    func,
    literal_column,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, ENUM, JSONB, TIMESTAMP, TSVECTOR
from sqlalchemy.ext.mutable import MutableDict, MutableList
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.sql.expression import FromClause

Time = TIMESTAMP(timezone=True)
Priority = ENUM("low", "normal", "high", "urgent", name="priority")
LinkKind = ENUM("blocks", "duplicates", "parent", "relates", name="link_kind")
EventKind = ENUM(
    "created",
    "changed",
    "deleted",
    "commented",
    "comment_changed",
    "comment_deleted",
    "linked",
    "unlinked",
    "workflow_changed",
    "token_added",
    "token_revoked",
    "hook_added",
    "hook_changed",
    "hook_removed",
    name="event_kind",
)
MailDigest = ENUM("none", "now", "daily", name="mail_digest")
MailState = ENUM("active", "bounced", "disabled", name="mail_state")
TokenRole = ENUM("reader", "writer", "admin", name="token_role")
HookState = ENUM("active", "stopped", "disabled", name="hook_state")
HookFailure = ENUM("park", "stop", name="hook_failure")
DeliveryOutcome = ENUM(
    "accepted", "failed", "parked", "stopped", "disabled", name="delivery_outcome"
)
ENUMS = {
    enum.name: list(enum.enums)
    for enum in (
        Priority,
        LinkKind,
        EventKind,
        TokenRole,
        MailDigest,
        MailState,
        HookState,
        HookFailure,
        DeliveryOutcome,
    )
}


class Base(DeclarativeBase):
    """What all models share: Python types and the database's."""

    type_annotation_map = {
        int: BigInteger,
        str: Text,
        bool: Boolean,
        datetime: Time,
        bytes: LargeBinary,
        dict: JSONB,
        list[str]: ARRAY(Text),
    }


# What a column says of itself, in its `info`: lists filter by it (`status=`; of a time, `due_before=` and
# `due_after=`), sort by it, or never show it; it names somebody, who may be `me` in a filter.
FILTERED, SORTED, INTERNAL = {"filtered": True}, {"sorted": True}, {"internal": True}
PERSON = {"person": True}
# A time that is set for the future: its monday is the next one, of others the last one.
AHEAD = {"ahead": True}


def moment(parameter, past=True):
    """Return the time that a statement's parameter says, in words or not; the parameter zone says where.

    parameter: its name.
    past:     whether a day's name is the last one, or the next one.
    """
    words = literal_column(str(past).lower())
    return func.moment_once(bindparam(parameter), words, bindparam("zone"), type_=Time)


def kept(**info):
    """Return a column that the database keeps, whatever is written.

    info:     as above.
    """
    return mapped_column(
        server_default=FetchedValue(), server_onupdate=FetchedValue(), info={"kept": True, **info}
    )


def names(model, fact):
    """Return the names of the columns that say a fact of themselves, such as "kept"."""
    return tuple(column.name for column in model.__table__.c if fact in column.info)


# What goes with its ticket or status: the database deletes it, but for what has been loaded, which a
# session deletes itself.
OWNED = {"cascade": "all, delete-orphan", "passive_deletes": True}


class Status(Base):
    """What a ticket can be."""

    __tablename__ = "statuses"

    status: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(Integer)
    is_open: Mapped[bool] = mapped_column(server_default=text("true"))

    # What may follow it.
    transitions: Mapped[list["Transition"]] = relationship(
        foreign_keys="Transition.from_status", **OWNED
    )

    __table_args__ = (UniqueConstraint("position", name="statuses_position_key", deferrable=True),)


class Transition(Base):
    """Which status may follow which."""

    __tablename__ = "transitions"

    from_status: Mapped[str] = mapped_column(
        ForeignKey("statuses.status", ondelete="CASCADE", onupdate="CASCADE"), primary_key=True
    )
    to_status: Mapped[str] = mapped_column(
        ForeignKey("statuses.status", ondelete="CASCADE", onupdate="CASCADE"),
        primary_key=True,
        index=False,
    )

    __table_args__ = (Index("transitions_to_status_idx", "to_status"),)


class Ticket(Base):
    """A ticket."""

    __tablename__ = "tickets"

    ticket_id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    title: Mapped[str]
    description: Mapped[str | None]
    status: Mapped[str] = mapped_column(
        ForeignKey("statuses.status"), server_default=func.first_status(), info=FILTERED
    )
    assignee: Mapped[str | None] = mapped_column(info=FILTERED | PERSON)
    reporter: Mapped[str] = mapped_column(server_default=func.actor(), info=FILTERED | PERSON)
    priority: Mapped[str] = mapped_column(Priority, server_default="normal", info=FILTERED | SORTED)
    # Changed in place, they are written, too.
    labels: Mapped[list[str]] = mapped_column(
        MutableList.as_mutable(ARRAY(Text)), server_default="{}"
    )
    fields: Mapped[dict] = mapped_column(MutableDict.as_mutable(JSONB), server_default="{}")
    due: Mapped[datetime | None] = mapped_column(info=FILTERED | SORTED | AHEAD)
    created: Mapped[datetime] = kept(**FILTERED, **SORTED)
    updated: Mapped[datetime] = kept(**FILTERED, **SORTED)
    closed: Mapped[datetime | None] = kept(**FILTERED)
    version: Mapped[int] = kept()

    comments: Mapped[list["Comment"]] = relationship(
        back_populates="ticket", order_by="Comment.comment_id", **OWNED
    )
    # Where this ticket comes first, and where it is the other one.
    links: Mapped[list["Link"]] = relationship(
        back_populates="ticket", foreign_keys="Link.ticket_id", **OWNED
    )
    linked: Mapped[list["Link"]] = relationship(
        back_populates="other", foreign_keys="Link.other_id", **OWNED
    )
    # No foreign key: history stays when its ticket goes.
    events: Mapped[list["Event"]] = relationship(
        primaryjoin="Ticket.ticket_id == foreign(Event.ticket_id)",
        order_by="Event.event_id",
        viewonly=True,
    )

    __table_args__ = (
        Index("tickets_created_idx", "created", "ticket_id"),
        Index("tickets_updated_idx", "updated", "ticket_id", postgresql_include=["created"]),
        Index("tickets_due_idx", text("coalesce(due, 'infinity')"), "ticket_id"),
        Index("tickets_priority_idx", "priority", "created", "ticket_id"),
        Index("tickets_status_idx", "status", "created", "ticket_id"),
        Index("tickets_assignee_idx", "assignee", "created", "ticket_id"),
        Index("tickets_reporter_idx", "reporter", "created", "ticket_id"),
        Index("tickets_open_idx", "created", "ticket_id", postgresql_where=text("closed IS NULL")),
        Index(
            "tickets_todo_idx",
            "assignee",
            "priority",
            "created",
            "ticket_id",
            postgresql_where=text("closed IS NULL"),
        ),
        Index("tickets_closed_idx", "closed", postgresql_where=text("closed IS NOT NULL")),
        Index("tickets_labels_idx", "labels", postgresql_using="gin"),
        Index(
            "tickets_fields_idx",
            "fields",
            postgresql_using="gin",
            postgresql_ops={"fields": "jsonb_path_ops"},
        ),
    )


class Comment(Base):
    """What somebody said about a ticket."""

    __tablename__ = "comments"

    comment_id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    ticket_id: Mapped[int] = mapped_column(
        ForeignKey("tickets.ticket_id", ondelete="CASCADE"), primary_key=True
    )
    author: Mapped[str] = mapped_column(server_default=func.actor(), info=FILTERED | PERSON)
    body: Mapped[str]
    created: Mapped[datetime] = kept(**FILTERED, **SORTED)
    updated: Mapped[datetime] = kept()

    ticket: Mapped[Ticket] = relationship(back_populates="comments")

    __table_args__ = (
        Index("comments_comment_id_idx", "comment_id"),
        Index("comments_author_idx", "author", "comment_id"),
        Index("comments_created_idx", "created"),
        Index("comments_edited_idx", "updated", postgresql_where=text("updated > created")),
    )


class Link(Base):
    """How one ticket hangs together with another."""

    __tablename__ = "links"

    ticket_id: Mapped[int] = mapped_column(
        ForeignKey("tickets.ticket_id", ondelete="CASCADE"), primary_key=True
    )
    kind: Mapped[str] = mapped_column(LinkKind, primary_key=True)
    other_id: Mapped[int] = mapped_column(
        ForeignKey("tickets.ticket_id", ondelete="CASCADE"), primary_key=True
    )

    ticket: Mapped[Ticket] = relationship(back_populates="links", foreign_keys=ticket_id)
    other: Mapped[Ticket] = relationship(back_populates="linked", foreign_keys=other_id)

    __table_args__ = (
        Index("links_other_id_idx", "other_id", "kind", "ticket_id"),
        Index(
            "links_parent_key",
            "ticket_id",
            unique=True,
            postgresql_where=literal_column("kind = 'parent'::link_kind"),
        ),
    )


class Watch(Base):
    """Who joined a ticket by hand, or left it."""

    __tablename__ = "watches"

    # No foreign key: it stays when its ticket goes, which may come back.
    ticket_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    who: Mapped[str] = mapped_column(primary_key=True)
    muted: Mapped[bool] = mapped_column(server_default=text("false"))

    __table_args__ = (Index("watches_who_idx", "who", "ticket_id"),)


class Search(Base):
    """The words of a ticket (comment_id 0) or of one comment."""

    __tablename__ = "searches"

    ticket_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    comment_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    words: Mapped[str] = mapped_column(TSVECTOR)
    since: Mapped[datetime]

    __table_args__ = (Index("searches_words_idx", "words", postgresql_using="gin"),)


class Event(Base):
    """One change of a ticket, a comment, a link or the workflow."""

    __tablename__ = "events"

    event_id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    at: Mapped[datetime] = mapped_column(info=FILTERED)
    actor: Mapped[str] = mapped_column(info=FILTERED | PERSON)
    source: Mapped[str] = mapped_column(info=FILTERED)
    ticket_id: Mapped[int | None]
    kind: Mapped[str] = mapped_column(EventKind, info=FILTERED)
    comment_id: Mapped[int | None]
    changes: Mapped[dict]
    position: Mapped[int | None]
    kept: Mapped[dict] = mapped_column(server_default="{}", info=INTERNAL)
    other_id: Mapped[int | None] = mapped_column(info=INTERNAL)
    other_kept: Mapped[dict] = mapped_column(server_default="{}", info=INTERNAL)
    change: Mapped[int] = mapped_column(server_default=FetchedValue())
    undoes: Mapped[int | None]
    digest: Mapped[bytes | None]

    __table_args__ = (
        Index("events_ticket_id_idx", "ticket_id", "event_id"),
        Index("events_at_idx", "at"),
        Index("events_position_idx", "position", postgresql_where=text("position IS NOT NULL")),
        Index("events_unpositioned_idx", "event_id", postgresql_where=text("position IS NULL")),
        Index(
            "events_other_id_idx",
            "other_id",
            "event_id",
            postgresql_where=text("other_id IS NOT NULL"),
        ),
        Index("events_deleted_idx", "at", postgresql_where=text("kind = 'deleted'")),
        Index(
            "events_comment_deleted_idx", "at", postgresql_where=text("kind = 'comment_deleted'")
        ),
        Index("events_workflow_idx", "at", postgresql_where=text("ticket_id IS NULL")),
        Index(
            "events_moves_idx",
            "ticket_id",
            "at",
            postgresql_where=text("kind = 'changed' AND changes ? 'status'"),
        ),
        Index(
            "events_reopened_idx",
            "ticket_id",
            "at",
            postgresql_where=text(
                "kind = 'changed' AND kept -> 'closed' ->> 0 IS NOT NULL AND changes ?| '{status,closed}'"
            ),
        ),
        Index("events_change_idx", "change"),
    )


class Replay(Base):
    """The answer to a write that carried an Idempotency-Key."""

    __tablename__ = "replays"

    actor: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request: Mapped[str]
    answer: Mapped[dict | None] = mapped_column(JSON)
    created: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (Index("replays_created_idx", "created"),)


class Token(Base):
    """What lets somebody in."""

    __tablename__ = "tokens"

    name: Mapped[str] = mapped_column(primary_key=True)
    role: Mapped[str] = mapped_column(TokenRole, info=FILTERED)
    actor: Mapped[str] = mapped_column(info=FILTERED | PERSON)
    created: Mapped[datetime] = kept()
    expires: Mapped[datetime | None]
    used: Mapped[datetime | None] = kept()
    is_login: Mapped[bool] = mapped_column(server_default=text("false"), info={"kept": True})
    digest: Mapped[bytes] = mapped_column(info=INTERNAL)

    __table_args__ = (UniqueConstraint("digest", name="tokens_digest_key"),)


class Person(Base):
    """Who gets mail of what they watch."""

    __tablename__ = "people"

    person_id: Mapped[int] = mapped_column(Identity(always=True))
    name: Mapped[str] = mapped_column(primary_key=True, info=FILTERED | PERSON)
    mail: Mapped[str]
    digest: Mapped[str] = mapped_column(MailDigest, server_default="now", info=FILTERED)
    state: Mapped[str] = mapped_column(MailState, server_default="active", info=FILTERED)
    reason: Mapped[str | None] = kept()
    created: Mapped[datetime] = kept()
    position: Mapped[int] = kept()
    mailed: Mapped[datetime | None] = kept()
    tried: Mapped[int] = mapped_column(Integer, server_default=text("0"), info=INTERNAL)
    next_try: Mapped[datetime | None] = kept()
    holder: Mapped[str | None] = mapped_column(info=INTERNAL)
    until: Mapped[datetime | None] = mapped_column(info=INTERNAL)
    epoch: Mapped[int] = mapped_column(server_default=text("0"), info=INTERNAL)
    key: Mapped[bytes] = mapped_column(server_default=FetchedValue(), info=INTERNAL)

    __table_args__ = (
        UniqueConstraint("person_id", name="people_person_id_key"),
        Index("people_mail_idx", text("lower(mail)")),
    )


class ReadMark(Base):
    """How far somebody has read their inbox."""

    __tablename__ = "read_marks"

    who: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int]
    at: Mapped[datetime]


class Hook(Base):
    """Who is told."""

    __tablename__ = "hooks"

    hook_id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    url: Mapped[str]
    kind: Mapped[list[str]] = mapped_column(ARRAY(EventKind), server_default="{}")
    filter: Mapped[dict] = mapped_column(server_default="{}")
    position: Mapped[int | None] = mapped_column(info=SORTED)
    state: Mapped[str] = mapped_column(HookState, server_default="active", info=FILTERED)
    on_failure: Mapped[str] = mapped_column(HookFailure, server_default="park", info=FILTERED)
    reason: Mapped[str | None] = kept()
    tried: Mapped[int] = mapped_column(Integer, server_default=text("0"), info={"kept": True})
    next_try: Mapped[datetime | None] = kept()
    created: Mapped[datetime] = kept()
    holder: Mapped[str | None] = kept(**INTERNAL)
    until: Mapped[datetime | None] = kept(**INTERNAL)
    epoch: Mapped[int] = mapped_column(server_default=text("0"), info={"kept": True, **INTERNAL})
    begins: Mapped[int | None] = kept(**INTERNAL)
    secrets: Mapped[list[str]] = mapped_column(server_default=FetchedValue(), info=INTERNAL)
    rotated: Mapped[datetime | None] = kept()

    deliveries: Mapped[list["Delivery"]] = relationship(
        back_populates="hook", order_by="Delivery.delivery_id", **OWNED
    )


class Delivery(Base):
    """A try to tell a hook of an event."""

    __tablename__ = "deliveries"

    delivery_id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    hook_id: Mapped[int] = mapped_column(ForeignKey("hooks.hook_id", ondelete="CASCADE"))
    position: Mapped[int]
    at: Mapped[datetime] = mapped_column(info=FILTERED)
    tried: Mapped[int] = mapped_column(Integer)
    outcome: Mapped[str] = mapped_column(DeliveryOutcome, info=FILTERED)
    status: Mapped[int | None] = mapped_column(Integer)
    took: Mapped[int] = mapped_column(Integer)
    answer: Mapped[str | None]

    hook: Mapped[Hook] = relationship(back_populates="deliveries")

    __table_args__ = (Index("deliveries_hook_id_idx", "hook_id", "delivery_id"),)


WATCHES = Watch.__table__


class Tables(NamedTuple):
    """Where reading reads: the tables as they are, or as they were."""

    tickets: FromClause
    comments: FromClause
    links: FromClause
    searches: FromClause


# When it was, by the parameter as_of.
AS_OF = moment("as_of")
# When it was, of rows that have a moment each.
EACH = literal_column("then_.then_moment")


_READ = (Ticket, Comment, Link, Search)


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
                    when, *([] if in_order or each is not Ticket else [_ORDERS[in_order]])
                ),
            )
            for each in _READ
        )
    )


NOW = Tables(*(model.__table__ for model in _READ))
THEN, THEN_FEW, THEN_NUMBERED = at(AS_OF), at(AS_OF, in_order=False), at(AS_OF, in_order=None)


class Apart(DeclarativeBase):
    """What models share that are no tables: functions give their rows."""

    type_annotation_map = Base.type_annotation_map


class Change(Apart):
    """What differs of a ticket between two moments: a row of changes_between()."""

    __tablename__ = "changes"

    # What a table's column says of itself in SQL, these say here.
    ticket_id: Mapped[int] = mapped_column(
        Identity(always=True), primary_key=True, comment="Its number"
    )
    title: Mapped[str] = mapped_column(comment="Its title at the end, or the last it had")
    kind: Mapped[str] = mapped_column(EventKind, comment="created, changed or deleted")
    changes: Mapped[dict] = mapped_column(comment='{"column": [then, now]}')
    comments: Mapped[int] = mapped_column(comment="How many comments there are more")
    links: Mapped[dict] = mapped_column(comment="Which links were added and removed")
    actors: Mapped[list[str]] = mapped_column(comment="Who changed it meanwhile")
    last: Mapped[datetime] = mapped_column(comment="When it last changed", info=SORTED)


class Watcher(Apart):
    """Who hears of a ticket: a row of the view watchers."""

    __tablename__ = "watchers"

    ticket_id: Mapped[int] = mapped_column(primary_key=True, comment="The ticket")
    who: Mapped[str] = mapped_column(primary_key=True, comment="Who it is", info=FILTERED | PERSON)
    muted: Mapped[bool] = mapped_column(
        comment="Whether they left: they hear nothing of it, whoever calls them", info=FILTERED
    )


class Happening(Apart):
    """What happened on what somebody watches: a row of inbox_after()."""

    __tablename__ = "inbox"

    position: Mapped[int] = mapped_column(primary_key=True, comment="Its place in the feed")
    event_id: Mapped[int] = mapped_column(comment="The event's number")
    at: Mapped[datetime] = mapped_column(comment="When it happened", info=FILTERED)
    actor: Mapped[str] = mapped_column(comment="Who did it", info=FILTERED | PERSON)
    source: Mapped[str] = mapped_column(comment="By which door", info=FILTERED)
    ticket_id: Mapped[int] = mapped_column(comment="The ticket")
    title: Mapped[str | None] = mapped_column(comment="Its title now; null where it is gone")
    kind: Mapped[str] = mapped_column(EventKind, comment="What happened", info=FILTERED)
    comment_id: Mapped[int | None] = mapped_column(comment="The comment that it happened to")
    changes: Mapped[dict] = mapped_column(comment='{"column": [old, new]}')
    change: Mapped[int] = mapped_column(comment="What all events of one transaction share")
    undoes: Mapped[int | None] = mapped_column(comment="The event that it took back")


WATCHERS = Watcher.__table__
INBOX = _like(Happening, func.inbox_after(bindparam("whose"), bindparam("position")))
SINCE, UNTIL = moment("since"), moment("until")
CHANGES = _like(Change, func.changes_between(SINCE, UNTIL))
