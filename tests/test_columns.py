"""Every column of Ticket and Comment through both doors: those of today, and those that somebody adds.

What a column must do is written down once. It is asked of each column of the models as they are, and
of one more column of each type in a copy of this tree that got them as CONTRIBUTING says: by a table's
file, a revision, and a line in the model.
"""

import contextlib
import csv
import http.client
import io
import json
import os
import re
import shutil
import signal
from urllib.parse import quote

import psycopg2
import pytest
import warm
from conftest import RESET, ROOT, Live, Sql, seeds
from sqlalchemy import BigInteger, Boolean, Text
from sqlalchemy.dialects.postgresql import ARRAY, ENUM, JSONB, TIMESTAMP

from iris import migrations, models

MODELS = {"tickets": models.Ticket, "comments": models.Comment}
KEY = {"tickets": "ticket_id", "comments": "comment_id"}
REQUIRED = {"tickets": {"title": "x"}, "comments": {"body": "x"}}
# What the database keeps or, of a comment, nobody can change.
KEPT = {
    "tickets": {"ticket_id", "created", "updated", "closed", "version"},
    "comments": {"comment_id", "ticket_id", "author", "created", "updated"},
}
# Two values of each type, as JSON shows them.
VALUES = {
    Text: ("one", "two"),
    ARRAY: (["a"], ["b", "c"]),
    JSONB: ({"n": 1}, {"n": [2, "ä"]}),
    TIMESTAMP: ("2026-12-01T00:00:00+00:00", "2027-01-01T12:30:00+00:00"),
    BigInteger: (-1, 2**53 + 1),
    Boolean: (False, True),
    ENUM: ("low", "urgent"),
}
# What is none; JSON may be anything.
WRONG = {Text: 5, ARRAY: 5, TIMESTAMP: "soon", BigInteger: "5.7", Boolean: 5, ENUM: "soon"}
LISTED = "mapped_column(info=FILTERED | SORTED)"
# What there is to add, under names that the rules have for things of their own: name, type in the model, type in SQL, and how the model says it.
MORE = (
    ("was", Text, "text", f"Mapped[str | None] = {LISTED}"),
    ("ids", ARRAY, "text[]", "Mapped[list[str] | None]"),
    ("old", JSONB, "jsonb", "Mapped[dict | None]"),
    ("moment", TIMESTAMP, "timestamptz", f"Mapped[datetime | None] = {LISTED}"),
    ("id", BigInteger, "bigint", f"Mapped[int | None] = {LISTED}"),
    ("touched", Boolean, "boolean", f"Mapped[bool | None] = {LISTED}"),
    (
        "seen",
        ENUM,
        "priority",
        "Mapped[str | None] = mapped_column(Priority, info=FILTERED | SORTED)",
    ),
)
COLUMNS = [
    ("today", table, column.name, type(column.type))
    for table, model in MODELS.items()
    for column in model.__table__.columns
    if column.name not in KEPT[table]
] + [("tomorrow", table, name, kind) for table in MODELS for name, kind, _, _ in MORE]


def each(*tables):
    """Run a test for each column of these tables."""
    return pytest.mark.parametrize(
        ("when", "table", "column", "kind"),
        [
            pytest.param(*column, id=f"{column[0]}, {column[1]}.{column[2]}")
            for column in COLUMNS
            if column[1] in tables
        ],
    )


