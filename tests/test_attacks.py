"""What somebody who knows PostgreSQL may try as the role iris: be its owner, or write what the rules keep.

Names are resolved along a path, and whoever may make types, tables, functions or operators that come
first in it has rules mean what they like. Iris has two defences, which are tested one by one: `iris` may
make nothing at all; and the rules don't look where others could have made something.
"""

import contextlib
import functools
import re
import subprocess

import psycopg2
import pytest
import replay
from conftest import RESET, ROOT, Sql, seeds

from iris import embedded, migrations

# What runs in the attacker's name, as whoever has come by. It tells so, even if all is rolled back then; and
# whoever is not iris can do more.
EVIL = """
    BEGIN
        RAISE WARNING 'caught by: %', trap;
        IF current_user OPERATOR(pg_catalog.<>) session_user THEN
            ALTER ROLE iris SUPERUSER;
        END IF;
        RETURN true;
    END
"""

# All that iris can do, each trigger and each function, with what must not be believed. {n} and {m} are tickets.
# No name here is looked for along a path, but for those of the rules: whoever falls into a trap is a rule.
DRIVE = """
    INSERT INTO public.tickets (title, labels, version, created, updated, closed)
        VALUES ('forged', '{b,a}', -7, '1999-01-01', '1999-01-01', '1999-01-01')
    INSERT INTO public.tickets (title, status, closed) VALUES ('forged', 'closed', NULL)
    UPDATE public.tickets SET title = 'forged', status = 'closed', closed = NULL, updated = '1999-01-01', version = -7
        WHERE ticket_id OPERATOR(pg_catalog.=) {n}
    UPDATE public.tickets SET title = 'again', version = version OPERATOR(pg_catalog.+) 1, created = '1999-01-01' WHERE ticket_id OPERATOR(pg_catalog.=) {n}
    UPDATE public.tickets SET status = 'blocked' WHERE ticket_id OPERATOR(pg_catalog.=) {n}
    UPDATE public.tickets SET version = version OPERATOR(pg_catalog.+) 1, updated = pg_catalog.clock_timestamp(), closed = pg_catalog.clock_timestamp()
    UPDATE public.tickets SET status = 'open' WHERE ticket_id OPERATOR(pg_catalog.=) {n}
    UPDATE public.tickets SET status = 'nowhere' WHERE ticket_id OPERATOR(pg_catalog.=) {n}
    UPDATE public.tickets SET title = ' ', labels = ARRAY[NULL] WHERE ticket_id OPERATOR(pg_catalog.=) {n}
    INSERT INTO public.comments (ticket_id, body, created, updated) VALUES ({n}, 'hello', '1999-01-01', '1999-01-01')
    INSERT INTO public.comments (ticket_id, body) VALUES ({n}, 'hello'), ({m}, ' ')
    UPDATE public.comments SET body = body OPERATOR(pg_catalog.||) '!', updated = '1999-01-01', created = '1999-01-01'
    INSERT INTO public.links VALUES ({n}, 'blocks', {m}), ({m}, 'parent', {n})
    INSERT INTO public.links VALUES ({m}, 'blocks', {n})
    DELETE FROM public.links
    UPDATE public.statuses SET is_open = NOT is_open WHERE status OPERATOR(pg_catalog.=) 'active'
    UPDATE public.statuses SET status = 'over' WHERE status OPERATOR(pg_catalog.=) 'closed'
    INSERT INTO public.statuses VALUES ('late', 99, true)
    INSERT INTO public.transitions VALUES ('open', 'late')
    UPDATE public.transitions SET to_status = 'late' WHERE from_status OPERATOR(pg_catalog.=) 'closed'
    DELETE FROM public.transitions WHERE to_status OPERATOR(pg_catalog.=) 'late'
    DELETE FROM public.statuses WHERE status OPERATOR(pg_catalog.=) 'late'
    SELECT public.set_workflow(public.workflow()::pg_catalog.jsonb)
    SELECT public.put_tickets('[{"title": "One", "due": "tomorrow", "fields": {"n": 1}}, {"ticket_id": {n}, "labels": ["x"]}]')
    SELECT public.put_tickets('[{"ticket_id": {n}, "status": "resolved"}, {"title": ""}]')
    SELECT public.put_tickets('[{"ticket_id": {n}, "version": -7}]', true)
    SELECT public.put_tickets('[{"title": 5, "labels": "x", "nothing": 1, "ticket_id": "7"}]')
    SELECT public.put_rows(ARRAY['{"title": "Two", "due": "monday"}']::pg_catalog.jsonb[], 0, true, 'Europe/Berlin')
    SELECT public.put_times('{"due": "in 3 days"}', 'UTC'), public.told()
    SELECT public.moment('last friday 17:00', false, 'Etc/GMT+5'), public.moment_once('2026-W48', true, 'UTC')
    SELECT public.moment('two days ago')
    SELECT public.bulk_shape(ARRAY['{"title": 5}']::pg_catalog.jsonb[])
    SELECT public.bulk_refused('[{"index": 0, "message": "x"}]')
    SELECT public.misfit('5', 'pg_catalog.text'::pg_catalog.regtype), public.nearest('titel', '{title}'), public.relabelled('{a}', '{b}', '{a}'),
        public.texts('["a"]'), public.kept()
    SELECT public.locked_status('open'), public.locked_transition('open', 'closed')
    SELECT public.undo((SELECT pg_catalog.max(event_id) FROM public.events), NULL, true)
    SELECT public.free_holders('1 day'), public.workflow_as_of('yesterday'), (SELECT pg_catalog.count(*) FROM public.changes_between('yesterday')), public.are_statuses('{open}', 'yesterday')
    SELECT pg_catalog.json_typeof(public.stats('yesterday', '{1,2}', 2)), pg_catalog.json_typeof(public.spread(weeks => 2, zone => 'UTC')), public.hours('1 day'), public.weeks_until('2026-01-01', 2, 'UTC')
    SELECT (SELECT pg_catalog.count(*) FROM public.tickets_at(NULL, NULL)), (SELECT pg_catalog.count(*) FROM public.moves()), (SELECT pg_catalog.count(*) FROM public.reopenings()), (SELECT pg_catalog.count(*) FROM public.cycle_times())
    SELECT public.once('key', 'request', 'UPDATE public.tickets SET version = -7, title = title OPERATOR(pg_catalog.||) 1 RETURNING title')
    SELECT public.kept_answer('b', 'c'), public.keep_answer('b', '{}'), public.keep_answer('b', NULL)
    SELECT public.read_ticket({n}), public.first_status(), public.actor(), public.source()
    SELECT public.refuse('a', 'b', 'c')
    SELECT public.blanks(), public.is_blank('x'), public.ticket_words('a', 'b', '{}'), public.body_words('a.b 日本')
    SELECT public.wanted('a.b 日本', true), public.parted('a'), public.paired('日本'), public.eastern(), public.wanted_any('{a}'),
        public.mentioning('{a}'), public.elapsed('1 day')
    SELECT public.spoken('`a` @b'), public.is_mentioned('@a', '{a}'), public.mentioned('@a'), public.watch_fits('a')
    INSERT INTO public.watchers VALUES ({n}, 'eve')
    UPDATE public.watchers SET muted = true WHERE ticket_id OPERATOR(pg_catalog.=) {n}
    SELECT pg_catalog.count(*) FROM public.watched('eve')
    DELETE FROM public.watchers WHERE ticket_id OPERATOR(pg_catalog.=) {n}
    SELECT (SELECT pg_catalog.count(*) FROM public.inbox('eve', 0)), (SELECT pg_catalog.count(*) FROM public.inbox_after('eve', 0)), public.read_mark('eve'), public.mark_read(0)
    SELECT pg_catalog.count(*) FROM public.stored_events AS event WHERE public.concerns(event, 'eve', changes)
    SELECT public.place_all(), public.put_person('eve', 'eve@example.org', 'daily', 'active'), public.person('eve'), public.person_fits('a', 'a@b')
    INSERT INTO public.people (name, mail) VALUES ('dave', 'dave@example.org')
    UPDATE public.people SET mail = 'x@example.org'
    SELECT pg_catalog.count(*) FROM public.people_due('eve')
    SELECT (SELECT pg_catalog.count(*) FROM public.mail_piece(1, 0, 9, 9)), public.settle_person('eve', 1, 1, 0, 0, NULL, NULL, NULL, false, true)
    SELECT public.lives_at('eve', 'x'), public.unsubscribe(1, 'x'), public.bounced(1, 'bounce', 'x', '{a}', 'y'), public.writes_from('x@example.org'), public.role_of('eve')
    SELECT public.writes_by(1, 1, 'x')
    SELECT public.drop_person('eve')
    INSERT INTO public.watches VALUES ({n}, 'zoe')
    UPDATE public.watches SET muted = true
    DELETE FROM public.watches
    SELECT public.ticket_fits('a', 'b', 'c', 'd', '{}', '{}', 'tomorrow'), public.comment_fits('a', 'b')
    SELECT * FROM public.events_after(0, 100)
    SELECT public.contents(event, 1, changes::pg_catalog.text), public.exported(event, 1, 'x', changes::pg_catalog.text), public.is_waiting(), (SELECT count(*) FROM public.waiting_events()), public.kept(event), public.kept_told(event), public.escaped('a'),
        public.first_told(ticket_id, comment_id, at, event_id, changes), public.told_changes('event'), public.texts_of(changes), public.concerns(event, 'zoe', changes) FROM public.stored_events AS event
    SELECT * FROM public.verify_events()
    SELECT * FROM public.tickets_as_of('yesterday'), public.comments_as_of('yesterday'), public.links_as_of('yesterday'),
        public.searches_as_of('yesterday'), public.tickets_touched_since('yesterday'), public.comments_touched_since('yesterday')
    SELECT public.write_past(), public.unwritten(), public.is_walked('yesterday'), public.cells('yesterday'), public.tick('yesterday'), public.referred()
    SELECT * FROM public.ticket_as_of({n}, 'yesterday'), public.tickets_lately('yesterday'), public.searches_lately('yesterday')
    SELECT public.read_ticket_as_of({n}, 'tomorrow'), public.told_by(1, 'title')
    INSERT INTO public.tokens (name, role, actor, digest) VALUES ('eve', 'admin', 'alice', pg_catalog.sha256('x'))
    SELECT public.add_token('mallory', 'admin', NULL, NULL, NULL), public.add_token('trudy', 'reader', 'alice', 'tomorrow')
    SELECT public.add_login('mallory', 'x')
    SELECT public.add_login('postgres', 'x')
    SELECT public.token_of(pg_catalog.sha256('x')), public.token_fits('a', 'b', 'tomorrow', pg_catalog.sha256('x'))
    DELETE FROM public.tokens
    INSERT INTO public.hooks (url, kind, filter) VALUES ('https://ci.example.org/?key=sesame', '{created}', '{"open": "true"}')
    INSERT INTO public.hooks (url, filter) VALUES ('https://a', '{"status": "!open", "priority": "low", "assignee": "me,\\"b\\"", "q": "a or \\"b\\"", "linked": "1", "due_after": "friday", "age_over": "3d", "fields.n": "5"}')
    INSERT INTO public.hooks (url) VALUES ('https://alice:sesame@ci.example.org/')
    SELECT public.ticket_filters(), public.chosen('!a, "b"'), public.filter_fits('open', 'perhaps'), public.filter_kept('{"label": "me"}')
    UPDATE public.hooks SET position = 0, state = 'stopped', secrets = ARRAY['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw']
    UPDATE public.hooks SET state = 'active', secrets = ARRAY[public.new_secret()]
    SELECT public.hook_fits('https://a', '{}', 0, ARRAY[public.new_secret()])
    SELECT feed_end, pg_catalog.json_array_length(due) FROM public.hooks_due('eve')
    SELECT public.keep_hooks('eve', '[{"hook_id": 1, "epoch": 5}]')
    SELECT public.settle_hooks('eve', '[{"hook_id": 1, "epoch": 5, "position": 1, "tried": 0, "tries": [{"position": 1, "ago": 0, "tried": 1, "outcome": "accepted", "took": 1}]}]')
    SELECT public.delivery_body(event, NULL), public.shortened('["abc"]', 2) FROM public.events AS event
    SELECT around.* FROM public.events AS event CROSS JOIN LATERAL public.ticket_around(event) AS around
    DELETE FROM public.hooks
    DELETE FROM public.comments
    DELETE FROM public.tickets WHERE ticket_id OPERATOR(pg_catalog.=) {m}
"""

