"""docker-compose.ha.yml says the same as docker-compose.yml, where Compose makes one write it twice."""

import re

from conftest import ROOT


def test_both_irises_have_each_setting_that_one_has():
    """Anchors of YAML lead to no other file."""
    one, three = ((ROOT / f"docker-compose{each}.yml").read_text() for each in ("", ".ha"))
    wanted = re.findall(r"^      (IRIS_\w+:.*)$", one[one.index("\n  iris:") :], re.MULTILINE)
    others = ("IRIS_DB_HOST", "IRIS_PROXIES")
    assert len(wanted) > 10
    for line in wanted:
        assert f"\n  {line}\n" in three or line.startswith(others), line
