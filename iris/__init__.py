"""Iris, a ticket tracker with two doors, HTTP and SQL, and one set of rules."""

__version__ = "0.1.0"
# The revision of the schema that this code is written for; tests hold it to the migrations.
REVISION = "0007"
