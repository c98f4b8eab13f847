"""The statements behind tokens. What a token lets somebody do, their role says."""

import hashlib
import secrets

from sqlalchemy import LargeBinary, Text, bindparam, cast, delete, func, select

from iris import derived, models, problems
from iris.database import statements, writing
from iris.intake import types
from iris.lists import filters, listing, pages

TABLE = models.Token.__table__
# What a token can be given, {name: type}.
WRITABLE = {name: types.of(TABLE.c[name]) for name in ("name", "role", "actor", "expires")}
LIST = listing.List(
    name="tokens",
    model=models.Token,
    table=TABLE,
    shown=("name", "role", "actor", "created", "expires", "used"),
    filters=filters.of_all(models.Token),
    sorts={"name": listing.Sort(("name",))},
    order="name",
)


def page(given, form="json", role=None):
    """List tokens, by name; nobody sees a secret, or the hash of one.

    given:    {name: value} of LIST's parameters, validated.
    form:     the format, a name of formats.LISTS.
    role:     of whoever asks, of rights.ROLES; None for the login's own.
    Returns:  a pages.Page, or a streaming.Stream of the formats that are streamed.
    Raises:   psycopg2.Error, SQLSTATE 42501, for who may not.
    Source:   one SELECT.
    """
    return pages.read(LIST, given, form, writing.AS[role])


ADDED = func.add_token(
    bindparam("name"),
    cast(bindparam("role"), models.TokenRole),
    bindparam("actor"),
    derived.moment("expires", past=False),
    bindparam("digest", type_=LargeBinary),
)
ADD = statements.compiled(select(cast(ADDED, Text).label("body")))
REVOKE = statements.compiled(
    delete(TABLE).where(TABLE.c.name == bindparam("name")).returning(TABLE.c.name.label("name"))
)


def create(given, writer):
    """Make a token.

    given:    {column: value} of WRITABLE.
    Returns:  it as JSON text, with what its holder sends, `token`; which is not there where the answer is an
              earlier one: it is kept nowhere.
    Raises:   psycopg2.Error where a rule refuses it.
    Source:   one SELECT of add_token().
    """
    secret = f"iris_{secrets.token_urlsafe(32)}"
    values = {"actor": None, "expires": None, "name": None, "role": None, **given}
    values["zone"] = statements.ZONE
    values["digest"] = hashlib.sha256(secret.encode()).digest()
    (body,) = writing.write(ADD, values, writer)
    return body if writer.replayed else f'{body[:-1]}, "token" : "{secret}"}}'


def revoke(name, writer):
    """Revoke a token: within five seconds it lets nobody in any more.

    Raises:   Problem 404; psycopg2.Error for who may not.
    Source:   one DELETE … RETURNING.
    """
    if writing.write(REVOKE, {"name": name}, writer) is None:
        raise problems.Problem("no_such_token", f'there is no token "{name}"')
