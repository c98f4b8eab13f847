"""The pages in a real Chromium."""

import hashlib

from chromium import AXE, faults
from conftest import ROOT

ASSETS = ROOT / "iris" / "web" / "assets"


def test_axe_is_as_npm_has_it():
    """`make axe` fetches it anew."""
    folder = AXE.parent
    known = dict(
        reversed(line.split()) for line in (folder / "SHA256SUMS").read_text().splitlines()
    )
    assert known.keys() | {"SHA256SUMS"} == {path.name for path in folder.iterdir()}
    for name, digest in known.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, name
    assert "Mozilla Public License" in (folder / "LICENSE").read_text()


def test_axe_finds_what_is_wrong(chromium):
    """Or the tests that it finds nothing would say nothing."""
    page = chromium.new_page()
    page.add_init_script(path=AXE)
    page.goto("data:text/html,<title>x</title><img src='data:'>")
    assert any(": image-alt: " in each for each in faults(page))
    page.close()


def test_script_and_style_stay_small():
    """As they are sent, uncompressed: 20 KB and 10 KB."""
    sizes = {
        kind: sum(path.stat().st_size for path in ASSETS.glob(f"*.{kind}"))
        for kind in ("js", "css")
    }
    assert sizes["js"] <= 20_000 and sizes["css"] <= 10_000, sizes
