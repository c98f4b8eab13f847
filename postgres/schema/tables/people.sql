CREATE TABLE people (
    person_id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT people_person_id_key UNIQUE,
    name text NOT NULL CONSTRAINT people_pkey PRIMARY KEY,
    mail text NOT NULL,
    digest mail_digest NOT NULL DEFAULT 'now',
    state mail_state NOT NULL DEFAULT 'active',
    reason text,
    created timestamptz NOT NULL,
    position bigint NOT NULL,
    mailed timestamptz,
    tried integer NOT NULL DEFAULT 0,
    next_try timestamptz,
    holder text,
    until timestamptz,
    epoch bigint NOT NULL DEFAULT 0,
    -- 244 bits by chance.
    key bytea NOT NULL DEFAULT sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8')),
    CONSTRAINT people_check CHECK (person_fits(name, mail))
);
COMMENT ON TABLE people IS 'Who gets mail of what happens on what they watch';
COMMENT ON COLUMN people.person_id IS 'Their number, which stands in addresses; made by the database';
COMMENT ON COLUMN people.name IS 'Their name, as it is on tickets; 1 to 100 characters';
COMMENT ON COLUMN people.mail IS 'Their address; nobody sees it but they and admins';
COMMENT ON COLUMN people.digest IS 'How their inbox comes by mail: now, once a day, or not at all (none)';
COMMENT ON COLUMN people.state IS 'Whether they get any: active, disabled, or bounced, where their mail server knows no such address';
COMMENT ON COLUMN people.reason IS 'What their mail server said last, if it took a mail not; kept by the database';
COMMENT ON COLUMN people.created IS 'When they were written down; kept by the database';
COMMENT ON COLUMN people.position IS 'How far in the feed they were mailed; kept by the database';
COMMENT ON COLUMN people.mailed IS 'When their last mail went; kept by the database';
COMMENT ON COLUMN people.tried IS 'How often the next mail was tried in vain; kept by the database';
COMMENT ON COLUMN people.next_try IS 'When it is tried again; kept by the database';
COMMENT ON COLUMN people.holder IS 'Which deliverer has them; kept by the database';
COMMENT ON COLUMN people.until IS 'Until when no other deliverer takes them; kept by the database';
COMMENT ON COLUMN people.epoch IS 'Counted on whenever a deliverer takes them and whenever they are changed, so that who had them before writes nothing any more';
COMMENT ON COLUMN people.key IS 'What the addresses are sealed with that they may answer to; nobody sees it';

-- Who writes from an address.
CREATE INDEX people_mail_idx ON people (lower(mail));

CREATE TABLE read_marks (
    who text NOT NULL CONSTRAINT read_marks_pkey PRIMARY KEY,
    position bigint NOT NULL,
    at timestamptz NOT NULL
);
COMMENT ON TABLE read_marks IS 'How far everybody has read their inbox';
COMMENT ON COLUMN read_marks.who IS 'Who it is';
COMMENT ON COLUMN read_marks.position IS 'The last position of the feed that they have seen';
COMMENT ON COLUMN read_marks.at IS 'When they said so';
