"""Some rounds of what `make kills` does twenty of, in pieces: what comes after the first is looked at, too."""

import kills
import pytest

# A round has all faults. By this seed the two quarters of one have the six that kill something.
# What is started again and again takes most of it, so one worker serves; in `make slow` there are two.
QUARTERS = {"rounds": 2, "parts": 4, "seed": 304, "between": 0.5, "workers": 1}
HALVES = {"rounds": 2, "parts": 2}


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(QUARTERS, id="quarters"),
        pytest.param(HALVES, id="halves", marks=pytest.mark.slow),
    ],
)
def test_nothing_acknowledged_is_lost_or_done_twice_whatever_is_killed(tmp_path, given):
    ledger = kills.run(tmp_path, pause=0.4, **given)
    assert len(ledger.acknowledged) > 100
    assert ledger.repeated > 0
