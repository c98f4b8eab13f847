-- The feed's order. Apart from the events, for these are never written to again: to give one its place took an UPDATE of a
-- wide row and five indexes.
CREATE TABLE places (
    position bigint NOT NULL,
    event_id bigint NOT NULL,
    digest bytea NOT NULL,
    -- Full pages, here and below: what comes is behind the rest.
    CONSTRAINT places_pkey PRIMARY KEY (event_id) WITH (fillfactor = 100)
);
COMMENT ON TABLE places IS 'The places of events in the feed, given when it is first read, and the proof; written by the rules, never changed';
COMMENT ON COLUMN places.position IS 'Its place in the feed, counted from 1, given when the feed is first read; null in events until then';
COMMENT ON COLUMN places.event_id IS 'Its number; not the order of commits: that is position';
COMMENT ON COLUMN places.digest IS 'SHA-256 over the digest of the position before and this event''s contents, given with its position';

-- The feed.
CREATE INDEX places_position_idx ON places (position) WITH (fillfactor = 100);

CREATE TABLE places_reached (
    change bigint NOT NULL,
    open bigint[] NOT NULL,
    base bigint,
    until bigint,
    until_open bigint[],
    event_id bigint
);
COMMENT ON TABLE places_reached IS 'How far events have their places, one row: where to look for those that have none. To look farther back than it says takes longer, and is as right';
COMMENT ON COLUMN places_reached.change IS 'All events of changes before this one have their places';
COMMENT ON COLUMN places_reached.open IS 'But of these, which were not committed yet when somebody looked';
COMMENT ON COLUMN places_reached.base IS 'What change_base was; where it is another, changes count from elsewhere since';
COMMENT ON COLUMN places_reached.until IS 'While places are given in portions: what change will be when this is done';
COMMENT ON COLUMN places_reached.until_open IS 'While places are given in portions: what open will be when this is done';
COMMENT ON COLUMN places_reached.event_id IS 'While places are given in portions: the last event that got one';
INSERT INTO places_reached VALUES (0, '{}');
