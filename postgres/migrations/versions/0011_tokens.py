"""Tokens: who may come in."""

from alembic import op

from iris import migrations

revision = "0011"
down_revision = "0010"


def upgrade():
    """Go up, with data in the tables; the rules of today follow."""
    migrations.drop_rules()
    op.execute("ALTER TYPE event_kind ADD VALUE IF NOT EXISTS 'token_added'")
    op.execute("ALTER TYPE event_kind ADD VALUE IF NOT EXISTS 'token_revoked'")
    migrations.run("rules/words.sql", "rules/checks.sql")
    op.execute(
        """
        CREATE TYPE token_role AS ENUM ('reader', 'writer', 'admin');
        CREATE TABLE tokens (
            name text NOT NULL CONSTRAINT tokens_pkey PRIMARY KEY,
            role token_role NOT NULL,
            actor text NOT NULL,
            created timestamptz NOT NULL,
            expires timestamptz,
            used timestamptz,
            is_login boolean NOT NULL DEFAULT false,
            digest bytea NOT NULL CONSTRAINT tokens_digest_key UNIQUE,
            CONSTRAINT tokens_check CHECK (token_fits(name, actor, expires, digest))
        )
        """
    )


def downgrade():
    """Go back down, with data in the tables; the rules of 0010 follow.

    All tokens are gone then. What history tells of them stays, under the kinds that it has.
    """
    migrations.drop_rules()
    op.execute("DROP TABLE tokens; DROP FUNCTION token_fits; DROP TYPE token_role")