# Every text in the catalogue that is read anew by whoever comes by, or was once: rules, checks, defaults.
RULES = """
    SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prokind IN ('f', 'p')
    UNION ALL SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef
    UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT pg_get_indexdef(indexrelid) FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
        WHERE relnamespace = 'public'::regnamespace
"""

TYPES = """
    SELECT nspname, typname, typtype FROM pg_type JOIN pg_namespace ON pg_namespace.oid = typnamespace
        WHERE typname = ANY (%s) AND nspname IN ('public', 'pg_catalog') AND typtype <> 'c'
"""
TABLES = """
    SELECT nspname, relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
        WHERE relname = ANY (%s) AND nspname IN ('public', 'pg_catalog') AND relkind IN ('r', 'v', 'S')
"""
# With what takes any type made for those that the rules are full of: an exact fit comes first.
FUNCTIONS = """
    SELECT nspname, proname, format_type(prorettype, NULL), proretset,
            ARRAY(SELECT format_type(each, NULL) FROM unnest(proargtypes) WITH ORDINALITY AS listed(each, place) ORDER BY place)
        FROM pg_proc JOIN pg_namespace ON pg_namespace.oid = pronamespace
        WHERE proname = ANY (%s) AND nspname IN ('public', 'pg_catalog') AND prokind = 'f'
            AND prorettype <> ALL ('{trigger,internal,event_trigger}'::regtype[])
"""
OPERATORS = """
    SELECT oprname, oprleft::regtype::text, oprright::regtype::text, oprresult::regtype::text FROM pg_operator
        WHERE oprname = ANY (%s) AND oprnamespace = 'pg_catalog'::regnamespace AND oprleft <> 0
"""
LIKELY = ("text", "bigint", "jsonb", "timestamp with time zone", "boolean", "integer", "text[]")

