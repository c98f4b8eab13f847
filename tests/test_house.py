"""The house stays in order: who imports whom, and that CONTRIBUTING's ways lead somewhere."""

import ast
import functools
import gc
import re

import pytest
from conftest import ROOT

MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in ROOT.glob("iris/**/*.py")
}
NOUNS = {
    "iris.tokens",
    "iris.tickets",
    "iris.comments",
    "iris.links",
    "iris.workflow",
    "iris.events",
    "iris.feed",
    "iris.hooks",
    "iris.metrics",
    "iris.stats",
}


def parsed(path):
    """Return the tree of a file.

    Without a collection of garbage in between: a connection of another test that it ends then makes CPython 3.11 lose
    count of how deep the tree is.
    """
    gc.disable()
    try:
        return ast.parse(path.read_text())
    finally:
        gc.enable()


@functools.cache
def imports(module):
    """Return the names of all modules that a module imports, those of ours by their whole name."""
    found = set()
    for node in ast.walk(parsed(MODULES[module])):
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            whole = {f"{node.module}.{each.name}" for each in node.names}
            found |= (whole & MODULES.keys()) or {node.module}
    return found


def reached(module):
    """Return all modules of ours that a module imports, and those that these import."""
    found, left = set(), [module]
    while left:
        more = (imports(left.pop()) & MODULES.keys()) - found
        found |= more
        left += more
    return found


@pytest.mark.parametrize("module", MODULES)
def test_no_module_imports_itself_by_way_of_others(module):
    assert module not in reached(module)


@pytest.mark.parametrize("room", ["problems", "intake", "lists", "formats", "database"])
def test_what_serves_all_nouns_knows_none(room):
    for module in MODULES:
        if module.startswith(f"iris.{room}"):
            assert not {each for each in reached(module) if each in NOUNS or "iris.api" in each}


def test_a_noun_knows_no_route():
    for noun in NOUNS:
        assert not {each for each in reached(noun) if each.startswith(("iris.api", "iris.app"))}


def test_hug_stays_at_the_edge():
    edge = ("iris.app", "iris.api", "iris.intake", "iris.formats", "iris.lists")
    for module in MODULES:
        assert "hug" not in imports(module) or module.startswith(edge), module


def test_commands_speak_by_one_mouth():
    """What they say may be anybody's words: common.py and main() let no control characters through."""
    for module, path in MODULES.items():
        if module.startswith("iris.cli.") and module != "iris.cli.common":
            called = [node.func for node in ast.walk(parsed(path)) if isinstance(node, ast.Call)]
            assert not [
                name.id for name in called if isinstance(name, ast.Name) and name.id == "print"
            ], module
            assert not re.search(r"sys\.std(out|err)\.write", path.read_text()), module


def test_every_place_that_contributing_names_is_there():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    table = text[text.index("## Where things are") : text.index("## Decisions")]
    places = set(re.findall(r"`((?:iris|postgres|tests)/[\w./]*|\.env\.example)`", table))
    assert len(places) > 20
    for place in places:
        assert (ROOT / place).exists(), place
