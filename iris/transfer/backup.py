"""A backup: the whole database of one moment as pg_dump writes it, and back into an empty Iris."""

import contextlib
import fcntl
import json
import os
import re
import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import psycopg2

from iris import libpq, schema, settings
from iris.transfer import files, programs

# What pg_dump's custom format begins with.
MAGIC = b"PGDMP"
# What a backup in a folder is called, so that the last ones in the order of their names are the newest.
NAME = "iris-{:%Y%m%dT%H%M%SZ}.dump"
OURS = re.compile(r"iris-\d{8}T\d{6}Z\.dump")
# A backup is of everything, and goes where other things may be: no replication begins there by itself.
DUMP = ("--format=custom", "--no-publications", "--no-subscriptions", "--lock-wait-timeout=60000")
# Whose it is and what they may do there is the rules' business, where they are Iris's own.
TAKE = ("--no-owner", "--no-privileges", "--no-tablespaces", "--no-security-labels", "--file=-")
MAKE_WAY = schema.MIGRATIONS / "make_way.sql"
PIECE = 1 << 18
LOST_LOGINS = """
    SELECT name FROM public.tokens WHERE is_login AND NOT EXISTS (
            SELECT FROM pg_auth_members JOIN pg_roles ON pg_roles.oid = member
                WHERE rolname = name AND roleid = ('iris_' || role)::regrole
                    AND has_database_privilege(member, current_database(), 'CONNECT'))
        ORDER BY name
"""
GRANT = re.compile(r'^(GRANT .* TO (\w+|"(?:[^"]|"")+")(?: WITH GRANT OPTION)?;)$', re.M)


def connect(url):
    """Open a connection as the database's owner."""
    more = {"application_name": "backup", "client_encoding": "UTF8", "connect_timeout": 10}
    return libpq.connect(url, **more)


# Out ----------------------------------------------------------------------------------------------


