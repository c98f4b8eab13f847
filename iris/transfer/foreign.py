"""Tickets of other trackers: `iris import --from`.

A file is read item by item into a temporary table (shapes.ALL), drafted there under the rules (drafts.sql),
and becomes tickets, or changes of those that came before, set by set (load.sql). Each gets the history that
it would have had here, as far as the file tells.
"""

import contextlib
import json
from collections import defaultdict

import psycopg2

from iris import counted, visible
from iris.transfer import files, mapping, restore, shapes, texts, writing

# Lines that mistakes, and what was not overwritten, take at most; tickets that are named for one of them.
MOST = 100
NAMED = 3
# Tickets that are drafted at once, when it is looked for what is wrong.
PORTION = 1000

FOREIGN = """
    CREATE TEMPORARY TABLE foreigners (place bigint PRIMARY KEY, shown text, entry text, origin jsonb,
        is_keyed boolean, wrong jsonb, own_id bigint, raw text, formerly jsonb) ON COMMIT DROP
"""
# What a client gives, but for what is told apart.
COLUMNS = {
    "columns": "SELECT each_column('tickets', '%1$I')",
    "drafted": "SELECT each_column('tickets', 'drafts.%1$I')",
    "renewed": "SELECT each_column('tickets', '%1$I = (made.ticket).%1$I')",
    "said": "SELECT each_column('comments', '%1$I')",
    "remarked": "SELECT each_column('comments', 'remarks.%1$I')",
}
COUNTS = {
    "tickets": "SELECT count(*) FROM places WHERE is_new",
    "comments": "SELECT count(*) FROM replies WHERE is_new",
    "links": "SELECT count(*) FROM ties",
    "labels": "SELECT count(DISTINCT listed.label) FROM drafts"
    " CROSS JOIN unnest(drafts.labels) AS listed(label)",
    "people": "SELECT count(DISTINCT listed.name) FROM (SELECT drafts.assignee FROM drafts UNION ALL"
    " SELECT drafts.reporter FROM drafts UNION ALL SELECT remarks.author FROM remarks) AS listed(name)",
    "changed": "SELECT count(DISTINCT ticket_id) FROM (SELECT ticket_id FROM renewed UNION ALL"
    " SELECT ticket_id FROM rewritten WHERE here = was UNION ALL SELECT replies.ticket_id FROM replies"
    " JOIN places USING (place) WHERE replies.is_new AND NOT places.is_new) AS listed",
    "there": "SELECT count(*) FROM places WHERE NOT is_new",
    "lost": "SELECT count(*) FROM wished WHERE other_id IS NULL AND NOT is_mentioned"
    " OR ticket_id IS NULL AND NOT is_mentioned",
}


class _Undone(Exception):
    """A dry run has come to its end: all of it is undone."""


def take(
    url,
    path,
    kind,
    say,
    *,
    skip_bad=False,
    dry_run=False,
    again=False,
    map_path=None,
    encoding=None,
):
    """Read the tickets of another tracker; those that came before are changed as the file has changed since.

    url:      a libpq connection string of the database's owner.
    path:     the file's, or - for stdin.
    kind:     one of shapes.ALL.
    say:      a function that takes a sentence for the person at the terminal.
    skip_bad: leave rows that can't be taken in PATH.bad and take the others.
    dry_run:  do nothing but say what would be done.
    again:    take those, too, that have been deleted here.
    map_path: of a file that says what columns, statuses, priorities and people are here, or None.
    encoding: of the file; None asks its first bytes.
    Returns:  the mapping.Mapping that was in effect.
    Raises:   files.Refused, which names up to 100 mistakes; psycopg2.Error; nothing has changed then.
    """
    if skip_bad and path == "-":
        raise files.Refused("--skip-bad needs a file, to leave the bad rows beside it")
    over = mapping.read(map_path)
    run = _Run(shapes.ALL[kind], kind, say, again)
    with contextlib.suppress(_Undone), files.opened(path) as file, writing.connected(url) as cursor:
        run.stage(cursor, texts.Text(file, encoding), over, skip_bad)
        with writing.rules_off(cursor):
            run.match(cursor)
            run.draft(cursor)
            run.judge(cursor, path, skip_bad, dry_run)
            run.load(cursor)
            run.tell(cursor, path, dry_run)
            if dry_run:
                raise _Undone
    return run.table


