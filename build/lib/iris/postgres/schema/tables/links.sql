CREATE TABLE links (
    ticket_id bigint NOT NULL CONSTRAINT links_ticket_id_fkey REFERENCES tickets ON DELETE CASCADE,
    kind link_kind NOT NULL,
    other_id bigint NOT NULL CONSTRAINT links_other_id_fkey REFERENCES tickets ON DELETE CASCADE,
    CONSTRAINT links_pkey PRIMARY KEY (ticket_id, kind, other_id),
    CONSTRAINT links_self_check CHECK (ticket_id <> other_id
        OR refuse('a ticket can''t be linked to itself', 'links_self_check', 'other_id'))
);
COMMENT ON TABLE links IS 'How tickets hang together';
COMMENT ON COLUMN links.ticket_id IS 'The ticket that blocks, duplicates, relates, or has a parent';
COMMENT ON COLUMN links.kind IS 'blocks, duplicates, parent or relates';
COMMENT ON COLUMN links.other_id IS 'The ticket that is blocked, duplicated, related to, or is the parent';

-- A ticket's links from the other side; linked=.
CREATE INDEX links_other_id_idx ON links (other_id, kind, ticket_id);
-- At most one parent, also when two are given at the same instant.
CREATE UNIQUE INDEX links_parent_key ON links (ticket_id) WHERE kind = 'parent';
