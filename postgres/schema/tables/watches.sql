-- Without a foreign key: who wanted to hear of a ticket that was deleted does so again when it is brought back.
CREATE TABLE watches (
    ticket_id bigint NOT NULL,
    who text NOT NULL,
    muted boolean NOT NULL DEFAULT false,
    CONSTRAINT watches_pkey PRIMARY KEY (ticket_id, who),
    CONSTRAINT watches_check CHECK (watch_fits(who))
);
COMMENT ON TABLE watches IS 'Who joined a ticket by hand, and who left it; all who watch one stand in watchers';
COMMENT ON COLUMN watches.ticket_id IS 'The ticket';
COMMENT ON COLUMN watches.who IS 'Who it is, 1 to 100 characters';
COMMENT ON COLUMN watches.muted IS 'Whether they left, and don''t come in again by themselves';

-- What somebody watches.
CREATE INDEX watches_who_idx ON watches (who, ticket_id);
