"""With 100,000 tickets, or 200,000, every kind of list runs on an index, and a page is one statement."""

import re
import signal
import time

import psutil
import psycopg2
import pytest
from conftest import Live

from iris import schema
from iris.database import statements
from iris.intake import bodies
from iris.lists import cursors, pages
from iris.lists import tickets as ticket_list

# Over 200,000 minutes, however MANY they are.
FILL = """
    SET session_replication_role = replica;
    INSERT INTO tickets (title, description, status, assignee, reporter, priority, labels, fields, due,
                         created, updated, closed, version)
    SELECT 'Ticket ' || n, 'Word' || n % 1000 || ' and rare' || n, status, 'user' || n % 100, 'user' || n % 37,
           (enum_range(NULL::priority))[1 + n % 4], ARRAY['label' || n % 50], jsonb_build_object('n', n % 5000),
           CASE WHEN n % 3 = 0 THEN now() + (n - MANY / 2) * apart END,
           filed, filed + interval '1 hour', CASE WHEN status = 'closed' THEN filed + interval '1 hour' END, 1
      FROM (SELECT n, apart, now() - (MANY - n) * apart AS filed,
                   CASE WHEN n % 10 = 0 THEN 'open' ELSE 'closed' END AS status
              FROM generate_series(1, MANY) AS n, (SELECT interval '200000 minutes' / MANY AS apart) AS time) AS made;
    INSERT INTO searches SELECT ticket_id, 0, ticket_words(title, description, labels), created FROM tickets;
    INSERT INTO comments (ticket_id, author, body, created, updated)
    SELECT ticket_id, 'user' || ticket_id % 100, 'said' || ticket_id, created, created FROM tickets WHERE ticket_id % 10 = 0;
    INSERT INTO comments (ticket_id, author, body, created, updated)
    SELECT ticket_id, 'helper', 'for @helper and @user33', created, created FROM tickets WHERE ticket_id % 10000 = 7;
    INSERT INTO searches SELECT ticket_id, comment_id, body_words(body), created FROM comments;
    INSERT INTO links SELECT ticket_id, 'relates', ticket_id + 1 FROM tickets WHERE ticket_id % (MANY / 2000) = 0 AND ticket_id < MANY;
    -- A few by open tickets, the newest in the middle.
    INSERT INTO links SELECT ticket_id, 'blocks', ticket_id + 5 FROM tickets WHERE ticket_id % (MANY * 3 / 400) = 0 AND ticket_id < MANY / 2;
    -- The last tenth has been given from one to the next, twice.
    INSERT INTO stored_events (at, actor, source, ticket_id, kind, changes, kept_version, kept_updated)
    SELECT created + place * interval '30 minutes', 'alice', 'psql', ticket_id, CASE place WHEN 0 THEN 'created' ELSE 'changed' END::event_kind,
           CASE place WHEN 0 THEN jsonb_build_object('title', jsonb_build_array(NULL, title))
               ELSE jsonb_build_object('assignee', jsonb_build_array('user' || (ticket_id + 3 - place) % 100, 'user' || (ticket_id + 2 - place) % 100)) END,
           nullif(place, 0), CASE WHEN place > 0 THEN created + (place - 1) * interval '30 minutes' END
      FROM tickets, generate_series(0, 2) AS place WHERE ticket_id > MANY * 9 / 10;
    INSERT INTO places SELECT row_number() OVER (ORDER BY at, event_id), event_id, '' FROM stored_events;
    SELECT find_waiting();
    SET session_replication_role = origin;
    -- The other tables are looked at when they are full.
    ANALYZE links, stored_events, places;
"""


@pytest.fixture(scope="module", params=[100_000, pytest.param(200_000, marks=pytest.mark.slow)])
def many(request):
    """Return how many tickets there are."""
    return request.param


@pytest.fixture(scope="module")
def large(server, owner, many):
    """Return a connection to a database with many tickets."""
    with owner.cursor() as cursor:
        cursor.execute("CREATE DATABASE large")
    server._psql("large", "-f", str(schema.INITDB), IRIS_PASS="x")
    connection = psycopg2.connect(server.url("postgres", "large"))
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(FILL.replace("MANY", str(many)))
        cursor.execute("SELECT write_past(100000)")
        cursor.execute("VACUUM ANALYZE tickets, searches, comments, past_tickets")
    yield connection
    connection.close()
    with owner.cursor() as cursor:
        cursor.execute("DROP DATABASE large WITH (FORCE)")


