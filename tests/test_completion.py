"""What shells complete after `iris`."""

import os
import pty
import select
import shutil
import socket
import subprocess
import sys

import pytest

from iris import cli


@pytest.fixture
def completed(iris, monkeypatch, capsys):
    """Return a function: what a shell offers for a line. The command runs in this process, for there are many."""

    def ask(line, shell="zsh", **environment):
        for name, value in {**iris.environment, **environment}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["iris", "completion", shell, "--line", line])
        monkeypatch.chdir(iris.home)
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        assert (ended.value.code, said.err) == (0, "")
        return said.out.splitlines()

    return ask


def test_shells_are_told_what_there_is(completed, http):
    http.put("/tickets", title="x", assignee="Ann Lee", labels=["a, b", "c"])
    http.put("/tickets", title="x", assignee="bob@example.org", status="active")
    assert completed("iris ") == list(cli.COMMANDS)
    assert completed("iris wat") == ["watch"]
    assert completed("iris ls sta") == ["status="]
    assert {"mine", "q=", "due_before=", "overdue="} <= set(completed("iris ls "))
    assert completed("iris ls status=open,b") == ["status=open,blocked"]
    assert completed("iris ls status!=res") == ["status\\!=resolved"]
    assert completed("iris ls priority=u") == ["priority=urgent"]
    assert completed("iris ls overdue=") == ["overdue=true", "overdue=false"]
    assert "sort=-created" in completed("iris ls sort=")
    assert completed("iris ls assignee=A") == ["assignee=Ann\\ Lee"]
    assert completed("iris ls assignee=A", "fish") == ["assignee=Ann Lee"]
    assert completed("iris ls 'assignee=A") == ["assignee=Ann\\ Lee"]
    assert completed("iris ls assignee=bob@e", "bash") == ["example.org"]
    assert completed("iris ls label=", "fish") == ['label="a, b"', "label=c"]
    assert completed("iris ls label==a", "fish") == ["label==a, b"]
    # One ticket goes where the workflow lets it.
    assert completed("iris set 2 status=") == [
        f"status={each}" for each in ("open", "blocked", "resolved", "closed")
    ]
    assert completed("iris set ")[:2] == ["2", "1"]
    assert {"title=", "assignee=", "add_label="} <= set(completed("iris set 2 "))
    assert "version=" not in completed("iris set 2 ")
    assert {"kind=", "at_after="} <= set(completed("iris log "))
    assert completed("iris watch ki") == ["kind="]
    assert completed("iris link ")[:2] == ["2", "1"]
    assert completed("iris link 1 b") == ["blocks"]
    assert completed("iris link 1 blocks ")[:2] == ["2", "1"]
    assert "weeks=" in completed("iris stats we")
    assert {"columns=title", "columns=comments"} <= set(completed("iris ls columns="))
    assert completed("iris ls columns=title,sta") == ["columns=title,status"]
    assert "sort=-rank" in completed("iris ls sort=-")
    assert completed("iris ls format=nd") == ["format=ndjson"]
    assert completed("iris help lo") == ["log"]
    # What was done just now, too.
    before = completed("iris undo ")
    http.put("/tickets/1", priority="low")
    assert completed("iris undo ")[1:] == before
    assert completed("iris ls --j") == ["--json"]
    assert completed("iris nope x") == []


def test_nobody_who_presses_a_key_reads_what_is_wrong(completed, iris):
    for line in (
        "",
        "iris",
        "iris 'ls",
        'iris ls "',
        "iris ls \\",
        "iris ls status=\ud800",
        "iris ls (",
    ):
        completed(line.encode("utf-8", "replace").decode())
    assert completed("iris ls st", IRIS_URL="http://127.0.0.1:1") == []
    assert completed("iris ls st", IRIS_URL="nonsense") == []
    cache = iris.home / ".cache" / "iris"
    completed("iris ls st")
    (kept,) = cache.iterdir()
    assert kept.stat().st_mode & 0o077 == 0
    kept.write_text("{")
    assert completed("iris ls st") == ["status="]
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert completed("iris ls x=", IRIS_URL=f"http://127.0.0.1:{silent.getsockname()[1]}") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_scripts_are_ones_for_their_shells(iris, shell):
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here")
    script = iris("completion", shell).out
    done = subprocess.run([shell, "-n"], input=script, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def driven(iris, http):
    """Return the environment of a shell in which iris completes, and otherwise says what it was given."""
    http.put("/tickets", title="x", assignee="Ann Lee")
    (iris.home / "iris").write_text(
        f"""#!/bin/sh
        [ "$1" = completion ] && exec "{sys.executable}" -m iris.cli "$@"
        printf '<%s>' "$@"
        """
    )
    (iris.home / "iris").chmod(0o755)
    return {**iris.environment, "PATH": f"{iris.home}:{os.environ['PATH']}", "TERM": "dumb"}


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_what_is_typed(iris, driven):
    script = f"""
        {iris("completion", "bash").out}
        COMP_LINE='iris ls assignee=A' COMP_POINT=18 _iris
        echo "${{COMPREPLY[@]}}"
    """.replace("compopt", "true").replace("complete ", "true ")
    done = subprocess.run(
        ["bash", "-c", script], env=driven, capture_output=True, text=True, check=True
    )
    assert done.stdout == "Ann\\ Lee\n"


@pytest.mark.skipif(shutil.which("fish") is None, reason="needs fish")
def test_fish_completes_what_is_typed(iris, driven):
    script = f"""
        {iris("completion", "fish").out}
        complete -C 'iris ls assignee=A'
        complete -C 'iris ls sta'
    """
    done = subprocess.run(
        ["fish", "--no-config", "-c", script],
        env=driven,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "assignee=Ann Lee\nstatus=\n"


@pytest.mark.skipif(shutil.which("zsh") is None, reason="needs zsh")
def test_zsh_completes_what_is_typed(iris, driven):
    """In a terminal, where a tab is a tab."""
    script = iris.home / "completion.zsh"
    script.write_text(
        f"autoload -U compinit && compinit -u -D\n{iris('completion', 'zsh').out}\nPS1='%% '\nprint ready\n"
    )
    ours, its = pty.openpty()
    shell = subprocess.Popen(
        ["zsh", "-f", "-i"],
        env=driven,
        cwd=iris.home,
        stdin=its,
        stdout=its,
        stderr=its,
        start_new_session=True,
    )
    os.close(its)
    said = b""

    def until(words):
        nonlocal said
        while words not in said:
            found, _, _ = select.select([ours], [], [], 30)
            assert found, said
            said += os.read(ours, 65536)
        said = said.partition(words)[2]

    try:
        os.write(ours, f"source {script}\n".encode())
        until(b"\nready")
        os.write(ours, b"iris ls sta\tactive assignee=A\t\n")
        until(b"<ls><status=active><assignee=Ann Lee>")
    finally:
        shell.kill()
        shell.wait()
        os.close(ours)
