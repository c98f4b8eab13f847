"""A hook that leads to mailto: each event that it lets through is a mail."""

import json
from urllib.parse import unquote, urlsplit

from sqlalchemy import bindparam, func, select

from iris import settings
from iris.database import statements
from iris.delivery.message import Answer
from iris.delivery.messages import BEFORE
from iris.mail import addresses, letters, post

LIVES_AT = statements.compiled(select(func.lives_at(bindparam("whose"), bindparam("address"))))


class Receiver:
    """Who reads at a mailto: URL."""

    def __init__(self, url):
        self.to, self.post = unquote(urlsplit(url).path), post.Post()

    def send(self, message):
        """Send a message, once; what somebody did themselves they are not told.

        Returns:  a message.Answer.
        """
        if not settings.get("IRIS_SMTP_URL"):
            return Answer(False, "IRIS_SMTP_URL is not set, which names a mail server")
        given = {"whose": message.actor, "address": self.to}
        if statements.run(LIVES_AT, given, before=BEFORE)[0]:
            return Answer(True, "not sent: they did it themselves")
        try:
            letter = letters.event(self.to, json.loads(message.body)["data"])
        except ValueError as error:
            # An address that is none.
            return Answer(False, str(error), gone=True)
        return self.post.send(letter, addresses.own(), self.to)

    def close(self):
        self.post.close()
