"""Search: what stands in `q`, and the condition it means.

A word is found in a ticket's title, labels and description and in its comments. All words must be
there, though not all in one place: one may be in the title and another in a comment.
"""

import re
from functools import lru_cache

import hug
from sqlalchemy import (
    Float,
    and_,
    bindparam,
    cast,
    false,
    func,
    literal_column,
    not_,
    or_,
    select,
    true,
    union,
    union_all,
)

from iris import derived
from iris.database import standbys, statements
from iris.intake import types
from iris.lists import filters

MAX_WORDS = 32
# How a past is looked through: for words, and for whatever else has a ticket_id.
BY_WORD, BY_TICKET = "by word", "by ticket"
# Tickets of a page, by which the two are compared.
PAGE = 50
TOKEN = re.compile(rf'(-?)"([^"]*)(?:"|$)|([^{types.BLANKS}]+)')


class Query(hug.types.Type):
    """Words; "a phrase", -not, or, prefix net*"""

    def __call__(self, value, context=None):
        """Return (shape, texts).

        shape:    alternatives, each a tuple of (excluded, whether a prefix), one for each text; weighed()
                  says something more of each.
        """
        value = types.Word()(value)
        alternatives, texts = [[]], []
        for token in TOKEN.finditer(value):
            minus, phrase, word = (part or "" for part in token.groups())
            if word.lower() == "or":
                alternatives.append([])
                continue
            excluded = bool(minus) or (len(word) > 1 and word.startswith("-"))
            text = word[excluded:] if word else phrase
            prefix = bool(word) and len(text) > 1 and text.endswith("*")
            alternatives[-1].append((excluded, prefix))
            texts.append(text[:-1] if prefix else text)
            if len(texts) > MAX_WORDS:
                raise ValueError(f"must have at most {MAX_WORDS} words")
        shape = tuple(tuple(words) for words in alternatives if words)
        if not shape:
            raise ValueError("must have a word to look for")
        return shape, texts


def filtered(condition):
    """Return the filter q; condition(shape, table) is what it means."""

    def split(name, value):
        shape, texts = value
        return shape, {f"q_{place}": text for place, text in enumerate(texts)}

    return filters.Filter(
        types.about("Words that are looked for", Query()),
        split,
        lambda name, shape, table: condition(shape, table),
    )


def _queries(shape):
    """Return shape with a tsquery for each word: alternatives of [(excluded, tsquery)]."""
    place, alternatives = 0, []
    for words in shape:
        alternatives.append([])
        for excluded, prefix, *_ in words:
            query = func.wanted(bindparam(f"q_{place}"), true() if prefix else false())
            alternatives[-1].append((excluded, query))
            place += 1
    return alternatives


@lru_cache(1000)
def _estimate(shape):
    """Return what asks the planner in how many texts each word is; see ways()."""
    words = derived.NOW.searches
    return expecting(
        *(
            select(words.c.ticket_id).where(words.c.words.bool_op("@@")(query))
            for alternative in _queries(shape)
            for _, query in alternative
        )
    )


def expecting(*found):
    """Return what asks the planner how many each of these are, and the tickets; see ways()."""
    every = select(derived.NOW.tickets.c.ticket_id)
    return "EXPLAIN (FORMAT JSON) " + statements.compiled(union_all(*found, every))


def ways(expected, values, whole):
    """Return for each of what is found now how a past is to be looked through for it, BY_WORD or BY_TICKET.

    expected: from expecting().
    values:   {name: value} of its parameters.
    whole:    whether all that is found is wanted, not only a page of it.
    Source:   one EXPLAIN.
    """
    ((plan,),) = standbys.run(expected, values)
    *many, tickets = [each["Plan Rows"] for each in plan["Plan"]["Plans"]]
    # By the word all tickets are looked at that have it; one by one, as many as it takes to fill a page.
    most = tickets if whole else (PAGE * tickets) ** 0.5
    return [BY_WORD if each < most else BY_TICKET for each in many]