# What a session may set for itself, and what reads differently then. The first ones all at once: with them, each
# statement does what it does otherwise, so none is in the way of another.
SETTINGS = (
    (
        "search_path = pg_temp",
        "timezone = 'Asia/Kathmandu'",
        "datestyle = 'German, DMY'",
        "intervalstyle = 'sql_standard'",
        "backslash_quote = on",
        "transform_null_equals = on",
        "array_nulls = off",
        "quote_all_identifiers = on",
        "extra_float_digits = -15",
        "default_text_search_config = 'english'",
        "plan_cache_mode = force_generic_plan",
        "check_function_bodies = off",
        "constraint_exclusion = on",
        "work_mem = '64kB'",
        "enable_indexscan = off",
        "lc_time = 'C'",
        "xmloption = document",
        "iris.actor = ''",
        "application_name = ''",
    ),
    ("search_path = ''",),
    ("standard_conforming_strings = off",),
    ("default_transaction_isolation = 'serializable'", "default_transaction_deferrable = on"),
    ("default_transaction_isolation = 'repeatable read'",),
)


# What was open cannot have been made blocked: there is no way.
MOVES = """
    SELECT ticket_id, 'went from open to blocked' FROM events WHERE kind = 'changed' AND changes -> 'status' = '["open", "blocked"]'
"""


