"""Tickets as Flask users write them: Flask-SQLAlchemy, psycopg2, gunicorn; pydantic validates."""

import os

from flask import Flask, Response, request
from flask_sqlalchemy import SQLAlchemy
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
from pydantic import TypeAdapter, ValidationError
from sqlalchemy.exc import DBAPIError

app = Flask(__name__)
URL = os.environ["BENCH_URL"].replace("postgresql://", "postgresql+psycopg2://")
app.config["SQLALCHEMY_DATABASE_URI"] = URL
app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"pool_size": 8, "max_overflow": 0}
db = SQLAlchemy(app, session_options={"expire_on_commit": False})

MANY_NEW, MANY_SHOWN = TypeAdapter(list[TicketNew]), TypeAdapter(list[TicketShown])


def answer(schema, row, status=200, **headers):
    body = schema.model_validate(row).model_dump_json()
    return Response(body, status, headers, content_type="application/json")


def answer_many(rows):
    shown = MANY_SHOWN.validate_python(rows, from_attributes=True)
    return Response(MANY_SHOWN.dump_json(shown), content_type="application/json")


@app.errorhandler(ValidationError)
def refuse(error):
    return Response(error.json(include_url=False), 422, content_type="application/json")


@app.errorhandler(DBAPIError)
def refuse_too(error):
    return {"detail": str(error.orig)}, 422


@app.get("/tickets/<int:ticket_id>")
def one(ticket_id):
    ticket = db.get_or_404(Ticket, ticket_id)
    etag = f'"{ticket.version}"'
    if request.headers.get("If-None-Match") == etag:
        return Response(status=304, headers={"ETag": etag})
    ticket.links = db.session.scalars(links_of(ticket_id)).all()
    return answer(TicketWhole, ticket, ETag=etag)


@app.get("/tickets")
def index():
    given = request.args
    query = listed(
        given.get("limit", 50, int),
        given.get("offset", 0, int),
        given.get("open", type=lambda text: text == "true"),
        given.get("assignee"),
        given.get("q"),
        given.get("sort", "-created"),
    )
    return answer_many(db.session.scalars(query).all())


@app.put("/tickets")
def create():
    given = TicketNew.model_validate_json(request.data)
    ticket = Ticket(**given.model_dump(exclude_unset=True))
    db.session.add(ticket)
    db.session.commit()
    return answer(TicketShown, ticket, 201)


@app.put("/tickets/<int:ticket_id>")
def change(ticket_id):
    given = TicketChange.model_validate_json(request.data)
    ticket = db.get_or_404(Ticket, ticket_id)
    for name, value in given.model_dump(exclude_unset=True).items():
        setattr(ticket, name, value)
    db.session.commit()
    return answer(TicketShown, ticket)


@app.put("/tickets/<int:ticket_id>/comments")
def comment(ticket_id):
    given = CommentNew.model_validate_json(request.data)
    made = Comment(ticket_id=ticket_id, body=given.body)
    db.session.add(made)
    db.session.commit()
    return answer(CommentShown, made, 201)


@app.put("/bulk")
def bulk():
    given = MANY_NEW.validate_json(request.data)
    tickets = [Ticket(**each.model_dump(exclude_unset=True)) for each in given]
    db.session.add_all(tickets)
    db.session.commit()
    return answer_many(tickets)


@app.get("/export")
def export():
    def lines():
        with app.app_context():
            query = listed(limit=None).execution_options(yield_per=1000)
            for part in db.session.scalars(query).partitions():
                shown = (TicketShown.model_validate(ticket) for ticket in part)
                yield "".join(f"{each.model_dump_json()}\n" for each in shown)

    return Response(lines(), content_type="application/x-ndjson")
