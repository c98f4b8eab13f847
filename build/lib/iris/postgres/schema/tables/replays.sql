CREATE TABLE replays (
    actor text NOT NULL,
    key text NOT NULL,
    request text NOT NULL,
    answer json,
    created timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT replays_pkey PRIMARY KEY (actor, key)
);
COMMENT ON TABLE replays IS 'Answers to writes that carried an Idempotency-Key, to be given again';
COMMENT ON COLUMN replays.actor IS 'Who wrote; everybody has keys of their own';
COMMENT ON COLUMN replays.key IS 'The Idempotency-Key';
COMMENT ON COLUMN replays.request IS 'A digest of the request, for the key is good for one request only';
COMMENT ON COLUMN replays.answer IS 'The row that the write gave';
COMMENT ON COLUMN replays.created IS 'When; kept for 24 hours at least';

-- Serves the sweeping out of old ones.
CREATE INDEX replays_created_idx ON replays (created);