@pytest.fixture(scope="module")
def attacking(server, owner):
    return attacker(server.url(), owner)


@pytest.fixture
def attack(attacking, clean):
    """Return a function that carries out attacks on the database."""
    return attacking


def attacker(url, owner):
    """Return the function that attacks a database; its usual(first) is what the drive does without attacks.

    url:      of the role iris.
    owner:    a connection as its owner.
    """

    def attack(attacks, first=(), until_caught=False):
        """Prepare attacks in one session, and drive the rules in it.

        attacks:  {name: statements}.
        first:    statements that must pass before.
        until_caught: whether to drive only until somebody falls into a trap; some then go round in circles.
        Returns:  (the harm that was done, the names of the traps that somebody fell into, what each statement
            of the drive did).
        """
        with owner.cursor() as cursor:
            cursor.execute(RESET + seeds() + "SET session_replication_role = origin;")
            cursor.execute("INSERT INTO tickets (title) VALUES ('x'), ('y')")
            # A new one, for a session compiles each rule when it first comes by.
            session = Sql(url)
            try:
                assert all(done(session, each)[0] for each in first)
                for name, statements in attacks.items():
                    # An attack that could not even be prepared would prove nothing.
                    passed = [done(session, each)[0] for each in statements]
                    assert any(passed), name
                # All of them, not the last fifty.
                told = session.connection.notices = []
                drive = []
                if until_caught:
                    done(session, "SET statement_timeout = '0.2s'")
                for each in statements_of(DRIVE):
                    drive.append(done(session, each))
                    if until_caught and told:
                        break
            finally:
                session.connection.close()
            harm = replay.differences(cursor)
            cursor.execute(MOVES)
            harm += cursor.fetchall()
            cursor.execute(
                "SELECT rolname, 'became superuser' FROM pg_roles WHERE rolname = 'iris' AND rolsuper"
            )
            harm += cursor.fetchall()
            cursor.execute("ALTER ROLE iris NOSUPERUSER; DROP SCHEMA IF EXISTS evil CASCADE")
            return harm, set(re.findall("caught by: (.*)", "".join(told))), drive

    # The same whatever is tried: the database is as it was before each time.
    attack.usual = functools.cache(lambda first: attack({}, first)[2])
    return attack


def statements_of(text):
    """Return the statements of a text, each of which begins at a margin of four."""
    text = text.replace("{n}", "1").replace("{m}", "2")
    return [each.strip() for each in re.split(r"\n    (?=\S)", text) if each.strip()]


def done(session, statement):
    """Run a statement; return (whether it passed, what it did or why it was refused)."""
    with session.connection.cursor() as cursor:
        try:
            cursor.execute(statement)
        except psycopg2.Error as error:
            return False, error.pgcode
        return True, cursor.statusmessage


@pytest.fixture
def words(owner):
    """Return every name, every call and every operator that occurs in the rules."""
    with owner.cursor() as cursor:
        cursor.execute(RULES)
        # None: of a temporary table that goes just now, with its session.
        text = "\n".join(text for (text,) in cursor.fetchall() if text)
    text = re.sub(r"--.*", "", text)
    names = set(re.findall(r"[a-z_][a-z0-9_]*", text))
    calls = set(re.findall(r"([a-z_][a-z0-9_]*)\"?\(", text))
    signs = set(re.findall(r"[-+*/<>=~!@#%^&|?]+", re.sub(r"'[^']*'", "", text)))
    return {"names": sorted(names), "calls": sorted(calls), "signs": sorted(signs)}


