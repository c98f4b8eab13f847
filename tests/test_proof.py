"""What happened is what it was: digests, and who finds that one does not fit any more."""

import hashlib
import json
import re
import subprocess

import psycopg2
import pytest
from conftest import ROOT, Sql
from test_schema import empty, old, run  # noqa: F401 (fixtures)
from test_time_travel import Life
from test_transfer import exported, other, refused, restored  # noqa: F401 (fixtures)

from iris import cli, doctor, migrations

# As iris export writes an event, and what of it is under its digest.
LINE = re.compile(r'\{"table": "events", "row": (.*),"digest":(?:null|"\\\\x([0-9a-f]{64})")\}\}')
PLACE = "SELECT max(position) AS last FROM events_after(0, 5000)"


@pytest.fixture
def lived(http, sql):
    """Live for a while; every event has its place. Returns how many there are."""
    Life(7, http, sql).run(60)
    # What terminals would obey, what JSON escapes, and letters of more bytes than one.
    sql(
        "INSERT INTO tickets (title, description) VALUES ('odd', E'\\u007f\\u0085 \\\\u009b \\u009b\" é 印')"
    )
    sql("UPDATE statuses SET is_open = true WHERE status = 'closed'")
    return sql.one(PLACE)["last"]


def chain(data):
    """Return {position: digest} as anybody would compute them from an export, and what it says they are."""
    before, made, said = "", {}, {}
    for line in data.decode().splitlines():
        if (found := LINE.fullmatch(line)) and found[2]:
            position = json.loads(found[1] + "}")["position"]
            before = hashlib.sha256((before + found[1] + "}").encode()).hexdigest()
            made[position], said[position] = before, found[2]
    return made, said


def verified(cursor):
    cursor.execute("SELECT position, event_id, why FROM verify_events()")
    return cursor.fetchall()


# What a digest is ---------------------------------------------------------------------------------


def test_anybody_can_compute_them_from_an_export(lived, http, sql, server):
    http.put("/tickets", title="without a place yet")
    data = exported(server.url())
    made, said = chain(data)
    assert list(made) == list(range(1, lived + 1))
    assert made == said
    last = made[lived]
    assert json.loads(data.split(b"\n")[0])["digest"] == last
    assert http.get("/db-check").json["feed"]["digest"] == last
    shown = http.get("/events?limit=1000").json
    assert {event["position"]: event["digest"] for event in shown} == {**made, None: None}
    fed = http.get(f"/events?after={lived - 1}").json
    assert fed[0]["digest"] == last
    assert sql(
        "SELECT position, encode(digest, 'hex') AS hex FROM events_after(%s, 1)", lived - 1
    ) == [{"position": lived, "hex": last}]
    assert sql("SELECT * FROM verify_events()") == []


def test_the_page_says_how(lived, server, tmp_path):
    """What docs/proof.md types, on an export as it is and on one that somebody has edited."""
    page = (ROOT / "docs" / "proof.md").read_text()
    (block,) = re.findall(r"^    before=\n(?:    .*\n)+", page, re.M)
    recipe = re.sub("^    ", "", block, flags=re.M)
    data = exported(server.url())

    def typed(data):
        (tmp_path / "all.ndjson").write_bytes(data)
        done = subprocess.run(
            ["sh", "-c", recipe], capture_output=True, text=True, check=True, cwd=tmp_path
        )
        return done.stdout.splitlines()

    last = json.loads(data.split(b"\n")[0])["digest"]
    assert typed(data) == [last]
    places = {json.loads(m[1] + "}")["position"]: m[0] for m in LINE.finditer(data.decode())}
    edited = data.replace(places[9].encode(), places[9].replace('"actor":"', '"actor":"x').encode())
    assert typed(edited)[0].startswith("not what it was: {")
    assert '"position":9,' in typed(edited)[0]


