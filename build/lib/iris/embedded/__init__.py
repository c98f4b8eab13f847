"""A PostgreSQL of one's own, for `iris up` and the tests: real, in a folder, without Docker."""

from iris.embedded.programs import VERSION, Failed, binaries, environment
from iris.embedded.server import Server

__all__ = ["VERSION", "Failed", "Server", "binaries", "environment"]
