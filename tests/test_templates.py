"""Templates are compiled once: by whoever may keep what comes of it, and again when it would be something else."""

import sys

import jinja2
import pytest

from iris.web import templates


@pytest.fixture
def compiled(monkeypatch):
    """Return the names of the templates that are compiled from now on."""
    names, compile_ = [], jinja2.Environment.compile

    def note(self, source, name=None, *more, **others):
        names.append(name)
        return compile_(self, source, name, *more, **others)

    monkeypatch.setattr(jinja2.Environment, "compile", note)
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    return names


def drawn(folder, source="<p>{{ 1 + 1 }}</p>", **changed):
    """Draw a template by a new environment that keeps what it compiles in a folder."""
    kept = templates.Compiled(folder)
    vars(kept).update(changed)
    loader = jinja2.DictLoader({"page": source})
    made = jinja2.Environment(loader=loader, bytecode_cache=kept)
    return made.get_template("page").render()


def test_it_is_compiled_once(compiled, tmp_path):
    assert drawn(tmp_path) == drawn(tmp_path) == "<p>2</p>"
    assert compiled == ["page"]


def test_it_is_compiled_anew_when_it_or_what_it_depends_on_has_changed(compiled, tmp_path):
    drawn(tmp_path)
    assert drawn(tmp_path, "{{ 1 + 2 }}") == "3"
    drawn(tmp_path, "{{ 1 + 2 }}", before="another Jinja")
    assert compiled == ["page"] * 3


@pytest.mark.parametrize("spoil", [lambda data: b"", lambda data: data[:-20], lambda data: data[:9] + b"?" * 9])  # fmt: skip
def test_what_is_spoilt_is_compiled_anew(compiled, tmp_path, spoil):
    drawn(tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(spoil(path.read_bytes()))
    assert drawn(tmp_path) == drawn(tmp_path) == "<p>2</p>"
    assert compiled == ["page"] * 2


def test_where_nothing_can_be_kept_it_is_compiled_each_time(compiled, tmp_path, monkeypatch):
    nowhere = tmp_path / "nowhere"
    assert drawn(nowhere) == drawn(nowhere) == "<p>2</p>"
    # Nor where Python was told to keep nothing.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert drawn(tmp_path) == drawn(tmp_path) == "<p>2</p>"
    assert compiled == ["page"] * 4
    assert list(tmp_path.iterdir()) == []