@pytest.mark.parametrize(
    "setting",
    ["timezone TO 'Asia/Kathmandu'", "datestyle TO 'German'", "bytea_output TO 'escape'", "extra_float_digits TO 0",
     "standard_conforming_strings TO off"],
)  # fmt: skip
def test_it_is_the_same_whatever_a_session_is_set_to(sql, server, setting):
    sql("INSERT INTO tickets (title, due) VALUES ('x', '2030-01-01 12:00+00')")
    odd = Sql(server.url())
    odd(f"SET {setting}")
    odd("SELECT FROM events_after(0)")
    assert odd("SELECT * FROM verify_events()") == []
    odd.connection.close()
    assert sql("SELECT * FROM verify_events()") == []
    made, said = chain(exported(server.url()))
    assert made == said != {}


# What is found ------------------------------------------------------------------------------------

# A byte of each column, as an owner or a disk might change it.
FLIPPED = {
    "event_id": "event_id + 100000",
    "at": "at + interval '1 microsecond'",
    "actor": "overlay(actor PLACING chr(ascii(actor) # 1) FROM 1 FOR 1)",
    "source": "overlay(source PLACING chr(ascii(source) # 1) FROM 1 FOR 1)",
    "ticket_id": "coalesce(ticket_id, 0) # 1",
    "kind": "(enum_range(NULL::event_kind))[12 - array_position(enum_range(NULL::event_kind), kind)]",
    "comment_id": "coalesce(comment_id, 0) # 1",
    "changes": "overlay(changes::text PLACING 'y' FROM 3 FOR 1)::jsonb",
    "kept_version": "coalesce(kept_version, 0) # 1",
    "kept_updated": "coalesce(kept_updated, 'epoch') + interval '1 microsecond'",
    "kept_closed": "coalesce(kept_closed, 'epoch') + interval '1 microsecond'",
    "kept_more": """coalesce(kept_more, '{}') || '{"x": null}'""",
    "other_id": "coalesce(other_id, 0) # 1",
    "other_kept": """coalesce(other_kept, '{}') || '{"x": 1}'""",
    "change": "change # 1",
    "undoes": "coalesce(undoes, 0) # 1",
    "digest": "set_byte(digest, 31, get_byte(digest, 31) # 1)",
    "position": "position # 1024",
}


@pytest.fixture
def flipping(server):
    """Return a cursor of the owner's, in a transaction that is taken back."""
    connection = psycopg2.connect(server.url("postgres"))
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE stored_events ALTER event_id DROP IDENTITY")
        yield cursor
    connection.rollback()
    connection.close()


