"""Where the database in use is: what the settings name, else the embedded one."""

from functools import lru_cache

from psycopg2.extensions import make_dsn

from iris import embedded, settings


@lru_cache
def _identify(folder, pid):
    """Ask the server itself, once for each that a script may meet: a session is a connection there."""
    embedded.Server(folder).identify()


def dsn(owner=False):
    """Return the database in use, a libpq connection string.

    owner:    as its owner, not as the role that the service uses.
    Raises:   settings.Wrong; embedded.Failed where nothing is named and no embedded one runs.
    """
    get = settings.get
    if owner and get("IRIS_OWNER_URL"):
        return get("IRIS_OWNER_URL")
    if not settings.names_a_server():
        server = embedded.Server(get("IRIS_DATA"))
        if not server.is_ready():
            raise embedded.Failed(
                f"no database runs in {server.folder}: start it with `make up`, or set IRIS_DB_HOST"
            )
        _identify(server.folder, server.pid())
        return server.url("postgres" if owner else "iris")
    if owner:
        raise settings.Wrong("IRIS_OWNER_URL", "is not set: the libpq URL of the database's owner")
    if get("DATABASE_URL"):
        return get("DATABASE_URL")
    own = get("IRIS_SERVICE_PASS") if get("IRIS_USER") == "iris_service" else None
    password = own or get("IRIS_PASS")
    if not password:
        raise settings.Wrong(
            "IRIS_PASS", "is not set: the password of the database role that Iris uses"
        )
    return make_dsn(
        host=get("IRIS_DB_HOST"),
        port=get("IRIS_DB_PORT"),
        dbname=get("IRIS_DB_NAME"),
        user=get("IRIS_USER"),
        password=password,
    )