class _Run:
    """One import."""

    def __init__(self, shape, kind, say, again):
        self.shape, self.kind, self.say, self.again = shape, kind, say, again
        self.progress = files.Progress(say)
        self.table, self.bad, self.counts = None, 0, {}

    def stage(self, cursor, text, over, keep_raw):
        """Read the file into the table foreigners."""
        cursor.execute("SELECT status, is_open FROM statuses ORDER BY position")
        self.table = mapping.Mapping(self.shape.table, over, cursor.fetchall(), self.shape.asks)
        self.table.kind = self.kind
        cursor.execute(FOREIGN)

        def lines():
            for place, item in enumerate(self.shape.read(text, self.table, self.kind, self.shape)):
                yield item.line(place, keep_raw)
                self.progress(f"{counted.of(place + 1, 'row')} read")

        reading = files.Lines(lines())
        try:
            cursor.copy_expert(f"COPY foreigners FROM STDIN {writing.RAW}", reading)
        except psycopg2.Error:
            if reading.error:
                raise reading.error from None
            raise

    def match(self, cursor):
        """Find out which rows are known here, and leave out what comes twice or was deleted here."""
        cursor.execute(files.sql("known"))
        cursor.execute("CREATE INDEX ON foreigners (origin)")
        for name, condition in {
            "twice": "EXISTS (SELECT FROM foreigners AS earlier WHERE earlier.origin = foreigners.origin"
            " AND earlier.place < foreigners.place)",
            "deleted": f"NOT {self.again} AND origin IN (SELECT known.origin FROM known WHERE is_gone)",
        }.items():
            cursor.execute(f"DELETE FROM foreigners WHERE {condition}")
            self.counts[name] = cursor.rowcount
        cursor.execute("ANALYZE foreigners")
        cursor.execute("SELECT count(*), min(place), max(place) FROM foreigners")
        self.count, self.first, self.last = cursor.fetchone()

    def draft(self, cursor):
        """Draft all rows, or note in `wrong` why they can't be."""
        cursor.execute(files.sql("drafts"), {"formatted": True})
        people = self.table.people.items()
        cursor.execute(
            "INSERT INTO people SELECT * FROM jsonb_each_text(%s)", (json.dumps(dict(people)),)
        )
        try:
            cursor.execute(
                "SELECT set_config('timezone', %s, true)", (self.table.table["timezone"],)
            )
        except psycopg2.DataError:
            raise files.Refused(
                f'--map: there is no timezone "{self.table.table["timezone"]}"'
            ) from None
        if self.count > MOST:
            self.say(f"drafting {counted.of(self.count, 'ticket')}")
        defaults = json.loads(restore.defaults(cursor))
        del defaults["status"]
        defaults = json.dumps({**defaults, "reporter": "import"})
        self._draft(cursor, defaults)
        cursor.execute("SET LOCAL timezone TO 'UTC'")

    def _draft(self, cursor, defaults):
        if not self.count:
            return
        cursor.execute("SELECT EXISTS (SELECT FROM foreigners WHERE wrong <> '[]')")
        if not cursor.fetchone()[0]:
            cursor.execute("SAVEPOINT drafting")
            try:
                cursor.execute(
                    "SELECT pg_temp.draft(%s, %s, %s)", (self.first, self.last, defaults)
                )
            except writing.MISTAKES:
                cursor.execute("ROLLBACK TO drafting")
            else:
                return
        for place in range(self.first, self.last + 1, PORTION):
            cursor.execute(
                "UPDATE foreigners SET wrong = wrong || jsonb_build_array(said.words)"
                " FROM (SELECT place, pg_temp.mistake(place, %s) AS words FROM foreigners"
                " WHERE place BETWEEN %s AND %s AND entry <> '' OFFSET 0) AS said"
                " WHERE said.place = foreigners.place AND said.words IS NOT NULL",
                (defaults, place, place + PORTION - 1),
            )
            self.progress(f"looking for what is wrong: {place} of {self.last + 1}")
        for name in ("remarks", "drafts"):
            cursor.execute(
                f"DELETE FROM {name} USING foreigners"
                f" WHERE foreigners.place = {name}.ticket_id AND foreigners.wrong <> '[]'"
            )

    def judge(self, cursor, path, skip_bad, dry_run):
        """Refuse what is wrong, or leave it beside the file."""
        cursor.execute("SELECT count(*) FROM foreigners WHERE wrong <> '[]'")
        (self.bad,) = cursor.fetchone()
        if not self.bad:
            return
        words = "\n".join(self._mistakes(cursor))
        if not skip_bad:
            raise files.Refused(f"nothing was imported:\n{words}")
        self.say(f"{counted.of(self.bad, 'row')} can't be taken:\n{words}")
        if not dry_run:
            try:
                with open(f"{path}.bad", "w", encoding="utf-8", newline="") as bad:
                    bad.writelines(self.shape.write(_raw(cursor), self.table))
            except OSError as error:
                raise files.Refused(f"{path}.bad can't be written: {error.strerror}") from None
        cursor.execute("DELETE FROM foreigners WHERE wrong <> '[]'")

    def _mistakes(self, cursor):
        """Return lines that say what is wrong with which rows, kind by kind."""
        cursor.execute(
            "SELECT words, count(*), (array_agg(shown ORDER BY place))[1:%s],"
            " (array_agg(place ORDER BY place))[1:%s] FROM foreigners"
            " CROSS JOIN jsonb_array_elements_text(wrong) AS listed(words)"
            " GROUP BY words ORDER BY min(place), words LIMIT %s",
            (NAMED, NAMED, MOST + 1),
        )
        kinds, found = cursor.fetchall(), []
        for raw, count, shown, places in kinds:
            words = visible.safe(raw)
            if count <= NAMED:
                found += [(at, f"{each}: {words}") for at, each in zip(places, shown, strict=True)]
            else:
                found.append((places[0], f"{shown[0]} and {count - 1} more: {words}"))
        lines = [line for _, line in sorted(found)]
        if len(lines) > MOST:
            lines = [*lines[:MOST], "(and more)"]
        for part in ("status", "priority"):
            unknown = {
                words.partition('"')[2][:-1]: count
                for words, count, *_ in kinds
                if words.startswith(f'there is no {part} "')
            }
            if unknown:
                lines.append(visible.safe(self.table.advice(part, unknown)))
        if any(words.startswith("fields must be") for words, *_ in kinds):
            lines.append(
                'say which columns are not wanted: --map FILE with {"columns": {"…": "nothing"}}, or "*"'
                " for all that go nowhere else"
            )
        return lines

    def load(self, cursor):
        """Make tickets, comments, links and history of what has been drafted."""
        if self.count > MOST:
            self.say(f"writing {counted.of(self.count - self.bad, 'ticket')}")
        cursor.execute(files.sql("places"), {"formatted": True})
        cursor.execute(files.sql("ties"), {"formatted": True})
        self.counts["refused"] = _untie(cursor)
        statements = files.sql("load")
        for name, query in COLUMNS.items():
            cursor.execute(query)
            statements = statements.replace(f"{{{name}}}", cursor.fetchone()[0].replace("%", "%%"))
        steps = statements.split(";\n")
        try:
            for nth, statement in enumerate(steps, 1):
                cursor.execute(statement, {"formatted": True})
                self.progress(f"writing: {nth} of {len(steps)} steps done")
        except writing.MISTAKES as error:
            raise files.Refused(writing.words_of(error)[0]) from None
        for name, query in COUNTS.items():
            cursor.execute(query)
            (self.counts[name],) = cursor.fetchone()

    def tell(self, cursor, path, dry_run):
        """Say what came, where it went, and what did not come."""
        counts, table = self.counts, self.table
        verb = "would import" if dry_run else "imported"
        self.say(
            f"{verb} {counted.of(counts['tickets'], 'ticket')}, {counted.of(counts['comments'], 'comment')},"
            f" {counted.of(counts['links'], 'link')}; the file has {counted.of(counts['labels'], 'label')}"
            f" and {counted.of(counts['people'], 'person', 'people')}"
        )
        if counts["there"]:
            same = counts["there"] - counts["changed"]
            self.say(
                f"{counted.of(counts['there'], 'ticket')} already there: {counts['changed']:,}"
                f" {'would be ' if dry_run else ''}changed as the file has changed, {same:,} the same"
            )
        self._tell_kept(cursor)
        for number, *words in (
            (counts["twice"], "row that comes twice in the file was left out",
             "rows that come twice in the file were left out"),
            (counts["deleted"], "ticket that has been deleted here was left out; --again takes it",
             "tickets that have been deleted here were left out; --again takes them"),
            (counts["lost"], "link leads to what is not here and was left out",
             "links lead to what is not here and were left out"),
            (counts["refused"], "link was left out: a circle, or a second parent",
             "links were left out: a circle, or a second parent"),
            (table.empty, "empty line was left out", "empty lines were left out"),
            (table.mended, "title had control characters or more than one line: blanks now",
             "titles had control characters or more than one line: blanks now"),
            (table.untold, "comment is counted by the file and not in it: docs/import.md says how to get it",
             "comments are counted by the file and not in it: docs/import.md says how to get them"),
        ):  # fmt: skip
            if number:
                self.say(counted.of(number, *words))
        places = defaultdict(list)
        for name, place in table.placed:
            places[place].append(name or "(a column without a name)")
        if places:
            self.say(
                "columns: "
                + "; ".join(f"{', '.join(names)} → {place}" for place, names in places.items())
            )
        for part in ("status", "priority"):
            if table.met[part]:
                met = ", ".join(
                    f"{theirs} → {ours} ({count})"
                    for (theirs, ours), count in table.met[part].most_common(MOST)
                )
                self.say(f"{part}: {met}")
        if self.bad:
            self.say(
                f"left {counted.of(self.bad, 'bad row')} "
                + ("out" if dry_run else f"in {path}.bad")
            )

    def _tell_kept(self, cursor):
        """Say what was changed in the file and here, too, and stays as it is here."""
        cursor.execute(
            "SELECT ticket_id, piece, here #>> '{}', now #>> '{}' FROM differences WHERE NOT is_taken"
            " UNION ALL SELECT ticket_id, 'comment ' || comment_id, here, now FROM rewritten"
            f" WHERE here IS DISTINCT FROM was ORDER BY 1, 2 LIMIT {MOST + 1}"
        )
        kept = cursor.fetchall()
        for ticket_id, piece, here, now in kept[:MOST]:
            self.say(
                f"ticket {ticket_id}: {piece} was changed here and in the file; it stays {_short(here)},"
                f" the file has {_short(now)}"
            )
        if len(kept) > MOST:
            self.say("(and more that was changed here and in the file)")


