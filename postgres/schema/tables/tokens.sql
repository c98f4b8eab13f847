CREATE TABLE tokens (
    name text NOT NULL CONSTRAINT tokens_pkey PRIMARY KEY,
    role token_role NOT NULL,
    actor text NOT NULL,
    created timestamptz NOT NULL,
    expires timestamptz,
    used timestamptz,
    is_login boolean NOT NULL DEFAULT false,
    -- Also what a token is found by.
    digest bytea NOT NULL CONSTRAINT tokens_digest_key UNIQUE,
    CONSTRAINT tokens_check CHECK (token_fits(name, actor, expires, digest))
);
COMMENT ON TABLE tokens IS 'Who may come in over HTTP where IRIS_AUTH=token; one that is deleted is revoked';
COMMENT ON COLUMN tokens.name IS 'Its name, 1 to 60 characters';
COMMENT ON COLUMN tokens.role IS 'What its holder may do; each role may do what the one before may';
COMMENT ON COLUMN tokens.actor IS 'Who acts by it; its name, unless given';
COMMENT ON COLUMN tokens.created IS 'When it was made; kept by the database';
COMMENT ON COLUMN tokens.expires IS 'When it ends by itself; null: never';
COMMENT ON COLUMN tokens.used IS 'When it was last used, to the hour; kept by the database';
COMMENT ON COLUMN tokens.is_login IS 'Whether there is a login of its name for psql, which goes with it; kept by the database';
COMMENT ON COLUMN tokens.digest IS 'The SHA-256 of what its holder sends, which itself is nowhere';