def weighed(value, whole):
    """Say of each word of a query whether a past should be looked through by the word, or ticket by ticket.

    For lists of now the planner knows; for those of a past, which come of several tables, it can only guess.

    value:    (shape, texts), of Query.
    whole:    whether all that is found is wanted, not only a page of it.
    Returns:  the same, with one of BY_WORD and BY_TICKET at each word of shape.
    Source:   one EXPLAIN.
    """
    shape, texts = value
    values = {f"q_{place}": text for place, text in enumerate(texts)}
    way = iter(ways(_estimate(shape), values, whole))
    return tuple(tuple((*word[:2], next(way)) for word in words) for words in shape), texts


def _any(queries):
    """Return one tsquery that any of these satisfies."""
    first, *others = queries
    for other in others:
        first = first.op("||")(other)
    return first


def _has(table, query, searches, way=None, excluded=False):
    words = searches.alias()
    found = among(table, words, words.c.words.bool_op("@@")(query), way, excluded)
    return not_(found) if excluded else found


def is_one_of(table, found, alone=True):
    """Return the condition that a table's ticket is one of those found, which nobody can know before are few.

    alone:    whether it is not part of another condition, so that an index may find those tickets.
    """
    numbers = func.array(found.scalar_subquery())
    if alone:
        return table.c.ticket_id == func.any(numbers)
    # Looked for in a hash table, not number by number.
    return table.c.ticket_id.in_(select(func.unnest(numbers)))


def is_there(one):
    """Return the condition that there is a ticket, by a SELECT of its number that is run for each row."""
    # What has a limit is not made a join of. Whether it is null, the planner takes for a matter of course.
    number = one.limit(literal_column("1")).scalar_subquery()
    return func.coalesce(number, literal_column("0")) > literal_column("0")


def among(table, words, condition, way=None, excluded=False):
    """Return the condition that something that has a ticket_id and meets a condition is of a table's ticket.

    way:      BY_WORD, BY_TICKET or, where the planner knows, None.
    excluded: whether it is to be negated.
    """
    found = select(words.c.ticket_id).where(condition)
    if way == BY_WORD:
        return is_one_of(table, found, not excluded)
    its = found.where(words.c.ticket_id == table.c.ticket_id)
    if way == BY_TICKET:
        return is_there(its.correlate(table))
    return its.exists()


def condition(shape, table, searches):
    """Return the condition on table's ticket_id that a query's shape means."""
    alternatives = _queries(shape)
    ways = [[None, *word[2:]][-1] for words in shape for word in words]
    if all(len(words) == 1 and not words[0][0] for words in alternatives):
        way = BY_TICKET if BY_TICKET in ways else ways[0]
        return _has(table, _any([words[0][1] for words in alternatives]), searches, way)
    ways = iter(ways)

    def meets(words, tickets):
        return and_(
            *(_has(tickets, query, searches, next(ways), excluded) for excluded, query in words)
        )

    if len(alternatives) == 1:
        return meets(alternatives[0], table)
    # A union, for an OR of conditions would be tried on every single ticket.
    found = []
    for words in alternatives:
        tickets = table.alias()
        found.append(select(tickets.c.ticket_id).where(meets(words, tickets)))
    return table.c.ticket_id.in_(union(*found))


def comment_condition(shape, comments):
    """Return the condition on one comment that a query's shape means."""
    words = derived.NOW.searches.alias()

    def meets(excluded, query):
        found = words.c.words.bool_op("@@")(query)
        return not_(found) if excluded else found

    found = or_(*(and_(*(meets(*word) for word in alternative)) for alternative in _queries(shape)))
    return (
        select(words.c.ticket_id)
        .where(
            words.c.ticket_id == comments.c.ticket_id,
            words.c.comment_id == comments.c.comment_id,
            found,
        )
        .exists()
    )


def rank(shape, table, searches):
    """Return how well a ticket meets a query: a number, more is better."""
    wanted = [query for words in _queries(shape) for excluded, query in words if not excluded]
    if not wanted:
        return cast(0, Float)
    words = searches.alias()
    return (
        select(func.coalesce(func.sum(func.ts_rank(words.c.words, _any(wanted))), 0))
        .where(words.c.ticket_id == table.c.ticket_id, words.c.words.bool_op("@@")(_any(wanted)))
        .scalar_subquery()
    )
