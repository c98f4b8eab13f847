"""Looks at what is in the database: revision, roles, schema, numbers, history, feed, who is told."""

from iris import counted, health, proof, schema, settings
from iris.database import statements
from iris.doctor.findings import NOTE, OK, UNKNOWN, WRONG, Finding, one, some
from iris.transfer import backup, restore

UPGRADE = "`iris db upgrade`"
# What is told of a kind of thing in the schema, in this order.
KINDS = {
    "table": "tables",
    "sequence": "tables",
    "column": "columns",
    "type": "types",
    "constraint": "constraints",
    "index": "indexes",
    "trigger": "triggers",
    "function": "functions",
    "privilege": "privileges",
    "membership": "privileges",
    "setting": "defaults",
}
# Seconds that events may wait for their place when somebody has just asked for it.
FEED_SECONDS = 60
# Seconds for which those for whom there is something, hooks and people, may be nobody's.
IDLE_SECONDS = 60
# Whether one is: no deliverer has it, or a dead one; no try is to come; and something has happened.
IS_IDLE = """
    coalesce(until < now() - make_interval(secs => %(wait)s), true)
    AND coalesce(next_try < now() - make_interval(secs => %(wait)s), true)
    AND EXISTS (SELECT FROM places JOIN stored_events USING (event_id)
        WHERE places.position > coalesce(waits.position, 0)
        AND at < now() - make_interval(secs => %(wait)s))
    AND waits.created < now() - make_interval(secs => %(wait)s)
"""
HOOKS = f"""
    SELECT hook_id, state::text, reason, tried, {IS_IDLE} AS is_idle FROM hooks AS waits ORDER BY hook_id
"""
PEOPLE = f"""
    SELECT count(*) FILTER (WHERE state = 'bounced'),
            count(*) FILTER (WHERE wants),
            count(*) FILTER (WHERE wants AND {IS_IDLE} AND (digest = 'now'
                OR coalesce(mailed < now() - interval '1 day' - make_interval(secs => %(wait)s), true)))
        FROM people AS waits
            CROSS JOIN LATERAL (SELECT state = 'active' AND digest <> 'none' AS wants) AS asked
"""
# Whose mail waits longest.
FAILING = """
    SELECT name, tried, reason FROM people WHERE state = 'active' AND digest <> 'none' AND tried > 0
        ORDER BY tried DESC, name LIMIT 10
"""


def _sql(name, **more):
    """Return the SQL of a file, with Iris's roles and more in it."""
    text = (schema.MIGRATIONS / f"{name}.sql").read_text()
    for key, value in more.items():
        text = text.replace("{{" + key + "}}", value)
    return text.replace("'{{roles}}'", f"'{{{','.join(schema.roles())}}}'")


def walls(cursor):
    """Return (sentence, what to do) for each thing that lets a role of Iris's get round the rules.

    cursor:   of any role.
    """
    cursor.execute(_sql("walls"))
    return cursor.fetchall()


def comparison():
    """Return the SQL that tells how the schema differs from what this Iris makes.

    It is for the owner, in a transaction that is rolled back, and gives (kind, name, what, remedy).
    """
    return _sql("compare", inventory=_sql("inventory"), everything=schema.everything())


def revision(place):
    """Is the schema the one that this Iris needs?"""
    there = None
    if one(place.service, "SELECT to_regclass('public.alembic_version') IS NOT NULL"):
        there = one(place.service, "SELECT version_num FROM public.alembic_version")
    if misfit := schema.misfit(there):
        yield Finding("revision", WRONG, *misfit)
    else:
        yield Finding("revision", OK, f"{there}, which this Iris needs")


def roles(place):
    """Are Iris's roles there, and may they do no more than they should?"""
    found = walls(place.service)
    for sentence, todo in found:
        yield Finding("roles", WRONG, sentence, todo)
    if not found:
        yield Finding(
            "roles", OK, f"{some(schema.roles())} are there and may do no more than they should"
        )


def logins(place):
    """Has each token that came with a login for psql got it still?"""
    if lost := backup.lost_logins(place.service):
        todo = "`SELECT add_login('NAME', 'a password')` makes one again"
        yield Finding("logins", WRONG, f"not there: {some(lost)}", todo)
    else:
        yield Finding("logins", OK, "each token's is there, where it had one")


def shipped(place):
    """Is each table, index, trigger, function and privilege what this Iris would make?"""
    place.owner.execute(comparison())
    rows = place.owner.fetchall()
    place.owner.connection.rollback()
    ours, wrong, others = schema.made(), {}, []
    for kind, name, what, remedy in rows:
        table, _, column = name.partition(".")
        if what != "not Iris's" or kind in ("privilege", "membership"):
            todo = f"`{remedy}`" if remedy else "restore a backup into an empty Iris"
        elif kind == "column" and table in ours:
            todo = f"`ALTER TABLE {table} DROP {column} CASCADE`, then {UPGRADE}"
        else:
            others += [] if kind == "column" else [f"{kind} {name}"]
            continue
        wrong.setdefault((KINDS[kind], what, todo), []).append(name)
    for check in dict.fromkeys(KINDS.values()):
        found = [(what, todo, names) for (of, what, todo), names in wrong.items() if of == check]
        for what, todo, names in found:
            yield Finding(check, WRONG, f"{what}: {some(names)}", todo)
        if not found:
            yield Finding(check, OK, "as shipped")
    if others:
        todo = "keep triggers and functions in a schema of your own: those in public go with an upgrade"
        yield Finding("others", NOTE, f"not Iris's: {some(others)}", todo)


