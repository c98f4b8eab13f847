"""Who may do what, at both doors: iris/rights.py's table, row by row, role by role.

PostgreSQL refuses. Nothing in Python is asked whether somebody may.
"""

import psycopg2
import pytest
from conftest import ROOT, Sql

from iris import migrations, rights

EVERY = pytest.mark.parametrize("role", rights.ROLES)


def test_every_route_has_its_row(server):
    from iris import app  # noqa: PLC0415

    known = {
        (method, base + path)
        for base, paths in app.api.API.http.routes.items()
        for path, methods in paths.items()
        for method in methods
        if method != "OPTIONS"
    }
    assert {each for each in known if rights.of(*each) is None} == set()
    named = {
        tuple(route.split()) for right in rights.RIGHTS for route in (*right.routes, *right.beyond)
    }
    assert named - known == set()
    assert all(right.sql for right in rights.RIGHTS)


def test_the_docs_have_the_table():
    lines = (ROOT / "docs" / "rights.md").read_text().split("\n")
    found = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if "|" in line]
    for right in rights.RIGHTS:
        may = ["✓" if rights.suffices(role, right.role) else "" for role in rights.ROLES]
        assert [right.does, *may] in found


@pytest.fixture
def as_role(server, ticket):
    """Return a function: run a statement as a role, and take it back; return the refusal, or None."""
    ticket(), ticket()
    session = Sql(server.url())

    def run(role, statement):
        session("BEGIN")
        try:
            session(f"SET LOCAL ROLE iris_{role}")
            session(statement)
        except psycopg2.Error as error:
            return error
        finally:
            session("ROLLBACK")
        return None

    yield run
    session.connection.close()


@EVERY
def test_in_sql_each_role_may_do_what_the_table_says(as_role, role):
    for right in rights.RIGHTS:
        for statement in right.sql:
            refusal = as_role(role, statement)
            if rights.suffices(role, right.role):
                assert refusal is None, (role, statement, refusal)
            else:
                assert refusal is not None, (role, statement)
                assert refusal.pgcode == "42501", (role, statement, refusal)
                assert refusal.diag.message_primary.startswith("permission denied for ")


# What nobody may who is no owner, be it an admin.
NOBODY = (
    "UPDATE stored_events SET actor = 'y'",
    "DELETE FROM places",
    "UPDATE stored_events SET actor = 'x'",
    "DELETE FROM stored_events",
    "INSERT INTO stored_events (at, actor, source, kind, changes) VALUES (now(), 'x', 'y', 'created', '{}')",
    "UPDATE comments SET ticket_id = 9",
    "INSERT INTO searches VALUES (1, 0, '')",
    "SELECT FROM latches",
    "SELECT FROM replays",
    "SELECT digest FROM tokens",
    "SELECT FROM token_of(sha256('x'))",
    "UPDATE tokens SET role = 'admin'",
    "INSERT INTO tokens (name, role, digest, is_login) VALUES ('x', 'reader', sha256('x'), true)",
    "SELECT secrets FROM hooks",
    "SELECT FROM hooks_due('x')",
    "SELECT FROM settle_hooks('x', '[]')",
    "UPDATE hooks SET tried = 0",
    "INSERT INTO deliveries (hook_id, position, at, tried, outcome, took) VALUES (1, 1, now(), 1, 'accepted', 1)",
    "TRUNCATE tickets",
    "ALTER TABLE tickets DISABLE TRIGGER USER",
    "SET LOCAL session_replication_role = replica",
    "CREATE TEMPORARY TABLE mine ()",
    "CREATE TABLE mine ()",
    "CREATE FUNCTION mine() RETURNS integer LANGUAGE sql RETURN 1",
    "CREATE ROLE mallory",
    "GRANT iris_admin TO iris_reader",
)


@EVERY
@pytest.mark.parametrize("statement", NOBODY)
def test_what_nobody_may(as_role, role, statement):
    refusal = as_role(role, statement)
    assert refusal is not None
    assert refusal.pgcode == "42501", refusal


def test_a_role_of_these_names_that_may_more_is_refused(server, owner):
    """It would be whom a token's statement runs as."""
    with owner.cursor() as cursor:
        for more in ("LOGIN", "SUPERUSER", "CREATEROLE", "BYPASSRLS"):
            cursor.execute(f"ALTER ROLE iris_admin {more}")
            try:
                with pytest.raises(psycopg2.errors.DuplicateObject, match="iris_admin already"):
                    migrations.move(server.url("postgres"))
            finally:
                cursor.execute(f"ALTER ROLE iris_admin NO{more}")
