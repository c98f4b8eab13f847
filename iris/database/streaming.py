"""Streaming: rows as they come, in constant memory."""

from iris import problems
from iris.database import engine


class Stream:
    """The rows of a statement of one column, as they come, in constant memory and of one snapshot.

    It has a connection of its own, not one of the pool's, for its reader may be slow.

    text:     from compiled().
    values:   {name: value} of its parameters.
    heading:  what comes before the rows, text.
    Raises:   psycopg2.Error; Problem 503 when there are too many of them.
    """

    # Streams of a worker at once, and bytes of a piece.
    MOST = 4
    PIECE = 256 * 1024
    _running = 0

    def __init__(self, text, values, heading=""):
        if Stream._running >= self.MOST:
            raise problems.Problem(
                503,
                "too_many_streams",
                f"{self.MOST} streams are running already; try again",
                headers={"Retry-After": "5"},
            )
        Stream._running += 1
        self.is_open, self.connection = True, None
        try:
            self.connection = engine.connect()
            self.connection.autocommit = False
            self.cursor = self.connection.cursor("iris")
            self.cursor.execute(text, values)
            # What goes wrong goes wrong now, while it can still be answered.
            self.rows, self.heading = self.cursor.fetchmany(100), heading
        except BaseException:
            self.close()
            raise

    def __iter__(self):
        yield self.heading.encode()
        while self.rows:
            piece = "".join(f"{row}\n" for (row,) in self.rows).encode()
            yield piece
            many = len(self.rows) * self.PIECE // len(piece)
            self.rows = self.cursor.fetchmany(min(max(many, 1), 2000))

    def close(self):
        """End the query, wherever it is; gunicorn calls this when the reader has gone."""
        if self.is_open:
            self.is_open = False
            Stream._running -= 1
            if self.connection is not None:
                self.connection.close()
