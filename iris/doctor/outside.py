"""Looks at what is around the database: settings, versions, servers, clocks, disks, backups, mail."""

import contextlib
import platform
import shutil
import smtplib
import time
from pathlib import Path

import psycopg2
from psycopg2.extensions import parse_dsn

from iris import __version__, libpq, location, settings
from iris.doctor.findings import NOTE, OK, UNKNOWN, WRONG, Finding, one, some, words
from iris.mail import post
from iris.transfer import backup, programs

# The versions of PostgreSQL that the tests run on, and those between them.
OLDEST, NEWEST = 15, 18
# Less than this is little of a disk: a share, and bytes.
FREE_SHARE, FREE_BYTES = 0.05, 1_000_000_000
# Seconds that two clocks may differ.
CLOCK_SECONDS = 2
# Seconds that a standby may take to have what the primary had.
LAG_SECONDS = 5
# Which one a server is, and of what: no two of a system were started at the same moment.
BORN = "SELECT pg_postmaster_start_time()"
WHOSE = """
    pg_is_in_recovery(), system_identifier, current_database()::text,
    greatest(checkpoint.timeline_id, recovery.min_recovery_end_timeline), pg_postmaster_start_time()"""
# What costs data when it is off, or lets tables only grow.
NEEDED = ("fsync", "full_page_writes", "autovacuum", "track_counts")


def settings_(place):
    """Can each be read, and does the server have connections for all of them?"""
    try:
        settings.check()
    except settings.Wrong as error:
        yield Finding("settings", WRONG, words(error), ".env.example explains each")
        return
    if place.service is None:
        yield Finding("settings", OK, "each can be read")
        return
    most = one(
        place.service,
        "SELECT current_setting('max_connections')::integer"
        " - current_setting('superuser_reserved_connections')::integer",
    )
    # Streams have four of their own in each worker.
    wanted = settings.get("IRIS_WORKERS") * (settings.get("IRIS_POOL") + 4)
    if wanted > most:
        found = f"Iris may want {wanted} connections, and the server gives {most}"
        todo = "a smaller IRIS_POOL or IRIS_WORKERS, a larger max_connections, or pgbouncer"
        yield Finding("settings", WRONG, found, todo)
    else:
        yield Finding("settings", OK, f"each can be read; at most {wanted} of {most} connections")


def versions(place):
    """Do they go together?"""
    major, minor = divmod(place.service.connection.server_version, 10000)
    found = f"Iris {__version__}, PostgreSQL {major}.{minor}, Python {platform.python_version()}"
    if major < OLDEST:
        yield Finding("versions", WRONG, found, f"Iris needs PostgreSQL {OLDEST} or newer")
    elif major > NEWEST:
        tried = f"Iris was tried with PostgreSQL {OLDEST} to {NEWEST}"
        yield Finding("versions", NOTE, f"{found}; {tried}")
    else:
        yield Finding("versions", OK, found)


def server(place):
    """Is what is acknowledged on disk?"""
    place.service.execute(
        "SELECT name FROM pg_settings WHERE setting = 'off' AND name = ANY (%s)", (list(NEEDED),)
    )
    if off := some([name for (name,) in place.service.fetchall()]):
        found = f"PostgreSQL runs with {off} off: data may be lost, or tables only grow"
        yield Finding("server", WRONG, found, f"set {off} to on in postgresql.conf")
    else:
        yield Finding("server", OK, "what is acknowledged is on disk")


def clock(place):
    """Do the clocks agree, and has none been set back?"""
    before = time.time()
    there = one(place.service, "SELECT extract(epoch FROM clock_timestamp())::float8")
    apart = there - (before + time.time()) / 2
    ahead = (
        one(
            place.service,
            "SELECT extract(epoch FROM max(at) - clock_timestamp())::float8 FROM events",
        )
        or 0
    )
    if abs(apart) > CLOCK_SECONDS:
        found = f"the database's differs from this machine's by {apart:+.0f} s"
        yield Finding("clock", WRONG, found, "let both follow a time server")
    elif ahead > CLOCK_SECONDS:
        found = f"the newest event lies {ahead:.0f} s ahead: the clock has been set back"
        yield Finding(
            "clock", WRONG, found, "see that it is right now; the order of history is not affected"
        )
    else:
        yield Finding(
            "clock", OK, "the database's is this machine's, and no event lies ahead of it"
        )


def disk(place):
    """Is there room?"""
    folders = {"backups": settings.get("IRIS_BACKUPS")}
    if not settings.names_a_server():
        folders["data"] = settings.get("IRIS_DATA")
    elif place.service is not None:
        size = one(place.service, "SELECT pg_size_pretty(pg_database_size(current_database()))")
        found = f"the database has {size}; the disk of its server can't be seen from here"
        yield Finding("disk", UNKNOWN, found, "look at it there")
    for name, folder in folders.items():
        if folder is None or not Path(folder).is_dir():
            continue
        usage = shutil.disk_usage(folder)
        found = f"{usage.free / 1e9:.1f} GB are free for {name} in {folder}"
        if usage.free < max(FREE_BYTES, FREE_SHARE * usage.total):
            yield Finding("disk", WRONG, found, "make room, before nothing can be written any more")
        else:
            yield Finding("disk", OK, found)


