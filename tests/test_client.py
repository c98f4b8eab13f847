"""The `iris` command over HTTP, as people type it."""

import importlib
import json
import os
import re
import subprocess
import sys

import pytest
from conftest import ALICE, BOB, ROOT

from iris import cli, models, tickets
from iris.client import place
from iris.client import words as typed_words
from iris.lists import tickets as ticket_list

USERS = (
    "ls",
    "show",
    "new",
    "set",
    "comment",
    "link",
    "log",
    "changes",
    "inbox",
    "stats",
    "undo",
    "watch",
)


def test_tickets_are_filed_listed_changed_told_and_taken_back(iris, http, sql):
    assert iris("new", "Printer", "on fire", "priority=urgent", "assignee=me").out == (
        "ticket 1 filed\n"
    )
    assert iris("set", "1", "status=active", "due=tomorrow").out == "ticket 1 is at version 2\n"
    assert iris("comment", "#1", "I smell", "smoke").out == "comment 1 on ticket 1 written\n"
    heads, row = iris("ls", "mine").out.splitlines()
    assert heads.split() == ["ticket_id", "status", "priority", "assignee", "due", "age", "title"]
    assert row.split()[:4] == ["1", "active", "urgent", ALICE]
    assert "I smell smoke" in iris("show", "1").out
    log = iris("log", "1").out
    assert log.startswith("change  at ")
    assert "status: open → active" in log
    assert "    - filed it" in iris("changes").out
    number = str(json.loads(iris("log", "kind=changed", "--json").out)[0]["change"])
    assert re.search(rf"^{number} .* changed ", log, re.MULTILINE)
    assert iris("undo", number, "-n").out == "1 event would be taken back, and none was\n"
    assert http.get("/tickets/1").json["status"] == "active"
    assert iris("undo", number).out == "1 event taken back\n"
    assert sql.one("SELECT status, due FROM tickets") == {"status": "open", "due": None}
    assert {row["actor"] for row in sql("SELECT actor FROM events")} == {ALICE}


def test_several_are_changed_at_once_or_none(iris, http, ticket):
    for _ in range(3):
        ticket()
    done = iris("set", "1", "#3", "status=active", "add_label=smoke", "assignee=me", "due=tomorrow")
    assert (done.status, done.out) == (0, "2 tickets written\n")
    told = http.get("/tickets?status=active&label=smoke&assignee=alice").json
    assert [row["ticket_id"] for row in told] == [3, 1]
    assert len({row["change"] for row in http.get("/events?kind=changed").json}) == 1
    assert iris("set", "1", "2", "status=blocked").status == 1
    assert http.get("/tickets/1").json["status"] == "active"
    rows = json.loads(iris("set", "1", "3", "priority=low", "--json").out)
    assert [row["priority"] for row in rows] == ["low", "low"]


def test_tickets_are_linked_and_counted(iris, http, ticket):
    ticket()
    ticket()
    assert iris("link", "1", "blocks", "2").out == "ticket 1 blocks 2\n"
    assert [row["ticket_id"] for row in http.get("/tickets?blocked=true").json] == [2]
    assert iris("link", "1", "blocks", "2", "-r").out == "ticket 1 no longer blocks 2\n"
    assert http.get("/tickets?blocked=true").json == []
    assert set(typed_words.LINKS) == set(models.Link.__table__.c.kind.type.enums)
    assert "open" in iris("stats").out
    assert json.loads(iris("stats", "assignee=me", "--json").out)["open"] == 0


