"""The servers that trackers are spread over, and the template on each, which trackers are made of."""

import contextlib
import hashlib

from psycopg2 import errors, sql
from psycopg2.extensions import make_dsn, parse_dsn

from iris import embedded, libpq, schema, settings
from iris.trackers import maps

TEMPLATE = "iris_template"
# What it was made of, as a comment on it.
NOTED = "The newest schema of Iris, which trackers are made of: %s"


class Refused(SystemExit):
    """What can't be done; its words go to stderr, and everything is as it was."""

    def __init__(self, words):
        super().__init__(f"iris: {words}")


class Server:
    """A server, as its owner sees it.

    url:      a libpq connection string of a superuser there.
    """

    def __init__(self, url):
        self._url, self.place = url, maps.Place.of(url)

    def __str__(self):
        return str(self.place)

    def url(self, database="postgres"):
        """Return a connection string of the owner for one of its databases."""
        return make_dsn(**parse_dsn(self._url) | {"dbname": database})

    @contextlib.contextmanager
    def cursor(self, database="postgres"):
        """Give a cursor of a session in which each statement is a transaction.

        Raises:   psycopg2.Error.
        """
        connection = libpq.connect(
            self.url(database),
            application_name="iris tracker",
            connect_timeout=10,
            options="-c search_path=public -c lock_timeout=5s",
        )
        connection.autocommit = True
        with contextlib.closing(connection), connection.cursor() as cursor:
            yield cursor

    def has(self, database):
        """Whether there is a database of this name."""
        with self.cursor() as cursor:
            cursor.execute("SELECT FROM pg_database WHERE datname = %s", (database,))
            return cursor.fetchone() is not None

    def prepare(self):
        """Make the template what it would be if it were made now, unless it is.

        Raises:   Refused; psycopg2.Error.
        """
        wanted = NOTED % hashlib.sha256(schema.everything().encode()).hexdigest()
        with self.cursor() as cursor:
            # Whoever makes or looks after one of its trackers waits for us.
            cursor.execute("SELECT pg_advisory_lock(hashtext(%s))", (TEMPLATE,))
            cursor.execute("SHOW server_version_num")
            if int(cursor.fetchone()[0]) < 160000:
                raise Refused(
                    f"{self} is older than PostgreSQL 16: a tracker's login would not be kept to it there"
                )
            cursor.execute(
                "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s",
                (TEMPLATE,),
            )
            found = cursor.fetchone()
            if found == (wanted,):
                return
            if found:
                cursor.execute(f"ALTER DATABASE {TEMPLATE} IS_TEMPLATE false")
                cursor.execute(f"DROP DATABASE {TEMPLATE} WITH (FORCE)")
            cursor.execute(f"CREATE DATABASE {TEMPLATE} IS_TEMPLATE true")
            from iris import migrations  # noqa: PLC0415 (Alembic takes its time)

            migrations.move(self.url(TEMPLATE))
            cursor.execute(f"COMMENT ON DATABASE {TEMPLATE} IS %s", (wanted,))

    def clone(self, name, password):
        """Make an empty tracker of the template, with a login that may enter only it.

        password: of the login, as it is or as a SCRAM verifier.
        Raises:   Refused; psycopg2.Error. Nothing is left of it then.
        """
        self.prepare()
        database = sql.Identifier(name)
        with self.cursor() as cursor, contextlib.ExitStack() as undoing:
            for table, column, what in (
                ("pg_database", "datname", "database"),
                ("pg_roles", "rolname", "role"),
            ):
                cursor.execute(f"SELECT {column} FROM {table} WHERE {column} = %s", (name,))
                if cursor.fetchone():
                    raise Refused(f"there is a {what} {name} on {self} already")
            # What is not ours, by whoever was faster, is not ours to drop.
            cursor.execute(
                sql.SQL("CREATE ROLE {} LOGIN PASSWORD %s").format(database), (password,)
            )
            undoing.callback(cursor.execute, sql.SQL("DROP ROLE {}").format(database))
            # It has what iris may do, and can't become iris, whom other databases may let in.
            cursor.execute(
                sql.SQL("GRANT iris TO {} WITH INHERIT TRUE, SET FALSE").format(database)
            )
            cursor.execute(sql.SQL("GRANT iris_admin TO {}").format(database))
            cursor.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(database, sql.Identifier(TEMPLATE))
            )
            undoing.callback(
                cursor.execute, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(database)
            )
            with self.cursor(name) as inside:
                # Who may come in, and with what sessions start: a clone has neither of it.
                inside.execute((schema.FOLDER / "roles.sql").read_text())
                inside.execute("REFRESH MATERIALIZED VIEW change_base_set")
            undoing.pop_all()

    def drop(self, name, logins=()):
        """Remove a tracker's database, its login and these; what is not there is no trouble."""
        database = sql.Identifier(name)
        with self.cursor() as cursor:
            cursor.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(database))
            for login in (name, *logins):
                with contextlib.suppress(errors.DependentObjectsStillExist):
                    cursor.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(login)))

    def logins(self, name):
        """Return the names of the logins that a tracker's tokens have made."""
        with self.cursor(name) as cursor:
            # As drop_login() knows them: whoever else is called so stays.
            cursor.execute(
                "SELECT name FROM tokens JOIN pg_roles ON rolname = name WHERE is_login AND NOT rolsuper"
                " AND has_database_privilege(pg_roles.oid, current_database(), 'CONNECT') ORDER BY name"
            )
            return [login for (login,) in cursor.fetchall()]


def known():
    """Return the servers that the settings name, [Server].

    Raises:   settings.Wrong; embedded.Failed.
    """
    if settings.get("IRIS_SERVERS"):
        return [Server(url) for url in settings.get("IRIS_SERVERS")]
    if settings.get("IRIS_OWNER_URL"):
        return [Server(settings.get("IRIS_OWNER_URL"))]
    if settings.names_a_server():
        raise settings.Wrong(
            "IRIS_SERVERS", "is not set: libpq URLs of the servers' owners, blanks between them"
        )
    own = embedded.Server(settings.get("IRIS_DATA"))
    if not own.is_ready():
        raise embedded.Failed(f"no database runs in {own.folder}: start it, or set IRIS_SERVERS")
    return [Server(own.url("postgres"))]


def at(place):
    """Return the server at a place, or refuse.

    place:    a maps.Place.
    """
    servers = known()
    if not settings.get("IRIS_SERVERS"):
        # There is but one, whatever it was called when the map was written.
        return servers[0]
    for server in servers:
        if server.place == place:
            return server
    raise Refused(f"IRIS_SERVERS has no {place}; it has {', '.join(str(each) for each in servers)}")


def named(text):
    """Return the server that somebody names: by its host, HOST:PORT or a URL, or refuse."""
    if text.startswith(("postgres://", "postgresql://")):
        return at(maps.Place.of(text))
    host, _, port = text.rpartition(":") if ":" in text else (text, "", "")
    for server in known():
        if server.place.host == (host or text) and port in ("", server.place.port):
            return server
    return at(maps.Place(host or text, port or "5432"))
