"""One failover of what `make ha` does twenty of, by hand: the primary is killed under load, its standby promoted."""

import time

import failover
import psutil
import pytest
from cluster import Cluster, sql
from conftest import Live


class Whoever:
    """The way to whoever is primary."""

    def __init__(self, *servers):
        self.hosts = ",".join(each.socket() for each in servers)

    def url(self, user="iris"):
        where = f"host={self.hosts}&port=5432&sslmode=disable&target_session_attrs=read-write"
        return f"postgresql://{user}@/iris?{where}"


@pytest.mark.slow
def test_a_primary_that_is_killed_takes_nothing_along(tmp_path):
    cluster, lives = Cluster(tmp_path), []
    try:
        standby = cluster.follow("one", cluster_name="one")
        sql(cluster.primary, "ALTER SYSTEM SET synchronous_standby_names TO one")
        sql(cluster.primary, "SELECT pg_reload_conf()")
        primary = Whoever(cluster.primary, standby)
        lives += [Live(primary.url(), IRIS_AUTH="token", IRIS_WORKERS="1") for _ in range(2)]
        with failover.load(lives, primary) as (door, ledger, reader, writers, watch):
            time.sleep(1)
            master = psutil.Process(cluster.primary.pid())
            before = len(ledger.acknowledged)
            began = time.monotonic()
            for each in (master, *master.children()):
                each.kill()
            sql(standby, "SELECT pg_promote()")
            watch.until_quiet_is_over(began)
            assert len(ledger.acknowledged) > before > 0
            failover.settle(door, ledger, reader, writers)
            assert ledger.repeated > 0
    finally:
        for live in lives:
            assert "Traceback" not in live.stop()
        cluster.stop()
