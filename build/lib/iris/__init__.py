"""Iris, a ticket tracker with two doors, HTTP and SQL, and one set of rules."""

__version__ = "0.1.0"
