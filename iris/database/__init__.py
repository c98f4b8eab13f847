"""The database: its connections, statements, and what it refuses."""
