"""What lists sort by, and the same for filters that an index of it serves."""

from sqlalchemy import BigInteger, Boolean, Integer, Text, func, literal_column
from sqlalchemy.dialects.postgresql import ENUM, TIMESTAMP

# What an empty column is sorted as, by its type. Comparing with null finds nothing, so a page could not
# start there; indexes have the same expression.
EMPTY = {
    TIMESTAMP: "'infinity'",
    Text: "''",
    BigInteger: "9223372036854775807",
    Integer: "2147483647",
    Boolean: "false",
}


def key(table, column):
    """Return what a table is sorted by to sort it by a column.

    column:   of the model: it says whether it may be empty, and its type.
    """
    mine = table.c[column.name]
    if not column.nullable:
        return mine
    if isinstance(column.type, ENUM):
        return func.coalesce(mine, literal_column(f"'{column.type.enums[-1]}'"))
    return func.coalesce(mine, literal_column(EMPTY[type(column.type)]))
