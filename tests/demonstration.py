"""A tracker as a small team might have one, for pictures of it and for whoever wants to see all pages with something in them."""

import http.client
import json

# (title, reporter, assignee, priority, labels, due, the statuses that it went through)
TICKETS = [
    ("Export of large lists stops after a minute", "bob", "alice", "high", "export", "in 2 days", "active"),
    ("Board: a card can be dropped on its own column", "carla", None, "low", "board", None, ""),
    ("Move the staging database to PostgreSQL 18", "alice", "bob", "normal", "operations", "friday", "active"),
    ("A link in a comment eats the full stop after it", "carla", "alice", "normal", "markdown", None, "resolved"),
    ("Password of the mail relay runs out", "bob", "bob", "urgent", "operations,mail", "yesterday", "active blocked"),
    ("Say in the handbook how a token is renewed", "alice", None, "low", "docs", None, ""),
    ("Search finds nothing for half a word", "carla", "alice", "high", "search", None, "active resolved closed"),
    ("Printer in room 3 on fire", "bob", "carla", "urgent", "office", "tomorrow", "active blocked"),
    ("Nightly backup takes longer than the night", "alice", "bob", "high", "operations,backup", "in 5 days", ""),
    ("Colours of the chart can't be told apart in print", "carla", "carla", "normal", "stats", None, "resolved"),
    ("Let a calendar show what is due", "bob", "alice", "normal", "calendar", None, "resolved closed"),
    ("Who may delete a ticket?", "carla", None, "normal", "docs,rights", None, ""),
    ("Two people answered the same customer", "bob", "carla", "high", "mail", "in 3 days", "active"),
    ("Renew the certificate of tickets.example.org", "alice", "bob", "urgent", "operations", "in 1 day", ""),
    ("The list forgets its order on the second page", "carla", "alice", "normal", "lists", None, "active"),
    ("Try the restore on a machine that has never seen Iris", "alice", "bob", "high", "backup", "in 6 days", ""),
    ("Import the old tracker's comments", "bob", "alice", "normal", "import", None, "active"),
    ("Times of the night shift are shown in UTC", "carla", None, "normal", "lists", None, ""),
]  # fmt: skip
# The one that is shown whole.
SHOWN = 1
DESCRIPTION = """\
`GET /tickets?format=csv` of **all** tickets ends after exactly 60 seconds, in the middle of a line:

    curl -s 'https://tickets.example.org/tickets?format=csv' | tail -1

- [x] seen with curl and in the browser
- [x] not with `limit=1000`
- [ ] with the new proxy

It began when we got the new proxy (#3). @bob, does it give up on slow answers?
"""
# (who, what) of SHOWN.
COMMENTS = [
    ("bob", "It does: `proxy_read_timeout 60s`. But a stream that goes on should not count as slow …"),
    ("carla", "Customers ask for this **weekly**. The workaround:\n\n| what | takes |\n|---|---|\n| `limit=1000`, page by page | 3 s a page |\n| NDJSON over the tunnel | 40 s |"),
    ("alice", "Found it. We wait for a slow reader, and say nothing meanwhile. See #17 for the same with imports."),
]  # fmt: skip
LINKS = [(SHOWN, "relates", 17), (3, "blocks", 9), (8, "relates", 5), (16, "parent", 9)]


class Team:
    """Who fills an Iris over HTTP, as curl does.

    port:     of the Iris, on this machine.
    """

    def __init__(self, port):
        self.port = port

    def put(self, path, actor, **given):
        """Write something; return what was answered."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"Content-Type": "application/json", "Iris-Actor": actor}
        connection.request("PUT", path, json.dumps(given), headers)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        assert answer.status < 300, (path, given, body)
        return json.loads(body or "null")

    def work(self):
        """File the tickets, talk about them, move and link them."""
        for title, reporter, assignee, priority, labels, due, _ in TICKETS:
            self.put(
                "/tickets",
                reporter,
                title=title,
                assignee=assignee,
                priority=priority,
                labels=labels.split(","),
                due=due,
            )
        self.put(f"/tickets/{SHOWN}", "bob", description=DESCRIPTION)
        for actor, body in COMMENTS:
            self.put(f"/tickets/{SHOWN}/comments", actor, body=body)
        for number, (_, _, assignee, _, _, _, statuses) in enumerate(TICKETS, 1):
            for status in statuses.split():
                self.put(f"/tickets/{number}", assignee or "alice", status=status)
        for number, kind, other in LINKS:
            self.put(f"/tickets/{number}/links/{kind}/{other}", "alice")