@pytest.fixture
def find(owner, words):
    """Return a function that finds in the catalogue what the rules name."""

    def find(text, of="names"):
        with owner.cursor() as cursor:
            cursor.execute(text, (words[of],))
            return cursor.fetchall()

    return find


# What iris is given for the time of a test, where things are made then, and what comes first of all.
HOMES = {
    "in pg_temp": ("TEMPORARY", "pg_temp", []),
    "in a schema": (
        "CREATE",
        "evil",
        ["CREATE SCHEMA evil", "SET search_path = evil, pg_catalog, public"],
    ),
}


@pytest.fixture(params=HOMES)
def home(request, owner):
    """Return (schema, statements that come first), having let iris make things there."""
    privilege, schema, first = HOMES[request.param]
    with owner.cursor() as cursor:
        cursor.execute(f"GRANT {privilege} ON DATABASE iris TO iris")
        yield schema, first
        cursor.execute(f"REVOKE {privilege} ON DATABASE iris FROM iris")


def q(template, *names):
    """Return SQL with names, each (schema, name), quoted where {} stands."""
    return template.format(*(".".join(f'"{part}"' for part in name) for name in names))


def calls_evil(name, takes, gives, then, trap):
    """Return a function that does evil and then something else.

    trap:     the name of the attack.
    """
    if gives == "void":
        then = then.replace("RETURN", "PERFORM")
    return (
        f"CREATE FUNCTION {name}({', '.join(takes)}) RETURNS {gives} LANGUAGE plpgsql"
        f" AS $mine$ BEGIN PERFORM {name.rpartition('.')[0]}.evil('{trap}'); {then}; END $mine$"
    )


def dotted(name):
    """Return a name, (schema, name), as people write it."""
    return ".".join(name)


def evil(schema):
    return (
        f"CREATE FUNCTION {schema}.evil(trap pg_catalog.text) RETURNS pg_catalog.bool LANGUAGE plpgsql"
        f" AS $evil${EVIL}$evil$"
    )


def domain(schema, name):
    """Yield an attack: a domain of a type's name, whose check is the attacker's."""
    then = "RETURN true"
    yield calls_evil(f"{schema}.checks", [q("{}", name)], "pg_catalog.bool", then, dotted(name))
    yield q("CREATE DOMAIN {} AS {} CHECK (" + schema + ".checks(VALUE))", (schema, name[1]), name)


# What a type of one's own turns into, wherever anything else is wanted. 10 is the owner's number.
TURNS = {
    "oid": "10",
    "text": "'postgres'",
    "bool": "true",
    "int8": "1",
    "jsonb": "'{}'",
    "timestamptz": "'epoch'",
}


def casts(schema, other):
    """Yield an attack: a type of another's name, which is whatever one wants it to be."""
    mine = q("{}", (schema, other[1]))
    yield f"CREATE TYPE {mine} AS ENUM ('iris', 'postgres', 'open')"
    for name, value in TURNS.items():
        to, back, kind = f"{schema}.to_{name}", f'{schema}."{other[1]}_of"', f"pg_catalog.{name}"
        yield calls_evil(to, [mine], kind, f"RETURN {value}::{kind}", dotted(other))
        yield f"CREATE CAST ({mine} AS {kind}) WITH FUNCTION {to}({mine}) AS IMPLICIT"
        yield calls_evil(back, [kind], mine, "RETURN 'postgres'", dotted(other))
        yield f"CREATE CAST ({kind} AS {mine}) WITH FUNCTION {back}({kind}) AS IMPLICIT"


# Rows of a table of one's own that allow what the rules' own would not.
PERMISSIVE = {
    "statuses": "SELECT status, position, true AS is_open FROM public.statuses",
    # The rows of a statement, which a trigger knows by these names.
    "new_rows": "TABLE public.links",
    "pg_attribute": "SELECT attrelid, attname, attnum, attidentity, attnotnull, attisdropped FROM pg_catalog.pg_attribute",
    "old_rows": "TABLE public.links",
    "transitions": "SELECT a.status AS from_status, b.status AS to_status FROM public.statuses AS a, public.statuses AS b",
}


def table(schema, name):
    """Yield an attack: a table of a table's name, with rows to one's liking and a trigger."""
    mine = q("{}", (schema, name[1]))
    yield f"CREATE TABLE {mine} AS {PERMISSIVE.get(name[1]) or q('TABLE {}', name)}"
    if name[1] == "pg_class":
        yield f"UPDATE {mine} SET relowner = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = 'iris')"
    fire = f"{schema}.fire_{name[1]}"
    yield calls_evil(fire, [], "pg_catalog.trigger", "RETURN NULL", dotted(name))
    yield f"CREATE TRIGGER fire BEFORE INSERT OR UPDATE OR DELETE ON {mine} FOR EACH STATEMENT EXECUTE FUNCTION {fire}()"


