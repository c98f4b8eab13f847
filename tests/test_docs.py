"""README, .env.example and the changelog name what there is."""

import re
import shlex
import shutil
import subprocess
import sys
import tomllib

import fuzz
import pytest
from conftest import RESET, ROOT, seeds

import docs
from iris import __version__, cli, embedded, events, problems, settings, welcome, worker
from iris.client import place
from iris.database import refusals
from iris.intake import bodies, handlers, rows, strict
from iris.lists import tickets as ticket_list

README = docs.text()
CODE = {path: path.read_text() for path in ROOT.glob("iris/**/*.py")}


def test_every_setting_is_explained():
    example = (ROOT / ".env.example").read_text()
    for name, setting in settings.ALL.items():
        assert f"`{name}`" in README, name
        assert re.search(rf"^#?{name}={re.escape(setting.default or '')}", example, re.MULTILINE), (
            name
        )
        if setting.secret:
            assert f"{name}_FILE" in README
            assert f"{name}_FILE" in example
    # The port is docker-compose's own, and so is what its nodes know each other by.
    others = {"IRIS_PORT", "IRIS_CLUSTER_PASS", *place.NAMES}
    assert set(re.findall(r"^#?([A-Z_]+)=", example, re.MULTILINE)) == {*settings.ALL, *others}
    for name in place.NAMES:
        assert f"`{name}`" in README, name


def test_every_route_is_there(server):
    from iris import app  # noqa: PLC0415

    known = {
        (method, url)
        for methods in app.api.API.http.routes.values()
        for url, handlers in methods.items()
        for method in handlers
        if method in ("GET", "PUT", "DELETE")
    }
    table = README[README.index("\n## Routes") : README.index("\n## Lists")]
    for method, url in known:
        named = f"{method} {url}" in table or (f"GET {url}" in table and f"{method} …" in table)
        assert named or f"PUT {url}" in table, (method, url)
    for method, url in re.findall(r"`(GET|PUT|DELETE) (/[^`?]*)", table):
        assert (method, url) in known


def test_every_code_is_there_with_its_status():
    told = fuzz.codes()
    assert {code: {status} for code, (status, _) in problems.CODES.items()} == told
    # Each is raised somewhere: in Python by its name, of a thing by its noun, or by what PostgreSQL says.
    raised = {*refusals.RULES.values(), *worker.CODES.values()}
    raised |= {code for code, _ in [*refusals.STATES.values(), *handlers.FALCON.values()]}
    for text in CODE.values():
        raised |= set(re.findall(r'(?:Problem|__init__)\(\s*"(\w+)"', text))
        raised |= {f"no_such_{noun}" for noun in re.findall(r'no_such\(\s*"(\w+)"', text)}
    assert raised == set(problems.CODES)


def test_every_filter_and_order_is_there():
    lists = README[README.index("\n## Lists") : README.index("\n## The workflow")]
    for name in ticket_list.PARAMETERS:
        stem = re.sub(r"(before|after)$", "", name)
        assert f"`{stem}" in lists or f"{name}=" in lists, name
    for name in ticket_list.LIST.sorts:
        assert f"`{name}`" in lists
    for name in events.LIST.filters:
        assert f"`{name}`" in README


def test_every_command_is_there():
    commands = cli.parser()._subparsers._group_actions[0].choices
    for command in commands:
        assert f"`iris {command}" in README, command


