"""Tokens: who may come in, and who acts then."""

import hashlib

import pytest

ADD = "SELECT add_token(%s, %s)"


@pytest.fixture
def add(sql):
    """Return a function: make a token in psql, and return what is shown of it, once."""

    def make(name, role="writer", **more):
        names = "".join(f", {each} => %s" for each in more)
        text = f"SELECT add_token(%s, %s{names}) AS made"
        return sql.one(text, name, role, *more.values())["made"]

    return make


# In the database ----------------------------------------------------------------------------------


def test_a_token_is_shown_once_and_kept_as_a_hash(sql, owner, add):
    made = add("alice", "writer")
    assert made.keys() == {"name", "role", "actor", "created", "expires", "token"}
    assert len(made["token"]) == 69
    assert made["token"].startswith("iris_")
    assert made["token"] != add("bob")["token"]
    with owner.cursor() as cursor:
        cursor.execute("SELECT * FROM tokens WHERE name = 'alice'")
        row = dict(zip([each.name for each in cursor.description], cursor.fetchone(), strict=True))
    assert bytes(row.pop("digest")) == hashlib.sha256(made["token"].encode()).digest()
    assert made["token"] not in str(row)
    assert (row["actor"], row["used"], row["is_login"]) == ("alice", None, False)


def test_the_service_finds_it_by_its_hash(sql, add):
    made = add("alice", "reader", actor="al", expires="tomorrow")
    found = sql.one("SELECT * FROM token_of(sha256(%s))", made["token"].encode())
    assert (found["name"], found["role"], found["actor"]) == ("alice", "reader", "al")
    assert 0 < found["seconds"] <= 86400
    assert sql("SELECT * FROM token_of(sha256('x'))") == []
    used = sql.one("SELECT used, used = date_trunc('hour', used) AS whole FROM tokens")
    assert used["used"] is not None
    assert used["whole"]
    sql("DELETE FROM tokens WHERE name = 'alice'")
    assert sql("SELECT * FROM token_of(sha256(%s))", made["token"].encode()) == []


def test_one_that_has_ended_lets_nobody_in(sql, owner, add):
    made = add("alice", expires="tomorrow")
    with owner.cursor() as cursor:
        cursor.execute("UPDATE tokens SET expires = now() - interval '1 second'")
    assert sql("SELECT * FROM token_of(sha256(%s))", made["token"].encode()) == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"name": ""},
            "a token's name has 1 to 60 characters, no slash and no blank at either end",
        ),
        ({"name": "a/b"}, "a token's name has 1 to 60 characters, no slash"),
        ({"name": "me"}, 'and is not "me"'),
        ({"name": ".."}, "a token's name has 1 to 60 characters, no slash"),
        ({"name": "x" * 61}, "a token's name has 1 to 60 characters, no slash"),
        ({"name": None}, "name is required"),
        ({"role": None}, "role is required"),
        ({"role": "king"}, 'invalid input value for enum token_role: "king"'),
        ({"actor": "x" * 101}, "actor must have 1 to 100 characters, not only blanks"),
        ({"actor": "a\nb"}, "actor must have 1 to 100 characters, not only blanks"),
        ({"expires": "yesterday"}, "expires must be a time to come"),
        ({"expires": "infinity"}, "expires must be a time before the year 10000"),
        ({"digest": b"short"}, "digest must be a SHA-256, 32 bytes"),
    ],
)
def test_it_refuses_what_is_no_token(sql, given, words):
    given = {
        "name": "alice",
        "role": "reader",
        "actor": None,
        "expires": None,
        "digest": None,
        **given,
    }
    refusal = sql.refusal("SELECT add_token(%s, %s, %s, %s, %s)", *given.values())
    assert words in refusal.diag.message_primary
    assert sql("SELECT name FROM tokens") == []


def test_a_name_is_taken_once(sql, add):
    add("alice")
    refusal = sql.refusal(ADD, "alice", "admin")
    assert refusal.pgcode == "23505"
    assert refusal.diag.message_primary == 'there is a token "alice" already'
    add("alice2", actor="alice")


def test_the_history_tells_of_tokens_without_their_secrets(sql, add):
    made = add("alice", "admin", expires="2100-01-01")
    sql("DELETE FROM tokens")
    rows = sql("SELECT kind, ticket_id, actor, changes FROM events ORDER BY event_id")
    said = {
        "token": [None, "alice"],
        "role": [None, "admin"],
        "actor": [None, "alice"],
        "expires": [None, "2100-01-01T00:00:00+00:00"],
    }
    assert [dict(row) for row in rows] == [
        {"kind": "token_added", "ticket_id": None, "actor": "iris", "changes": said},
        {
            "kind": "token_revoked",
            "ticket_id": None,
            "actor": "iris",
            "changes": {name: pair[::-1] for name, pair in said.items()},
        },
    ]
    assert made["token"] not in str(rows)


def test_the_workflow_of_before_is_none_of_the_tokens(sql, add):
    sql("INSERT INTO statuses VALUES ('late', 99, true)")
    add("alice")
    then = sql.one("SELECT workflow_as_of('yesterday') AS it")["it"]
    assert then.keys() == {"statuses", "transitions"}
    assert "late" not in str(then)


# Who speaks for whom ------------------------------------------------------------------------------


@pytest.fixture
def login(server, owner):
    """Return the URL of a login of carol's, who is a writer."""
    with owner.cursor() as cursor:
        cursor.execute("CREATE ROLE carol LOGIN IN ROLE iris_writer")
        yield server.url("carol")
        cursor.execute("DROP ROLE carol")


def test_a_login_of_ones_own_speaks_for_nobody_else(sql, login):
    carol = type(sql)(login)
    carol("SET iris.actor = 'alice'")
    carol("INSERT INTO tickets (title) VALUES ('mine')")
    carol("INSERT INTO comments (ticket_id, body) VALUES (1, 'mine, too')")
    assert {row["actor"] for row in sql("SELECT actor FROM events")} == {"carol"}
    assert sql.one("SELECT reporter FROM tickets") == {"reporter": "carol"}
    carol.connection.close()
    # Who may: iris, the service, and the owner.
    sql("SET iris.actor = 'alice'")
    assert sql.one("SELECT actor()") == {"actor": "alice"}


def test_the_owner_and_the_service_speak_for_others(sql, server):
    for user in ("postgres", "iris_service"):
        session = type(sql)(server.url(user))
        session("SET iris.actor = 'alice'")
        assert session.one("SELECT actor()") == {"actor": "alice"}
        session.connection.close()