def view(schema, name):
    """Yield an attack: a view of a table's name, which calls the attacker's function."""
    rows = PERMISSIVE.get(name[1]) or q("TABLE {}", name)
    yield (
        q("CREATE VIEW {} AS", (schema, name[1]))
        + f" SELECT * FROM ({rows}) AS rows WHERE {schema}.evil('{dotted(name)}')"
    )


def exact(takes, gives):
    """Yield (types, result); of what takes any type, some that the rules are full of, for an exact fit comes first."""
    if not any(re.match('"?any', kind) for kind in takes):
        yield takes, gives
        return
    for kind in LIKELY:
        yield (
            [re.sub(r'^"?any\w*"?(\[\])?$', kind, each) for each in takes],
            re.sub(r"^any\w*$", kind, gives),
        )


# What whoever lies gives.
LIES = {
    "boolean": "true",
    "text": "'postgres'",
    "timestamp with time zone": "'1999-01-01'",
    "bigint": "7",
    "jsonb": "'{}'",
    "oid": "10",
}


def functions(schema, name, found, lies):
    """Yield an attack: functions of a function's name, one for each list of types that it takes."""
    for gives, many, takes in found:
        for types, result in exact(takes, gives):
            call = q("{}", name) + "(" + ", ".join(f"${n + 1}" for n in range(len(types))) + ")"
            then = (
                f"RETURN QUERY SELECT * FROM {call}" if many else f"RETURN {lies.get(result, call)}"
            )
            yield calls_evil(
                q("{}", (schema, name[1])),
                types,
                ("SETOF " if many else "") + result,
                then,
                dotted(name),
            )


def operators(schema, name, found, lies):
    """Yield an attack: operators of an operator's name, one for each pair of types."""
    pairs = [pair for left, right, result in found for pair in exact([left, right], result)]
    for place, (types, gives) in enumerate(pairs):
        mine = f'{schema}."{name}_{place}"'
        yield calls_evil(
            mine,
            types,
            gives,
            f"RETURN {lies.get(gives, f'$1 OPERATOR(pg_catalog.{name}) $2')}",
            name,
        )
        yield f"CREATE OPERATOR {schema}.{name} (FUNCTION = {mine}, LEFTARG = {types[0]}, RIGHTARG = {types[1]})"


def by_name(found, width):
    """Return {the first columns of rows: [the others]}."""
    named = {}
    for row in found:
        named.setdefault(row[:width], []).append(row[width:])
    return named


# Every kind of attack: how, what for (SQL and which of the words), in which homes, with which lies.
def types(way):
    """Return the attacks of a way on every type that the rules name."""

    def attacks(schema, find):
        found = [(home, name) for home, name, kind in find(TYPES) if kind != "p" or way is casts]
        return {dotted(name): [*way(schema, name)] for name in found}

    return attacks


def tables(way):
    """Return the attacks of a way on every table that the rules name."""

    def attacks(schema, find):
        found = [*find(TABLES), ("public", "new_rows"), ("public", "old_rows")]
        return {dotted(name): [*way(schema, name)] for name in found}

    return attacks


def calls(way, text, of, width, lies):
    """Return the attacks of a way on every function or operator that the rules call."""

    def attacks(schema, find):
        found = by_name(find(text, of=of), width)
        return {
            dotted(name): [*way(schema, name if width > 1 else name[0], every, lies)]
            for name, every in found.items()
        }

    return attacks


# How each attack of a kind is made, all of which are carried out at once: (what makes them, names that it must
# know; whether things in pg_temp can be such).
KINDS = {
    "domains": (types(domain), {"pg_catalog.text", "public.priority"}, True),
    "casts": (types(casts), {"pg_catalog.text", "public.priority"}, True),
    "tables": (tables(table), {"public.tickets", "public.searches"}, True),
    "views": (tables(view), {"public.tickets", "public.searches"}, True),
    # Which are never looked for in pg_temp.
    "functions": (calls(functions, FUNCTIONS, "calls", 2, {}), {"pg_catalog.format", "public.actor"}, False),
    "lying functions": (calls(functions, FUNCTIONS, "calls", 2, LIES), {"pg_catalog.format", "public.actor"}, False),
    "operators": (calls(operators, OPERATORS, "signs", 1, {}), {"=", "||", "->"}, False),
    "lying operators": (calls(operators, OPERATORS, "signs", 1, LIES), {"=", "||", "->"}, False),
}  # fmt: skip
# Those kinds that make other things than each other, so that they are carried out at once, too.
TOGETHER = (
    ("domains", "tables", "functions", "operators"),
    ("casts", "views", "lying functions", "lying operators"),
)
EVERY = [
    (home, [kind for kind in kinds if KINDS[kind][2] or home != "in pg_temp"])
    for kinds in TOGETHER
    for home in HOMES
]


