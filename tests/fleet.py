"""Two servers with a pgbouncer in front, and many trackers on them: what the tests of trackers run on."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import psycopg2
import warm
from conftest import ROOT, Live, free_port

from iris import embedded
from iris.trackers import maps

PGBOUNCER = shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
POOLER = """
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {folder}/map/users.txt
admin_users = console
pool_mode = transaction
server_login_retry = 1
default_pool_size = 4
max_client_conn = 1000
ignore_startup_parameters = options, extra_float_digits
%include {folder}/map/databases.ini
"""
OPTIONS = {
    "fsync": "off",
    "wal_level": "logical",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "max_wal_senders": "10",
    "max_replication_slots": "10",
}


class Fleet:
    """Two servers, a map and a pgbouncer; its command is fleet("add", "acme").

    folder:   an empty one.
    """

    def __init__(self, folder, stack, **options):
        self.folder = folder = Path(folder)
        os.chmod(folder, 0o755)
        self.servers = []
        for name in ("one", "two"):
            made = embedded.Server(folder / name, options={**OPTIONS, **options})
            made.start()
            stack.callback(made.stop)
            self.servers.append(made)
        self.map, self.port = maps.Map(folder / "map"), free_port()
        self.map.folder.mkdir(mode=0o750)
        # pgbouncer refuses to run as root, and reads the map by its folder's group.
        who = {}
        if os.geteuid() == 0:
            who = {"user": "postgres", "group": "postgres", "extra_groups": []}
            shutil.chown(self.map.folder, group="postgres")
        self.map.users.write_text('"console" "secret"\n')
        self.map.databases.write_text(maps.HEAD)
        os.chmod(self.map.users, 0o644)
        (folder / "pgbouncer.ini").write_text(POOLER.format(port=self.port, folder=folder))
        self.environment = {
            "IRIS_TRACKERS": str(self.map.folder),
            "IRIS_SERVERS": " ".join(each.url("postgres", "postgres") for each in self.servers),
            "PYTHONPATH": str(ROOT),
            "DATABASE_URL": "",
        }
        if PGBOUNCER:
            self.bouncer = subprocess.Popen(
                [PGBOUNCER, "--quiet", folder / "pgbouncer.ini"], stderr=subprocess.DEVNULL, **who
            )
            stack.callback(self._end_bouncer)
            self.environment |= {
                "IRIS_BOUNCER_URL": f"postgresql://console:secret@127.0.0.1:{self.port}/pgbouncer",
                "IRIS_DB_HOST": "127.0.0.1",
                "IRIS_DB_PORT": str(self.port),
            }

    def start(self, *words, **more):
        """Start the command `iris`."""
        return subprocess.Popen(
            [sys.executable, "-m", "iris.cli", *words],
            env={**os.environ, **self.environment, **more},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *words, given="", status=0, **more):
        """Run it to its end; return (stdout, stderr)."""
        done = warm.run(
            ["-m", "iris.cli", *words],
            env={**os.environ, **self.environment, **more},
            given=given,
            text=True,
            timeout=120,
        )
        out, err = done.stdout, done.stderr
        assert done.returncode == status, (words, done.returncode, out, err)
        return out, err

    def tracker(self, *words, **more):
        """Run `iris tracker`, --json; return what it tells."""
        return json.loads(self("tracker", *words, "--json", **more)[0])

    def owner(self, name, number=None):
        """Return a connection of the owner to a tracker, where the map says it is, or on one of the servers."""
        if number is None:
            host = self.map.read()[name].host
            (server,) = (each for each in self.servers if each.socket() == host)
        else:
            server = self.servers[number]
        made = psycopg2.connect(server.url("postgres", name))
        made.autocommit = True
        return made

    def login(self, name):
        """Return the connection string of a tracker's own login, by the bouncer."""
        return f"postgresql://{name}:{self.map.password(name)}@127.0.0.1:{self.port}/{name}"

    def serve(self, **more):
        """Return a running service of all trackers."""
        return Live("", **{**self.environment, **more})

    def place(self, number):
        """Return what one of the servers is called on the command line."""
        return self.servers[number].url("postgres", "postgres")

    def _end_bouncer(self):
        self.bouncer.terminate()
        self.bouncer.wait(timeout=10)
