"""A short one of what `make heard` measures: an edit in psql is told within a second."""

from statistics import median

import heard
import pytest


@pytest.mark.parametrize("command", ["deliver", "serve"])
def test_an_edit_in_psql_is_heard_of_within_a_second(server, clean, command):
    """Whoever tells it, and by each of several hooks, beside such as are dead, slow or gone."""
    took, _ = heard.run(server.url(), hooks=5, seconds=2, command=(command,))
    # Half of them, for the machine may be busy with something else just then.
    assert len(took) == 5 * 20 and 0 < median(took) < heard.SOON, sorted(took)
