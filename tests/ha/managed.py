"""Three PostgreSQLs under Patroni, etcd, HAProxy in front: on one machine, without containers."""

import contextlib
import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
from conftest import ROOT, free_port

from iris import embedded, schema
from iris.embedded import account

BIN = ROOT / ".venv-ha" / "bin"
ETCD = shutil.which("etcd", path="/usr/bin:/usr/local/bin")
HAPROXY = shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
NODES = ("one", "two", "three")

NODE = """
scope: iris
name: {name}
restapi: {{listen: '127.0.0.1:{rest}', connect_address: '127.0.0.1:{rest}'}}
etcd3: {{hosts: '127.0.0.1:{etcd}'}}
bootstrap:
  dcs:
    ttl: 20
    loop_wait: 2
    retry_timeout: 5
    # Who dies is not waited for.
    primary_start_timeout: 0
    synchronous_mode: true
    synchronous_mode_strict: true
    postgresql:
      use_pg_rewind: true
      # What has gone another way and can't be led back is made anew.
      remove_data_directory_on_rewind_failure: true
      remove_data_directory_on_diverged_timelines: true
      use_slots: true
      parameters: {{max_connections: 100, hot_standby_feedback: 'on', wal_keep_size: 512MB, lc_messages: C, fsync: 'off'}}
  initdb: [{{encoding: UTF8}}, {{locale: C}}, {{locale-provider: builtin}}, {{builtin-locale: C.UTF-8}}, data-checksums]
  post_bootstrap: {folder}/seed
postgresql:
  listen: 127.0.0.1:{port}
  connect_address: 127.0.0.1:{port}
  data_dir: {folder}/{name}
  bin_dir: {binaries}
  pgpass: {folder}/{name}.pgpass
  authentication:
    superuser: {{username: postgres}}
    replication: {{username: postgres}}
    rewind: {{username: postgres}}
  basebackup: [{{checkpoint: fast}}]
  parameters: {{unix_socket_directories: ''}}
  pg_hba: [host all all 127.0.0.1/32 trust, host replication all 127.0.0.1/32 trust]
"""
SEED = """#!/bin/sh
set -eu
unset PGPASSFILE
export IRIS_PASS=unused
'{binaries}/psql' -X -q -v ON_ERROR_STOP=1 "$1" -c 'CREATE DATABASE iris'
'{binaries}/psql' -X -q -v ON_ERROR_STOP=1 "$(printf %s "$1" | sed 's/dbname=postgres/dbname=iris/')" -f '{initdb}'
"""
BALANCER = """
global
  maxconn 1000
defaults
  mode tcp
  timeout connect 3s
  timeout client 1h
  timeout server 1h
  timeout check 2s
  default-server inter 500ms fall 2 rise 1 on-marked-down shutdown-sessions
"""
DOOR = """
listen {name}
  bind 127.0.0.1:{port}
  option httpchk OPTIONS /{name}
  http-check expect status 200
{servers}
"""


