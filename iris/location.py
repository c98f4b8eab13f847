"""Where the database in use is: what the settings name, a tracker of many, else the embedded one."""

from functools import lru_cache

from psycopg2.extensions import make_dsn, parse_dsn

from iris import current, embedded, problems, settings


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
    if get("IRIS_TRACKERS"):
        return _of_many(current.TRACKER.get() or get("IRIS_TRACKER"), owner)
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


def standbys():
    """Return where standbys of it are, a libpq connection string each.

    What IRIS_READ_URL does not say is as of the database in use.

    Raises:   as dsn() does.
    """
    url = settings.get("IRIS_READ_URL")
    if not url:
        return []
    its = parse_dsn(dsn())
    for name in ("host", "hostaddr", "port", "target_session_attrs", "load_balance_hosts"):
        its.pop(name, None)
    given = {**its, **parse_dsn(url)}
    lists = {
        name: given.pop(name).split(",") for name in ("host", "hostaddr", "port") if name in given
    }
    many = max((len(each) for each in lists.values()), default=1)
    for name, each in lists.items():
        # One port is good for all hosts.
        lists[name] = each * many if len(each) == 1 else each
    return [
        make_dsn(**given, **{name: each[place] for name, each in lists.items()})
        for place in range(many)
    ]


def _of_many(name, owner):
    from iris.trackers import maps, servers  # noqa: PLC0415 (only where there are many)

    found = maps.here()
    if current.MANY and name is not None and name not in found.read():
        # It has been removed while it was served.
        raise problems.no_such("tracker", name)
    if name is None:
        raise settings.Wrong(
            "IRIS_TRACKER", "is not set: the name of the tracker that this is about"
        )
    if name not in found.read():
        raise settings.Wrong("IRIS_TRACKER", f"is {name}, which is not in {found.databases}")
    return servers.at(found.read()[name]).url(name) if owner else found.dsn(name)
