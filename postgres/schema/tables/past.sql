-- What the events tell of the past, written down: see calls/past.sql, which also keeps the columns those of tickets.

CREATE TABLE past_tickets (
    past_since timestamptz NOT NULL,
    past_until timestamptz NOT NULL,
    past_cell integer NOT NULL,
    past_touched timestamptz[],
    LIKE tickets,
    CONSTRAINT past_tickets_pkey PRIMARY KEY (ticket_id, past_until)
);
COMMENT ON TABLE past_tickets IS 'What tickets were, a row for each version that is no more; made of the events by write_past(), read by tickets_as_of()';
COMMENT ON COLUMN past_tickets.past_since IS 'Since when it was so';
COMMENT ON COLUMN past_tickets.past_until IS 'Until when; no more at this time itself';
COMMENT ON COLUMN past_tickets.past_cell IS 'By which it is found among those of one moment: cell() of both';
COMMENT ON COLUMN past_tickets.past_touched IS 'When comments and links counted its version on by one meanwhile, each being its updated since; null where none did';

-- The list as it came, newest first. Of keys that are the same, which those of a ticket are, an index keeps one.
CREATE INDEX past_tickets_created_idx ON past_tickets (created, ticket_id);
-- All that was there at some moment; and of it what somebody had to do, or where it stood.
CREATE INDEX past_tickets_cell_idx ON past_tickets (past_cell);
CREATE INDEX past_tickets_assignee_idx ON past_tickets (assignee, past_cell);
CREATE INDEX past_tickets_status_idx ON past_tickets (status, past_cell);

CREATE TABLE past_searches (
    ticket_id bigint NOT NULL,
    comment_id bigint NOT NULL,
    words tsvector NOT NULL,
    past_since timestamptz NOT NULL,
    past_until timestamptz NOT NULL,
    CONSTRAINT past_searches_pkey PRIMARY KEY (ticket_id, comment_id, past_until)
);
COMMENT ON TABLE past_searches IS 'Words of tickets and comments that are not theirs any more, as searches has those that are; read by searches_as_of()';
COMMENT ON COLUMN past_searches.ticket_id IS 'The ticket';
COMMENT ON COLUMN past_searches.comment_id IS 'The comment whose words these were, 0 for the ticket''s own';
COMMENT ON COLUMN past_searches.words IS 'Title (A), labels (B), description (C), comment (D)';
COMMENT ON COLUMN past_searches.past_since IS 'Since when they were its words';
COMMENT ON COLUMN past_searches.past_until IS 'Until when; no more at this time itself';

-- q= with as_of=.
CREATE INDEX past_searches_words_idx ON past_searches USING gin (words);

CREATE TABLE past_reached (
    position bigint NOT NULL
);
COMMENT ON TABLE past_reached IS 'How far the past is written, one row; who locks it writes';
COMMENT ON COLUMN past_reached.position IS 'The position of the last event that past_tickets and past_searches know of';
INSERT INTO past_reached VALUES (0);
