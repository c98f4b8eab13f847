"""A short life beside its model (the long one is `make lives`): at each moment both doors say what was."""

import lives
import replay


def test_a_life_is_at_each_moment_what_it_was(server, clean, sql, owner):
    life = lives.Life("ci", *lives.doors(server.url()))
    life.run(80)
    assert life.done["undo done"] > 1 and life.done["undo changed_since"] > 0
    life.check(every=16, deep=1)
    assert sql.one("SELECT count(*) FROM events_after(0, 5000)")["count"] > 80
    assert sql("SELECT * FROM verify_events()") == []
    with owner.cursor() as cursor:
        for text in (replay.TICKETS, replay.COMMENTS, replay.LINKS):
            cursor.execute(text)
            assert cursor.fetchall() == []
