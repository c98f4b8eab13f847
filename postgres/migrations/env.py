"""Alembic's way in: on the connection that iris.migrations opened, or as SQL on standard output."""

from alembic import context

if context.is_offline_mode():
    context.configure(dialect_name="postgresql", dialect_opts={"paramstyle": "named"})
else:
    context.configure(connection=context.config.attributes["connection"])
with context.begin_transaction():
    context.run_migrations()
