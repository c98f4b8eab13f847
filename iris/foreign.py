"""Tickets of other trackers: `iris import --from`.

PostgreSQL reads what is in the rows, and its rules say what is wrong with them. Each ticket gets the
history that it would have had here, as far as the file tells.
"""

import csv
import io
import json
import re

import psycopg2

from iris import transfer

# The columns of a CSV that mean something; where `false`, an empty text is as good as none.
COLUMNS = {
    "title": True, "description": True, "assignee": True, "status": False, "reporter": False,
    "priority": False, "labels": False, "fields": False, "due": False, "created": False,
    "updated": False, "closed": False,
}  # fmt: skip
MOST = 100

# Every row of a foreign file: where it stands in it, what it says, and how to know it again.
FOREIGN = """
    CREATE TEMPORARY TABLE foreigners (place bigint PRIMARY KEY, shown text, entry text, origin jsonb)
        ON COMMIT DROP
"""

# What is there already is known by what `fields` say of its origin. One pass over all tickets: ten
# thousand look-ups in an index whose newest entries are not sorted in yet take longer.
SKIP = """
    DELETE FROM foreigners USING (
        SELECT place FROM (SELECT place, row_number() OVER (PARTITION BY origin ORDER BY place) AS nth
            FROM foreigners) AS counted WHERE nth > 1
        UNION
        SELECT place FROM foreigners WHERE origin IN (SELECT jsonb_build_object(name, fields -> name)
            FROM tickets, unnest(ARRAY['url', 'id', 'imported']) AS name WHERE fields ? name)) AS known
        WHERE known.place = foreigners.place
"""

