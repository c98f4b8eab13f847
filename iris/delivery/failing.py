"""How a deliverer says what went wrong: in a line where the database is away, else with all of it."""

import ssl

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


def words(error):
    """Return what went wrong on the way to somebody, in words for who can do something about it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not to be trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError) and error.reason:
        return f"TLS failed: {error.reason.replace('_', ' ').lower()}"
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return said or type(error).__name__