class Doors:
    """Both doors of one Iris.

    tree:     the folder of its code.
    owner:    the URL of its database's owner.
    url:      that of the role iris.
    """

    def __init__(self, tree, owner, url):
        self.tree, self.owner, self.url = tree, owner, url
        self.live, self.sql, self.cleaning = Live(url, tree=tree), Sql(url), Sql(owner)
        self.clean()

    def clean(self):
        """Leave nothing behind."""
        self.cleaning(RESET + seeds() + "SET session_replication_role = origin")

    def close(self):
        self.sql.connection.close()
        self.cleaning.connection.close()
        self.live.stop(signal.SIGQUIT)

    def http(self, method, path, given=None):
        """Send one request; return (status, text)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.live.port, timeout=40)
        with contextlib.closing(connection):
            body = None if given is None else json.dumps(given)
            headers = {"Content-Type": "application/json"} if body else {}
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def ask(self, method, path, given=None):
        """Send what must be a success; return its JSON."""
        status, text = self.http(method, path, given)
        assert status in (200, 201, 204), text
        return json.loads(text) if text else None

    def now(self):
        return self.sql.one("SELECT clock_timestamp()::text AS now")["now"]


class ByHttp:
    """Writes by HTTP."""

    def __init__(self, doors, table):
        self.doors, self.table = doors, table

    def make(self, given):
        path = "/tickets" if self.table == "tickets" else "/tickets/1/comments"
        return self.doors.ask("PUT", path, {**REQUIRED[self.table], **given})[KEY[self.table]]

    def change(self, key, given):
        self.doors.ask("PUT", f"/{self.table}/{key}", given)

    def remove(self, key):
        self.doors.ask("DELETE", f"/{self.table}/{key}")


class BySql:
    """Writes in SQL, as the role iris."""

    def __init__(self, doors, table):
        self.sql, self.table, self.key = doors.sql, table, KEY[table]

    def make(self, given):
        given = {**REQUIRED[self.table], **given}
        if self.table == "comments":
            given["ticket_id"] = 1
        row = self.sql.one(
            f"INSERT INTO {self.table} ({', '.join(given)}) SELECT {', '.join(given)}"
            f" FROM jsonb_populate_record(NULL::{self.table}, %s) RETURNING {self.key}",
            json.dumps(given),
        )
        return row[self.key]

    def change(self, key, given):
        self.sql(
            f"UPDATE {self.table} SET ({', '.join(given)}) = (SELECT {', '.join(given)}"
            f" FROM jsonb_populate_record(NULL::{self.table}, %s)) WHERE {self.key} = %s",
            json.dumps(given),
            key,
        )

    def remove(self, key):
        self.sql(f"DELETE FROM {self.table} WHERE {self.key} = %s", key)


def python(tree, *arguments, given=b"", **environment):
    """Run Python on the code of a tree; return what it says."""
    done = warm.run(
        ["-W", "ignore", *arguments],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree), **environment},
        given=given,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def run(url, *statements):
    """Run SQL as a database's owner; return the rows of the last statement."""
    connection = psycopg2.connect(url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        rows = cursor.fetchall() if cursor.description else None
    connection.close()
    return rows


def edit(path, old, new, within=""):
    """Replace the first of what a file has after some text."""
    head, found, rest = path.read_text().partition(within) if within else ("", "", path.read_text())
    assert old in rest, f"{old} is not in {path}"
    path.write_text(head + found + rest.replace(old, new, 1))


@pytest.fixture(scope="module")
def today(server):
    made = Doors(ROOT, server.url("postgres"), server.url())
    yield made
    made.close()


@pytest.fixture(scope="module")
def tomorrow(server, owner, tmp_path_factory):
    """Return an Iris that has got one more column of each type, with a ticket and a comment in it."""
    tree = tmp_path_factory.mktemp("tomorrow")
    for folder in ("iris", "postgres"):
        shutil.copytree(ROOT / folder, tree / folder, ignore=shutil.ignore_patterns("__pycache__"))
    with owner.cursor() as cursor:
        cursor.execute("CREATE DATABASE iris_tomorrow TEMPLATE template0")
    url = server.url("postgres", "iris_tomorrow")
    migrations.move(url)
    run(
        url,
        "INSERT INTO tickets (title) VALUES ('as it was')",
        "INSERT INTO comments (ticket_id, body) VALUES (1, 'as it was')",
    )

    revision = tree / python(tree, "-m", "iris.migrations", "add_columns").decode().split("\n")[0]
    up = ""
    for table, model in MODELS.items():
        added = [(name, sql) for name, _, sql, _ in MORE]
        columns = "".join(f"    {name} {sql},\n" for name, sql in added)
        comments = "".join(f"COMMENT ON COLUMN {table}.{name} IS 'New';\n" for name, _ in added)
        path = tree / "postgres" / "schema" / "tables" / f"{table}.sql"
        edit(path, "    CONSTRAINT", f"{columns}    CONSTRAINT")
        edit(path, "COMMENT ON TABLE", f"{comments}COMMENT ON TABLE")
        up += "".join(
            f"    op.execute('ALTER TABLE {table} ADD {name} {sql}')\n" for name, sql in added
        )
        fields = "".join(f"    {name}: {mapped}\n" for name, _, _, mapped in MORE)
        path, class_ = tree / "iris" / "models.py", f"class {model.__name__}(Base)"
        edit(path, "    __table_args__", f"{fields}\n    __table_args__", within=class_)
    edit(revision, '    op.execute("ALTER TABLE …")\n', up)

    python(tree, "-m", "iris.cli", "db", "upgrade", IRIS_OWNER_URL=url, DATABASE_URL=url)
    assert run(url, "SELECT title, version, was FROM tickets") == [("as it was", 2, None)]
    made = Doors(tree, url, server.url("iris", "iris_tomorrow"))
    yield made
    made.close()
    with owner.cursor() as cursor:
        cursor.execute("DROP DATABASE iris_tomorrow WITH (FORCE)")


@pytest.fixture
def doors(request, when):
    """Return the doors of today's Iris or of tomorrow's, with nothing behind them."""
    found = request.getfixturevalue(when)
    yield found
    found.clean()


@pytest.fixture
def values(column, kind):
    """Return two values for the column."""
    return ("open", "active") if column == "status" else VALUES[kind]


# One row ------------------------------------------------------------------------------------------


@each("tickets", "comments")
@pytest.mark.parametrize("door", [ByHttp, BySql])
def test_a_change_counts_is_told_and_is_remembered(doors, door, table, column, values):
    old, new = values
    writer, moments = door(doors, table), []
    if table == "comments":
        BySql(doors, "tickets").make({})

    def read(as_of=None):
        when = f"?as_of={quote(as_of)}" if as_of else ""
        ticket = doors.ask("GET", f"/tickets/1{when}")
        row = ticket if table == "tickets" else ticket["comments"][0]
        return row[column], ticket["version"]

    key = writer.make({column: old})
    made = read()[1]
    for count, value in enumerate((old, new, new, old)):
        if count:
            writer.change(key, {column: value})
        # What changes nothing does not count.
        assert read() == (value, made + (0, 1, 1, 2)[count])
        moments.append((doors.now(), value))
    writer.remove(key)

    told = [row["changes"] for row in doors.sql("SELECT changes FROM events ORDER BY event_id")]
    assert [changes.get(column) for changes in told][-4:] == [
        [None, old],
        [old, new],
        [new, old],
        [old, None],
    ]
    # A change names what was changed, and nothing else.
    assert [len(changes) for changes in told[-3:-1]] == [1, 1]
    for moment, value in moments:
        assert read(moment)[0] == value
        row = doors.sql.one(
            f"SELECT to_jsonb(row) AS row FROM {table}_as_of(%s) AS row WHERE {KEY[table]} = %s",
            moment,
            key,
        )
        assert row["row"][column] == value


@each("tickets", "comments")
def test_it_is_shown_in_lists_and_in_all_formats(doors, table, column, values):
    old, _ = values
    if table == "comments":
        BySql(doors, "tickets").make({})
    key = BySql(doors, table).make({column: old})
    assert doors.ask("GET", f"/{table}/{key}")[column] == old
    assert doors.ask("GET", f"/{table}")[0][column] == old
    if table == "tickets":
        as_of = quote(doors.now())
        BySql(doors, table).remove(key)
        assert doors.ask("GET", f"/{table}?as_of={as_of}&columns={column}") == [{column: old}]
        key = BySql(doors, table).make({column: old})

    def listed(media):
        status, text = doors.http("GET", f"/{table}?columns={column}&format={media}")
        assert status == 200, text
        return text

    assert json.loads(listed("json")) == [{column: old}]
    assert json.loads(listed("ndjson")) == {column: old}
    for media, delimiter in (("csv", ","), ("tsv", "\t")):
        heading, (shown,) = csv.reader(io.StringIO(listed(media)), delimiter=delimiter)
        assert heading == [column]
        assert shown not in ("", "\\N")
    assert re.match(rf"{column} *\n\S", listed("text"))


@pytest.mark.parametrize("when", ["tomorrow"])
def test_the_command_writes_lists_and_tells_it(doors, when):
    """By HTTP alone: not even by the code of the tree that has the column."""
    given = {
        "was": "one",
        "ids": "a,b",
        "old": '{"n": 1}',
        "id": "17",
        "touched": "true",
        "seen": "low",
    }
    there = {"IRIS_URL": f"http://127.0.0.1:{doors.live.port}"}

    def iris(*words):
        return python(ROOT, "-m", "iris.cli", *words, **there).decode()

    iris("new", "x", *(f"{name}={value}" for name, value in given.items()))
    heads, row = iris("ls", "id=17", f"columns={','.join(given)}").splitlines()
    assert heads.split() == list(given)
    assert row.split() == ["one", "a,", "b", "n:", "1", "17", "true", "low"]
    told = iris("log", "1")
    for said in ("was: one", "ids: a, b", "id: 17", "touched: true", "seen: low"):
        assert said in told


@each("tickets", "comments")
def test_openapi_tells_of_it(doors, when, table, column, kind):
    """With what the database says of it, in what is read, written and asked for."""
    document = doors.ask("GET", "/openapi.json")
    schemas = document["components"]["schemas"]
    noun = MODELS[table].__name__
    said = doors.sql.one(
        "SELECT col_description(attrelid, attnum) AS it FROM pg_attribute"
        " WHERE attrelid = %s::regclass AND attname = %s",
        table,
        column,
    )["it"]
    assert said
    for name in (noun, f"{noun}Listed", f"{noun}Given"):
        assert said in schemas[name]["properties"][column]["description"], name
    types = {
        Text: "string",
        ARRAY: "array",
        TIMESTAMP: "string",
        BigInteger: "integer",
        Boolean: "boolean",
        ENUM: "string",
    }
    if kind in types:
        assert types[kind] in schemas[noun]["properties"][column]["type"]
        assert types[kind] in schemas[f"{noun}Given"]["properties"][column]["type"]
    asked = {each["name"]: each for each in document["paths"][f"/{table}"]["get"]["parameters"]}
    info = MODELS[table].__table__.c[column].info if when == "today" else {"filtered", "sorted"}
    if when == "today" or kind not in (ARRAY, JSONB):
        filtered = asked.get(f"{column}_after" if kind is TIMESTAMP else column)
        assert bool(filtered) == ("filtered" in info)
        assert not filtered or said in filtered["description"]
        assert (column in asked["sort"]["schema"]["enum"]) == ("sorted" in info)
    assert column in asked["columns"]["schema"]["pattern"]


@each("tickets", "comments")
def test_lists_filter_and_sort_by_it_if_the_model_says_so(doors, when, table, column, values):
    """Also where it is empty: a page may start there, too."""
    info = MODELS[table].__table__.c[column].info if when == "today" else {"sorted", "filtered"}
    if when == "tomorrow" and column in ("ids", "old"):
        info = {}
    if not info:
        assert doors.http("GET", f"/{table}?sort={column}")[0] == 422
        assert doors.http("GET", f"/{table}?{column}=x")[0] == 400
        pytest.skip("it says nothing")
    if table == "comments":
        BySql(doors, "tickets").make({})
    elif "filtered" in info:
        name = f"{column}_after" if column in ("due", "moment") else column
        said = "true" if column == "touched" else str(values[0])
        # Of hooks, too.
        doors.sql("SELECT filter_fits(%s, %s)", name, said)
    old, new = values
    make = BySql(doors, table).make
    first, last = make({column: old}), make({column: new})
    empty = [] if column in ("status", "reporter", "priority", "author") else [make({})]

    def keys(query):
        status, text = doors.http("GET", f"/{table}?{query}")
        assert status == 200, text
        return [row[KEY[table]] for row in json.loads(text)]

    if "filtered" in info and column not in ("due", "moment"):
        assert keys(f"{column}={json.dumps(old) if old in (True, False) else old}") == [first]
    elif "filtered" in info:
        assert keys(f"{column}_before={quote(new)}") == [first]
        assert keys(f"{column}_after={quote(old)}") == [last]
    if "sorted" in info:
        for sign in ("", "-"):
            whole = keys(f"sort={sign}{column}")
            assert sorted(whole) == sorted([first, last, *empty])
            assert [key for key in whole if key not in empty] == [first, last][:: -1 if sign else 1]
            walked, query = [], f"sort={sign}{column}&limit=1"
            while query:
                connection = http.client.HTTPConnection("127.0.0.1", doors.live.port, timeout=40)
                with contextlib.closing(connection):
                    connection.request("GET", f"/{table}?{query}")
                    answer = connection.getresponse()
                    text = answer.read().decode()
                    assert answer.status == 200, text
                (row,) = json.loads(text)
                walked.append(row[KEY[table]])
                link = re.search(r"\?(.*)>", answer.headers.get("Link", ""))
                query = link and link[1]
            assert walked == whole


@each("tickets", "comments")
def test_a_value_of_another_type_is_refused(doors, table, column, kind):
    if kind not in WRONG:
        pytest.skip("takes any JSON")
    BySql(doors, "tickets").make({})
    path = "/tickets" if table == "tickets" else "/tickets/1/comments"
    status, text = doors.http("PUT", path, {**REQUIRED[table], column: WRONG[kind]})
    assert (status, column in json.loads(text)["errors"]) == (422, True), text
    if table == "tickets":
        rows = [{"title": "y"}, {"title": "y", column: WRONG[kind]}]
        status, text = doors.http("PUT", path, rows)
        assert (status, json.loads(text)["index"]) == (422, 1), text
        error = doors.sql.refusal("SELECT put_tickets(%s)", json.dumps(rows))
        assert error.diag.message_primary == json.loads(text)["detail"]


# Many rows ----------------------------------------------------------------------------------------


@each("tickets")
@pytest.mark.parametrize("door", ["http", "sql"])
def test_many_rows_carry_it(doors, door, table, column, values):
    old, new = values

    def put(row, dry_run=False):
        if door == "http":
            return doors.ask("PUT", f"/tickets?dry_run={str(dry_run).lower()}", [row])[0]
        text = json.dumps([row])
        return doors.sql.one("SELECT put_tickets(%s, %s) AS rows", text, dry_run)["rows"][0]

    number = put({"title": "x", column: old})["ticket_id"]
    assert doors.ask("GET", f"/{table}/{number}")[column] == old
    shown = put({"ticket_id": number, column: new}, dry_run=True)
    assert (shown["before"][column], shown["after"][column]) == (old, new)
    assert doors.ask("GET", f"/{table}/{number}")[column] == old
    changed = put({"ticket_id": number, column: new})
    assert (changed[column], changed["version"]) == (new, 2)
    # What isn't named stays; what is named and the same is no change.
    other = "assignee" if column != "assignee" else "description"
    changed = put({"ticket_id": number, other: "somebody", column: new})
    assert (changed[column], changed[other], changed["version"]) == (new, "somebody", 3)
    changed = put({"ticket_id": number, other: "nobody"})
    assert (changed[column], changed[other]) == (new, "nobody")
    told = doors.sql("SELECT changes FROM events ORDER BY event_id")
    assert [row["changes"].get(column) for row in told] == [[None, old], [old, new], None, None]


@pytest.mark.parametrize("when", ["today", "tomorrow"])
def test_an_export_brings_everything_along(server, owner, doors, when):
    """In the rows, and in the history of those that are gone."""
    BySql(doors, "tickets").make({})
    for of, table, column, kind in COLUMNS:
        if of == when:
            values = ("open", "active") if column == "status" else VALUES[kind]
            writer = BySql(doors, table)
            key = writer.make({column: values[0]})
            writer.change(key, {column: values[1]})
            writer.remove(writer.make({column: values[0]}))
    exported = python(doors.tree, "-m", "iris.cli", "export", DATABASE_URL=doors.url)
    assert len(exported.splitlines()) > 5 * len(VALUES)
    with owner.cursor() as cursor:
        cursor.execute("CREATE DATABASE iris_copy TEMPLATE template0")
    try:
        url = server.url("postgres", "iris_copy")
        there = {"DATABASE_URL": url, "IRIS_OWNER_URL": url}
        python(doors.tree, "-c", f"from iris import migrations; migrations.move({url!r})")
        python(doors.tree, "-m", "iris.cli", "import", "-", given=exported, **there)
        assert python(doors.tree, "-m", "iris.cli", "export", **there) == exported
    finally:
        with owner.cursor() as cursor:
            cursor.execute("DROP DATABASE iris_copy WITH (FORCE)")
