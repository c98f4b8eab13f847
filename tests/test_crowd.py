"""A small crowd, to see that it does what `make crowd` measures with a large one."""

import resource

import crowd
import pytest
from conftest import Live


@pytest.fixture
def tight(server):
    """Return a service that is started where a process has fewer files than the crowd has heads."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        made = Live(server.url())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    yield made
    made.stop()


def test_who_does_nothing_or_little_is_in_nobodys_way(tight, http, ticket):
    ticket()
    usual, crowded = crowd.turn(tight.port, 0.3, idle=300, slow=20)
    assert len(usual) >= 50
    assert crowd.p99(crowded) < 1000
