"""The statements behind hooks: who is told, of what, and what became of it. iris/delivery/ tells them."""

import json
import secrets
from base64 import b64encode
from functools import lru_cache

from sqlalchemy import Text, bindparam, cast, delete, func, insert, literal_column, select, update
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from iris import models, problems
from iris.database import statements, writing
from iris.intake import bodies, types
from iris.lists import filters, listing, pages
from iris.lists import tickets as ticket_list

TABLE = models.Hook.__table__
# What a hook can be given, {name: type}, beside filters of tickets; and what the database keeps.
WRITABLE = {name: types.of(TABLE.c[name]) for name in ("url", "kind", "state", "on_failure")}
WRITABLE["position"] = types.concerning(TABLE.c.position, types.Nullable(types.Number(0), True))
WRITABLE["filter"] = types.concerning(TABLE.c.filter, types.Json())
WRITABLE["secret"] = types.about(
    "What its deliveries are signed with: whsec_ and base64 of 24 to 64 bytes, or new for one that is made"
    " here and shown this once; the one before stays good for a day",
    types.Text(),
)
FILTERS = {
    name: filter_.kind if isinstance(filter_.kind, types.Pairs) else types.Kept(filter_.kind)
    for name, filter_ in ticket_list.LIST.filters.items()
    # Whose, nobody would know.
    if not isinstance(filter_.kind, types.Mine)
}
FIELD = "fields."
NEW = "new"

_EVENTS = models.Event.__table__
_END = select(func.coalesce(func.max(_EVENTS.c.position), 0)).where(_EVENTS.c.position.is_not(None))
SHOWN = ("hook_id", "url", "kind", "filter", "state", "position", "behind", "next_try", "reason")
LIST = listing.List(
    name="hooks",
    model=models.Hook,
    table=TABLE,
    shown=SHOWN,
    paged=SHOWN,
    seldom=("next_try", "reason"),
    filters=filters.of_all(models.Hook),
    sorts=listing.sorts(models.Hook),
    order="hook_id",
    more={"behind": lambda table: _END.scalar_subquery() - table.c.position},
    meanings={
        "behind": "How many positions of the feed it has not been asked about yet; null before it is asked"
    },
    maybe=("behind",),
)
_TRIES = models.Delivery.__table__
DELIVERIES = listing.List(
    name="deliveries",
    model=models.Delivery,
    table=_TRIES,
    shown=("delivery_id", "position", "at", "tried", "outcome", "status", "took", "answer"),
    filters={
        # The route gives it.
        "hook_id": filters.plain(types.Number(), lambda table, number: table.c.hook_id == number),
        **filters.of_all(models.Delivery),
    },
    sorts=listing.sorts(models.Delivery),
    order="-delivery_id",
)


# Filters ------------------------------------------------------------------------------------------


def meant(filter_):
    """Read a hook's filter as GET /tickets reads its query; what is none, the database has refused.

    filter_:  {name: text}.
    Returns:  {name: value} of ticket_list.LIST's filters.
    Raises:   ValueError, in words, for what is none (any more).
    """
    found, pairs = {}, []
    for name, text in filter_.items():
        if name.startswith(FIELD):
            pairs.append((name.removeprefix(FIELD), text))
            continue
        if name not in FILTERS or name == "fields":
            raise ValueError(f"has {name[:100]}, which is no filter of tickets")
        try:
            found[name] = ticket_list.LIST.filters[name].kind(bodies.Untyped(text))
        except ValueError as error:
            raise ValueError(f"has {name}, which {error}") from None
    if pairs:
        found["fields"] = types.Pairs()(sorted(pairs))
    return found


def _filter(given):
    """Put the filters together that a hook is given; None takes one away.

    given:    {name: value}; of its filters `filter` becomes all that there is to be, or else `added` what is
              added to what there was, as JSON text.
    """
    whole, added = given.pop("filter", None), {}
    for name in [name for name in given if name in FILTERS]:
        value = given.pop(name)
        fields = {f"{FIELD}{key}": text for key, text in value} if name == "fields" else None
        added |= {name: value} if fields is None else fields
    if whole is None:
        given |= {"added": json.dumps(added, ensure_ascii=False)} if added else {}
        return
    if isinstance(whole, dict):
        kept = {name: value for name, value in added.items() if value is not None}
        whole = {name: value for name, value in whole.items() if name not in added} | kept
    given["filter"] = json.dumps(whole, ensure_ascii=False)


# Hooks --------------------------------------------------------------------------------------------


def page(given, form="json", role=None):
    """List hooks, by number; nobody sees a secret.

    given:    {name: value} of LIST's parameters, validated.
    form:     the format, a name of formats.LISTS.
    role:     of whoever asks, of rights.ROLES; None for the login's own.
    Returns:  a pages.Page, or a streaming.Stream of the formats that are streamed.
    Raises:   psycopg2.Error, SQLSTATE 42501, for who may not.
    Source:   one SELECT.
    """
    return pages.read(LIST, given, form, writing.AS[role])


