"""What Iris 0.1.0 imported from a CSV is known again, though it knew rows otherwise."""

import json

import pytest
from test_transfer import take

# As 0.1.0 read these and kept them, digests and all.
KEYED = """title,description,assignee,status,priority,labels,created,id,team
Printer on fire,"It smokes, ""badly""
since Monday",alice,open,high,"fire,hardware",2025-03-01T10:00Z,17,café
Lift stands still,,,closed,,,2025-03-02T10:00Z,18,
"""
PLAIN = 'title,description,assignee\nSame again,"",bob\nSame again,"",bob\n'
KEPT = (
    {"title": "Printer on fire", "description": 'It smokes, "badly"\nsince Monday', "assignee": "alice", "priority": "high",
     "labels": ["fire", "hardware"], "created": "2025-03-01T10:00Z",
     "fields": {"id": "17", "team": "café", "imported": "3bca95140f9f1e65c92583c52ffceb5d012742548d19b61b3f4b0893da000a87"}},
    {"title": "Lift stands still", "status": "closed", "created": "2025-03-02T10:00Z",
     "fields": {"id": "18", "imported": "f2330456d7d0236f2e0d0e35e9ec7442bc0768a916345ed30d3a55747dc0b689"}},
    {"title": "Same again", "description": "", "assignee": "bob", "created": "2026-11-26T10:00Z",
     "fields": {"imported": "0f18893ef25a26ad6cee7555a25dc145836bc0a218231d74947930d8f79a8d43"}},
    {"title": "Same again", "description": "", "assignee": "bob", "created": "2026-11-26T10:00Z",
     "fields": {"imported": "0f18893ef25a26ad6cee7555a25dc145836bc0a218231d74947930d8f79a8d43-2"}},
)  # fmt: skip
STORE = """
    SET session_replication_role = replica;
    INSERT INTO tickets (title, description, status, assignee, reporter, priority, labels, fields, created, updated, closed, version)
        SELECT title, description, coalesce(status, 'open'), assignee, 'import', coalesce(priority, 'normal'), coalesce(labels, '{}'),
            fields, created, created, CASE status WHEN 'closed' THEN created END, 1
            FROM jsonb_populate_recordset(NULL::tickets, %(kept)s) WITH ORDINALITY ORDER BY ordinality;
    INSERT INTO stored_events (at, actor, source, ticket_id, kind, changes)
        SELECT created, 'import', 'import', ticket_id, 'created', jsonb_strip_nulls(jsonb_build_object('title', jsonb_build_array(NULL, title),
            'fields', jsonb_build_array(NULL, fields), 'labels', jsonb_build_array(NULL, labels), 'status', jsonb_build_array(NULL, status),
            'priority', jsonb_build_array(NULL, priority), 'reporter', jsonb_build_array(NULL, reporter), 'assignee', jsonb_build_array(NULL, assignee),
            'description', jsonb_build_array(NULL, description))) FROM tickets ORDER BY ticket_id;
    SET session_replication_role = origin
"""


@pytest.fixture
def former(owner, clean):
    """Have what 0.1.0 imported."""
    with owner.cursor() as cursor:
        cursor.execute(STORE, {"kept": json.dumps(KEPT)})


def test_rows_that_0_1_0_imported_are_known_again(http, sql, server, former, tmp_path):
    path = tmp_path / "rows.csv"
    for text in (KEYED, PLAIN):
        path.write_text(text)
        assert take(server, "csv", path)[1].startswith("2 tickets already there: 2 changed")
        assert take(server, "csv", path)[1].startswith("2 tickets already there: 0 changed")
    rows = http.get("/tickets?sort=ticket_id").json
    assert [row["ticket_id"] for row in rows] == [1, 2, 3, 4]
    # Only what they are known by has become another.
    assert rows[0]["fields"] == {"number": 17, "team": "café", "imported": "csv 17"}
    assert [row["title"] for row in rows] == [kept["title"] for kept in KEPT]
    assert rows[0]["description"] == KEPT[0]["description"]


def test_a_row_with_a_key_is_known_though_it_has_changed(http, server, former, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(KEYED.replace("open,high", "active,urgent"))
    assert take(server, "csv", path)[1].startswith("2 tickets already there: 2 changed")
    row = http.get("/tickets/1").json
    assert (row["status"], row["priority"], row["fields"]["imported"]) == (
        "active",
        "urgent",
        "csv 17",
    )


def test_what_was_deleted_stays_away(http, server, former, tmp_path):
    http.delete("/tickets/4")
    path = tmp_path / "rows.csv"
    path.write_text(PLAIN)
    assert "1 ticket that has been deleted here was left out; --again takes it" in take(
        server, "csv", path
    )