def write(url, path, say, keep=None):
    """Write a backup to a file that isn't there yet; it appears under its name when it is whole.

    url:      a libpq connection string of the database's owner. People go on writing.
    path:     the file's; - is stdout. With keep, a folder's.
    keep:     how many backups stay in the folder, the newest ones; None for a file.
    Returns:  {"file", "bytes", "revision", "seconds", "removed": [names]}.
    Raises:   Refused; psycopg2.Error. Nothing is left of it then.
    """
    began = time.monotonic()
    with contextlib.closing(connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('public.alembic_version') IS NOT NULL")
        if not cursor.fetchone()[0]:
            raise files.Refused("there is no Iris in this database: nothing to back up")
        cursor.execute("SELECT version_num FROM alembic_version")
        (revision,) = cursor.fetchone()
        folder = programs.fit_for(connection.server_version)
    said = {"revision": revision, "removed": []}
    if path == "-":
        said |= {"file": "-", "bytes": _to_stdout(url, folder, say)}
    else:
        wanted = Path(path) if keep is None else _in_folder(Path(path))
        _refuse_taken(wanted, keep)
        said |= {"file": str(wanted), "bytes": _to_file(url, folder, wanted, say)}
        if keep is not None:
            said["removed"] = _rotate(wanted.parent, keep)
    return said | {"seconds": round(time.monotonic() - began, 1)}


def _in_folder(folder):
    """Return the path of the next backup in a folder, which is made if need be."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise files.Refused(f"{folder} can't be a folder of backups: {error.strerror}") from None
    return folder / NAME.format(datetime.now(UTC))


def _refuse_taken(path, keep):
    if path.is_dir():
        raise files.Refused(
            f"{path} is a folder: name a file, or say how many to keep in it, --keep 7"
        )
    if path.exists():
        what = "try again" if keep is not None else "remove it first, or name another file"
        raise files.Refused(f"{path} is there already: {what}")


def _to_stdout(url, folder, say):
    """Write a backup to stdout, whole or with an error at the end; return how many bytes."""
    where, environment = programs.target(url)
    progress, written = files.Progress(say), 0
    with programs.Program(
        folder, "pg_dump", *DUMP, "--dbname", where, env=environment, stdout=-1
    ) as dump:
        while data := dump.process.stdout.read(PIECE):
            try:
                sys.stdout.buffer.write(data)
                sys.stdout.buffer.flush()
            except OSError as error:
                raise files.Refused(f"the backup can't be written: {error.strerror}") from None
            written += len(data)
            progress(f"{_size(written)} written")
        if dump.process.wait():
            raise files.Refused(f"the backup was not made: {dump.words()}")
    return written


def _to_file(url, folder, path, say):
    """Write a backup beside its name and give it that when it is whole; return how many bytes."""
    where, environment = programs.target(url)
    part, progress = path.with_name(f"{path.name}.part"), files.Progress(say)
    with _alone(part) as lock:
        try:
            arguments = (*DUMP, f"--file={part}", "--dbname", where)
            # While pg_dump lives, nobody else writes there, even if this process is gone.
            with programs.Program(
                folder, "pg_dump", *arguments, env=environment, pass_fds=[lock]
            ) as dump:
                while dump.process.poll() is None:
                    time.sleep(0.05)
                    progress(f"{_size(part.stat().st_size)} written")
                if dump.process.returncode:
                    raise files.Refused(f"the backup was not made: {dump.words()}")
            # What can't be read is none.
            revision_in(folder, part)
            size = part.stat().st_size
            _give_name(part, path)
        finally:
            part.unlink(missing_ok=True)
    return size


@contextlib.contextmanager
def _alone(part):
    """Open a file for us alone, and close it; give its number. It may be left from one that was killed."""
    try:
        lock = os.open(part, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise files.Refused(f"{part} can't be written: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield lock
    except BlockingIOError:
        raise files.Refused(f"another backup is being written to {part} just now") from None
    finally:
        os.close(lock)


def _give_name(part, path):
    """Rename a file that is on disk, but not over another one."""
    try:
        os.link(part, path)
    except FileExistsError:
        raise files.Refused(f"{path} has appeared meanwhile, and was left alone") from None
    except OSError:
        # Not every file system has links.
        _refuse_taken(path, None)
        part.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _rotate(folder, keep):
    """Remove all but the newest backups of a folder, and nothing else; return the names."""
    names = sorted(path.name for path in folder.iterdir() if OURS.fullmatch(path.name))
    for name in names[:-keep]:
        (folder / name).unlink(missing_ok=True)
    return names[:-keep]


def _size(number):
    return f"{number / 1_000_000:.1f} MB"


# What is in one -----------------------------------------------------------------------------------


def newest(folder):
    """Return (path, seconds since it was written) of the newest backup in a folder, or None.

    Raises:   OSError.
    """
    found = [path for path in Path(folder).iterdir() if path.is_file() and _begins_well(path)]
    if not found:
        return None
    path = max(found, key=lambda path: path.stat().st_mtime)
    return path, time.time() - path.stat().st_mtime


def _begins_well(path):
    with open(path, "rb") as file:
        return not path.name.endswith(".part") and file.read(len(MAGIC)) == MAGIC


def revision_in(folder, path, shown=None):
    """Return the revision of the Iris in a backup.

    folder:   of PostgreSQL's programs.
    shown:    what the file is called in sentences, unless by its path.
    Raises:   Refused where there is none, or the file can't be read.
    """
    arguments = ("--data-only", "--table=alembic_version", "--file=-", path)
    with programs.Program(folder, "pg_restore", *arguments, stdout=-1) as program:
        text = program.process.stdout.read().decode(errors="replace")
        if program.process.wait():
            raise files.Refused(f"{shown or path} can't be read: {program.words()}")
    found = re.search(r"^COPY public\.alembic_version .*\n(\w+)\n", text, re.M)
    if not found:
        raise files.Refused(f"{shown or path} is no backup of Iris: it tells no revision")
    return found[1]


# In -----------------------------------------------------------------------------------------------


def read(url, path, say):
    """Read a backup into a database with nothing of Iris in it, or an Iris without tickets and events.

    url:      a libpq connection string of the database's owner.
    path:     the backup's; - is stdin.
    Returns:  {"revision": the backup's, "tickets", "comments", "events": how many, "position": the feed's
              last, "made": [roles], "without_password": [those of them who need one], "left": [statements
              that grant something to who is not there], "logins": [names of lost_logins()]}.
    Raises:   Refused or psycopg2.Error. Nothing has changed then, unless it says so.
    """
    from iris import migrations  # noqa: PLC0415 (Alembic takes its time, which a backup has not)

    shown = "stdin" if path == "-" else path
    with _as_file(path) as file, contextlib.closing(connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            folder, revision = _look(cursor, file, shown)
            before = _roles(cursor)
            _replace(url, folder, (file, shown), connection.server_version, say)
            try:
                migrations.move(url, say=say)
            except (SystemExit, psycopg2.Error) as error:
                raise files.Refused(
                    f"the backup is in, but its rules were not run: {str(error).strip()};"
                    " `iris db upgrade` does that"
                ) from None
            made = sorted(_roles(cursor) - before)
            said = {
                "revision": revision,
                "made": made,
                "without_password": _give_passwords(cursor, made),
                "left": _grant(cursor, folder, file),
                "logins": lost_logins(cursor),
            }
            cursor.execute("ANALYZE")
            _renew_sessions(cursor, say)
            return said | _count(cursor)


@contextlib.contextmanager
def _as_file(path):
    """Give a path that may be read twice."""
    if path != "-":
        with files.opened(path):
            yield path
        return
    with tempfile.NamedTemporaryFile(prefix="iris-restore-") as file:
        shutil.copyfileobj(sys.stdin.buffer, file, PIECE)
        file.flush()
        yield file.name


def _look(cursor, path, shown):
    """Return (folder of programs, revision of a backup), or refuse one that can't go into this database."""
    from iris import migrations  # noqa: PLC0415

    with open(path, "rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise files.Refused(
                f"{shown} is no backup: pg_dump's custom format begins otherwise"
                " (an export, which is lines of JSON, goes in by `iris import`)"
            )
    refused, server = None, cursor.connection.server_version
    fit = [programs.fit_for(server), *programs.folders()]
    for folder in dict.fromkeys(fit):
        try:
            revision = revision_in(folder, path, shown)
            break
        except files.Refused as error:
            refused = refused or error
    else:
        raise refused
    if revision not in (migrations.BEFORE, *migrations.known()):
        raise files.Refused("{}. {}".format(*schema.misfit(revision, "the backup")))
    cursor.execute("SELECT to_regclass('public.alembic_version') IS NOT NULL")
    if cursor.fetchone()[0]:
        cursor.execute("SELECT version_num FROM alembic_version")
        if words := schema.misfit(cursor.fetchone()[0]):
            raise files.Refused("{}. {}".format(*words))
        cursor.execute("SELECT EXISTS (TABLE tickets) OR EXISTS (TABLE events)")
        if cursor.fetchone()[0]:
            raise files.Refused(
                "there are tickets or events already: a backup goes into an empty Iris"
            )
    return folder, revision


def make_way():
    """Return the SQL that drops an empty Iris, or refuses."""
    things = ",".join(f"{kind} IF EXISTS {name}" for name, kind in schema.made().items())
    return schema.read(MAKE_WAY).replace("'{{things}}'", f"'{{{things}}}'")


def _replace(url, folder, backup, server, say):
    """Put a backup in an empty Iris's place, in one transaction.

    Only we say COMMIT, and only when pg_restore has ended well: whoever is killed, nothing has changed.
    """
    where, environment = programs.target(url)
    path, shown = backup
    progress, done = files.Progress(say), 0
    arguments = ("-X", "-q", "-v", "ON_ERROR_STOP=1", "--dbname", where, "--file=-")
    with (
        programs.Program(folder, "psql", *arguments, env=environment, stdin=-1, stdout=-3) as psql,
        programs.Program(folder, "pg_restore", *TAKE, path, stdout=-1) as source,
    ):
        try:
            psql.process.stdin.write(f"BEGIN;\n{make_way()}".encode())
            while data := source.process.stdout.read(PIECE):
                if done == 0 and server < 170000:
                    # What a newer pg_restore says at first, and an older server doesn't know.
                    data = data.replace(b"\nSET transaction_timeout = 0;\n", b"\n", 1)
                psql.process.stdin.write(data)
                done += len(data)
                progress(f"{_size(done)} restored")
            if source.process.wait():
                raise files.Refused(f"{shown} can't be read to its end: {source.words()}")
            psql.process.stdin.write(b"\nCOMMIT;\n")
            psql.process.stdin.close()
        except BrokenPipeError:
            pass
        if psql.process.wait():
            raise files.Refused(f"nothing was restored: {psql.words()}")


def _roles(cursor):
    cursor.execute("SELECT rolname FROM pg_roles")
    return {name for (name,) in cursor.fetchall()}


def lost_logins(cursor):
    """Return the names of tokens whose login for psql is not there: it is the server's, and stays behind.

    cursor:   of the owner or an admin.
    """
    cursor.execute(LOST_LOGINS)
    return [name for (name,) in cursor.fetchall()]


def _give_passwords(cursor, made):
    """Give logins that were made just now the passwords that the settings have; return those without one."""
    iris = settings.get("IRIS_PASS")
    given = {"iris": iris, "iris_service": settings.get("IRIS_SERVICE_PASS") or iris}
    for name in given.keys() & made:
        if given[name]:
            cursor.execute(f"ALTER ROLE {name} PASSWORD %s", (given[name],))
    return [name for name in given if name in made and not given[name]]


def _grant(cursor, folder, path):
    """Grant others what they had; return the statements for those who are not here.

    What the roles of Iris may do is what the rules have just said.
    """
    arguments = ("--schema-only", "--no-owner", "--file=-", path)
    with programs.Program(folder, "pg_restore", *arguments, stdout=-1) as source:
        text = source.process.stdout.read().decode()
    here, left = _roles(cursor), []
    for statement, role in GRANT.findall(text):
        name = role.strip('"').replace('""', '"')
        if role == "PUBLIC" or name in schema.roles():
            continue
        if name not in here:
            left.append(statement)
            continue
        cursor.execute(statement)
    return left


def _renew_sessions(cursor, say):
    """End the sessions of others: what they have prepared is about tables that are gone.

    And wait until they have ended: a request that found its own still there would be refused once.
    """
    try:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid() AND usename = ANY (%s)",
            (schema.roles(),),
        )
    except psycopg2.errors.InsufficientPrivilege:
        say("sessions that were open meanwhile could not be ended: restart the service")


def _count(cursor):
    names = ("tickets", "comments", "events")
    cursor.execute(
        "SELECT json_build_object({}, 'position', (SELECT coalesce(max(position), 0) FROM places))".format(
            ", ".join(f"'{name}', (SELECT count(*) FROM {name})" for name in names)
        )
    )
    (found,) = cursor.fetchone()
    return found if isinstance(found, dict) else json.loads(found)