# One statement: tickets, comments, their words, and the history that they would have here. The rules
# count a version for the filing, the closing and each comment; `kept` is what tickets_after() and
# comments_after() write. Numbers are counted here, for a sequence does not go back when this fails.
LOAD = """
    WITH given AS (
        SELECT place, origin, item.*, coalesce(item.created, now()) AS filed,
            coalesce(item.status, (SELECT statuses.status FROM statuses
                WHERE is_open = coalesce(item.state = 'open', item.closed IS NULL)
                -- Of the same name, if there is one; else the first.
                ORDER BY statuses.status = item.state DESC NULLS LAST, position LIMIT 1)) AS final,
            CASE WHEN item.labels LIKE '[%%' THEN ARRAY(
                SELECT DISTINCT word COLLATE "C" FROM jsonb_array_elements_text(item.labels::jsonb) AS word
                    ORDER BY 1)
            ELSE ARRAY(
                SELECT DISTINCT btrim(word) COLLATE "C" FROM unnest(string_to_array(item.labels, ',')) AS word
                    WHERE btrim(word) <> '' ORDER BY 1) END AS sorted,
            coalesce(item.fields::jsonb, '{}') AS own
        FROM foreigners CROSS JOIN jsonb_to_record(entry::jsonb) AS item(
            title text, description text, status text, state text, assignee text, reporter text,
            priority priority, labels text, fields text, extra jsonb, due timestamptz,
            created timestamptz, updated timestamptz, closed timestamptz, comments jsonb)
        WHERE place BETWEEN %(first)s AND %(last)s),
    drafts AS MATERIALIZED (
        SELECT given.*,
            row_number() OVER (ORDER BY filed, place)
                + (SELECT last_value - (NOT is_called)::integer FROM tickets_ticket_id_seq) AS ticket_id,
            CASE WHEN is_open THEN final ELSE coalesce((SELECT status FROM statuses WHERE is_open
                ORDER BY position LIMIT 1), final) END AS opening,
            CASE WHEN NOT is_open THEN coalesce(closed, greatest(filed, updated)) END AS ended,
            CASE WHEN jsonb_typeof(own) = 'object'
                THEN own || coalesce(extra, '{}') || origin ELSE own END AS all_fields
        FROM given LEFT JOIN statuses ON statuses.status = final
        WHERE (title IS NOT NULL OR refuse('title is required', '', 'title'))
            AND (is_open IS NOT NULL OR refuse(coalesce(format('there is no status "%%s"', final),
                'the workflow has no status for it'), '', 'status'))
            AND (NOT is_open OR closed IS NULL
                OR refuse(format('"%%s" is open, so it can have no time of closing', final), '', 'closed'))
            AND (isfinite(filed) AND isfinite(coalesce(updated, filed)) AND isfinite(coalesce(closed, filed))
                OR refuse('created, updated and closed must be finite times', '', 'created'))),
    remarks AS MATERIALIZED (
        SELECT ticket_id, filed, said.author, said.body, coalesce(said.created, filed) AS created,
            greatest(coalesce(said.created, filed), said.updated) AS updated,
            row_number() OVER (ORDER BY coalesce(said.created, filed), place, nth)
                + (SELECT last_value - (NOT is_called)::integer FROM comments_comment_id_seq) AS comment_id
        FROM drafts CROSS JOIN jsonb_array_elements(comments) WITH ORDINALITY AS listed(item, nth)
            CROSS JOIN jsonb_to_record(item)
                AS said(author text, body text, created timestamptz, updated timestamptz)),
    happened AS (
        SELECT ticket_id, filed AS at, 0 AS turn, 'created'::event_kind AS kind, NULL::bigint AS comment_id,
            reporter AS actor,
            changed('title', NULL, title) || changed('description', NULL, description)
                || changed('status', NULL, opening) || changed('assignee', NULL, assignee)
                || changed('reporter', NULL, reporter)
                || changed('priority', NULL, coalesce(priority, 'normal'))
                || changed('labels', NULL, sorted) || changed('fields', NULL, all_fields)
                || changed('due', NULL, due) AS changes
            FROM drafts
        UNION ALL
        SELECT ticket_id, greatest(filed, created), 1, 'commented', comment_id, author,
            changed('body', NULL, body)
            FROM remarks
        UNION ALL
        SELECT ticket_id, greatest(filed, ended), 2, 'changed', NULL, 'import',
            changed('status', opening, final)
            FROM drafts WHERE opening <> final),
    counted AS MATERIALIZED (
        SELECT happened.*, row_number() OVER mine AS version, lag(at) OVER mine AS before
            FROM happened WINDOW mine AS (PARTITION BY ticket_id ORDER BY at, turn, comment_id)),
    filing AS (
        INSERT INTO tickets (ticket_id, title, description, status, assignee, reporter, priority, labels,
                fields, due, created, updated, closed, version) OVERRIDING SYSTEM VALUE
            SELECT ticket_id, title, description, final, assignee, reporter, coalesce(priority, 'normal'),
                sorted, all_fields, due, filed, greatest(updated, last), ended, times
            FROM drafts JOIN (SELECT ticket_id, max(at) AS last, count(*) AS times
                FROM counted GROUP BY ticket_id) AS total USING (ticket_id)
            ORDER BY ticket_id),
    commenting AS (
        INSERT INTO comments (comment_id, ticket_id, author, body, created, updated) OVERRIDING SYSTEM VALUE
            SELECT comment_id, ticket_id, author, body, created, updated FROM remarks ORDER BY comment_id),
    wording AS (
        INSERT INTO searches
            SELECT ticket_id, 0, ticket_words(title, description, sorted) FROM drafts
            UNION ALL SELECT ticket_id, comment_id, to_tsvector('simple', body) FROM remarks)
    INSERT INTO events (at, actor, source, ticket_id, kind, comment_id, changes, kept)
        SELECT at, left(actor, 100), 'import', ticket_id, kind, comment_id, changes,
            CASE WHEN kind = 'created' THEN '{}' ELSE jsonb_build_object(
                'version', jsonb_build_array(version - 1), 'updated', jsonb_build_array(before)) END
            || CASE WHEN kind = 'changed'
                THEN jsonb_build_object('closed', jsonb_build_array(NULL)) ELSE '{}' END
        FROM counted ORDER BY at, ticket_id, version
"""


