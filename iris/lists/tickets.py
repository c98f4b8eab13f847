"""Lists of tickets: what they can be filtered, sorted and searched by, now and at any moment."""

import dataclasses
import json
from functools import lru_cache

from sqlalchemy import (
    BigInteger,
    Boolean,
    Text,
    and_,
    bindparam,
    case,
    cast,
    column,
    func,
    literal_column,
    not_,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY, INTERVAL, array

from iris import derived, formats, models, past
from iris.intake import strict, types
from iris.lists import filters, keys, listing, pages, search

TABLE = derived.NOW.tickets


def _status(*moment):
    """Return the filter by status; what the workflow lacks is refused, as PostgreSQL refuses a priority.

    moment:   when, unless that is now.
    """
    plain = filters.several(TABLE.c.status)

    def where(name, shape, table):
        values = filters.as_list(name, shape)
        # Without a column in it, it is asked once, before anything is read.
        known = func.are_statuses(values, *moment, type_=Boolean)
        return and_(plain.where(name, shape, table), known)

    return plain._replace(where=where)


def _labelled(name, shape, table):
    found = table.c.labels.bool_op("&&")(cast(bindparam(name), TABLE.c.labels.type))
    return not_(found) if shape else found


def _field_split(name, pairs):
    """Find each text, or what the text means in JSON: fields.n=5 finds "5" and 5."""
    shape, values = [], {}
    for place, (key, text) in enumerate(pairs):
        values[f"{name}_{place}"] = json.dumps({key: text}, ensure_ascii=False)
        try:
            meant = strict.read(text)
        except ValueError:
            meant = ""
        bare = not isinstance(meant, str | dict | list)
        if bare:
            values[f"{name}_{place}_bare"] = json.dumps({key: meant})
        shape.append(bare)
    return tuple(shape), values


def _field_where(name, shape, table):
    def has(parameter):
        return table.c.fields.bool_op("@>")(bindparam(parameter))

    return and_(
        *(
            or_(has(f"{name}_{place}"), has(f"{name}_{place}_bare"))
            if bare
            else has(f"{name}_{place}")
            for place, bare in enumerate(shape)
        )
    )


def _blocked(tables):
    """Return the numbers of what open tickets block."""
    links, others = tables.links.alias(), tables.tickets.alias()
    return (
        select(links.c.other_id)
        .join_from(links, others, others.c.ticket_id == links.c.ticket_id)
        .where(links.c.kind == literal_column("'blocks'"), others.c.closed.is_(None))
    )


def _texts(table):
    return func.concat_ws("\n", table.c.title, table.c.description)


def _calls(text, names):
    return func.is_mentioned(text, names, type_=Boolean)


def _called(tables, names, who):
    """Return (words, the condition that some of these names is called where they stand).

    By the words' index; then the texts say whether there is an @ before the name.

    who:      the names of which it has to be one.
    """
    words, own, said = tables.searches.alias(), tables.tickets.alias(), tables.comments.alias()
    is_own = words.c.comment_id == literal_column("0")
    text = case(
        (is_own, select(_texts(own)).where(own.c.ticket_id == words.c.ticket_id).scalar_subquery()),
        else_=select(said.c.body)
        .where(said.c.ticket_id == words.c.ticket_id, said.c.comment_id == words.c.comment_id)
        .scalar_subquery(),
    )
    return words, and_(words.c.words.bool_op("@@")(func.wanted_any(names)), _calls(text, who))


def _near(alias, table):
    """Return the condition by which each of many moments looks at its own ticket only."""
    return alias.c.ticket_id == table.c.ticket_id


def _each_one(name, shape):
    return func.unnest(filters.as_list(name, shape)).table_valued("name", name="each_one")


def _watched(tables, name, shape, one=None):
    """Return the numbers of the tickets of a past that somebody watches, some more than once.

    one:      the table whose ticket alone is looked at, if moments are many.
    """
    # Who joined or left by hand did: that has no past.
    own, said, by_hand = tables.tickets.alias(), tables.comments.alias(), models.WATCHES
    who = _each_one(name, shape).c.name
    if one is None:
        words, called = _called(tables, filters.as_list(name, shape), array([who]))
        people = own.c.assignee, tables.tickets.alias().c.reporter, said.c.author, by_hand.c.who
        found = [
            *(
                select(theirs.table.c.ticket_id, theirs.label("who")).where(
                    filters.is_any(theirs, name, shape)
                )
                for theirs in people
            ),
            select(words.c.ticket_id, who).where(called),
        ]
    else:
        is_theirs = or_(own.c.assignee == who, own.c.reporter == who)
        found = [
            select(own.c.ticket_id, who.label("who")).where(
                _near(own, one), or_(is_theirs, _calls(_texts(own), array([who])))
            ),
            select(said.c.ticket_id, who).where(
                _near(said, one), or_(said.c.author == who, _calls(said.c.body, array([who])))
            ),
            select(by_hand.c.ticket_id, who).where(by_hand.c.who == who),
        ]
    found = union_all(*found).subquery("found")
    left = (
        select(by_hand.c.ticket_id)
        .where(
            by_hand.c.ticket_id == found.c.ticket_id,
            by_hand.c.who == found.c.who,
            by_hand.c.muted,
        )
        .exists()
    )
    return select(found.c.ticket_id).where(not_(left))


def _listing(tables, *moment):
    """Return the List of the tickets of derived.Tables.

    moment:   when, unless that is now.
    """
    now = cast(moment[0], models.Time) if moment else func.now()
    many = bool(moment) and moment[0] is derived.EACH

    def overdue(table, wanted):
        late = and_(keys.key(table, TABLE.c.due) < now, table.c.closed.is_(None))
        return late if wanted else not_(late)

    def before(column, words):
        return filters.plain(
            types.about(words, types.Span()),
            lambda table, span: table.c[column] < now - cast(span, INTERVAL),
        )

    def blockers(table):
        """Return the links by which open tickets block one of a table."""
        links, others = tables.links.alias(), tables.tickets.alias()
        its = select(others.c.ticket_id).where(
            others.c.ticket_id == links.c.ticket_id, others.c.closed.is_(None)
        )
        # Of a past, all that was open would be looked through for the few that block one.
        is_open = search.is_there(its.correlate(links)) if moment else its.exists()
        return select(links.c.ticket_id).where(
            links.c.other_id == table.c.ticket_id,
            links.c.kind == literal_column("'blocks'"),
            is_open,
        )

    def blocked(table, wanted):
        if moment and not many and (wanted or tables is not derived.THEN):
            is_one = search.is_one_of(table, _blocked(tables), alone=wanted)
            return is_one if wanted else not_(is_one)
        found = blockers(table)
        # Where a past is walked through: few are blocked, so a page is full sooner than they are found.
        is_one = search.is_there(found.correlate(table)) if moment else found.exists()
        return is_one if wanted else not_(is_one)

    def commented_by(name, shape, table):
        comments = tables.comments.alias()
        by_them = filters.is_any(comments.c.author, name, shape)
        return search.among(table, comments, by_them, shape[-1], excluded=shape[0])

    def one_of(table, found, alone):
        if moment and not many:
            return search.is_one_of(table, found, alone)
        return table.c.ticket_id.in_(found)

    def mentions(name, shape, table, alone=True):
        names = filters.as_list(name, shape)
        if many:
            # Of one ticket, the texts are looked through sooner than its words.
            own, said = tables.tickets.alias(), tables.comments.alias()
            found = union_all(
                select(own.c.ticket_id).where(_near(own, table), _calls(_texts(own), names)),
                select(said.c.ticket_id).where(_near(said, table), _calls(said.c.body, names)),
            )
        else:
            words, called = _called(tables, names, names)
            found = select(words.c.ticket_id).where(called)
        return one_of(table, found, alone and not shape[0])

    def watched_by(name, shape, table, alone=True):
        if not moment:
            each = _each_one(name, shape)
            return table.c.ticket_id.in_(select(func.watched(each.c.name)).select_from(each))
        found = _watched(tables, name, shape, table if many else None)
        return one_of(table, found, alone and not shape[0])

    def mine(name, shape, table):
        return or_(
            filters.is_any(table.c.assignee, name, shape).is_(true()),
            mentions(name, shape, table, alone=False),
            watched_by(name, shape, table, alone=False),
        )

    def comments(table):
        of = tables.comments.alias()
        return select(func.count()).where(of.c.ticket_id == table.c.ticket_id).scalar_subquery()

    def blocked_by(table):
        found = blockers(table).order_by(column("ticket_id")).correlate(table)
        return func.array(found.scalar_subquery(), type_=ARRAY(BigInteger))

    def linked(table, number):
        links = tables.links
        ends = union_all(
            select(links.c.other_id).where(links.c.ticket_id == number),
            select(links.c.ticket_id).where(links.c.other_id == number),
        )
        return search.is_one_of(table, ends)

    return listing.List(
        name="tickets",
        model=models.Ticket,
        table=tables.tickets,
        shown=("ticket_id", "status", "priority", "assignee", "due", "age", "title"),
        seldom=("assignee", "due"),
        paged=(
            "ticket_id",
            "title",
            "status",
            "assignee",
            "priority",
            "labels",
            "due",
            "updated",
            "closed",
            "version",
        ),
        filters={
            **filters.of_all(models.Ticket),
            "status": _status(*moment),
            "label": filters.Filter(
                types.about("Its labels", types.Several()),
                lambda name, chosen: (chosen.excluded, {name: chosen.values}),
                _labelled,
            ),
            "open": filters.flag(
                lambda table, wanted: table.c.closed.is_(None) == wanted,
                "Whether its status is open",
            ),
            "unassigned": filters.flag(
                lambda table, wanted: table.c.assignee.is_(None) == wanted,
                "Whether nobody works on it",
            ),
            "overdue": filters.flag(overdue, "Whether it is open, and due before now"),
            "blocked": filters.flag(blocked, "Whether an open ticket blocks it"),
            "commented_by": filters.somebody(commented_by, "Who commented on it"),
            "mentions": filters.somebody(
                mentions, "Whom it, or a comment on it, calls by @ and their name"
            ),
            "watched_by": filters.somebody(watched_by, "Who watches it"),
            "mine": filters.somebody(
                mine,
                "Whether it is assigned to who asks, watched by them, or calls them by @ and their name",
                types.Mine(),
            ),
            "age_over": before("created", "Filed longer ago than that"),
            "idle_over": before("updated", "Last touched longer ago than that"),
            "linked": filters.plain(
                types.about("A ticket that it is linked with, either way", types.Number()), linked
            ),
            "fields": filters.Filter(
                types.about("fields.NAME=value: what it has in its fields", types.Pairs()),
                _field_split,
                _field_where,
            ),
            "q": search.filtered(
                lambda shape, table: search.condition(shape, table, tables.searches)
            ),
        },
        sorts={
            **listing.sorts(models.Ticket),
            # As the index for what somebody has to do has it.
            "priority": listing.Sort(("priority", "created", "ticket_id")),
            "rank": listing.Sort(
                ("rank", "ticket_id"),
                rank=lambda shape, table: search.rank(shape, table, tables.searches),
            ),
        },
        order="-created",
        more={
            "age": lambda table: func.elapsed(now - table.c.created, type_=Text),
            "idle": lambda table: func.elapsed(now - table.c.updated, type_=Text),
            "comments": comments,
            "blocked_by": blocked_by,
        },
        meanings={
            "age": "For how long it has been there: 3h, 40d",
            "idle": "For how long nobody has changed it: 2m, 20d",
            "comments": "How many comments it has",
            "blocked_by": "The open tickets that block it",
        },
    )


LIST, LIST_THEN = _listing(derived.NOW), _listing(derived.THEN, derived.AS_OF)
LIST_THEN_FEW = _listing(derived.THEN_FEW, derived.AS_OF)
LIST_THEN_NUMBERED = _listing(derived.THEN_NUMBERED, derived.AS_OF)
# The orders in which a past is walked through, from the first page on; and what leaves enough on the way.
WALKED = ("-created", "rank", "-rank")
LEAVES_ENOUGH = ("open", "q", "commented_by", "created_after")
# What an index has in the order of created, whatever the value: one of several, or from when on.
IN_ORDER, FROM_THERE = ("status", "assignee", "reporter"), ("created_before", "age_over")
# As they were at the two ends of what changed.
ENDS = tuple(_listing(derived.at(when), derived.SINCE) for when in (derived.SINCE, derived.UNTIL))
# As each was at the moment that it says itself, of rows called then_; whether a status is one, now says.
_each = _listing(derived.at(derived.EACH), derived.EACH)
LIST_EACH = dataclasses.replace(_each, filters={**_each.filters, "status": _status()})
# When a ticket or the workflow is to be read.
AS_OF = types.about("The moment whose answer is wanted; now, unless given", types.Time())
PARAMETERS = {**LIST.parameters(), "as_of": AS_OF}


def _then(given, form):
    """Return the List of a past that is the quicker one.

    The planner takes for little what it costs to walk through all that was, to find the few that were there:
    where a page isn't filled on the way, that has no end.
    """
    sort = given.get("sort", LIST.order)
    if sort.lstrip("-") == "ticket_id":
        return LIST_THEN_NUMBERED
    shown, filters_ = formats.of(form, given), given.keys() & LIST.filters.keys()
    if given.get("blocked") is False and not (given.get("count") or shown.drawn):
        filters_ -= {"blocked"}
    filled = all(
        name in LEAVES_ENOUGH or getattr(given[name], "excluded", False) for name in filters_
    )
    whole = shown.line and "limit" not in given
    is_walked = sort in WALKED and filled and "cursor" not in given and not whole
    return LIST_THEN if is_walked else LIST_THEN_FEW


def _is_alike(given):
    """Return whether one plan of a past is good for any value: it has none, or an index has it in order."""
    filters_ = given.keys() & LIST.filters.keys()
    valued = [name for name in filters_ if not isinstance(given[name], bool)]
    if not valued:
        return True
    (name, *others), sort = valued, given.get("sort", LIST.order).lstrip("-")
    if others or name not in IN_ORDER:
        return name in FROM_THERE and not others and sort == "created"
    is_todo = name == "assignee" and given.get("open") and sort == "priority"
    is_one = not given[name].excluded and len(given[name].values) == 1
    return is_one and (is_todo or sort == "created")


def _weighed(chosen, whole):
    """Say of those who commented how a past should be looked through, as search.weighed() of words."""
    shape, values = filters.split_chosen("who", chosen)
    (way,) = search.ways(_comments_by(shape), values, whole)
    if chosen.excluded:
        # Few of them are in the way of a page.
        way = search.BY_WORD if whole else search.BY_TICKET
    return chosen._replace(way=way)


@lru_cache(10)
def _comments_by(shape):
    comments = derived.NOW.comments
    by_them = filters.is_any(comments.c.author, "who", shape)
    return search.expecting(select(comments.c.ticket_id).where(by_them))


def page(given, form="json"):
    """List tickets.

    given:    {name: value} of PARAMETERS, validated; as_of makes it the list of that moment.
    form:     the format, a name of formats.LISTS.
    Returns:  a pages.Page, or a streaming.Stream of the formats that are streamed.
    Raises:   Problem 422.
    Source:   one SELECT; before that, of a past, past.write() and an EXPLAIN for words and who commented.
    """
    if "as_of" in given:
        past.write()
        whole = (
            given.get("count") or "rank" in given.get("sort", "") or formats.of(form, given).line
        )
        if "q" in given:
            given = {**given, "q": search.weighed(given["q"], whole)}
        if "commented_by" in given:
            given = {**given, "commented_by": _weighed(given["commented_by"], whole)}
        alike = _is_alike(given)
        return pages.read(_then(given, form), given, form, alike=alike, as_of=given["as_of"])
    return pages.read(LIST, given, form)
