CREATE TABLE statuses (
    status text CONSTRAINT statuses_pkey PRIMARY KEY,
    position integer NOT NULL,
    is_open boolean NOT NULL DEFAULT true,
    -- Commas separate the values of a filter, and ! negates one.
    CONSTRAINT statuses_status_check CHECK (
        (char_length(status) BETWEEN 1 AND 50 AND status !~ '[,[:cntrl:]]' AND status !~ '^[! ]| $' AND NOT is_blank(status))
        OR refuse('a status has 1 to 50 characters, no comma, no ! in front and no blank at either end', 'statuses_status_check', 'status')),
    -- Deferrable, so that one statement can swap two.
    CONSTRAINT statuses_position_key UNIQUE (position) DEFERRABLE
);
COMMENT ON TABLE statuses IS 'What a ticket can be; the one with the lowest position is where tickets start';
COMMENT ON COLUMN statuses.status IS 'Its name, 1 to 50 characters';
COMMENT ON COLUMN statuses.position IS 'Its place in the workflow, lowest first';
COMMENT ON COLUMN statuses.is_open IS 'Whether a ticket in it still wants work';