def backups(place):
    """Could one be made, and when was the last one?"""
    folder = settings.get("IRIS_BACKUPS")
    if place.service is not None:
        try:
            programs.fit_for(place.service.connection.server_version)
        except SystemExit as error:
            # Where nobody makes any, as in a container, none is needed.
            yield Finding("backups", NOTE if folder is None else WRONG, words(error))
    if folder is None:
        todo = "`iris backup --keep 7 FOLDER` every night, and IRIS_BACKUPS=FOLDER"
        yield Finding("backups", NOTE, "where they are is not known", todo)
        return
    todo = f"`iris backup --keep 7 {folder}`, and see why the last one was not made"
    try:
        found = backup.newest(folder)
    except OSError as error:
        yield Finding("backups", WRONG, f"{folder} can't be read: {error.strerror}", todo)
        return
    if found is None:
        yield Finding("backups", WRONG, f"there is none in {folder}", todo)
        return
    path, age = found
    told = f"the newest, {path.name}, is {age / 3600:.1f} h old"
    if age > place.hours * 3600:
        yield Finding("backups", WRONG, told, todo)
    else:
        yield Finding("backups", OK, told)


def mail(place):
    """Does the mail server answer?"""
    if not settings.get("IRIS_SMTP_URL"):
        return
    try:
        post.connect().quit()
    except (OSError, smtplib.SMTPException) as error:
        found = f"the mail server takes nothing from Iris: {post.words_of(error)}"
        yield Finding("mail", WRONG, found, "see IRIS_SMTP_URL")
    else:
        yield Finding("mail", OK, "the mail server answers")


def standbys(place):
    """Does each standby that is read follow the primary, and how far behind?"""
    urls = location.standbys()
    if not urls:
        return
    # What it has of its own to read with is made of the settings, which may be wrong.
    from iris.database import standbys as reading  # noqa: PLC0415
    from iris.database import writing  # noqa: PLC0415

    place.service.execute(reading.ASK, {})
    *far, _ = place.service.fetchone()
    if far[-1] is None:
        found = "what Iris writes to is a standby itself"
        yield Finding("standbys", WRONG, found, "DATABASE_URL=…?target_session_attrs=read-write")
        return
    far = reading.named(far)
    place.service.execute(writing.LOCALLY + reading.PUSH, far)
    primary = one(place.service, BORN)
    for url in urls:
        its = parse_dsn(url)
        name = f"{its.get('host', 'localhost')}:{its.get('port', 5432)}"
        try:
            more = {"connect_timeout": 5, "application_name": "doctor", "client_encoding": "UTF8"}
            with contextlib.closing(libpq.connect(url, **more)) as connection:
                connection.autocommit = True
                with connection.cursor() as cursor:
                    cursor.execute("SET statement_timeout TO '5s'")
                    yield _standby(name, cursor, far, primary, reading)
        except psycopg2.Error as error:
            todo = "see whether it runs, and lets Iris in; until then others are read"
            yield Finding("standbys", WRONG, f"{name} can't be read: {words(error)}", todo)


def _standby(name, cursor, far, primary, reading):
    """Return what is found of one.

    far:      of the primary, as LOOK wants it.
    primary:  when it was started, by which it is known.
    reading:  iris.database.standbys.
    """
    cursor.execute(f"SELECT {WHOSE} FROM {reading.BY}")
    is_standby, system, database, timeline, born = cursor.fetchone()
    if not is_standby and (system, born) == (far["iris_system"], primary):
        return Finding("standbys", OK, f"{name} is the primary")
    if (system, database) != (far["iris_system"], far["iris_database"]):
        found, todo = "is another database's than the primary", "see IRIS_READ_URL"
    elif not is_standby:
        found, todo = "is a primary of its own", "make it a standby again, by pg_rewind or anew"
    elif timeline != far["iris_timeline"]:
        found = f"follows timeline {timeline}, and the primary is on {far['iris_timeline']}"
        todo = "`CHECKPOINT` there, if it follows this primary; else by pg_rewind, or made anew"
    else:
        began = time.monotonic()
        while True:
            cursor.execute(reading.LOOK, far)
            took = time.monotonic() - began
            if cursor.fetchone()[1]:
                return Finding("standbys", OK, f"{name} follows, {took:.1f} s behind at most")
            if took > LAG_SECONDS:
                break
            time.sleep(0.05)
        missing = one(
            cursor,
            cursor.mogrify(
                "SELECT pg_size_pretty(%(iris_lsn)s::pg_lsn - pg_last_wal_replay_lsn())", far
            ),
        )
        since = one(cursor, "SELECT date_trunc('second', pg_last_xact_replay_timestamp())::text")
        found = f"lacks {missing} that the primary had {LAG_SECONDS} s ago, its last is of {since}"
        todo = (
            "its log says what it waits for; a pause ends by `SELECT pg_wal_replay_resume()` there"
        )
    return Finding("standbys", WRONG, f"{name} {found}", todo)
