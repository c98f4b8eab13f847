"""The statements behind people: who gets mail of what they watch, where, and how often."""

from sqlalchemy import Text, bindparam, cast, func, select

from iris import models, problems
from iris.database import engine, statements, writing
from iris.intake import types
from iris.lists import filters, listing, pages

TABLE = models.Person.__table__
# What can be said of somebody, {name: type}.
WRITABLE = {name: types.of(TABLE.c[name]) for name in ("mail", "digest", "state")}
LIST = listing.List(
    name="people",
    model=models.Person,
    table=TABLE,
    shown=("name", "mail", "digest", "state", "mailed", "reason"),
    seldom=("reason",),
    filters=filters.of_all(models.Person),
    sorts={"name": listing.Sort(("name",))},
    order="name",
)


def page(given, form="json", role=None):
    """List who gets mail, by name.

    given:    {name: value} of LIST's parameters, validated.
    form:     the format, a name of formats.LISTS.
    role:     of whoever asks, of rights.ROLES; None for the login's own.
    Returns:  a pages.Page, or a streaming.Stream of the formats that are streamed.
    Raises:   psycopg2.Error, SQLSTATE 42501, for who may not.
    Source:   one SELECT.
    """
    return pages.read(LIST, given, form, writing.AS[role])


ONE = statements.compiled(select(cast(func.person(bindparam("whose")), Text).label("body")))
PUT = statements.compiled(
    select(
        cast(
            func.put_person(
                bindparam("whose"),
                bindparam("mail"),
                cast(bindparam("digest"), models.MailDigest),
                cast(bindparam("state"), models.MailState),
            ),
            Text,
        ).label("body")
    )
)
DROP = statements.compiled(select(func.drop_person(bindparam("whose")).label("name")))


def _nobody(name):
    return problems.Problem("no_such_person", f'there is no address of "{name}"')


def one(name, writer):
    """Say how somebody gets mail.

    writer:   who asks, for it is told to themselves and to admins.
    Returns:  it as JSON text.
    Raises:   Problem 404; psycopg2.Error, SQLSTATE 42501, for who may not.
    Source:   one SELECT of person().
    """
    (body,) = writing.write(ONE, {"whose": name}, writer)
    if body is None:
        raise _nobody(name)
    return body


def put(name, given, writer):
    """Say how somebody gets mail from now on.

    given:    {column: value} of WRITABLE; what is not there stays.
    Returns:  it as JSON text.
    Raises:   psycopg2.Error where a rule refuses it, and for who may not.
    Source:   one SELECT of put_person().
    """
    values = {**dict.fromkeys(WRITABLE), **given, "whose": name}
    return writing.write(PUT, values, writer)[0]


def remove(name, writer):
    """Forget somebody's address.

    Raises:   Problem 404; psycopg2.Error for who may not.
    Source:   one SELECT of drop_person().
    """
    if writing.write(DROP, {"whose": name}, writer)[0] is None:
        raise _nobody(name)


END = statements.compiled(select(func.unsubscribe(bindparam("person_id"), bindparam("seal"))))


def unsubscribe(person_id, seal):
    """End somebody's mail, by the address that a mail of theirs has for it.

    Returns:  their name; None where nobody was told that address.
    Source:   one SELECT of unsubscribe().
    """
    given = {"person_id": person_id, "seal": seal}
    with engine.POOL.writing():
        return statements.run(END, given, before=writing.AS_ITSELF)[0]
