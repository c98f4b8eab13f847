"""Alembic's way in: on the connection that iris.migrations opened, or as SQL on standard output."""

from alembic import context

from iris import migrations

given = context.config.attributes
if context.is_offline_mode():
    context.configure(dialect_name="postgresql", dialect_opts={"paramstyle": "named"})
else:
    context.configure(connection=given["connection"])
with context.begin_transaction():
    context.execute(migrations.literal(given["before"]))
    context.run_migrations()
    context.execute(migrations.literal(given["after"]))
