"""Who may do what: the one table behind docs/rights.md's and behind the hint of a 403.

It refuses nothing: PostgreSQL does, by the privileges of the three roles (postgres/schema/privileges.sql),
whoever asks and by whichever door. tests/test_rights.py tries each row at both doors, with each role.
"""

from typing import NamedTuple

# Each may do what the one before may. In PostgreSQL they are iris_reader and so on.
ROLES = ("reader", "writer", "admin")


class Right(NamedTuple):
    """Something that not everybody may do.

    does:     what it is, to be read after "may".
    role:     the least role that may.
    routes:   what does it over HTTP, each a method and a path as routes have it.
    sql:      statements that do the same in psql.
    beyond:   routes of a smaller right that take this one for some of what they do.
    """

    does: str
    role: str
    routes: tuple
    sql: tuple
    beyond: tuple = ()


RIGHTS = (
    Right(
        "read everything: tickets, comments, the workflow, history, any past moment, the feed",
        "reader",
        (
            "GET /",
            "GET /help",
            "GET /health",
            "GET /db-check",
            "GET /metrics",
            "GET /openapi.json",
            "GET /docs",
            "GET /docs/{file}",
            "GET /assets/{version}/{asset}",
            "GET /tickets",
            "GET /tickets/{ticket_id}",
            "GET /ticket",
            "GET /tickets/{ticket_id}/comments",
            "GET /comments",
            "GET /comments/{comment_id}",
            "GET /tickets/{ticket_id}/history",
            "GET /events",
            "GET /changes",
            "GET /new",
            "GET /stats",
            "GET /stats.svg",
            "GET /inbox",
            "GET /unsubscribe/{person_id}/{seal}",
            "PUT /unsubscribe/{person_id}/{seal}",
            "GET /tickets/{ticket_id}/watchers",
            "GET /workflow",
            "GET /workflow.svg",
            "GET /me",
            "GET /sign-in",
        ),
        (
            "SELECT FROM tickets, comments, links, searches, statuses, transitions, events",
            "SELECT FROM watchers, watched('alice'), watches, inbox('alice'), read_marks",
            "SELECT FROM events_after(0, 10)",
            "SELECT FROM tickets_as_of(now()), comments_as_of(now()), links_as_of(now())",
            "SELECT FROM searches_as_of(now()), changes_between('yesterday'), verify_events()",
            "SELECT FROM cycle_times(), moves(), stats(), spread()",
            "SELECT workflow(), workflow_as_of(now()), read_ticket(1)",
            "SELECT write_past(), read_ticket_as_of(1, now()) FROM ticket_as_of(1, now())",
        ),
    ),
    Right(
        "watch a ticket, or no more",
        "reader",
        (
            "PUT /tickets/{ticket_id}/watchers/{who}",
            "DELETE /tickets/{ticket_id}/watchers/{who}",
        ),
        (
            "INSERT INTO watchers VALUES (1, actor())",
            "UPDATE watchers SET muted = true WHERE ticket_id = 1 AND who = actor()",
            "DELETE FROM watchers WHERE ticket_id = 1 AND who = actor()",
        ),
    ),
    Right(
        "say how far one has read, and how one gets mail",
        "reader",
        (
            "PUT /inbox",
            "GET /people/{name}",
            "PUT /people/{name}",
            "DELETE /people/{name}",
        ),
        (
            "SELECT mark_read()",
            "SELECT once('key', 'request', 'SELECT 1 AS one')",
            "SELECT put_person(actor(), 'a@example.org'), person(), drop_person()",
        ),
    ),
    Right(
        "have others watch a ticket, or no more",
        "writer",
        (),
        (
            "INSERT INTO watchers VALUES (1, 'zoe')",
            "INSERT INTO watches VALUES (1, 'zoe')",
        ),
        (
            "PUT /tickets/{ticket_id}/watchers/{who}",
            "DELETE /tickets/{ticket_id}/watchers/{who}",
        ),
    ),
    Right(
        "file and change tickets, one or many",
        "writer",
        ("PUT /tickets", "PUT /tickets/{ticket_id}", "PUT /undo"),
        (
            "INSERT INTO tickets (title) VALUES ('x')",
            "UPDATE tickets SET title = 'y' WHERE ticket_id = 1",
            "SELECT FROM tickets FOR UPDATE",
            """SELECT put_tickets('[{"title": "x"}]')""",
            """SELECT once('key', 'request', 'INSERT INTO tickets (title) VALUES (''x'') RETURNING 1')""",
        ),
    ),
    Right(
        "comment, change and delete comments",
        "writer",
        (
            "PUT /comments",
            "PUT /tickets/{ticket_id}/comments",
            "PUT /comments/{comment_id}",
            "DELETE /comments/{comment_id}",
        ),
        (
            "INSERT INTO comments (ticket_id, body) VALUES (1, 'x')",
            "UPDATE comments SET body = 'y' WHERE ticket_id = 1",
            "DELETE FROM comments WHERE ticket_id = 1",
        ),
    ),
    Right(
        "link and unlink tickets",
        "writer",
        (
            "PUT /tickets/{ticket_id}/links",
            "PUT /tickets/{ticket_id}/links/{kind}/{other_id}",
            "DELETE /tickets/{ticket_id}/links/{kind}/{other_id}",
        ),
        (
            "INSERT INTO links VALUES (1, 'blocks', 2)",
            "DELETE FROM links WHERE ticket_id = 1",
        ),
    ),
    Right(
        "delete tickets",
        "admin",
        ("DELETE /tickets/{ticket_id}",),
        ("DELETE FROM tickets WHERE ticket_id = 1",),
        ("PUT /undo",),
    ),
    Right(
        "change the workflow",
        "admin",
        ("PUT /workflow",),
        (
            "INSERT INTO statuses VALUES ('late', 99, true)",
            "UPDATE statuses SET is_open = false WHERE status = 'active'",
            "DELETE FROM transitions WHERE from_status = 'closed'",
            "SELECT set_workflow(workflow()::jsonb)",
        ),
    ),
    Right(
        "see and say how others get mail",
        "admin",
        ("GET /people",),
        (
            "SELECT mail FROM people",
            "INSERT INTO people (name, mail) VALUES ('zoe', 'zoe@example.org')",
            "SELECT person('zoe')",
            "SELECT put_person('zoe', 'zoe@example.org')",
            "DELETE FROM people WHERE name = 'zoe'",
        ),
        ("GET /people/{name}", "PUT /people/{name}", "DELETE /people/{name}"),
    ),
    Right(
        "see, make and revoke tokens",
        "admin",
        ("GET /tokens", "PUT /tokens", "DELETE /tokens/{name}"),
        (
            "SELECT name FROM tokens",
            "SELECT add_token('alice', 'reader')",
            "INSERT INTO tokens (name, role, digest) VALUES ('bob', 'admin', sha256('x'))",
            "DELETE FROM tokens WHERE name = 'alice'",
        ),
    ),
    Right(
        "see, make, change and delete hooks, and see what they were told",
        "admin",
        (
            "GET /hooks",
            "PUT /hooks",
            "GET /hooks/{hook_id}",
            "PUT /hooks/{hook_id}",
            "DELETE /hooks/{hook_id}",
            "GET /hooks/{hook_id}/deliveries",
        ),
        (
            "SELECT hook_id, url, position FROM hooks",
            "INSERT INTO hooks (url) VALUES ('https://ci.example.org/iris')",
            "UPDATE hooks SET position = 0, secrets = ARRAY[new_secret()]",
            "DELETE FROM hooks",
            "SELECT FROM deliveries",
        ),
    ),
)

# Other names of the same.
_SAME = {"HEAD": "GET", "POST": "PUT", "PATCH": "PUT"}
_BY_ROUTE = {route: right for right in RIGHTS for route in right.routes}
_BEYOND = {route: right for right in RIGHTS for route in right.beyond}


def of(method, path):
    """Return the Right that a route takes, or None where nobody has said.

    path:     as routes have it: /tickets/{ticket_id}.
    """
    return _BY_ROUTE.get(_named(method, path))


def lacking(role, method, path):
    """Return the Right that a role lacked where a route refused it, or None where nobody has said."""
    right = of(method, path)
    return _BEYOND.get(_named(method, path)) if right and suffices(role, right.role) else right


def _named(method, path):
    return f"{_SAME.get(method, method)} {path}"


def suffices(role, needed):
    """Whether who has one role may do what takes another."""
    return ROLES.index(role) >= ROLES.index(needed)
