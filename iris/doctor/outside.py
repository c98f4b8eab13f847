"""Looks at what is around the database: settings, versions, the server, clocks, disks, backups."""

import platform
import shutil
import smtplib
import time
from pathlib import Path

from iris import __version__, counted, settings
from iris.doctor.findings import NOTE, OK, UNKNOWN, WRONG, Finding, one, some, words
from iris.mail import post
from iris.transfer import backup, programs

# The versions of PostgreSQL that the tests run on, and those between them.
OLDEST, NEWEST = 15, 18
# Less than this is little of a disk: a share, and bytes.
FREE_SHARE, FREE_BYTES = 0.05, 1_000_000_000
# Whose mail waits longest.
FAILING = """
    SELECT name, tried, reason FROM people WHERE state = 'active' AND digest <> 'none' AND tried > 0
        ORDER BY tried DESC, name LIMIT 10
"""
# Seconds that two clocks may differ.
CLOCK_SECONDS = 2
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
    """Does the mail server answer, and does everybody's mail arrive?"""
    bounced = one(place.service, "SELECT count(*) FROM people WHERE state = 'bounced'")
    waiting = one(
        place.service, "SELECT count(*) FROM people WHERE state = 'active' AND digest <> 'none'"
    )
    place.service.execute(FAILING)
    for name, tried, reason in place.service.fetchall():
        found = f"mail for {name} was tried {counted.of(tried, 'time', 'times')} in vain: {reason}"
        yield Finding("mail", NOTE, found, "it is tried again by itself, for three days")
    if bounced:
        found = f"{counted.of(bounced, 'address', 'addresses')} bounced"
        yield Finding("mail", NOTE, found, "curl '…/people?state=bounced&format=text' says why")
    if not settings.get("IRIS_SMTP_URL"):
        if waiting:
            found = f"{counted.of(waiting, 'person wants', 'people want')} mail, and there is no mail server"
            yield Finding("mail", NOTE, found, "set IRIS_SMTP_URL (docs/mail.md)")
        return
    try:
        post.connect().quit()
    except (OSError, smtplib.SMTPException) as error:
        found = f"the mail server takes nothing from Iris: {post.words_of(error)}"
        yield Finding("mail", WRONG, found, "see IRIS_SMTP_URL")
    else:
        yield Finding("mail", OK, "the mail server answers")
