CREATE TABLE comments (
    comment_id bigint GENERATED ALWAYS AS IDENTITY,
    ticket_id bigint NOT NULL CONSTRAINT comments_ticket_id_fkey REFERENCES tickets ON DELETE CASCADE,
    author text NOT NULL DEFAULT actor(),
    body text NOT NULL,
    created timestamptz NOT NULL,
    updated timestamptz NOT NULL,
    -- The very index that reading a ticket with its comments needs.
    CONSTRAINT comments_pkey PRIMARY KEY (ticket_id, comment_id),
    CONSTRAINT comments_check CHECK (comment_fits(author, body))
);
COMMENT ON TABLE comments IS 'What people say about a ticket';
COMMENT ON COLUMN comments.comment_id IS 'Its number, made by the database, never given';
COMMENT ON COLUMN comments.ticket_id IS 'The ticket it is about';
COMMENT ON COLUMN comments.author IS 'Who wrote it; the actor, unless given';
COMMENT ON COLUMN comments.body IS 'What was written, 1 to 100,000 characters';
COMMENT ON COLUMN comments.created IS 'When it was written; kept by the database';
COMMENT ON COLUMN comments.updated IS 'When it was last changed; kept by the database';

-- One comment by its number, and all of them newest first. Not unique: identity sees to that.
CREATE INDEX comments_comment_id_idx ON comments (comment_id) WITH (fillfactor = 100);
-- author=, created_before and created_after.
CREATE INDEX comments_author_idx ON comments (author, comment_id);
CREATE INDEX comments_created_idx ON comments (created) WITH (fillfactor = 100);
-- Comments as of some time: few are ever edited.
CREATE INDEX comments_edited_idx ON comments (updated) WHERE updated > created;