def test_one_flipped_byte_of_any_column_is_found_and_named(lived, flipping):
    flipping.execute(
        "SELECT DISTINCT attname FROM pg_attribute WHERE attrelid IN ('stored_events'::regclass, 'places'::regclass)"
        " AND attnum > 0 AND NOT attisdropped"
    )
    assert {name for (name,) in flipping.fetchall()} == set(FLIPPED)
    assert verified(flipping) == []
    for position in (1, lived // 2, lived):
        for column, value in FLIPPED.items():
            flipping.execute("SAVEPOINT one")
            flipping.execute(
                f"UPDATE {'places' if column in ('position', 'digest') else 'stored_events'} AS flipped SET {column} = {value}"
                f" WHERE event_id = (SELECT event_id FROM places WHERE position = {position}) RETURNING event_id"
            )
            (event_id,) = flipping.fetchone()
            (found,) = verified(flipping)
            if column == "position":
                why = f"its position was {position}"
                assert found == (position ^ 1024, event_id, why)
            else:
                why = "its digest is not that of its contents and of the one before"
                if column == "event_id":
                    # Its place is another's then.
                    event_id, why = event_id - 100000, "it is not there any more"
                assert found == (position, event_id, why), column
            flipping.execute("ROLLBACK TO one")


def test_what_was_taken_out_put_in_or_moved_is_found(lived, flipping):
    half = lived // 2
    for statement, found in (
        (f"WITH gone AS (DELETE FROM places WHERE position = {half} RETURNING event_id)"
         " DELETE FROM stored_events USING gone WHERE stored_events.event_id = gone.event_id RETURNING NULL::bigint",
         (half, f"there is no event here any more; the next one is at {half + 1}")),
        (f"DELETE FROM stored_events USING places WHERE position = {half} AND places.event_id = stored_events.event_id RETURNING places.event_id",
         (half, "it is not there any more")),
        (f"DELETE FROM stored_events USING places WHERE position = {lived} AND places.event_id = stored_events.event_id RETURNING places.event_id",
         (lived, "it is not there any more")),
        (f"DELETE FROM places WHERE position = {half} RETURNING NULL::bigint",
         (half, f"there is no event here any more; the next one is at {half + 1}")),
        (f"DELETE FROM places WHERE position = {lived} RETURNING event_id", (None, "it has lost its place in the feed")),
        (f"UPDATE places SET position = -3 WHERE position = {lived} RETURNING event_id", (-3, "it has a place that the feed has not")),
        ("UPDATE places SET position = 0 WHERE position = 1 RETURNING event_id", (0, "its position was 1")),
        (f"UPDATE places SET digest = '' WHERE position = {half} RETURNING event_id",
         (half, "its digest is not that of its contents and of the one before")),
        (f"INSERT INTO places SELECT position, 999999, digest FROM places WHERE position = {half} RETURNING event_id",
         (half, "it is not there any more")),
        ("WITH made AS (INSERT INTO stored_events (event_id, at, actor, source, kind, changes) VALUES (999999, now(), 'x', 'x', 'workflow_changed', '{}'))"
         f" INSERT INTO places SELECT position, 999999, digest FROM places WHERE position = {half} RETURNING event_id",
         (half, "another event has its position")),
    ):  # fmt: skip
        flipping.execute("SAVEPOINT one")
        flipping.execute(statement)
        (event_id,) = flipping.fetchone()
        ((place, number, why),) = verified(flipping)
        assert (place, why) == found
        assert number == event_id
        flipping.execute("ROLLBACK TO one")
    # Two that have changed places.
    flipping.execute(
        f"UPDATE places SET position = 2 * {half} + 1 - position WHERE position IN ({half}, {half + 1})"
    )
    ((place, _, why),) = verified(flipping)
    assert (place, why) == (half, "its digest is not that of its contents and of the one before")


def test_where_nothing_has_a_place_yet_that_is_said(sql, server, monkeypatch, capsys):
    monkeypatch.setenv("DATABASE_URL", server.url())
    monkeypatch.setattr("sys.argv", ["iris", "verify"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    assert capsys.readouterr().out == "ok      0 events; nobody has read the feed yet\n"


def test_the_end_that_was_cut_off_is_found_by_what_was_noted(
    lived, sql, owner, server, monkeypatch, capsys
):
    """Nothing in the database shows it, nor that all digests were made anew."""
    monkeypatch.setenv("DATABASE_URL", server.url())
    digests = {
        row["position"]: row["hex"]
        for row in sql("SELECT position, encode(digest, 'hex') AS hex FROM events")
    }

    def verify(*arguments):
        monkeypatch.setattr("sys.argv", ["iris", "verify", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code, capsys.readouterr().out

    noted = digests[lived - 1]
    assert verify("--digest", noted) == (
        0,
        f"ok      {lived} events; the last digest is {digests[lived]}\n"
        f"ok      the digest that was noted is that of position {lived - 1}\n",
    )
    told = {"ok": True, "position": lived, "digest": digests[lived], "wrong": None, "noted": 1}
    assert json.loads(verify("--json", "--digest", digests[1].upper())[1]) == told
    with owner.cursor() as cursor:
        cursor.execute(
            f"UPDATE stored_events SET actor = 'mallory' FROM places WHERE position = {lived - 2}"
            " AND places.event_id = stored_events.event_id RETURNING places.event_id"
        )
        (event_id,) = cursor.fetchone()
        words = f"event {event_id} at position {lived - 2}: its digest is not that of its contents and of the one before"
        assert verify() == (1, f"WRONG   {words}\n")
        assert json.loads(verify("--json")[1])["wrong"] == words
        found = {each.check: each for each in doctor.examine() if each.status == "wrong"}
        assert found["digests"].found == words
        cursor.execute("SELECT renew_digests(%s)", (lived - 3,))
        assert cursor.fetchone() == (lived,)
    assert verify()[0] == 0
    gone = "WRONG   no event has the digest that was noted: what led to it is not there any more\n"
    assert verify("--digest", noted) == (1, gone)
    # What was before it still has its own.
    assert verify("--digest", digests[lived - 3])[0] == 0
    assert verify("--digest", "12ab")[0] == 2
    monkeypatch.setenv("DATABASE_URL", "postgresql://iris@127.0.0.1:1/iris")
    assert verify() == (4, "")


def test_nobody_but_the_owner_gives_any(sql, http):
    http.put("/tickets", title="x")
    for statement in (
        "SELECT place_events(1)",
        "SELECT renew_digests()",
        "SELECT find_waiting()",
        "UPDATE events SET digest = NULL",
        "UPDATE places SET digest = ''",
        "INSERT INTO places VALUES (1, 1, '')",
        "DELETE FROM places",
        "UPDATE places_reached SET change = 0",
    ):
        assert sql.refusal(statement).pgcode == "42501"


# Where they go ------------------------------------------------------------------------------------


def test_import_keeps_them_or_refuses(lived, sql, server, other, tmp_path):  # noqa: F811
    whole = exported(server.url())
    lines = whole.decode().splitlines(keepends=True)
    header = json.loads(lines[0])
    restored(server, other, whole, tmp_path)
    assert exported(server.url(database=other)) == whole
    run(server.url("postgres", other), "TRUNCATE tickets, comments, links, searches, stored_events")

    def words(number, text, other_text):
        assert text in lines[number - 1]
        edited = [
            *lines[: number - 1],
            lines[number - 1].replace(text, other_text, 1),
            *lines[number:],
        ]
        return refused(restored, server, other, "".join(edited).encode(), tmp_path)

    place = next(at for at, line in enumerate(lines, 1) if '"position":9,' in line)
    event_id = json.loads(lines[place - 1])["row"]["event_id"]
    unlike = "its digest is not that of its contents and of the one before"
    assert (
        words(place, '"source":"', '"source":"x') == f"line {place}: {unlike} (event_id {event_id})"
    )
    last = header["digest"]
    assert words(1, last, "0" * 64) == f"line 1: {'0' * 64} is not the last digest of its events"
    assert words(place, '"digest":"', '"digest":null,"x":"').startswith(
        f"line {place}: x is not as an export gives it"
    )
    for wrong in ("12", 7, ["x"], "", {}):
        with_it = json.dumps({**header, "digest": wrong})
        said = words(1, lines[0].strip(), with_it)
        assert said == f"line 1: {wrong} is not the last digest of its events"
    # Who says that there is none begins anew, and whoever has noted one sees it.
    lines[0] = lines[0].replace(f'"{last}"', "null")
    edited = "".join(lines).replace('"actor":"anonymous"', '"actor":"mallory"')
    assert edited != "".join(lines)
    restored(server, other, edited.encode(), tmp_path)
    made, said = chain(exported(server.url(database=other)))
    assert made == said
    assert len(made) == lived


def test_the_upgrade_gives_them_to_what_has_a_place(old, monkeypatch):  # noqa: F811
    with psycopg2.connect(old) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(position) FROM events")
        (many,) = cursor.fetchone()
        assert many > 0
    # However soon it is done.
    monkeypatch.setattr(migrations, "OFTEN", -1)
    told = []
    migrations.move(old, say=told.append)
    assert told == [
        "making the words of tickets and comments anew",
        *[f"{many:,} of {many:,} events have their digests"] * 2,
    ]
    made, said = chain(exported(old))
    assert made == said
    assert len(made) == many
    migrations.move(old, "0008", down=True)
    migrations.move(old)
    with psycopg2.connect(old) as connection, connection.cursor() as cursor:
        assert verified(cursor) == []
