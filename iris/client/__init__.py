"""What the `iris` command is to an Iris that is up: one more client of its HTTP.

It has to answer in the time that two or three bare interpreters take, so nothing here imports what is slow
to import: no http.client (four bare interpreters by itself, as it brings the email package along), no
SQLAlchemy, no psycopg2, and json, ssl and the like only where they are needed.
"""

# Exit statuses of the command.
DONE, REFUSED, USAGE, NOT_FOUND, AWAY = 0, 1, 2, 3, 4


class Failed(Exception):
    """What ends a command in words.

    status:   its exit status.
    words:    for people; or, where JSON was asked for, the problem as Iris has it.
    """

    def __init__(self, status, words):
        super().__init__(words)
        self.status, self.words = status, words