def _raw(cursor):
    """Yield what rows that are wrong were in the file."""
    with cursor.connection.cursor("raw") as rows:
        rows.execute("SELECT raw FROM foreigners WHERE wrong <> '[]' ORDER BY place")
        for (raw,) in rows:
            yield json.loads(raw)


def _untie(cursor):
    """Leave out links that would make a circle or a second parent; return how many."""
    left_out = []
    for kind in ("blocks", "parent"):
        after = defaultdict(list)
        cursor.execute("SELECT ticket_id, other_id FROM links WHERE kind = %s", (kind,))
        for ticket_id, other_id in cursor:
            after[ticket_id].append(other_id)
        cursor.execute(
            "SELECT nth, ticket_id, other_id FROM ties WHERE kind = %s ORDER BY nth", (kind,)
        )
        for nth, ticket_id, other_id in cursor.fetchall():
            if (kind == "parent" and after[ticket_id]) or _reaches(after, other_id, ticket_id):
                left_out.append(nth)
            else:
                after[ticket_id].append(other_id)
    cursor.execute("DELETE FROM ties WHERE nth = ANY (%s)", (left_out,))
    return len(left_out)


def _reaches(after, start, end):
    """Whether there is a way from one ticket to another."""
    seen, left = set(), [start]
    while left:
        one = left.pop()
        if one == end:
            return True
        if one not in seen:
            seen.add(one)
            left += after.get(one, ())
    return False


def _short(value):
    """Return a value as people want to see it in a sentence."""
    if value is None:
        return "empty"
    return f'"{value if len(value) <= 60 else value[:60] + "…"}"'
