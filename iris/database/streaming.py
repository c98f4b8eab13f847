"""Streaming: rows as they come, in constant memory."""

from psycopg2 import extensions

from iris import counters, problems
from iris.database import engine, standbys


class Stream:
    """The rows of a statement of one column, as they come, in constant memory and of one snapshot.

    It has a session of its own, not one of the pool's, for its reader may be slow.

    sql:      from compiled().
    values:   {name: value} of its parameters.
    heading:  what comes before the rows, text.
    before:   a statement to go before it in its transaction.
    Raises:   psycopg2.Error; Problem 503 when there are too many of them.
    """

    # Streams of a worker at once; bytes of a piece; rows fetched at once, each of which may be large.
    MOST = 4
    PIECE = 256 * 1024
    ROWS = 500
    _running = 0

    def __init__(self, sql, values, heading="", before=""):
        if Stream._running >= self.MOST:
            raise problems.Problem(
                "too_many_streams",
                f"{self.MOST} streams are running already; try again",
                headers={"Retry-After": "5"},
            )
        Stream._running += 1
        counters.MINE[counters.LISTS] = Stream._running
        self.is_open, self.session = True, None
        try:
            # What goes wrong goes wrong now, while it can still be answered.
            self.rows = standbys.anywhere(
                values, lambda server, values: self._begin(server, sql, values, before)
            )
            self.heading = heading
        except BaseException:
            self.close()
            raise

    def _begin(self, server, sql, values, before):
        """Begin on a standbys.Server; return the first rows."""
        self._end()
        self.session, connection, least = engine.serving(autocommit=False, to=server.to)
        if first := server.guard + (before or least):
            with connection.cursor() as cursor:
                cursor.execute(first, values)
        # Nobody looks at the texts: they are passed on as they come.
        extensions.register_type(extensions.BYTES, connection)
        self.cursor = connection.cursor("iris")
        self.cursor.execute(sql, values)
        return self.cursor.fetchmany(100)

    def __iter__(self):
        yield self.heading.encode()
        rows, many = self.rows, 0
        while rows:
            lines, size, many, all_ = [], 0, len(rows), 0
            for (row,) in rows:
                lines.append(row)
                size += len(row) + 1
                if size > self.PIECE:
                    yield b"\n".join(lines) + b"\n"
                    all_, lines, size = all_ + size, [], 0
            if lines:
                yield b"\n".join(lines) + b"\n"
            many = many * self.PIECE // (all_ + size)
            rows = self.cursor.fetchmany(min(max(many, 1), self.ROWS))

    def close(self):
        """End the query, wherever it is; gunicorn calls this when the reader has gone."""
        if self.is_open:
            self.is_open = False
            Stream._running -= 1
            counters.MINE[counters.LISTS] = Stream._running
            self._end()

    def _end(self):
        if self.session is not None:
            self.session.invalidate()
            self.session = None