def test_the_version_is_the_changelogs():
    released = re.search(r"^## (\d\S*)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert __version__ == (released[1] if released else "0.1.0")


def test_the_image_has_the_same_pins():
    def pins(path):
        return dict(re.findall(r"^([\w-]+)==(\S+)", (ROOT / path).read_text(), re.MULTILINE))

    everything, service = pins("requirements.txt"), pins("iris/requirements.txt")
    assert len(service) > 10
    assert {name: everything[name] for name in service} == service


@pytest.fixture
def shell(live, server, owner, iris, tmp_path):
    """Return a function: type something at either door; return what is printed, and an HTTP status if there is one."""
    with owner.cursor() as cursor:
        # What is printed counts from 1, whatever a test before this one has left.
        cursor.execute(RESET + seeds() + "SET session_replication_role = origin;")
    psql = embedded.binaries() / "psql"

    def run(typed):
        if "change=" in typed.command:
            # The page's number is of when it was written; it means the last one.
            shown = [psql, "-XAt", server.url(), "-c", "SELECT max(change) FROM events"]
            last = subprocess.check_output(shown, text=True).strip()
            typed = typed._replace(command=re.sub(r"change=\d+", f"change={last}", typed.command))
        if typed.door == "psql":
            made = [psql, "-X", server.url(), "-c", typed.command]
            done = subprocess.run(made, capture_output=True, text=True, check=False, cwd=tmp_path)
            return done.stdout + done.stderr, None
        if typed.command.startswith("iris "):
            done = iris(*shlex.split(typed.command)[1:])
            return done.out + done.err, None
        here = f"127.0.0.1:{live.port}"
        command = typed.command.replace("0.0.0.0:8000", here)
        more, ends = "-sS -w '%{stderr}%{http_code}' ", " -N " not in command
        if "|" in command or not ends:
            more = "-sS " if ends else "-sS --max-time 2 "
        command = command.replace("curl ", f"curl {more}", 1)
        done = subprocess.run(
            command, shell=True, capture_output=True, text=True, check=ends, cwd=tmp_path
        )
        status = int(done.stderr[-3:]) if "-w" in more else None
        printed = done.stdout.replace(here, "0.0.0.0:8000")
        if not ends:
            # Of a stream, what is shown of it.
            printed = "\n".join(printed.splitlines()[: len(typed.printed.splitlines())])
        return printed, status

    return run


# What is refused on purpose, by a part of what is typed.
REFUSED = {"status=blocked": 409, "If-Match": 412}
# What asks somebody.
LEFT_OUT = ("$TOKEN", "$EDITOR", "$change", "…")


def is_asked(typed):
    """Whether somebody asks an Iris by the command `iris`, and what is printed is shown."""
    return typed.printed and re.match(
        r"iris (ls|show|new|set|comment|log|changes|undo) ", typed.command
    )


def check(typed, shell):
    printed, status = shell(typed)
    if status is not None:
        expected = [code for part, code in REFUSED.items() if part in typed.command]
        assert status in (expected or [200, 201, 204, 304]), (typed, printed)
    if typed.printed:
        assert docs.same(printed) == docs.same(typed.printed), typed


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_all_that_is_typed_gives_what_is_printed(shell):
    """From the first ticket of README's start, through docs/ in the order of its index."""
    number = 0
    for path in docs.pages():
        # The week is about tickets of its own: tests/test_week.py.
        for typed in docs.typed(path) if path.name != "week.md" else ():
            # README's opening is about tickets that are there.
            begun = number or "A new ticket" in typed.command
            is_ours = typed.door == "psql" or "curl" in typed.command or is_asked(typed)
            if begun and is_ours and not any(part in typed.command for part in LEFT_OUT):
                check(typed, shell)
                number += 1
    assert number > 30


def test_the_opening_is_true(shell, http, sql, owner):
    with owner.cursor() as cursor:
        # An UPDATE goes by where rows lie, and other tests left room.
        cursor.execute("VACUUM FULL tickets")
    for given in ({"assignee": "jchittum"}, {"priority": "urgent"}, {}):
        assert http.put("/tickets", {"title": "x", **given}).status == 201
    opening = list(docs.typed(docs.README))[:3]
    assert [typed.door for typed in opening] == ["psql", "sh", "sh"]
    before = sql("SELECT title, assignee, priority FROM tickets ORDER BY ticket_id")
    check(opening[0], shell)
    (change,) = sql.one("SELECT max(change) AS it FROM events").values()
    printed = re.sub(r"^4 {5}", f"{change:<6}", opening[1].printed, flags=re.MULTILINE)
    check(opening[1]._replace(printed=printed), shell)
    assert sql("SELECT DISTINCT assignee FROM tickets") == [{"assignee": "bob"}]
    check(opening[2], shell)
    assert sql("SELECT title, assignee, priority FROM tickets ORDER BY ticket_id") == before


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_first_page_says_what_to_type(live, http):
    here = f"127.0.0.1:{live.port}"
    page = subprocess.check_output(["curl", "-s", here], text=True)
    commands = re.findall(r"^    (.*?) +# ", page, re.MULTILINE)
    assert len(commands) == len(welcome.HTTP)
    assert all(here in command for command in commands)
    assert len(page.splitlines()) <= 15
    assert all(len(line) <= 80 for line in page.splitlines())
    for command in commands:
        subprocess.run(command.replace("curl ", "curl -sSf "), shell=True, check=True, cwd=ROOT)
    told = http.get("/", headers={"Accept": "application/json"}).json
    assert ("GET", "/health") in {(route["method"], route["path"]) for route in told["routes"]}
    assert all(route["does"].endswith(".") for route in told["routes"])
    lost = subprocess.check_output(["curl", "-s", f"{here}/nope"], text=True)
    assert f"curl {here}" in lost
    # Who asks says where it is: nothing that a terminal would take for more than that.
    odd = http.get("/", headers={"Host": "a\x1b[31m'; rm -rf"})
    assert "\x1b" not in odd.text
    assert "-rf" not in odd.text


def test_iris_alone_says_what_to_type(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["iris"])
    cli.main()
    said = capsys.readouterr().out
    named = re.findall(r"^    iris ([a-z]+)", said, re.MULTILINE)
    assert set(named) <= set(cli.COMMANDS)
    assert len(named) == len(welcome.COMMANDS)


@pytest.mark.parametrize(
    "function", [bodies.body, bodies.parse, strict.read, rows.array, rows.lines]
)
def test_public_functions_say_what_they_raise(function):
    assert "Raises:" in function.__doc__


def test_every_package_is_shipped():
    shipped = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    there = {".".join(path.parent.relative_to(ROOT).parts) for path in ROOT.glob("iris/**/*.py")}
    assert set(shipped) == there | {"iris.postgres"}


def test_how_far_it_goes_is_what_the_model_says():
    said = (ROOT / "docs" / "scale.md").read_text()
    for line in subprocess.check_output(
        [sys.executable, "bench/scale.py"], cwd=ROOT, text=True
    ).splitlines():
        assert line in said.splitlines(), line


def test_every_link_leads_somewhere():
    listed = {path.name for path in docs.pages()[2:]}
    assert listed == {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    for path in docs.pages():
        for link in re.findall(r"\]\(([^)#:]+)(?:#[\w-]+)?\)", path.read_text()):
            assert (path.parent / link).exists(), (path, link)
