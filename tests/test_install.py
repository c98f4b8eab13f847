"""`pip install .`, from any folder and not editable, gives an Iris that is whole."""

import shutil
import site
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, free_port
from test_up import environment

from iris import schema


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Return the folder that Iris is installed into."""
    folder = tmp_path_factory.mktemp("installed")
    source = folder / "source"
    source.mkdir()
    # As a clone has it: nothing that an earlier build has left goes in.
    listing = ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listing, check=True, capture_output=True, text=True).stdout.split(
        "\0"
    ):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation"]
    command += ["--no-index", "--disable-pip-version-check", "--target", folder / "site", source]
    subprocess.run(command, check=True, cwd=folder, capture_output=True)
    return folder / "site"


def run(installed, folder, *command, without="no such package", **more):
    """Start a Python in a folder that has the installed Iris, and what it needs, and nothing else."""
    needs = folder / "needs"
    needs.mkdir()
    for path in map(Path, site.getsitepackages()):
        for each in path.iterdir():
            if without not in each.name:
                (needs / each.name).symlink_to(each)
    return subprocess.Popen(
        # Without `site`, only PYTHONPATH says what there is; the Iris that is tested is not.
        [sys.executable, "-S", "-W", "ignore", *command],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        env=environment(
            folder / "data", free_port(), PYTHONPATH=f"{installed}:{needs}", PYTHONUNBUFFERED="1", **more
        ),
    )  # fmt: skip


def test_it_can_up(installed, tmp_path):
    process = run(installed, tmp_path, installed / "bin" / "iris", "up", PYTHONNOUSERSITE="1")
    said = ""
    try:
        for line in process.stdout:
            said += line
            if "curl -X PUT" in line:
                break
        assert "Iris is ready on" in said, said
    finally:
        process.terminate()
        process.communicate(timeout=30)
    assert process.returncode == 0


def test_it_has_the_schema_and_its_revisions(installed, tmp_path):
    words = "from iris import migrations, schema; print(schema.POSTGRES, *migrations.known())"
    said, _ = run(installed, tmp_path, "-c", words).communicate(timeout=30)
    folder, *revisions = said.split()
    assert folder == str(installed / "iris" / "postgres")
    assert revisions[-1] == schema.REVISION


def test_without_a_postgresql_it_says_what_to_install(installed, tmp_path):
    """The base install is the client and the service."""
    process = run(installed, tmp_path, "-m", "iris.cli", "up", without="pgserver")
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert said == (
        "iris: the embedded PostgreSQL is not installed: pip install 'iris[embedded]', or `make up`\n"
    )
    assert not (tmp_path / "data").exists()