@pytest.mark.parametrize(
    ("words", "query"),
    [
        ((), ""),
        (("mine",), "assignee=alice&open=true"),
        (("assignee=me",), "assignee=alice"),
        (("status=open,active",), "status=open,active"),
        (("status!=open",), "status=!open"),
        (("label=a, b",), "label=a, b"),
        (("label==a, b",), 'label="a, b"'),
        (("label==a, b", "label==!x"), 'label="a, b","!x"'),
        (("label!==a, b",), 'label=!"a, b"'),
        (("assignee==me",), 'assignee="me"'),
        (("q=Drü* -fire",), "q=Drü* -fire"),
        (("sort=-ticket_id", "columns=ticket_id,title"), "sort=-ticket_id&columns=ticket_id,title"),
        (("fields.n=5", "limit=1"), "fields.n=5&limit=1"),
        (("created_after=1 day ago", "format=json"), "created_after=1 day ago"),
    ],
)
def test_filters_are_those_of_the_address(iris, http, words, query):
    for given in (
        {"assignee": ALICE, "labels": ["a, b"]},
        {"assignee": ALICE, "status": "closed", "labels": ["!x", "a"]},
        {"assignee": "me", "status": "active", "title": "Drücker", "fields": {"n": 5}},
    ):
        http.put("/tickets", {"title": "Printer on fire", **given})
    query = "&".join(
        f"{name}={value.translate({34: '%22', 32: '%20'})}"
        for name, _, value in (pair.partition("=") for pair in query.split("&") if pair)
    )
    expected = http.get(f"/tickets?{query}", actor=ALICE)
    assert expected.status == 200, expected.text
    done = iris("ls", *words, "--json")
    assert (done.status, done.err) == (0, "")
    assert json.loads(done.out) == expected.json


