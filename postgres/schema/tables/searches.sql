-- Words stand beside the tickets, not in them: in the row itself every change of status would cost
-- all of its words once more, in the row and in the index.

CREATE TABLE searches (
    ticket_id bigint NOT NULL,
    comment_id bigint NOT NULL,
    words tsvector NOT NULL,
    since timestamptz NOT NULL,
    CONSTRAINT searches_pkey PRIMARY KEY (ticket_id, comment_id)
);
COMMENT ON TABLE searches IS 'The words of tickets and comments; kept by the database';
COMMENT ON COLUMN searches.ticket_id IS 'The ticket';
COMMENT ON COLUMN searches.comment_id IS 'The comment whose words these are, 0 for the ticket''s own';
COMMENT ON COLUMN searches.words IS 'Title (A), labels (B), description (C), comment (D)';
COMMENT ON COLUMN searches.since IS 'Since when they are its words, for searches_as_of()';

-- q=.
CREATE INDEX searches_words_idx ON searches USING gin (words);
-- So that 5,000 words are known by how common they are: a word that isn't known was taken for a common
-- one, of which the newest are found by date, and looked for in every single ticket.
ALTER TABLE searches ALTER words SET STATISTICS 500;