@pytest.fixture
def plan(large, monkeypatch):
    """Return a function that gives the plan of the one statement that a list runs."""

    def explain(given):
        ran = []

        def rows(text, values, before="", keep=False, **_):
            with large.cursor() as cursor:
                if keep == statements.ONE_PLAN:
                    _, prepare, text = statements._prepared(text)
                    cursor.execute(f"DEALLOCATE ALL; {prepare}")
                    cursor.execute(keep.replace("LOCAL", "SESSION"))
                # What a past is prepared by is not the list.
                if "write_past" not in text and not text.startswith("EXPLAIN"):
                    cursor.execute("EXPLAIN (ANALYZE, BUFFERS, COSTS OFF) " + text, values)
                    ran.append("\n".join(line for (line,) in cursor.fetchall()))
                cursor.execute(text, values)
                found = cursor.fetchall()
                cursor.execute("RESET plan_cache_mode")
                return found

        monkeypatch.setattr(statements, "rows", rows)
        page = ticket_list.page(given)
        (lines,) = ran
        return page, lines

    return explain


def check(lines, most=3500):
    """Fail where a table is read from end to end that isn't small, or far more rows are read than shown."""
    assert "Seq Scan on" not in re.sub(
        r"Seq Scan on (statuses|transitions|past_searches)", "", lines
    ), lines
    assert "Index" in lines
    buffers = max(int(number) for number in re.findall(r"shared hit=(\d+)", lines))
    assert buffers < most, lines


@pytest.mark.parametrize(
    "query",
    [
        "",
        "sort=-updated",
        "sort=due",
        "sort=-priority",
        "sort=ticket_id",
        "status=open",
        "status=open,active",
        "assignee=user7",
        "assignee=user10&status=open&sort=-priority",
        "reporter=user7",
        "priority=urgent",
        "label=label7",
        "open=true",
        "overdue=true",
        "due_before=2020-01-01",
        "due_after=tomorrow&sort=due",
        "created_before=yesterday",
        "updated_after=yesterday",
        "closed_after=yesterday",
        "linked=500",
        "fields.n=77",
        "blocked=true",
        "blocked=true&open=false",
        "blocked=false",
        "commented_by=user10",
        "commented_by=helper",
        "commented_by=!user10",
        "commented_by=helper,nobody",
        "mentions=helper",
        "mentions=user33",
        "mentions=!helper",
        "age_over=30d",
        "age_over=130d",
        "idle_over=30d&open=true",
        "idle_over=30d&sort=updated",
        "columns=ticket_id,age,idle,comments,blocked_by",
        "q=rare33333",
        "q=said33330",
        "q=rare3333*",
        "q=rare33333 word333",
        'q="ticket 33333"',
        "q=rare33333 or rare44444",
        "q=rare33333&sort=rank",
        "q=ticket",
        "q=ticket -rare100000",
    ],
)
def test_a_page_runs_on_an_index(plan, query):
    given = bodies.parse_form(query.replace(" ", "+"))
    fields = [(name[7:], given.pop(name)) for name in list(given) if name.startswith("fields.")]
    given.update({"fields": fields} if fields else {})
    page, lines = plan({name: ticket_list.PARAMETERS[name](value) for name, value in given.items()})
    # A commenter on one ticket of a hundred: so many are looked at until a page is full.
    check(lines, 12_000 if query == "commented_by=user10" else 3500)
    assert page.rows or query == "due_before=2020-01-01"


@pytest.mark.parametrize("moment", ["1 hour ago", "7 days ago", "80 days ago"])
@pytest.mark.parametrize(
    "query",
    [
        "",
        "sort=-priority",
        "sort=-updated",
        "sort=due",
        "assignee=user7",
        "assignee=user10&open=true&sort=-priority",
        "reporter=user7",
        "status=open",
        "status=open&count=true",
        "status=active&limit=10",
        "reporter=user7&limit=10",
        "assignee=user10&count=true",
        "label=label7",
        "sort=created",
        "sort=ticket_id",
        "sort=-ticket_id",
        "commented_by=user10",
        "commented_by=helper",
        "commented_by=!user10",
        "commented_by=helper,nobody",
        "mentions=helper",
        "mentions=user33",
        "mentions=!helper",
        "linked=500",
        "open=true",
        "overdue=true",
        "blocked=true",
        "blocked=true&open=false",
        "blocked=false",
        "blocked=false&sort=due",
        "created_before=90 days ago",
        "closed_after=90 days ago",
        "age_over=30d",
        "idle_over=30d",
        "count=true",
        "q=rare33333",
        "q=ticket",
        "q=rare33333&sort=rank",
        "q=ticket -rare100000",
    ],
)
def test_a_page_of_a_past_runs_on_an_index(plan, query, moment):
    given = bodies.parse_form(f"{query}&as_of={moment}".replace(" ", "+").lstrip("&"))
    page, lines = plan({name: ticket_list.PARAMETERS[name](value) for name, value in given.items()})
    # As now.
    check(lines, 12_000 if query == "commented_by=user10" else 3500)
    assert page.rows or query in ("overdue=true", "status=active&limit=10")