def test_other_formats_come_as_they_are(iris, ticket, http):
    ticket("Ünder; all")
    for form in ("csv", "tsv", "ndjson"):
        done = iris("ls", f"format={form}", "columns=ticket_id,title")
        assert done.out == http.get(f"/tickets?format={form}&columns=ticket_id,title").text


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("ls", "stauts=open"), 2, "did you mean status?"),
        (("ls", "printer"), 2, "iris ls q='printer'"),
        (("ls", "label=a", "label=b"), 2, "label is given twice"),
        (("ls", "--status", "open"), 2, "have no dashes: status=open"),
        (("set", "1", "closed"), 2, "hint: A column"),
        (("nope",), 2, "nope is no command\nhint: All there are: iris --help"),
        (("lst",), 2, "did you mean iris ls?"),
        (("list",), 2, "did you mean iris ls?"),
        (("close", "1"), 2, "did you mean iris set 3 status=closed?"),
        (("ls", "open"), 2, "iris ls status=open"),
        (("ls", "#1"), 2, "hint: One ticket: iris show 1"),
        (("set", "1", "2", "-F", "x", "status=open"), 2, "one ticket's"),
        (("set", "1", "7", "status=active"), 3, "row 1: there is no ticket 7"),
        (("link", "1", "blocks", "1"), 1, "can't be linked to itself"),
        (("link", "1", "blocs", "2"), 1, "hint: Allowed are: blocks"),
        (("link", "1", "a/../b", "2"), 1, "hint: Allowed are: blocks"),
        (("link", "1", "blocks", "9"), 3, "there is no ticket 9"),
        (("link", "1", "blocks", "9", "--remove"), 3, "9"),
        (("link", "1"), 2, "required: KIND, OTHER"),
        (("stats", "x"), 2, "iris stats label=hardware"),
        (("stats", "stauts=open"), 2, "did you mean status?"),
        (("watch", "kind=nope"), 1, "hint: Allowed are: created"),
        (("watch", "change=x"), 2, "must be a whole number"),
        (("watch", "ticket_id=x"), 2, "must be a whole number"),
        (("show",), 2, "required: NUMBER\n"),
        (("set",), 2, "required: NUMBER\n"),
        (("comment",), 2, "required: NUMBER\n"),
        (("show", "x"), 2, "x is no number of a ticket"),
        (("show", "9"), 3, "there is no ticket 9"),
        (("set", "1"), 2, "nothing is to be set"),
        (("set", "1", "nope=1"), 2, "nope is unknown here"),
        (("set", "1", "status=blocked"), 1, "hint: From \"open\" it may go to: active"),
        (("set", "1", "version=7", "status=active"), 1, "is at version 1 by now"),
        (("set", "9", "status=active"), 3, "there is no ticket 9"),
        (("new", "title=a\nb"), 1, "title"),
                (("comment", "9", "x"), 3, "there is no ticket 9"),
        (("comment", "1"), 2, "-F"),
        (("log", "9"), 3, "there is no ticket 9"),
        (("changes", "soon"), 1, "hint: Times are like"),
        (("undo", "99"), 3, "there is no change 99"),
        (("undo",), 2, "CHANGE"),
        (("undo", "x"), 2, "x is no number of a change\nhint: iris log"),
        (("watch", "9"), 3, "there is no ticket 9"),
        (("--json", "ls"), 2, "--json stands after the command: iris ls --json"),
        (("ls", "--jsn"), 2, "usage: iris ls "),
        (("ls", "--jsn"), 2, "--jsn is no option; did you mean --json?"),
        (("ls", "--status=open"), 2, "--status=open is no option; columns and filters have no dashes"),
        (("undo", "--dry"), 2, "CHANGE"),
        (("link", "1", "blocks", "2", "3"), 2, "3 is too much"),
        (("inbox", "--join", "1", "after=0"), 2, "by itself"),
        (("inbox", "--join", "9"), 3, "there is no ticket 9"),
        (("delete", "3"), 2, "delete is no command, but curl's: curl -X DELETE http://"),
        (("subscribe", "3"), 2, "did you mean iris inbox --join 3?"),
        (("ls", "formt=csv"), 2, "formt is unknown here; did you mean format?"),
        (("watch", "nope=1"), 2, "nope is unknown here"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_and_has_its_status(iris, ticket, words, status, said):
    ticket()
    done = iris(*words)
    assert (done.status, done.out) == (status, ""), done.err
    assert said in done.err
    assert "Traceback" not in done.err


def test_json_means_json_mistakes_too(iris):
    made = iris("new", "x", "--json")
    assert json.loads(made.out)["ticket_id"] == 1
    for words in (
        ("ls",), ("show", "1"), ("set", "1", "status=active"), ("comment", "1", "x"), ("log",), ("log", "1"), ("changes",),
    ):  # fmt: skip
        assert json.loads(iris(*words, "--json").out), words
    change = json.loads(iris("log", "--json").out)[0]["change"]
    assert json.loads(iris("undo", str(change), "--json").out)[0]["kind"] == "comment_deleted"
    refused = iris("set", "1", "status=nope", "--json")
    assert (refused.status, refused.out) == (1, "")
    assert json.loads(refused.err)["code"] == "invalid_value"


def test_who_acts_is_who_is_logged_in_or_says_so(iris, sql):
    iris("new", "one")
    iris("new", "two", IRIS_ACTOR="Bób")
    iris("new", "three", LOGNAME=None, USER=BOB)
    iris("set", "1", "assignee=me", IRIS_ACTOR=BOB)
    rows = sql("SELECT reporter, assignee FROM tickets ORDER BY ticket_id")
    assert [tuple(row.values()) for row in rows] == [(ALICE, BOB), ("Bób", None), (BOB, None)]
    assert iris("ls", IRIS_ACTOR="a\nHost: x").status == 2


def test_words_and_options_come_in_any_order(iris):
    done = iris("new", "Printer", "--json", "on", "fire", "priority=high")
    assert json.loads(done.out)["title"] == "Printer on fire"
    assert iris("comment", "1", "--", "--json is no option here").status == 0


# How fast ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "may"),
    [
        (["ls"], set()),
        (["show", "1"], set()),
        (["log"], set()),
        (["new", "x"], set()),
        (["watch", "--from", "x"], {"json"}),
        (["completion", "zsh", "--line", "iris ls s"], {"json"}),
    ],
)
def test_it_imports_nothing_that_is_slow(iris, ticket, words, may):
    ticket()
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "iris.cli", *words],
        capture_output=True, text=True, check=False, env=iris.environment,
    )  # fmt: skip
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "iris.client.connection" in imported
    slow = "sqlalchemy psycopg2 alembic hug falcon gevent http email ssl json typing subprocess shutil tempfile logging"
    assert not {name for name in imported if name.split(".")[0] in {*slow.split()} - may}