def numbers(place):
    """Does what is filed next get a number that nobody has?"""
    place.owner.execute(
        "SELECT relname, attname, pg_get_serial_sequence(pg_class.oid::regclass::text, attname)"
        " FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid"
        " WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND attidentity <> ''"
    )
    behind = []
    for table, column, sequence in place.owner.fetchall():
        highest = f"(SELECT max({column}) FROM public.{table})"
        if one(place.owner, f"SELECT {highest} > last_value FROM {sequence}"):
            behind.append(sequence)
            todo = f"`SELECT setval('{sequence}', {highest})` as the owner"
            yield Finding("numbers", WRONG, f"{sequence} is behind what is in {table}", todo)
    if not behind:
        yield Finding("numbers", OK, "new ones come after all that are there")


def history(place):
    """Does what was written down lead to what is there?"""
    place.owner.execute("SET LOCAL timezone TO 'UTC'; SET LOCAL statement_timeout TO 0")
    if wrong := restore.misfit(place.owner):
        name, row, why = wrong
        what = ", ".join(f"{column} {value}" for column, value in row.items())
        todo = "somebody has written past the rules, or a disk has lost something: look at it in a backup"
        yield Finding("history", WRONG, f"{name}, {what}: {why}", todo)
    else:
        many = one(place.owner, "SELECT count(*) FROM public.events")
        yield Finding(
            "history", OK, f"{counted.of(many, 'event leads', 'events lead')} to what is there"
        )


def digests(place):
    """Is each event what it was when it got its digest?"""
    found = proof.look(place.service)
    if found.wrong:
        todo = "somebody has written past the rules, or a disk has lost something: look at it in a backup"
        yield Finding("digests", WRONG, found.wrong, todo)
    else:
        yield Finding(
            "digests",
            OK,
            f"{counted.of(found.position, 'event is what it was', 'events are what they were')}",
        )


def feed(place):
    """Do events get their places?"""
    if one(place.service, "SELECT pg_is_in_recovery()"):
        found = "this is a standby, which gives events no places"
        yield Finding("feed", UNKNOWN, found, "ask the primary")
        return
    # As any reader does; a portion at a time, so that many may be left.
    last = "(SELECT coalesce(max(position), 0) FROM places)"
    one(place.service, f"SELECT count(*) FROM events_after({last}, 1)")
    place.service.execute(statements.compiled(health.CHECK))
    *_, position, _, waiting, seconds = place.service.fetchone()
    if not waiting or seconds <= FEED_SECONDS:
        yield Finding("feed", OK, f"at {position}, and nothing waits for long")
        return
    many = "1,000 or more" if waiting == 1000 else f"{waiting}"
    found = (
        f"at {position}; events that wait for their place: {many}, the oldest for {seconds:.0f} s"
    )
    if one(place.service, f"SELECT count(*) FROM events_after({position}, 1)"):
        yield Finding("feed", NOTE, f"{found}: nobody has read it for long")
    else:
        todo = "`SELECT free_holders()` in `iris psql` ends whoever holds it up for a minute"
        yield Finding("feed", WRONG, f"{found}: somebody keeps it from going on", todo)


def hooks(place):
    """Are those told who want to be?"""
    place.service.execute(HOOKS, {"wait": IDLE_SECONDS})
    rows = place.service.fetchall()
    again = "mend its receiver, then `UPDATE hooks SET state = 'active' WHERE hook_id = {}`"
    for number, state, reason, tried, is_idle in rows:
        if state != "active":
            found = f"hook {number} is {state}" + (f": {reason}" if reason else "")
            yield Finding("hooks", NOTE, found, again.format(number))
        elif is_idle:
            todo = "`iris deliver`, or IRIS_DELIVER=true for a service"
            yield Finding("hooks", WRONG, f"nobody tells hook {number} what it waits for", todo)
        elif tried:
            found = (
                f"hook {number} was tried {counted.of(tried, 'time', 'times')} in vain: {reason}"
            )
            yield Finding("hooks", NOTE, found, again.format(number))
    active = [row for row in rows if row[1] == "active"]
    if len(active) == len(rows) and not any(row[3] or row[4] for row in rows):
        yield Finding("hooks", OK, f"{counted.of(len(rows), 'hook is', 'hooks are')} told")


def people(place):
    """Does everybody get the mail that they want?"""
    place.service.execute(PEOPLE, {"wait": IDLE_SECONDS})
    bounced, wanting, idle = place.service.fetchone()
    place.service.execute(FAILING)
    failing = place.service.fetchall()
    for name, tried, reason in failing:
        found = f"mail for {name} was tried {counted.of(tried, 'time', 'times')} in vain: {reason}"
        yield Finding("mail", NOTE, found, "it is tried again by itself, for three days")
    if bounced:
        found = f"{counted.of(bounced, 'address', 'addresses')} bounced"
        yield Finding("mail", NOTE, found, "curl '…/people?state=bounced&format=text' says why")
    if wanting and not settings.get("IRIS_SMTP_URL"):
        found = f"{counted.of(wanting, 'person wants', 'people want')} mail, and no mail server is known here"
        yield Finding("mail", NOTE, found, "set IRIS_SMTP_URL (docs/mail.md)")
    elif idle:
        found = f"nobody mails what waits for {counted.of(idle, 'person', 'people')}"
        yield Finding("mail", WRONG, found, "`iris deliver`, or IRIS_DELIVER=true for a service")
    elif wanting and not failing:
        yield Finding("mail", OK, f"{counted.of(wanting, 'person is', 'people are')} mailed")
