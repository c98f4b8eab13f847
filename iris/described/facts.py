"""What the database says of columns: what they are, and the rules they keep."""

import re
from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by

from iris import models
from iris.database import statements

# Of each table and view: its columns with their comments, and, without a column, what its constraints
# check, and the source of the functions that they call.
SAID = """
SELECT c.relname, a.attname, col_description(c.oid, a.attnum), NULL FROM pg_class AS c
    JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v')
UNION ALL
SELECT c.relname, NULL, pg_get_constraintdef(k.oid), p.prosrc FROM pg_class AS c
    JOIN pg_constraint AS k ON k.conrelid = c.oid AND k.contype = 'c'
    LEFT JOIN pg_depend AS d ON d.classid = 'pg_constraint'::regclass AND d.objid = k.oid
        AND d.refclassid = 'pg_proc'::regclass
    LEFT JOIN pg_proc AS p ON p.oid = d.refobjid
    WHERE c.relnamespace = 'public'::regnamespace
"""
# What the workflow has: a document is good for these.
STATUSES = statements.compiled(
    select(func.array_agg(aggregate_order_by(models.Status.status, models.Status.position)))
)
# How the rules write what JSON Schema can say, too.
LENGTH = r"char_length\({column}\) (?:>|<=) (\d+)"
NOT_BLANK = r"is_blank\({column}\)"
UNLIKE = r"\b{column} ~ '((?:[^']|'')*)'"
LIKE = r"\b{column} !~ '((?:[^']|'')*)'"
ITEMS = r"FOREACH (\w+) IN ARRAY {column} LOOP"
MOST_ITEMS = r"cardinality\({column}\) > (\d+)"
KIND = r"jsonb_typeof\({column}\) <> '(\w+)'"


class Rules(NamedTuple):
    """What a column must keep, as far as it can be told.

    length:   how many characters it may have, at most.
    is_blank: whether it may be.
    unlike:   regular expressions that it must not meet.
    like:     regular expressions that it must meet.
    kind:     of JSON: the type that it is.
    items:    of a list: (how many, the length of each), at most.
    """

    length: int | None = None
    is_blank: bool = True
    unlike: tuple = ()
    like: tuple = ()
    kind: str | None = None
    items: tuple = (None, None)


class Facts(NamedTuple):
    """What the database says.

    comments: {(table, column): what it is}.
    checks:   {table: what its constraints check, as SQL}.
    statuses: the names of the statuses, in their order.
    """

    comments: dict
    checks: dict
    statuses: tuple

    def rules(self, table, column):
        """Return the Rules of a column."""
        checked = self.checks.get(table, "")

        def number(pattern, name):
            found = re.search(pattern.format(column=name), checked)
            return int(found[1]) if found else None

        def patterns(pattern):
            found = re.findall(pattern.format(column=column), checked)
            return tuple(dict.fromkeys(each.replace("''", "'") for each in found))

        kind = re.search(KIND.format(column=column), checked)
        item = re.search(ITEMS.format(column=column), checked)
        return Rules(
            length=number(LENGTH, column),
            is_blank=re.search(NOT_BLANK.format(column=column), checked) is None,
            unlike=patterns(UNLIKE),
            like=patterns(LIKE),
            kind=kind[1] if kind else None,
            items=(number(MOST_ITEMS, column), number(LENGTH, item[1]) if item else None),
        )


def statuses():
    """Return the names of the statuses, in their order.

    Source:   one SELECT.
    """
    return tuple(statements.run(STATUSES, {})[0])


def read(names):
    """Return the Facts of the database, for these statuses.

    Source:   one SELECT.
    """
    comments, checks = {}, {}
    for table, column, said, source in statements.rows(SAID, {}):
        if column is None:
            # A constraint says what is to hold, a function what is refused: the same words, but for the sign.
            turned = re.sub(" (!?)~ ", lambda found: " ~ " if found[1] else " !~ ", said)
            checks[table] = "\n".join(filter(None, (checks.get(table), turned, source)))
        else:
            comments[table, column] = said
    return Facts(comments, checks, names)
