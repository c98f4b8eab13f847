"""A short one of what `make hooks` does for a thousand events."""

import pytest
import told


@pytest.mark.slow
def test_all_arrives_whatever_is_killed_meanwhile(tmp_path):
    messages, _ = told.run(tmp_path, events=60, kills=2)
    assert messages > 60
