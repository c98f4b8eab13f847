CREATE TABLE workflow_recorded (
    document jsonb NOT NULL,
    at timestamptz NOT NULL DEFAULT '-infinity'
);
COMMENT ON TABLE workflow_recorded IS 'The workflow as the history knows it, one row; kept by the rules';
COMMENT ON COLUMN workflow_recorded.document IS 'As workflow() gives it';
COMMENT ON COLUMN workflow_recorded.at IS 'Since when; -infinity while it is as it was at first';
