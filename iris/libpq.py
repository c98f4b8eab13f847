"""libpq as Iris uses it: told everything, and heeding no PG* variable, for these are meant for psql."""

import contextlib
import os

import psycopg2


@contextlib.contextmanager
def without_variables():
    """Hide PG* variables: libpq takes from them what it is not told."""
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("PG")}
    try:
        yield
    finally:
        os.environ.update(hidden)


def connect(url, **more):
    """Open a connection by a libpq connection string; more is psycopg2's.

    Raises:   psycopg2.OperationalError.
    """
    with without_variables():
        return psycopg2.connect(url, **more)
