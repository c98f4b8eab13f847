"""Tickets as FastAPI users write them: pydantic, an async SQLAlchemy session, asyncpg, uvicorn."""

import os
from typing import Annotated, Literal

from fastapi import Depends, FastAPI, Header, HTTPException, Response
from fastapi.responses import StreamingResponse
from models import (
    Comment,
    CommentNew,
    CommentShown,
    Ticket,
    TicketChange,
    TicketNew,
    TicketShown,
    TicketWhole,
    links_of,
    listed,
)
from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

url = make_url(os.environ["BENCH_URL"]).set(drivername="postgresql+asyncpg")
engine = create_async_engine(
    # libpq's word, which asyncpg does not know; it asks for the same by itself.
    url.difference_update_query(["sslmode"]),
    pool_size=8,
    max_overflow=0,
)
sessions = async_sessionmaker(engine, expire_on_commit=False)
app = FastAPI()


async def session():
    async with sessions() as made:
        yield made


Session = Annotated[AsyncSession, Depends(session)]


async def find(db, ticket_id, **more):
    ticket = await db.get(Ticket, ticket_id, **more)
    if ticket is None:
        raise HTTPException(404)
    return ticket


async def commit(db):
    try:
        await db.commit()
    except DBAPIError as error:
        raise HTTPException(422, str(error.orig)) from error


@app.get("/tickets/{ticket_id}", response_model=TicketWhole)
async def one(
    ticket_id: int,
    response: Response,
    db: Session,
    if_none_match: Annotated[str | None, Header()] = None,
):
    ticket = await find(db, ticket_id)
    etag = f'"{ticket.version}"'
    if if_none_match == etag:
        return Response(status_code=304, headers={"ETag": etag})
    response.headers["ETag"] = etag
    await db.refresh(ticket, ["comments"])
    ticket.links = (await db.scalars(links_of(ticket_id))).all()
    return ticket


@app.get("/tickets", response_model=list[TicketShown])
async def index(
    db: Session,
    limit: int = 50,
    offset: int = 0,
    open: bool | None = None,
    assignee: str | None = None,
    q: str | None = None,
    sort: Literal["-created", "-priority"] = "-created",
):
    return (await db.scalars(listed(limit, offset, open, assignee, q, sort))).all()


@app.put("/tickets", status_code=201, response_model=TicketShown)
async def create(given: TicketNew, db: Session):
    ticket = Ticket(**given.model_dump(exclude_unset=True))
    db.add(ticket)
    await commit(db)
    return ticket


@app.put("/tickets/{ticket_id}", response_model=TicketShown)
async def change(ticket_id: int, given: TicketChange, db: Session):
    ticket = await find(db, ticket_id)
    for name, value in given.model_dump(exclude_unset=True).items():
        setattr(ticket, name, value)
    await commit(db)
    return ticket


@app.put("/tickets/{ticket_id}/comments", status_code=201, response_model=CommentShown)
async def comment(ticket_id: int, given: CommentNew, db: Session):
    made = Comment(ticket_id=ticket_id, body=given.body)
    db.add(made)
    await commit(db)
    return made


@app.put("/bulk", response_model=list[TicketShown])
async def bulk(given: list[TicketNew], db: Session):
    tickets = [Ticket(**each.model_dump(exclude_unset=True)) for each in given]
    db.add_all(tickets)
    await commit(db)
    return tickets


@app.get("/export")
async def export():
    async def lines():
        async with sessions() as db:
            query = listed(limit=None).execution_options(yield_per=1000)
            async for part in (await db.stream_scalars(query)).partitions():
                shown = (TicketShown.model_validate(ticket) for ticket in part)
                yield "".join(f"{each.model_dump_json()}\n" for each in shown)

    return StreamingResponse(lines(), media_type="application/x-ndjson")
