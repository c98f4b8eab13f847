"""`pip install .`, from any folder and not editable, gives an Iris that is whole."""

import os
import re
import site
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, free_port
from test_up import environment


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Return the folder that Iris is installed into, with what it needs left where it is."""
    folder = tmp_path_factory.mktemp("installed")
    source = folder / "source"
    # As a fresh clone has it: nothing that an earlier build has left goes in.
    subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-z"], check=True, stdout=open(folder / "files", "wb")
    )
    source.mkdir()
    subprocess.run(
        f"tar -C {ROOT} --null --files-from={folder}/files --ignore-failed-read -cf - | tar -C {source} -xf -",
        shell=True, check=True, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation"]
    command += ["--no-index", "--disable-pip-version-check", "--target", folder / "site", source]
    subprocess.run(command, check=True, cwd=folder, capture_output=True)
    return folder / "site"


def test_it_can_up(installed, tmp_path):
    command = [sys.executable, "-W", "ignore", installed / "bin" / "iris", "up"]
    more = {"PYTHONPATH": str(installed), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment(tmp_path / "data", free_port(), **more),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        said = ""
        for line in process.stdout:
            said += line
            if "curl -X PUT" in line:
                break
        assert "Iris is ready on" in said
        where = "from iris import migrations, schema; print(schema.POSTGRES, *migrations.known())"
        done = subprocess.run(
            [sys.executable, "-c", where], cwd=tmp_path, env={**os.environ, **more}, capture_output=True,
            text=True, check=True,
        )  # fmt: skip
        assert re.match(
            re.escape(str(installed / "iris" / "postgres")) + r"( \d{4})+$", done.stdout
        )
    finally:
        process.terminate()
        process.wait(timeout=30)
    assert process.returncode == 0


def test_without_a_postgresql_it_says_what_to_install(installed, tmp_path):
    """The base install is the client and the service."""
    alone = tmp_path / "alone"
    alone.mkdir()
    for path in map(Path, site.getsitepackages()):
        for each in path.iterdir():
            if "pgserver" not in each.name:
                (alone / each.name).symlink_to(each)
    done = subprocess.run(
        # Without `site`, only PYTHONPATH says what there is.
        [sys.executable, "-S", "-W", "ignore", "-m", "iris.cli", "up"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env=environment(tmp_path / "data", free_port(), PYTHONPATH=f"{installed}:{alone}"),
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == (
        "iris: the embedded PostgreSQL is not installed: pip install 'iris[embedded]', or `make up`\n"
    )
    assert not (tmp_path / "data").exists()
