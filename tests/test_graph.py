"""The workflow, drawn."""

import re
from xml.etree import ElementTree

import pytest
from test_workflow import SEEDED

from iris.formats import graph

SVG = "{http://www.w3.org/2000/svg}"


def test_it_draws_statuses_and_ways(http):
    answer = http.get("/workflow.svg")
    assert answer.headers["content-type"] == "image/svg+xml"
    assert "default-src 'none'; style-src 'sha256-" in answer.headers["content-security-policy"]
    drawn = ElementTree.fromstring(answer.text)
    names = [each.text for each in drawn.iter(f"{SVG}text")]
    assert names == [each["status"] for each in SEEDED["statuses"]]
    kinds = [each.get("class") for each in drawn.iter(f"{SVG}path")]
    ways = sum(map(len, SEEDED["transitions"].values()))
    assert kinds.count("c0 line") + kinds.count("c1 line") == ways
    assert kinds.count("c1 line") == 5
    told = drawn.find(f"{SVG}desc").text
    assert told.startswith("open (open) to active, resolved, closed; active (open) to open, ")


def test_a_past_one_is_drawn_as_it_was(http):
    then = http.get("/stats").json["as_of"]
    http.put("/workflow", {"statuses": [{"status": "todo", "is_open": True}], "transitions": {}})
    assert ">todo<" in http.get("/workflow.svg").text
    assert ">blocked<" in http.get(f"/workflow.svg?as_of={then.replace('+', '%2B')}").text


@pytest.mark.parametrize("path", ["/workflow.svg?as_of=nonsense", "/workflow.svg?tz=Nowhere"])
def test_it_refuses_what_it_can_not_read(http, path):
    assert http.get(path).status == 422


def test_hostile_names_are_dead_and_visible(http):
    names = ["<script>alert(1)</script>", 'a"onload="x', "a\u202eb", "]]>&amp;"]
    statuses = [{"status": name, "is_open": True} for name in names]
    http.put("/workflow", {"statuses": statuses, "transitions": {names[0]: names[1:]}})
    answer = http.get("/workflow.svg")
    drawn = ElementTree.fromstring(answer.text)
    texts = [each.text for each in drawn.iter(f"{SVG}text")]
    assert texts == ["<script>alert(1)</scr…", names[1], "a\ufffdb", names[3]]
    assert not list(drawn.iter(f"{SVG}script"))
    assert "\u202e" not in answer.text


def test_however_many_there_are_it_stays_small():
    names = [str(number) for number in range(3000)]
    found = {
        "statuses": [{"status": name, "is_open": True} for name in names],
        "transitions": dict.fromkeys(names, names[:200]),
    }
    drawn = graph.draw(found)
    assert len(drawn) < 300_000
    assert "2,940 more statuses not drawn; not more than 600 ways drawn." in drawn
    wide, high = re.search(r'viewBox="0 0 (\d+) (\d+)"', drawn).groups()
    assert (int(wide), int(high)) == graph.size(found)


def test_a_workflow_of_one_status_is_drawn():
    found = {"statuses": [{"status": "all", "is_open": True}], "transitions": {"all": []}}
    assert "all (open) to nowhere." in graph.draw(found)
