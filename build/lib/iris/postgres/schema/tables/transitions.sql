CREATE TABLE transitions (
    from_status text NOT NULL CONSTRAINT transitions_from_status_fkey REFERENCES statuses ON DELETE CASCADE ON UPDATE CASCADE,
    to_status text NOT NULL CONSTRAINT transitions_to_status_fkey REFERENCES statuses ON DELETE CASCADE ON UPDATE CASCADE,
    CONSTRAINT transitions_pkey PRIMARY KEY (from_status, to_status),
    CONSTRAINT transitions_self_check CHECK (from_status <> to_status
        OR refuse(format('"%s" needs no transition to itself', to_status), 'transitions_self_check', 'to_status'))
);
-- Serves the foreign key when a status is dropped.
CREATE INDEX transitions_to_status_idx ON transitions (to_status);
COMMENT ON TABLE transitions IS 'Which status may follow which; what is not here is refused';
COMMENT ON COLUMN transitions.from_status IS 'The status a ticket is in';
COMMENT ON COLUMN transitions.to_status IS 'A status it may go to from there';