class Patroni:
    """The cluster.

    folder:   an empty one, which keeps everything.
    """

    def __init__(self, folder):
        self.folder, self.etcd, self.processes = folder, free_port(), {}
        self.rest = {name: free_port() for name in NODES}
        self.ports = {name: free_port() for name in NODES}
        self.doors = {"primary": free_port(), "replica": free_port()}

    def start(self):
        python = Path(os.path.realpath(BIN / "python"))
        account.open_ways(self.folder, print)
        account.open_ways(python.parent, print)
        account.give(self.folder, print)
        peer = free_port()
        self._run(
            "etcd", ETCD, "--data-dir", self.folder / "etcd", "--unsafe-no-fsync",
            "--heartbeat-interval", "500", "--election-timeout", "5000",
            "--listen-client-urls", f"http://127.0.0.1:{self.etcd}",
            "--advertise-client-urls", f"http://127.0.0.1:{self.etcd}",
            "--listen-peer-urls", f"http://127.0.0.1:{peer}",
            "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}",
            "--initial-cluster", f"default=http://127.0.0.1:{peer}",
        )  # fmt: skip
        seed = self.folder / "seed"
        seed.write_text(SEED.format(binaries=embedded.binaries(), initdb=schema.INITDB))
        seed.chmod(0o755)
        for name in NODES:
            text = NODE.format(
                name=name, rest=self.rest[name], etcd=self.etcd, port=self.ports[name],
                folder=self.folder, binaries=embedded.binaries(),
            )  # fmt: skip
            (self.folder / f"{name}.yml").write_text(text)
            self.start_node(name)
        text = BALANCER
        for door, port in self.doors.items():
            servers = "\n".join(
                f"  server {name} 127.0.0.1:{self.ports[name]} check port {self.rest[name]}"
                for name in NODES
            )
            text += DOOR.format(name=door, port=port, servers=servers)
        (self.folder / "haproxy.cfg").write_text(text)
        self._run("haproxy", HAPROXY, "-db", "-f", self.folder / "haproxy.cfg")
        self.await_whole(180)

    def _run(self, name, *command):
        with open(self.folder / f"{name}.log", "ab") as log:
            self.processes[name] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                env=embedded.environment(), start_new_session=True, **account.identity(print),
            )  # fmt: skip

    def start_node(self, name):
        self._run(name, BIN / "patroni", self.folder / f"{name}.yml")

    def url(self, user="iris", database="iris", door="primary"):
        return f"postgresql://{user}@127.0.0.1:{self.doors[door]}/{database}?sslmode=disable"

    def ask(self, name, path="/cluster", given=None):
        """Ask a node's Patroni; return what it says, or None where it doesn't."""
        body = None if given is None else json.dumps(given).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.rest[name]}{path}", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=60 if given else 2) as answer:
                text = answer.read().decode()
                return text if given else json.loads(text)
        except urllib.error.HTTPError as error:
            return error.read().decode()
        except (OSError, ValueError):
            return None

    def members(self):
        """Return {name: role} of those that run, as whoever answers has it."""
        for name in NODES:
            found = self.ask(name)
            if isinstance(found, dict):
                return {
                    each["name"]: each["role"]
                    for each in found["members"]
                    if each["state"] == ("running" if each["role"] == "leader" else "streaming")
                }
        return {}

    def leader(self):
        return next((name for name, role in self.members().items() if role == "leader"), None)

    def await_whole(self, seconds=120):
        """Wait until all run, one as primary and one as its synchronous standby."""
        deadline, since = time.monotonic() + seconds, None
        while time.monotonic() < deadline:
            found = sorted(self.members().values())
            whole = found == ["leader", "replica", "sync_standby"]
            since = (since or time.monotonic()) if whole else None
            # A moment: what was primary starts as a standby before it knows that it can't follow.
            if since and time.monotonic() - since > 4:
                return
            time.sleep(0.2)
        raise AssertionError(f"not whole: {self.members()}; see {self.folder}")

    def postmaster(self, name):
        """Return the process of a node's PostgreSQL."""
        text = (self.folder / name / "postmaster.pid").read_text()
        return psutil.Process(int(text.split("\n", 1)[0]))

    def everything(self, name):
        """Return all processes of a node."""
        found = [psutil.Process(self.processes[name].pid)]
        with contextlib.suppress(OSError, psutil.NoSuchProcess):
            master = self.postmaster(name)
            found += [master, *master.children(recursive=True)]
        return found

    def stop(self):
        for name in NODES:
            for each in self.everything(name) if name in self.processes else ():
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.kill()
        for each in self.processes.values():
            each.kill()
            each.wait()


def lacking():
    """Return what is missing for it in words, or None."""
    needed = {"etcd (Debian: etcd-server)": ETCD, "haproxy": HAPROXY, ".venv-ha (make ha)": (BIN / "patroni").exists()}  # fmt: skip
    missing = [name for name, found in needed.items() if not found]
    return f"there is no {', '.join(missing)} here" if missing else None