def tries(given, form="json", role=None):
    """List what was sent to one hook, the last first; as page().

    Raises:   Problem 404.
    Source:   two SELECTs.
    """
    one(given["hook_id"], role)
    return pages.read(DELIVERIES, given, form, writing.AS[role])


_ROW = cast(
    func.json_build_object(
        *(
            part
            for name in LIST.columns
            for part in (literal_column(f"'{name}'"), LIST.shown_of(TABLE, name))
        )
    ),
    Text,
).label("body")
_THIS = TABLE.c.hook_id == bindparam("of_hook")
ONE = statements.compiled(select(_ROW).where(_THIS))
DELETE = statements.compiled(delete(TABLE).where(_THIS).returning(TABLE.c.hook_id.label("hook_id")))


def _set(names):
    made = {name: bindparam(name) for name in names if name not in ("filter", "added")}
    if "kind" in made:
        made["kind"] = cast(cast(made["kind"], ARRAY(Text)), ARRAY(models.EventKind))
    if "secrets" in made:
        made["secrets"] = cast(made["secrets"], TABLE.c.secrets.type)
    return made


@lru_cache(1000)
def _insert(names):
    return statements.compiled(
        insert(TABLE)
        .values({**_set(names), "filter": cast(bindparam("filter"), JSONB)})
        .returning(_ROW, TABLE.c.hook_id.label("hook_id"))
    )


@lru_cache(1000)
def _update(names):
    values = _set(names)
    if "filter" in names:
        values["filter"] = cast(bindparam("filter"), JSONB)
    if "added" in names:
        both = TABLE.c.filter.op("||")(cast(bindparam("added"), JSONB))
        values["filter"] = func.jsonb_strip_nulls(both, type_=JSONB)
    # With nothing to change, this is still an UPDATE, which gives the hook as it is to who may change it.
    return statements.compiled(
        update(TABLE).where(_THIS).values(values or {"url": TABLE.c.url}).returning(_ROW)
    )


def _secret(given):
    """Take a secret out of what a hook is given; return it where it is made here, to be shown."""
    secret = given.pop("secret", None)
    if secret is None:
        return None
    made = f"whsec_{b64encode(secrets.token_bytes(32)).decode()}" if secret == NEW else None
    given["secrets"] = [made or secret]
    return made


def _shown(body, made, writer):
    # Kept nowhere, so that who repeats themselves is not told it again.
    return body if made is None or writer.replayed else f'{body[:-1]}, "secret" : "{made}"}}'


def one(hook_id, role=None):
    """Read one hook.

    Returns:  the hook as JSON text.
    Raises:   Problem 404; psycopg2.Error for who may not.
    Source:   one SELECT.
    """
    row = statements.run(ONE, {"of_hook": hook_id}, before=writing.AS[role], again=True)
    if row is None:
        raise problems.no_such("hook", hook_id)
    return row[0]


def create(given, writer):
    """Make a hook, which gets what happens from now on unless it is given a position.

    given:    {name: value} of WRITABLE and FILTERS.
    Returns:  (the hook as JSON text, with its secret where that was made here; its number). An earlier answer
              has no secret: it is kept nowhere.
    Raises:   psycopg2.Error where a rule refuses it.
    Source:   one INSERT … RETURNING.
    """
    values = {"url": None, "secret": NEW, **given}
    if values.get("filter") is None:
        values["filter"] = {}
    _filter(values)
    made = _secret(values)
    body, number = writing.write(_insert(tuple(sorted(values))), values, writer)
    return _shown(body, made, writer), number


def change(hook_id, given, writer):
    """Change the given columns and filters of one hook; a filter that is null goes.

    given:    as of create(); secret rotates, position sets back.
    Returns:  the hook as JSON text, with its secret where that was made here.
    Raises:   Problem 404; psycopg2.Error where a rule refuses it.
    Source:   one UPDATE … RETURNING.
    """
    values = dict(given)
    _filter(values)
    made = _secret(values)
    text = _update(tuple(sorted(values)))
    row = writing.write(text, {**values, "of_hook": hook_id}, writer)
    if row is None:
        raise problems.no_such("hook", hook_id)
    return _shown(row[0], made, writer)


def remove(hook_id, writer):
    """Delete a hook, and what is known of its deliveries.

    Raises:   Problem 404; psycopg2.Error for who may not.
    Source:   one DELETE … RETURNING.
    """
    if writing.write(DELETE, {"of_hook": hook_id}, writer) is None:
        raise problems.no_such("hook", hook_id)