def take(url, path, kind, say, skip_bad=False):
    """Read the tickets of another tracker, each with a history; those that are here already stay.

    url:      a libpq connection string of the database's owner.
    path:     the file's, or - for stdin.
    kind:     one of KINDS.
    say:      a function that takes a sentence for the person at the terminal.
    skip_bad: leave rows that can't be taken in PATH.bad and take the others.
    Raises:   transfer.Refused, which names up to 100 rows; psycopg2.Error; nothing has changed then.
    """
    if skip_bad and path == "-":
        raise transfer.Refused("--skip-bad needs a file, to leave the bad rows beside it")
    with transfer.opened(path) as file, transfer.rules_off(url) as cursor:
        cursor.execute(FOREIGN)
        mistakes, write_bad = KINDS[kind](cursor, file)
        cursor.execute("ANALYZE foreigners")
        cursor.execute(SKIP)
        skipped = cursor.rowcount
        cursor.execute("SELECT count(*), min(place), max(place) FROM foreigners")
        count, first, last = cursor.fetchone()
        if count > MOST:
            say(f"writing {count} tickets")
        failed = _load(cursor, first, last)
        if failed:
            say("looking for what is wrong")
            most = count if skip_bad else MOST - len(mistakes)
            mistakes |= _find_mistakes(cursor, first, last, most, transfer.Progress(say))
        if mistakes and not skip_bad:
            words = "\n".join(mistakes[place] for place in sorted(mistakes))
            more = "\n(and maybe more)" if len(mistakes) >= MOST else ""
            raise transfer.Refused(f"nothing was imported:\n{words}{more}")
        if failed:
            cursor.execute("DELETE FROM foreigners WHERE place = ANY (%s)", (list(mistakes),))
            count -= cursor.rowcount
            failed = _load(cursor, first, last)
            if failed:
                raise transfer.Refused(failed)
        if mistakes:
            try:
                with open(f"{path}.bad", "wb") as bad:
                    write_bad(bad, sorted(mistakes))
            except OSError as error:
                raise transfer.Refused(f"{path}.bad can't be written: {error.strerror}") from None
    say(f"imported {count} tickets, skipped {skipped} that were there already")
    if mistakes:
        say(f"left {len(mistakes)} bad ones in {path}.bad")


def _load(cursor, first, last):
    """Make tickets of the foreigners in these places; return None, or why it can't be."""
    cursor.execute("SAVEPOINT load")
    try:
        cursor.execute(LOAD, {"first": first, "last": last})
    except transfer.MISTAKES as error:
        cursor.execute("ROLLBACK TO load; RELEASE load")
        return transfer.words_of(error)[0]
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


def _github(cursor, file):
    """Stage issues as GitHub's REST API gives them.

    Returns:  ({place: mistake}, a function that writes the issues of some places to a file).
    """
    try:
        issues = json.load(file)
    except (ValueError, RecursionError) as error:
        raise transfer.Refused(f"this is no JSON: {error}") from None
    if not isinstance(issues, list):
        raise transfer.Refused("this is no list of issues: it should start with [")
    mistakes, lines = {}, io.StringIO()
    for place, issue in enumerate(issues):
        number = issue.get("number") if isinstance(issue, dict) else None
        label = f"issue {place} (number {json.dumps(number)})"
        try:
            entry, origin = _issue(issue)
        except (AttributeError, KeyError, TypeError, ValueError):
            mistakes[place] = f"{label}: is not as GitHub's API gives it"
            continue
        lines.write("\x02".join((str(place), label, json.dumps(entry), json.dumps(origin))) + "\n")
    lines.seek(0)
    cursor.copy_expert(f"COPY foreigners FROM STDIN {transfer.RAW}", lines)

    def write(bad, places):
        issues_left = [issues[place] for place in places]
        bad.write(json.dumps(issues_left, indent=1).encode() + b"\n")

    return mistakes, write


def _issue(issue):
    """Return (what LOAD reads, how to know it again) of one issue."""

    def login(user):
        return user["login"] if user else "ghost"

    people = issue.get("assignees") or [issue.get("assignee")]
    people = [login(user) for user in people if user]
    comments = issue.get("comments")
    origin = {"url": issue["html_url"]} if issue.get("html_url") else {"id": int(issue["id"])}
    # PostgreSQL's texts hold neither.
    if "\x00" in origin.get("url", "").encode().decode() or issue["state"] not in (
        "open",
        "closed",
    ):
        raise ValueError(issue)
    fields = {
        "number": issue.get("number"),
        "milestone": (issue.get("milestone") or {}).get("title"),
        "state_reason": issue.get("state_reason"),
        "assignees": people[1:],
        "pull_request": bool(issue.get("pull_request")),
    }
    labels = [
        label if isinstance(label, str) else label["name"] for label in issue.get("labels") or ()
    ]
    return {
        "title": issue["title"],
        "description": issue.get("body") or None,
        "state": issue["state"],
        "reporter": login(issue.get("user")),
        "assignee": people[0] if people else None,
        "labels": json.dumps(labels),
        "fields": json.dumps({name: value for name, value in fields.items() if value}),
        "created": issue.get("created_at"),
        "updated": issue.get("updated_at"),
        "closed": issue.get("closed_at"),
        "comments": [
            {
                "author": login(comment.get("user")),
                "body": comment["body"],
                "created": comment.get("created_at"),
                "updated": comment.get("updated_at"),
            }
            for comment in (comments if isinstance(comments, list) else ())
        ],
    }, origin


