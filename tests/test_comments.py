"""Comments and links."""

import pytest


def test_both_spellings_comment(http, ticket):
    number = ticket()
    answer = http.put(f"/tickets/{number}/comments", body="one", actor="alice")
    assert (answer.status, answer.headers["location"]) == (201, "../../comments/1")
    assert answer.json == {
        "comment_id": 1,
        "ticket_id": number,
        "author": "alice",
        "body": "one",
        "created": answer.json["created"],
        "updated": answer.json["created"],
    }
    assert http("POST", "/comments", {"ticket_id": number, "body": "two"}).status == 201
    assert http.put("/comments", body="three").json["errors"] == {"ticket_id": "is required"}
    assert http.get("/comments/1").json == answer.json


def test_lists_are_newest_first_and_filter(http, ticket):
    first, second = ticket(), ticket()
    for number, author, body in (
        (first, "alice", "the printer smokes"),
        (second, "bob", "the printer burns"),
        (first, "charlie", "water, quickly"),
    ):
        http.put(f"/tickets/{number}/comments", body=body, actor=author)

    def found(path):
        return [comment["comment_id"] for comment in http.get(path).json]

    assert found("/comments") == [3, 2, 1]
    assert found("/comments?sort=created") == [1, 2, 3]
    assert found(f"/tickets/{first}/comments") == [3, 1]
    assert found(f"/comments?ticket_id={second}") == [2]
    assert found("/comments?author=alice,bob") == [2, 1]
    assert found("/comments?author=!alice") == [3, 2]
    assert found("/comments?q=printer") == [2, 1]
    assert found("/comments?q=printer+-burn*") == [1]
    assert found("/comments?created_after=tomorrow") == []
    assert http.get("/comments?columns=author&limit=1&count=true").json == [{"author": "charlie"}]


def test_pages_of_comments_follow_each_other(http, ticket):
    number = ticket()
    for n in range(5):
        http.put(f"/tickets/{number}/comments", body=str(n))
    seen, query = [], "limit=2&count=true"
    while query:
        answer = http.get(f"/tickets/{number}/comments?{query}")
        assert answer.headers["total-count"] == "5"
        seen += [comment["body"] for comment in answer.json]
        query = answer.next
    assert seen == ["4", "3", "2", "1", "0"]


def test_changing_and_deleting(http, ticket):
    number = ticket()
    http.put(f"/tickets/{number}/comments", body="one")
    changed = http("PATCH", "/comments/1", {"body": "two"}).json
    assert changed["body"] == "two"
    assert changed["updated"] > changed["created"]
    assert http.put("/comments/1", {}).json == changed
    assert http.put("/comments/1", {"body": None}).json["errors"] == {"body": "body is required"}
    assert http.delete("/comments/1").status == 204
    assert http.get(f"/tickets/{number}").json["comments"] == []


@pytest.mark.parametrize("kind", ["blocks", "duplicates", "parent", "relates"])
def test_linking_and_unlinking(http, ticket, sql, kind):
    one, other = ticket(), ticket()
    path = f"/tickets/{one}/links/{kind}/{other}"
    assert http.put(path).status == 204
    assert http.put(path).status == 204
    assert sql("TABLE links") == [{"ticket_id": one, "kind": kind, "other_id": other}]
    assert [row["ticket_id"] for row in http.get(f"/tickets?linked={one}").json] == [other]
    assert [row["ticket_id"] for row in http.get(f"/tickets?linked={other}").json] == [one]
    assert http.delete(path).status == 204
    assert http.delete(path).json["code"] == "no_such_link"


def test_diamonds_are_no_circles(http, ticket):
    top, left, right, bottom = (ticket() for _ in range(4))
    for one, other in ((top, left), (top, right), (left, bottom), (right, bottom)):
        assert http.put(f"/tickets/{one}/links/blocks/{other}").status == 204
    assert http.put(f"/tickets/{bottom}/links/blocks/{top}").status == 409
    assert http.put(f"/tickets/{bottom}/links/duplicates/{top}").status == 204


def test_an_author_that_is_sent_with_a_change_is_passed_over(http, ticket):
    number = http.put("/comments", ticket_id=ticket(), body="x", author="alice").json["comment_id"]
    for author in ("bob", "x" * 101, None, 7):
        changed = http.put(f"/comments/{number}", {"body": f"by {author}", "author": author})
        assert (changed.status, changed.json["author"]) == (200, "alice"), changed.text
