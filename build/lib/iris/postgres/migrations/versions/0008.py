"""Where revisions begin: what postgres/initdb.sql made of Iris 0.1.0.

Nothing runs this: a new database is made by the files of today, at the revision of today.
"""

revision = "0008"
down_revision = None
