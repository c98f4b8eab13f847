"""The tables as declarative models, where Python names their columns. What is read beside them: derived.py.

postgres/initdb.sql is the truth; tests/test_schema.py holds the two together.
"""

from datetime import datetime

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
    func,
    literal_column,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, ENUM, JSONB, TIMESTAMP, TSVECTOR
from sqlalchemy.ext.mutable import MutableDict, MutableList
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

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
# Of a table: rules make it, of others.
VIEW = {"view": True}
PERSON = {"person": True}
# A time that is set for the future: its monday is the next one, of others the last one.
AHEAD = {"ahead": True}


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


class _EventColumns:
    """What events has, and, without its place, stored_events."""

    event_id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    at: Mapped[datetime] = mapped_column(info=FILTERED)
    actor: Mapped[str] = mapped_column(info=FILTERED | PERSON)
    source: Mapped[str] = mapped_column(info=FILTERED)
    ticket_id: Mapped[int | None]
    kind: Mapped[str] = mapped_column(EventKind, info=FILTERED)
    comment_id: Mapped[int | None]
    changes: Mapped[dict]
    kept_version: Mapped[int | None] = mapped_column(info=INTERNAL)
    kept_updated: Mapped[datetime | None] = mapped_column(info=INTERNAL)
    kept_closed: Mapped[datetime | None] = mapped_column(info=INTERNAL)
    kept_more: Mapped[dict | None] = mapped_column(info=INTERNAL)
    other_id: Mapped[int | None] = mapped_column(info=INTERNAL)
    other_kept: Mapped[dict | None] = mapped_column(info=INTERNAL)
    change: Mapped[int] = mapped_column(server_default=FetchedValue(), sort_order=2)
    undoes: Mapped[int | None] = mapped_column(sort_order=2)


class Event(_EventColumns, Base):
    """One change of a ticket, a comment, a link or the workflow: a row of the view events."""

    __tablename__ = "events"
    __table_args__ = {"info": VIEW}

    # Of its place.
    position: Mapped[int | None] = mapped_column(sort_order=1)
    digest: Mapped[bytes | None] = mapped_column(sort_order=3)


class StoredEvent(_EventColumns, Base):
    """An event as it is stored: of what was long at first, its changes say null."""

    __tablename__ = "stored_events"

    __table_args__ = (
        Index("events_ticket_id_idx", "ticket_id", "event_id"),
        Index("events_at_idx", "at"),
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
                "kind = 'changed' AND (kept_closed IS NOT NULL OR kept_more -> 'closed' ->> 0 IS NOT NULL)"
                " AND changes ?| '{status,closed}'"
            ),
        ),
        Index(
            "events_texts_idx",
            "ticket_id",
            "at",
            postgresql_where=text(
                "kind IN ('changed', 'deleted') AND changes ?| '{title,description,fields}'"
            ),
        ),
        Index(
            "events_edits_idx",
            "ticket_id",
            "comment_id",
            "at",
            postgresql_where=text("kind IN ('comment_changed', 'comment_deleted')"),
        ),
        Index("events_change_idx", "change"),
    )


class Place(Base):
    """The place of an event in the feed, and its digest."""

    __tablename__ = "places"

    position: Mapped[int]
    event_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    digest: Mapped[bytes]

    __table_args__ = (Index("places_position_idx", "position"),)


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
