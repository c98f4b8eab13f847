"""docs/week.md, line by line: both doors answer the same, do the same, and what is printed there."""

import json
import os
import re
import subprocess

import pytest
from conftest import RESET, ROOT, seeds

from iris import embedded

PAGE = ROOT / "docs" / "week.md"
CURL, PSQL = "    $ ", "    iris=> "
# What there is, but for when: a line of psql's is tried and rolled back before curl's is done.
STATE = """
    SELECT jsonb_pretty(jsonb_build_object(
        'tickets', (SELECT jsonb_agg(to_jsonb(tickets) - '{created,updated,closed,version}'::text[] ORDER BY ticket_id) FROM tickets),
        'comments', (SELECT jsonb_agg(jsonb_build_array(ticket_id, author, body) ORDER BY comment_id) FROM comments),
        'links', (SELECT jsonb_agg(to_jsonb(links) ORDER BY links) FROM links)))
"""
NUMBERS = """
    SELECT format('SELECT setval(''%s'', %s, ''%s'');', relname, last_value, is_called)
        FROM (SELECT 'tickets_ticket_id_seq' AS relname, last_value, is_called FROM tickets_ticket_id_seq
            UNION ALL SELECT 'comments_comment_id_seq', last_value, is_called FROM comments_comment_id_seq) AS numbers
"""


class Week:
    """The team's Iris, and Ann at both of its doors."""

    def __init__(self, server, live, folder):
        self.server, self.live, self.folder = server, live, folder
        (folder / ".curlrc").write_text('silent\nheader = "Iris-Actor: ann"\n')
        self.psql("-f", ROOT / "docs" / "week.sql", user="postgres")
        (folder / "note.txt").write_text(
            "The lift stands still\nSince this morning, between the floors.\n"
        )

    def curl(self, line):
        """Run a line of shell; return what it prints."""
        line = line.replace("localhost:8000", f"localhost:{self.live.port}")
        environment = {**os.environ, "CURL_HOME": str(self.folder), "HOME": str(self.folder)}
        done = subprocess.run(
            ["bash", "-c", line],
            env=environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.replace("\r\n", "\n")

    def psql(self, *arguments, text=None, user="iris"):
        """Run psql with what is typed; return what it prints."""
        program = embedded.binaries() / "psql"
        options = {**os.environ, "PGOPTIONS": "-c iris.actor=ann", "PGAPPNAME": "psql"}
        command = [
            program,
            "-X",
            "--csv",
            "-v",
            "ON_ERROR_STOP=1",
            self.server.url(user),
            *arguments,
        ]
        done = subprocess.run(
            command,
            input=text,
            env=options,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), (text, done.stderr)
        return done.stdout

    def state(self):
        return json.loads(self.psql("-At", "-c", STATE))

    def does(self, curl, psql):
        """Return what both print, having done by curl's line what psql's would have done as well."""
        if psql.startswith("SELECT") and "undo(" not in psql:
            return self.curl(curl), self.psql(text=psql)
        # Numbers that were taken are not given back by a ROLLBACK.
        numbers = self.psql("-At", "-c", NUMBERS, user="postgres")
        said, state = self.psql(
            text=f"BEGIN;\n{psql}\n\\echo --\n\\pset tuples_only\n\\pset format unaligned\n{STATE};\nROLLBACK;"
        ).split("--\n")
        state = json.loads(re.search(r"^\{$.*^\}$", state, re.DOTALL | re.MULTILINE)[0])
        self.psql("-c", numbers, user="postgres")
        answer = self.curl(curl)
        assert self.state() == state, (curl, psql)
        return answer, said.removeprefix("BEGIN\n").removesuffix("--\n")


@pytest.fixture
def week(server, live, clean, owner, tmp_path):
    with owner.cursor() as cursor:
        cursor.execute(RESET + seeds() + "SET session_replication_role = origin;")
    return Week(server, live, tmp_path)


def told(text, week):
    """Return the page with what both doors print now; assert that it is the same where it is to be."""
    lines, told = text.split("\n"), []
    while lines:
        line = lines.pop(0)
        told.append(line)
        if not line.startswith(CURL):
            continue
        between = []
        while not lines[0].startswith(PSQL):
            between.append(lines.pop(0))
        psql = []
        while lines and lines[0].startswith(PSQL):
            psql.append(lines.pop(0))
        while lines and lines[0].startswith("    "):
            lines.pop(0)
        by_curl, by_psql = week.does(
            line[len(CURL) :], "\n".join(each[len(PSQL) :] for each in psql)
        )
        if by_curl == by_psql:
            told += [*psql, *indented(by_psql)]
        else:
            # What is done is told by each in its own way; what is asked is not.
            assert not (psql[0].startswith(PSQL + "SELECT") and "undo(" not in psql[0]), (
                f"{line}\n{by_curl}\n{psql[0]}\n{by_psql}"
            )
            told += [*indented(by_curl), *psql, *indented(by_psql)]
    return "\n".join(told)


def indented(text):
    return [f"    {line}".rstrip() for line in text.splitlines()]


def test_both_doors_answer_what_the_page_says(week):
    text = PAGE.read_text()
    assert told(text, week) == text
    assert len(re.findall(r"^\*\*\d+\. ", text, re.MULTILINE)) >= 30
