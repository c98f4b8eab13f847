"""Tickets of other trackers: `iris import --from`.

PostgreSQL reads what is in the rows, and its rules say what is wrong with them. Each ticket gets the
history that it would have had here, as far as the file tells.
"""

from iris.transfer import csv, files, github, writing

# Each stages a file's rows as foreigners: (cursor, file) → ({place: mistake}, a function that writes
# the rows of some places to a file).
KINDS = {"github": github.stage, "csv": csv.stage}
# Mistakes that are named, at most.
MOST = 100
LOAD = files.sql("load")

# Every row of a foreign file: where it stands in it, what it says, and how to know it again.
FOREIGN = """
    CREATE TEMPORARY TABLE foreigners (place bigint PRIMARY KEY, shown text, entry text, origin jsonb)
        ON COMMIT DROP
"""


def take(url, path, kind, say, skip_bad=False):
    """Read the tickets of another tracker, each with a history; those that are here already stay.

    url:      a libpq connection string of the database's owner.
    path:     the file's, or - for stdin.
    kind:     one of KINDS.
    say:      a function that takes a sentence for the person at the terminal.
    skip_bad: leave rows that can't be taken in PATH.bad and take the others.
    Raises:   files.Refused, which names up to 100 rows; psycopg2.Error; nothing has changed then.
    """
    if skip_bad and path == "-":
        raise files.Refused("--skip-bad needs a file, to leave the bad rows beside it")
    with files.opened(path) as file, writing.rules_off(url) as cursor:
        cursor.execute(FOREIGN)
        mistakes, write_bad = KINDS[kind](cursor, file)
        cursor.execute("ANALYZE foreigners")
        cursor.execute(files.sql("skip"))
        skipped = cursor.rowcount
        cursor.execute("SELECT count(*), min(place), max(place) FROM foreigners")
        count, first, last = cursor.fetchone()
        if count > MOST:
            say(f"writing {count} tickets")
        failed = _load(cursor, first, last)
        if failed:
            say("looking for what is wrong")
            most = count if skip_bad else MOST - len(mistakes)
            mistakes |= _find_mistakes(cursor, first, last, most, files.Progress(say))
        if mistakes and not skip_bad:
            words = "\n".join(mistakes[place] for place in sorted(mistakes))
            more = "\n(and maybe more)" if len(mistakes) >= MOST else ""
            raise files.Refused(f"nothing was imported:\n{words}{more}")
        if failed:
            cursor.execute("DELETE FROM foreigners WHERE place = ANY (%s)", (list(mistakes),))
            count -= cursor.rowcount
            failed = _load(cursor, first, last)
            if failed:
                raise files.Refused(failed)
        if mistakes:
            try:
                with open(f"{path}.bad", "wb") as bad:
                    write_bad(bad, sorted(mistakes))
            except OSError as error:
                raise files.Refused(f"{path}.bad can't be written: {error.strerror}") from None
    say(f"imported {count} tickets, skipped {skipped} that were there already")
    if mistakes:
        say(f"left {len(mistakes)} bad ones in {path}.bad")


def _load(cursor, first, last):
    """Make tickets of the foreigners in these places; return None, or why it can't be."""
    cursor.execute("SAVEPOINT load")
    try:
        cursor.execute(LOAD, {"first": first, "last": last})
    except writing.MISTAKES as error:
        cursor.execute("ROLLBACK TO load; RELEASE load")
        return writing.words_of(error)[0]
    cursor.execute("RELEASE load")
    return None


def _find_mistakes(cursor, first, last, most, progress):
    """Return up to `most` {place: its label and what is wrong with it}, by halves."""
    found = {}

    def look(first, last):
        if len(found) >= most:
            return
        cursor.execute("SAVEPOINT look")
        words = _load(cursor, first, last)
        cursor.execute("ROLLBACK TO look; RELEASE look")
        if words is None:
            return
        if first < last:
            middle = (first + last) // 2
            look(first, middle)
            look(middle + 1, last)
            return
        cursor.execute("SELECT shown FROM foreigners WHERE place = %s", (first,))
        found[first] = f"{cursor.fetchone()[0]}: {words}"
        progress(f"{len(found)} mistakes so far, at {found[first]}")

    look(first, last)
    return found
