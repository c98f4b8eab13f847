"""What the FastAPI and the Flask peer share: ORM models, pydantic schemas, the query of a list.

The tables are Iris's own. Triggers in them keep times, versions, words and history whoever writes,
so the peers pay for those just as Iris does; they need no code for it. They don't say who acts,
which saves them what Iris spends on that.
"""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import (
    BigInteger,
    FetchedValue,
    ForeignKey,
    Identity,
    Text,
    func,
    literal_column,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY, ENUM, JSONB, TIMESTAMP, TSVECTOR
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

MADE = {"server_default": FetchedValue()}
KEPT = {**MADE, "server_onupdate": FetchedValue()}


class Base(DeclarativeBase):
    type_annotation_map = {
        int: BigInteger,
        str: Text,
        datetime: TIMESTAMP(timezone=True),
        dict: JSONB,
        list[str]: ARRAY(Text),
    }
    # What the database makes comes back by RETURNING.
    __mapper_args__ = {"eager_defaults": True}


class Ticket(Base):
    __tablename__ = "tickets"

    ticket_id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    title: Mapped[str]
    description: Mapped[str | None]
    status: Mapped[str] = mapped_column(**MADE)
    assignee: Mapped[str | None]
    reporter: Mapped[str] = mapped_column(**MADE)
    priority: Mapped[str] = mapped_column(
        ENUM("low", "normal", "high", "urgent", name="priority", create_type=False), **MADE
    )
    labels: Mapped[list[str]] = mapped_column(**MADE)
    fields: Mapped[dict] = mapped_column(**MADE)
    due: Mapped[datetime | None]
    created: Mapped[datetime] = mapped_column(**MADE)
    updated: Mapped[datetime] = mapped_column(**KEPT)
    closed: Mapped[datetime | None] = mapped_column(**KEPT)
    version: Mapped[int] = mapped_column(**KEPT)
    comments: Mapped[list["Comment"]] = relationship(order_by="Comment.comment_id")


class Comment(Base):
    __tablename__ = "comments"

    comment_id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    ticket_id: Mapped[int] = mapped_column(ForeignKey("tickets.ticket_id"))
    author: Mapped[str] = mapped_column(**MADE)
    body: Mapped[str]
    created: Mapped[datetime] = mapped_column(**MADE)
    updated: Mapped[datetime] = mapped_column(**KEPT)


class Link(Base):
    __tablename__ = "links"

    ticket_id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    other_id: Mapped[int] = mapped_column(primary_key=True)


class Search(Base):
    __tablename__ = "searches"

    ticket_id: Mapped[int] = mapped_column(primary_key=True)
    comment_id: Mapped[int] = mapped_column(primary_key=True)
    words: Mapped[str] = mapped_column(TSVECTOR)


# Schemas ------------------------------------------------------------------------------------------

Name = Field(min_length=1, max_length=100)


class TicketChange(BaseModel):
    model_config = ConfigDict(extra="forbid")

    title: str = Field(default="", min_length=1, max_length=300)
    description: str | None = Field(default=None, max_length=100_000)
    status: str | None = None
    assignee: str | None = Field(default=None, max_length=100)
    reporter: str | None = Field(default=None, min_length=1, max_length=100)
    priority: str | None = Field(default=None, pattern="^(low|normal|high|urgent)$")
    labels: list[str] | None = Field(default=None, max_length=50)
    fields: dict | None = None
    due: datetime | None = None


class TicketNew(TicketChange):
    title: str = Field(min_length=1, max_length=300)


class CommentNew(BaseModel):
    model_config = ConfigDict(extra="forbid")

    body: str = Field(min_length=1, max_length=100_000)


class Shown(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class CommentShown(Shown):
    comment_id: int
    ticket_id: int
    author: str
    body: str
    created: datetime
    updated: datetime


class LinkShown(Shown):
    ticket_id: int
    kind: str
    other_id: int


class TicketShown(Shown):
    ticket_id: int
    title: str
    description: str | None
    status: str
    assignee: str | None
    reporter: str
    priority: str
    labels: list[str]
    fields: dict
    due: datetime | None
    created: datetime
    updated: datetime
    closed: datetime | None
    version: int


class TicketWhole(TicketShown):
    comments: list[CommentShown]
    links: list[LinkShown]


# Queries ------------------------------------------------------------------------------------------


def links_of(ticket_id):
    """Return the query for the links of one ticket, of both directions."""
    this = or_(Link.ticket_id == ticket_id, Link.other_id == ticket_id)
    return select(Link).where(this).order_by(Link.ticket_id, Link.kind, Link.other_id)


def listed(limit=50, offset=0, is_open=None, assignee=None, q=None, sort="-created"):
    """Return the query for a page of tickets: LIMIT and OFFSET, as most services have it."""
    query = select(Ticket)
    if is_open is not None:
        query = query.where(Ticket.closed.is_(None) if is_open else Ticket.closed.is_not(None))
    if assignee is not None:
        query = query.where(Ticket.assignee == assignee)
    if q is not None:
        words = func.plainto_tsquery(literal_column("'simple'"), q)
        found = select(Search.ticket_id).where(Search.words.bool_op("@@")(words))
        query = query.where(Ticket.ticket_id.in_(found))
    keys = [Ticket.created, Ticket.ticket_id]
    if sort == "-priority":
        keys.insert(0, Ticket.priority)
    return query.order_by(*(key.desc() for key in keys)).limit(limit).offset(offset)