def _csv(cursor, file):
    """Stage a CSV with a header; PostgreSQL reads it, so that nothing in it is bent.

    Returns:  ({}, a function that writes the records of some places to a file).
    """
    head = []

    def lines():
        while line := file.readline():
            head.append(line)
            yield line.decode("utf-8-sig" if len(head) == 1 else "utf-8")

    try:
        names = next(csv.reader(lines(), strict=True), [])
    except (ValueError, csv.Error) as error:
        raise transfer.Refused(f"line 1 is no header of a CSV: {error}") from None
    for name in names:
        if not name or "\x00" in name or names.count(name) > 1:
            raise transfer.Refused(f'line 1: each column needs a name of its own, "{name}" is none')
    if "title" not in names:
        raise transfer.Refused("line 1: there is no column title")
    columns = [f"c{number}" for number in range(len(names))]
    cursor.execute(
        "CREATE TEMPORARY TABLE records (place bigint GENERATED ALWAYS AS IDENTITY,"
        f" {', '.join(f'{column} text' for column in columns)}) ON COMMIT DROP"
    )
    try:
        cursor.copy_expert(f"COPY records ({', '.join(columns)}) FROM STDIN (FORMAT csv)", file)
    except psycopg2.DataError as error:
        words, line = transfer.words_of(error)
        words = re.sub(r'"c(\d+)"', lambda found: f'"{names[int(found[1])]}"', words)
        line = _start(file, line + len(head)) if line else "?"
        raise transfer.Refused(f"line {line}: {words}") from None

    def values(known):
        return ", ".join(
            column if COLUMNS.get(name, True) else f"nullif({column}, '')"
            for name, column in zip(names, columns, strict=True)
            if (name in COLUMNS) == known
        )

    cursor.execute(
        f"""
        INSERT INTO foreigners
        SELECT place, 'line ' || line, entry::text, jsonb_build_object('imported',
            encode(sha256(convert_to(entry::text, 'UTF8')), 'hex')
            -- The same again in one file is another ticket.
            || coalesce('-' || nullif(row_number() OVER (PARTITION BY entry ORDER BY place), 1), ''))
        FROM (SELECT place,
                %s + place + coalesce(sum(length(whole) - length(replace(whole, E'\\n', '')))
                    OVER (ORDER BY place ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS line,
                '{{"reporter": "import"}}'
                || jsonb_strip_nulls(jsonb_object(%s, ARRAY[{values(True)}]::text[]))
                || jsonb_build_object('extra', (SELECT coalesce(jsonb_object_agg(key, value), '{{}}')
                    FROM jsonb_each_text(jsonb_object(%s, ARRAY[{values(False)}]::text[]))
                    WHERE value <> '')) AS entry
            FROM (SELECT records.*, array_to_string(ARRAY[{", ".join(columns)}], '') AS whole
                FROM records) AS read) AS made
        """,
        (len(head), [n for n in names if n in COLUMNS], [n for n in names if n not in COLUMNS]),
    )

    def write(bad, places):
        bad.write(b"".join(head))
        cursor.copy_expert(
            f"COPY (SELECT {', '.join(columns)} FROM records WHERE place IN ({', '.join(map(str, places))})"
            " ORDER BY place) TO STDOUT (FORMAT csv)",
            bad,
        )

    return {}, write


def _start(file, line):
    """Return where the record starts that reaches this line: a quote opens or closes, always."""
    if not file.seekable():
        return line
    file.seek(0)
    quotes, start = 0, 1
    for number, text in enumerate(file, 1):
        if number > line:
            break
        if quotes % 2 == 0:
            start = number
        quotes += text.count(b'"')
    return start


KINDS = {"github": _github, "csv": _csv}