def test_a_list_takes_at_most_thrice_the_time_of_a_bare_interpreter(iris, ticket):
    """Of the processor; the least of several, for others may be at work here, too."""
    ticket()

    def seconds(*words):
        taken = []
        for _ in range(7):
            made = [sys.executable, *words]
            running = subprocess.Popen(made, stdout=subprocess.DEVNULL, env=iris.environment)
            _, status, used = os.wait4(running.pid, 0)
            running.returncode = os.waitstatus_to_exitcode(status)
            assert running.returncode == 0
            taken.append(used.ru_utime + used.ru_stime)
        return min(taken)

    assert seconds("-m", "iris.cli", "ls") < 3 * seconds("-c", "pass")


# Help ----------------------------------------------------------------------------------------------


def test_help_has_examples_that_work(iris, ticket, http):
    """All but those that ask somebody, go on for ever, or name what is not there."""
    for _ in range(3):
        ticket()
    http.put("/tickets/3", {"labels": ["inbox"]})
    (iris.home / "note.txt").write_text("Note\n\nof something")
    ran = 0
    for name in USERS:
        shown = iris(name, "--help").out
        for line in re.findall(r"^  ((?:git log -1 \| )?iris .*)", shown, re.MULTILINE):
            typed = line.split("  #")[0].strip()
            asks = typed in ("iris new", "iris comment 3") or " -e" in typed or "watch" in typed
            if asks or any(part in typed for part in ("...", "undo", "3 as_of")):
                continue
            done = subprocess.run(
                typed.replace("version=5 ", "").replace("git log -1", "echo x"),
                shell=True, cwd=iris.home, env=iris.environment, capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert done.returncode == 0, (typed, done.stderr)
            ran += 1
    assert ran > 20


@pytest.fixture
def told(monkeypatch, capsys):
    """Return a function: what a command says where somebody types words. It runs in this process, for there are many."""

    # It is as wide as the terminal, and here is none.
    monkeypatch.delenv("COLUMNS", raising=False)

    def tell(*words):
        monkeypatch.setattr(sys, "argv", ["iris", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        assert (ended.value.code, said.err) == (0, "")
        return said.out

    return tell


def test_every_command_says_how_it_is_typed(iris, told):
    for name, module in cli.COMMANDS.items():
        examples = importlib.import_module(f"iris.cli.{module}").EXAMPLES
        shown = told(name, "--help")
        assert re.search(rf"^  .*\biris {name}\b", examples, re.MULTILINE), name
        assert max(map(len, shown.splitlines())) <= 110, name
        assert told("help", name) == shown
    # And in a process of its own.
    assert iris("help", "ls").out == told("ls", "--help")
    assert iris("help").out == told("--help")
    assert iris("help", "nope").status == 2


def test_the_first_help_names_all_there_is(told):
    shown = told("--help")
    for name in cli.COMMANDS:
        assert re.search(rf"^    {name}\b", shown, re.MULTILINE), name
    assert "0 done, 1 refused, 2 usage, 3 not found,\n4 no connection" in shown
    assert {*re.findall(r"IRIS_(?:URL|TOKEN|ACTOR|CA)\b", shown)} == set(place.NAMES)
    assert max(map(len, shown.splitlines())) <= 110


def test_help_names_all_filters_and_columns(told):
    ls = told("ls", "--help")
    for name in ticket_list.PARAMETERS.keys() - {"cursor", "csv", "color", "width"}:
        assert re.search(rf"\b{re.sub('(before|after)$', '', name)}", ls), name
    for command in ("new", "set"):
        shown = told(command, "--help")
        for name in tickets.WRITABLE.keys() - {*tickets.KEPT, *tickets.TOLD, *tickets.RELABELLING}:
            assert re.search(rf"\b{name}\b", shown), name


def test_every_command_that_asks_takes_json(told):
    for name in USERS:
        assert "--json" in told(name, "--help")
        assert (ROOT / "iris" / "cli" / f"{name}.py").exists()