def at_once(kinds, schema, find):
    """Return {name: statements} of all attacks of some kinds, for one schema."""
    attacks = {}
    for kind in kinds:
        make, known, _ = KINDS[kind]
        made = make(schema, find)
        assert known < made.keys()
        for name, statements in made.items():
            attacks.setdefault(name, []).extend(statements)
    return attacks


def harms(attack, home, attacks):
    """Carry out attacks at once, {name: statements}; return what is not as it is without them.

    Nobody fell into a trap, and each statement did what it does otherwise: so none could have been in the
    way of another one.
    """
    schema, first = home
    first = [*first, evil(schema)]
    harm, caught, drive = attack(attacks, first)
    usual = attack.usual(tuple(first))
    return [*harm, *sorted(caught), *changed(drive, usual)]


def changed(drive, usual):
    """Return the statements of the drive that did something else than usual, with what either was."""
    statements = statements_of(DRIVE)
    return [pair for pair in zip(statements, drive, usual, strict=True) if pair[1] != pair[2]]


def test_iris_may_make_nothing(sql):
    for statement in (
        "CREATE TEMPORARY TABLE evil (a int)",
        "CREATE TEMPORARY VIEW evil AS SELECT 1 AS a",
        "CREATE TEMPORARY SEQUENCE evil",
        "SELECT 1 AS a INTO TEMPORARY evil",
        "CREATE DOMAIN pg_temp.evil AS text",
        "CREATE TYPE pg_temp.evil AS (a int)",
        "CREATE FUNCTION pg_temp.evil() RETURNS int RETURN 1",
        "CREATE SCHEMA evil",
        "CREATE TABLE public.evil (a int)",
        "CREATE FUNCTION public.evil() RETURNS int RETURN 1",
        "CREATE OPERATOR public.=== (FUNCTION = texteq, LEFTARG = text, RIGHTARG = text)",
        "CREATE TRIGGER evil AFTER INSERT ON tickets EXECUTE FUNCTION comments_after()",
        "CREATE PUBLICATION evil",
        "CREATE EVENT TRIGGER evil ON ddl_command_end EXECUTE FUNCTION comments_after()",
        "CREATE CAST (text AS bigint) WITH INOUT AS IMPLICIT",
        "CREATE RULE evil AS ON INSERT TO tickets DO INSTEAD NOTHING",
        "CREATE STATISTICS evil ON status, assignee FROM tickets",
        "CREATE INDEX evil ON tickets (title)",
        "DO $$ BEGIN CREATE TEMPORARY TABLE evil (a int); END $$",
        "PREPARE evil AS SELECT 1; CREATE TEMPORARY TABLE evil AS EXECUTE evil",
    ):
        assert sql.refusal(statement).pgcode == "42501", statement
    may = "SELECT has_database_privilege('iris', current_database(), 'TEMPORARY, CREATE') AS may"
    assert sql.one(may) == {"may": False}


@pytest.mark.parametrize(("home", "kinds"), EVERY, indirect=["home"], ids=str)
def test_whatever_has_the_names_that_the_rules_use(attack, home, find, kinds):
    assert harms(attack, home, at_once(kinds, home[0], find)) == []


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: settings[0])
def test_what_a_session_sets_for_itself(attack, settings):
    first = tuple(f"SET {setting}" for setting in settings)
    harm, _, drive = attack({}, first)
    assert harm == []
    if len(settings) > 2:
        assert changed(drive, attack.usual(())) == []


# How a database may have become what it is, beside being made as it is.
WAYS = ("upgraded from 0007", "restored")


@pytest.fixture(scope="module")
def other(request, server, owner):
    """Return the name of a database that has come another way."""
    name = "iris_attacked"
    url = server.url("postgres", name)
    with owner.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        try:
            if request.param == "restored":
                copy(server.url("postgres"), url)
            else:
                server._psql(name, "-f", str(ROOT / "tests" / "fixtures" / "0007.sql"))
            migrations.move(url)
            yield name
        finally:
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


def copy(source, target):
    """Dump a database into another one, as anybody may who knows PostgreSQL's programs only."""
    programs = embedded.binaries()
    dump = subprocess.run([programs / "pg_dump", source], check=True, capture_output=True)
    psql = [programs / "psql", "-X", "-q", "-d", target]
    subprocess.run(psql, input=dump.stdout, check=True, capture_output=True)


