"""What one transaction did is one change: numbered, told, and taken back."""

import psycopg2

# The numbers of changes --------------------------------------------------------------------------


def numbers(sql, where="true"):
    """Return {event_id: its change}."""
    rows = sql(f"SELECT event_id, change FROM events WHERE {where} ORDER BY event_id")
    return {row["event_id"]: row["change"] for row in rows}


def test_what_one_transaction_did_has_one_number(http, sql, ticket):
    for _ in range(3):
        ticket()
    assert len(set(numbers(sql).values())) == 3
    sql("UPDATE tickets SET assignee = 'bob'")
    http.put("/tickets", raw='[{"title": "a"}, {"title": "b"}, {"ticket_id": 1, "priority": "high"}]',
             headers={"Content-Type": "application/json"})  # fmt: skip
    sql("DELETE FROM tickets WHERE ticket_id = 1")
    found = numbers(sql)
    assert [len([each for each in found.values() if each == one]) for one in sorted(set(found.values()))] \
        == [1, 1, 1, 3, 3, 1]  # fmt: skip
    # Later ones have higher numbers.
    assert list(found.values()) == sorted(found.values())
    listed = http.get(f"/events?change={found[5]}").json
    assert [event["event_id"] for event in listed] == [6, 5, 4]
    assert {event["change"] for event in listed} == {found[5]}
    assert http.get(f"/tickets/1/history?change={found[5]}").json[0]["event_id"] == 4
    assert http.get("/events?after=0").json[4]["change"] == found[5]
    for wrong in ("0", "x", "1,2", "5.7", ""):
        assert http.get(f"/events?change={wrong}").status == 422


def test_nobody_splits_a_transaction_or_joins_two(sql, server):
    """Not by taking a part of it back, by forgetting or by setting whatever a session may."""
    sql("BEGIN")
    sql("INSERT INTO tickets (title) VALUES ('first')")
    sql("SAVEPOINT here")
    sql("INSERT INTO tickets (title) VALUES ('taken back')")
    sql("ROLLBACK TO here")
    sql("SAVEPOINT there")
    sql("INSERT INTO tickets (title) VALUES ('in a subtransaction')")
    sql("RELEASE there")
    sql("DISCARD SEQUENCES; DISCARD PLANS")
    sql("SET iris.change = '7'")
    sql("INSERT INTO tickets (title) VALUES ('last')")
    sql("COMMIT")
    assert len(numbers(sql)) == 3 and len(set(numbers(sql).values())) == 1
    sql("INSERT INTO tickets (title) VALUES ('another')")
    assert len(set(numbers(sql).values())) == 2
    for statement in (
        "SELECT setval('change_base', 1)", "SELECT nextval('change_base')", "SELECT * FROM change_base",
        "REFRESH MATERIALIZED VIEW change_base_set", "UPDATE events SET change = 1",
    ):  # fmt: skip
        assert isinstance(sql.refusal(statement), psycopg2.errors.InsufficientPrivilege)
