"""One round of what `make kills` does twenty of, in two halves: what comes after the first is looked at, too."""

import kills


def test_nothing_acknowledged_is_lost_or_done_twice_whatever_is_killed(tmp_path):
    ledger = kills.run(tmp_path, rounds=2, pause=0.4, parts=2)
    assert len(ledger.acknowledged) > 100
    assert ledger.repeated > 0
