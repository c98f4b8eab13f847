"""A primary and its streaming standbys, of the embedded PostgreSQL."""

import time

import psycopg2

from iris import embedded
from iris.embedded import account

# Nobody cleans up while a test looks; what a standby reads is not cleaned up under its hands, and the log that one needs
# which was away is kept.
OPTIONS = {
    "fsync": "off",
    "max_connections": "60",
    "autovacuum": "off",
    "hot_standby_feedback": "on",
    "wal_keep_size": "512MB",
}


class Cluster:
    """A primary with an empty Iris in it.

    folder:   an empty one.
    put_data: the fixture that knows how to copy an empty Iris, if there is one; all that come of it have one identifier.
    options:  more of its settings, {name: value}, which its standbys have, too.
    """

    def __init__(self, folder, put_data=None, **options):
        self.folder, self.options = folder, {**OPTIONS, **options}
        if put_data:
            put_data(folder / "primary")
        self.primary, self.standbys = embedded.Server(folder / "primary", options=self.options), []
        self.primary.start()
        self.primary.seed()

    def follow(self, name, **options):
        """Start a standby that streams; return it."""
        made = embedded.Server(self.folder / name, options={**self.options, **options})
        made.folder.mkdir()
        account.open_ways(made.folder, print)
        account.give(made.folder, print)
        # Given beside it, not written into its own file of settings, which a copy takes along.
        where = f"host={self.primary.socket()} port=5432 user=postgres dbname=postgres"
        done = account.run(
            "pg_basebackup", "-D", made.data, "-R", "-X", "stream", "-c", "fast", "--no-sync", "-d", where,
            folder=made.folder, say=print,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        made.start()
        self.standbys.append(made)
        return made

    def url(self, *servers):
        """Return the URL of standbys, all of them unless some are named, as IRIS_READ_URL has it."""
        hosts = ",".join(each.socket() for each in servers or self.standbys)
        return f"postgresql://iris@/iris?host={hosts}&port=5432&sslmode=disable"

    def stop(self):
        for each in (*self.standbys, self.primary):
            each.stop()


def sql(server, text, *values, user="postgres"):
    """Run one statement on a server; return its rows as tuples."""
    connection = psycopg2.connect(server.url(user), application_name="check")
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(text, values or None)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def follows(primary, standby, seconds=20):
    """Wait until a standby has replayed what its primary has written."""
    ((far,),) = sql(primary, "SELECT pg_current_wal_flush_lsn()::text")
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if sql(standby, "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", far) == [(True,)]:
            return
        time.sleep(0.02)
    raise AssertionError("the standby does not follow")