@pytest.mark.parametrize("moment", [None, "7 days ago"])
@pytest.mark.parametrize(
    ("call", "most"),
    [
        # Here all tickets have been touched in half a year: their moves are looked for one by one.
        ("stats({})", 2.5),
        ("stats({}, weeks => 1)", 0.125),
        ("stats({}, ARRAY[7, 77, 777])", 0.06),
        ("spread({})", 0.06),
    ],
)
def test_statistics_pass_over_everything_once(large, many, call, most, moment):
    moment = f"moment('{moment}')" if moment else "NULL"
    with large.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, COSTS OFF) SELECT {call.format(moment)}")
        lines = "\n".join(line for (line,) in cursor.fetchall())
    pages = sum(
        map(int, re.search(r"Buffers: shared(?: hit=(\d+))?(?: read=(\d+))?", lines).groups("0"))
    )
    assert pages < most * many, lines


@pytest.mark.parametrize("sort", ["-created", "priority", "-updated"])
def test_the_last_pages_cost_what_the_first_costs(plan, large, many, sort):
    keys = ticket_list.LIST.sorts[sort.lstrip("-")].keys
    direction = "DESC" if sort.startswith("-") else "ASC"
    order = ", ".join(f"{key} {direction}" for key in keys)
    with large.cursor() as cursor:
        cursor.execute(
            f"SELECT {', '.join(f'{key}::text' for key in keys)} FROM tickets ORDER BY {order} OFFSET {many * 3 // 4} LIMIT 1"
        )
        cursor_ = cursors.encode(sort, *cursor.fetchone())
    page, lines = plan({"sort": sort, "cursor": cursor_})
    check(lines)
    # What its index scan read; the rest is planning.
    scans = [re.search(r"Limit .*\n +Buffers: shared(?: hit=(\d+))?(?: read=(\d+))?", each)
             for each in (lines, plan({"sort": sort})[1])]  # fmt: skip
    deep, first = (sum(int(number or 0) for number in scan.groups()) for scan in scans)
    assert deep <= first + 10
    assert len(page.rows) == pages.LIMIT


def memory(pid):
    """Return the resident memory of a process, in MiB."""
    return psutil.Process(pid).memory_info().rss / (1 << 20)


@pytest.fixture(scope="module")
def service(large, server):
    made = Live(server.url("iris", "large"))
    yield made
    made.stop(signal.SIGQUIT)


def worker(service):
    (child,) = psutil.Process(service.process.pid).children()
    return child.pid


@pytest.mark.parametrize("name", ["ndjson", "csv"])
def test_a_stream_of_all_takes_no_memory(service, many, name):
    service.send("GET", "/tickets?limit=1000")
    before, most, lines = memory(worker(service)), 0, 0
    with service.connect() as connection:
        connection.sendall(
            f"GET /tickets?format={name} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
        )
        while data := connection.recv(1 << 20):
            lines += data.count(b"\n")
            most = max(most, memory(worker(service)))
    assert lines > many
    assert most - before < 32, (before, most)


def test_who_leaves_ends_the_query(service, owner):
    for _ in range(6):
        with service.connect() as connection:
            connection.sendall(b"GET /tickets?format=ndjson HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.recv(1000).startswith(b"HTTP/1.1 200")
    deadline = time.monotonic() + 30
    while True:
        with owner.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = 'large' AND state IN ('active', 'idle in transaction')"
                           " AND application_name = 'http'")  # fmt: skip
            if cursor.fetchone() == (0,):
                break
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_slow_readers_hold_up_nobody(service):
    slow = [service.connect() for _ in range(5)]
    for connection in slow[:4]:
        connection.sendall(b"GET /tickets?format=ndjson HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
    slow[4].sendall(b"GET /tickets?format=csv HTTP/1.1\r\nHost: x\r\n\r\n")
    assert slow[4].recv(100).startswith(b"HTTP/1.1 503")
    # While the five read nothing.
    for _ in range(10):
        assert service.send("GET", "/tickets?limit=1")[0] == 200
    for connection in slow:
        connection.close()