@pytest.mark.parametrize(
    ("other", "home"),
    [
        # Each way and each home; the two that are left are slow.
        pytest.param(way, home, marks=pytest.mark.slow if (number + place) % 2 else ())
        for number, way in enumerate(WAYS)
        for place, home in enumerate(HOMES)
    ],
    indirect=["other"],
)
def test_it_is_the_same_in_a_database_that_has_come_another_way(other, server, find, home):
    privilege, schema, first = HOMES[home]
    found = [kinds for place, kinds in EVERY if place == home]
    with contextlib.closing(psycopg2.connect(server.url("postgres", other))) as owner:
        owner.autocommit = True
        attack = attacker(server.url("iris", other), owner)
        cursor = owner.cursor()
        cursor.execute(f"GRANT {privilege} ON DATABASE {other} TO iris")
        for kinds in found:
            assert harms(attack, (schema, first), at_once(kinds, schema, find)) == [], kinds
        attacks = {kind: KINDS[kind][0](schema, find) for kinds in found for kind in kinds}
        # That it is the paths that hold it: without them, something of each kind gets through, and is named.
        cursor.execute(
            "SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosqlbody IS NULL"
        )
        for (function,) in cursor.fetchall():
            cursor.execute(f"ALTER FUNCTION {function} RESET ALL")
        for kind, made in attacks.items():
            _, caught, _ = attack(made, [*first, evil(schema)], until_caught=True)
            assert caught and caught <= made.keys(), kind
        migrations.move(server.url("postgres", other))
        cursor.execute(f"GRANT {privilege} ON DATABASE {other} TO iris")
        worst = {"pg_catalog.text": attacks["domains"]["pg_catalog.text"]}
        assert harms(attack, (schema, first), worst) == []


def test_the_attacks_drive_every_rule(owner):
    drive = DRIVE.replace("public.", "")
    with owner.cursor() as cursor:
        cursor.execute(
            "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND has_function_privilege('iris', oid, 'EXECUTE')"
        )
        assert [name for (name,) in cursor if f"{name}(" not in drive] == []
        cursor.execute(
            "SELECT DISTINCT event || relname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid,"
            " (VALUES (4, 'INSERT INTO '), (8, 'DELETE FROM '), (16, 'UPDATE ')) AS events(bit, event)"
            " WHERE NOT tgisinternal AND tgtype & bit <> 0 AND has_table_privilege('iris', tgrelid, 'DELETE')"
        )
        assert [event for (event,) in cursor if event not in drive] == []


def test_no_rule_looks_where_others_could_have_made_something(owner):
    """Each function is read once, when it is made (prosqlbody), or has a path that nobody else can change."""
    with owner.cursor() as cursor:
        cursor.execute(
            """
            SELECT oid::regprocedure::text, proconfig FROM pg_proc
                WHERE pronamespace = 'public'::regnamespace AND prosqlbody IS NULL
                    AND NOT coalesce(proconfig, '{}') @> '{"search_path=pg_catalog, public, pg_temp"}'
            """
        )
        assert cursor.fetchall() == []
        # Checks, defaults, generated columns, indexes and the conditions of triggers are kept as they were
        # read; a rule that anybody but the owner has made is not one of ours.
        cursor.execute(
            """
            SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'public'::regnamespace
                AND relowner <> (SELECT datdba FROM pg_database WHERE datname = current_database())
            UNION ALL
            SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace
                AND proowner <> (SELECT datdba FROM pg_database WHERE datname = current_database())
            """
        )
        assert cursor.fetchall() == []
        # Nor may what they call be of another schema.
        cursor.execute(
            """
            SELECT DISTINCT pg_describe_object(refclassid, refobjid, 0) FROM pg_depend
                JOIN pg_proc ON refclassid = 'pg_proc'::regclass AND refobjid = pg_proc.oid
                WHERE pronamespace NOT IN ('public'::regnamespace, 'pg_catalog'::regnamespace)
                    AND classid IN ('pg_attrdef'::regclass, 'pg_constraint'::regclass, 'pg_trigger'::regclass, 'pg_class'::regclass)
            """
        )
        assert cursor.fetchall() == []


def test_what_a_restore_forgets_an_upgrade_brings_back(server, owner):
    """pg_dump leaves out what is the database's own: who may make temporary objects in it."""
    url = server.url("postgres", "iris_restored")
    with owner.cursor() as cursor:
        cursor.execute("CREATE DATABASE iris_restored TEMPLATE template0")
        try:
            copy(server.url("postgres"), url)
            may = "SELECT has_database_privilege('iris', 'iris_restored', 'TEMPORARY')"
            cursor.execute(may)
            assert cursor.fetchone() == (True,)
            migrations.move(url)
            cursor.execute(may)
            assert cursor.fetchone() == (False,)
        finally:
            cursor.execute("DROP DATABASE iris_restored WITH (FORCE)")
