"""The database: its connections, statements, and what it refuses.

with SESSION() as session:
    session.scalars(select(models.Ticket))
"""

from iris.database.engine import ENGINE, SESSION

__all__ = ["ENGINE", "SESSION"]
