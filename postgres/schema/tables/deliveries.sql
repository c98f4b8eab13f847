CREATE TABLE deliveries (
    delivery_id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT deliveries_pkey PRIMARY KEY,
    hook_id bigint NOT NULL CONSTRAINT deliveries_hook_id_fkey REFERENCES hooks ON DELETE CASCADE,
    position bigint NOT NULL,
    at timestamptz NOT NULL,
    tried integer NOT NULL,
    outcome delivery_outcome NOT NULL,
    status integer,
    took integer NOT NULL,
    answer text
);
COMMENT ON TABLE deliveries IS 'What was sent to hooks, and what they answered: the last thousand tries of each, thirty days at most';
COMMENT ON COLUMN deliveries.delivery_id IS 'Its number';
COMMENT ON COLUMN deliveries.hook_id IS 'The hook';
COMMENT ON COLUMN deliveries.position IS 'The event''s position in the feed';
COMMENT ON COLUMN deliveries.at IS 'When the try was over';
COMMENT ON COLUMN deliveries.tried IS 'Which try it was, from 1';
COMMENT ON COLUMN deliveries.outcome IS 'What came of it';
COMMENT ON COLUMN deliveries.status IS 'The status that was answered; null: there was no answer';
COMMENT ON COLUMN deliveries.took IS 'How long it took, in milliseconds';
COMMENT ON COLUMN deliveries.answer IS 'How the answer began, or what went wrong';

-- Those of a hook, newest first; and what goes with it.
CREATE INDEX deliveries_hook_id_idx ON deliveries (hook_id, delivery_id);
