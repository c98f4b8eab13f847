"""How a deliverer says what went wrong: in a line where the database is away, else with all of it."""

from iris import problems
from iris.database import refusals


def said(log, words, error):
    """Say in the log that something failed; call it while the error is handled."""
    if isinstance(error, problems.Problem):
        log.warning("%s: %s", words, error.detail)
    elif refusals.from_database(error) is None:
        log.exception("%s", words)
    else:
        log.warning("%s: %s", words, str(error).strip())
