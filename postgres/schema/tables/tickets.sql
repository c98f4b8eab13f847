CREATE TABLE tickets (
    ticket_id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT tickets_pkey PRIMARY KEY,
    title text NOT NULL,
    description text,
    status text NOT NULL DEFAULT first_status() CONSTRAINT tickets_status_fkey REFERENCES statuses,
    assignee text,
    reporter text NOT NULL DEFAULT actor(),
    priority priority NOT NULL DEFAULT 'normal',
    labels text[] NOT NULL DEFAULT '{}',
    fields jsonb NOT NULL DEFAULT '{}',
    due timestamptz,
    created timestamptz NOT NULL,
    updated timestamptz NOT NULL,
    closed timestamptz,
    version bigint NOT NULL,
    CONSTRAINT tickets_check CHECK (ticket_fits(title, description, assignee, reporter, labels, fields, due))
);
COMMENT ON TABLE tickets IS 'The tickets';
COMMENT ON COLUMN tickets.ticket_id IS 'Its number, made by the database, never given';
COMMENT ON COLUMN tickets.title IS 'One line of 1 to 300 characters, none of them a control character';
COMMENT ON COLUMN tickets.description IS 'All there is to say, up to 100,000 characters';
COMMENT ON COLUMN tickets.status IS 'Where it stands in the workflow; starts at the first status';
COMMENT ON COLUMN tickets.assignee IS 'Who works on it, up to 100 characters';
COMMENT ON COLUMN tickets.reporter IS 'Who filed it; the actor, unless given';
COMMENT ON COLUMN tickets.priority IS 'How much it matters';
COMMENT ON COLUMN tickets.labels IS 'Up to 50 words of up to 50 characters, sorted, no repeats';
COMMENT ON COLUMN tickets.fields IS 'Anything else a team wants to keep, a JSON object of up to 16 KiB';
COMMENT ON COLUMN tickets.due IS 'When it should be done';
COMMENT ON COLUMN tickets.created IS 'When it was filed; kept by the database';
COMMENT ON COLUMN tickets.updated IS 'When it, its comments or its links last changed; kept by the database';
COMMENT ON COLUMN tickets.closed IS 'When its status stopped being open, null while it is open; kept by the database';
COMMENT ON COLUMN tickets.version IS '1 at first, +1 with every change of the ticket, its comments or its links; kept by the database';

-- The list as it comes, newest first; created_before and created_after.
CREATE INDEX tickets_created_idx ON tickets (created, ticket_id);
-- sort=updated; updated_before and updated_after; and how many there were at some moment, for which created is beside it.
CREATE INDEX tickets_updated_idx ON tickets (updated, ticket_id) INCLUDE (created);
-- sort=due, in which tickets without one come last; due_before, due_after and overdue.
CREATE INDEX tickets_due_idx ON tickets (coalesce(due, 'infinity'), ticket_id);
-- sort=priority, and its filter.
CREATE INDEX tickets_priority_idx ON tickets (priority, created, ticket_id);
-- The filters people use most, each with the order of the list behind it. The first one also
-- answers whether a status is in use. Of how many it was at some moment, updated tells, without a look at the tickets.
CREATE INDEX tickets_status_idx ON tickets (status, created, ticket_id) INCLUDE (updated);
CREATE INDEX tickets_assignee_idx ON tickets (assignee, created, ticket_id) INCLUDE (updated);
CREATE INDEX tickets_reporter_idx ON tickets (reporter, created, ticket_id);
-- open=true: most tickets of an old tracker are closed. And how many were open at some moment, for which updated is beside it.
CREATE INDEX tickets_open_idx ON tickets (created, ticket_id) INCLUDE (updated) WHERE closed IS NULL;
-- What somebody has to do, most urgent first: open=true&assignee=…&sort=-priority.
CREATE INDEX tickets_todo_idx ON tickets (assignee, priority, created, ticket_id) WHERE closed IS NULL;
-- closed_before and closed_after.
CREATE INDEX tickets_closed_idx ON tickets (closed) WHERE closed IS NOT NULL;
-- label= and fields.NAME=.
CREATE INDEX tickets_labels_idx ON tickets USING gin (labels);
CREATE INDEX tickets_fields_idx ON tickets USING gin (fields jsonb_path_ops);
