"""README, .env.example and the changelog name what there is."""

import re
import shutil
import subprocess
import tomllib

import fuzz
import pytest
from conftest import ROOT

from iris import __version__, cli, events, problems, settings, tickets, welcome, worker
from iris.database import refusals
from iris.intake import bodies, handlers, rows, strict

README = (ROOT / "README.md").read_text()
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
    # The port is docker-compose's own.
    assert set(re.findall(r"^#?([A-Z_]+)=", example, re.MULTILINE)) == {*settings.ALL, "IRIS_PORT"}


def test_every_route_is_there(server):
    from iris import app  # noqa: PLC0415

    known = {
        (method, url)
        for methods in app.api.API.http.routes.values()
        for url, handlers in methods.items()
        for method in handlers
        if method in ("GET", "PUT", "DELETE")
    }
    table = README[README.index("### Routes") : README.index("### Lists")]
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
    lists = README[README.index("### Lists") : README.index("### The workflow")]
    for name in tickets.PARAMETERS:
        stem = re.sub(r"(before|after)$", "", name)
        assert f"`{stem}" in lists or f"{name}=" in lists, name
    for name in tickets.LIST.sorts:
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


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_every_curl_command_works(live, http):
    commands = re.findall(r"^    (?:\$ )?(curl .*)$", README, re.MULTILINE)
    commands = [command for command in commands if ".json" not in command and " -N " not in command]
    assert len(commands) >= 10
    for typed in commands:
        command = typed.split(" | ")[0].replace("0.0.0.0:8000", f"127.0.0.1:{live.port}")
        command += " -s -o /dev/null -w '%{http_code}'"
        done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
        refused = {"status=blocked": "409", "If-Match": "412"}
        expected = [code for part, code in refused.items() if part in command] or [
            "200",
            "201",
            "204",
        ]
        assert done.stdout[-3:] in expected, (command, done.stdout)


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
