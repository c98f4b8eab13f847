CREATE TABLE latches (
    name text CONSTRAINT latches_pkey PRIMARY KEY
);
COMMENT ON TABLE latches IS
    'What only one may do at a time: a rule locks the row of its name. Rows of the owner''s, which nobody else can lock, as they could an advisory lock';
COMMENT ON COLUMN latches.name IS 'feed: giving positions; links: writing links that could make a circle; workflow: changing the workflow; undo: taking something back';
INSERT INTO latches VALUES ('feed'), ('links'), ('workflow');
