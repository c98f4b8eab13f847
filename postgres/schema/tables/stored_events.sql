-- The server counts its transactions, so the number of a change is that number and this one more: nothing that a session
-- could set, forget or take part of back, and nothing that a write has to look up in a table.
CREATE SEQUENCE change_base MINVALUE -9223372036854775808;
COMMENT ON SEQUENCE change_base IS 'What the number of a change is more than that of its transaction on this server; no sequence, but the cheapest number to read';

-- What the view events is made of: that has what people read (rules/events.sql).
CREATE TABLE stored_events (
    -- In an order that leaves no gaps between them: there is nothing of which there are more.
    event_id bigint GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL,
    -- No foreign key: history stays when its ticket goes.
    ticket_id bigint,
    comment_id bigint,
    other_id bigint,
    change bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint + pg_sequence_last_value('change_base'),
    undoes bigint,
    -- Columns, for as JSON they were a quarter of an event: kept() puts them together.
    kept_version bigint,
    kept_updated timestamptz,
    kept_closed timestamptz,
    kind event_kind NOT NULL,
    actor text NOT NULL,
    source text NOT NULL,
    changes jsonb NOT NULL,
    kept_more jsonb,
    other_kept jsonb,
    -- All events, newest first. Full pages, here and where else what comes is behind the rest.
    CONSTRAINT events_pkey PRIMARY KEY (event_id) WITH (fillfactor = 100)
);
COMMENT ON TABLE stored_events IS 'The history as it is stored, without the long texts that stand elsewhere; written by the rules, never changed. To be read as events';
COMMENT ON COLUMN stored_events.event_id IS 'Its number; not the order of commits: that is its place';
COMMENT ON COLUMN stored_events.at IS 'When it happened';
COMMENT ON COLUMN stored_events.actor IS 'Who did it: the setting iris.actor, where the session may speak for others, else its user';
COMMENT ON COLUMN stored_events.source IS 'By which door: http, or the client''s application_name, such as psql';
COMMENT ON COLUMN stored_events.ticket_id IS 'The ticket, which may be gone by now; null where it was the workflow that changed, a token or a hook';
COMMENT ON COLUMN stored_events.kind IS 'What happened';
COMMENT ON COLUMN stored_events.comment_id IS 'The comment that was written, changed or deleted';
COMMENT ON COLUMN stored_events.changes IS 'As events has it; but of a ticket that was filed and a comment that was written, null in place of [old, new] for what is long, and of a comment not even that';
COMMENT ON COLUMN stored_events.kept_version IS 'The version of the ticket before; a part of kept()';
COMMENT ON COLUMN stored_events.kept_updated IS 'When the ticket had been touched before; a part of kept()';
COMMENT ON COLUMN stored_events.kept_closed IS 'When the ticket had been closed before; a part of kept()';
COMMENT ON COLUMN stored_events.kept_more IS 'What else is a part of kept(), such as what was kept of a comment; null where nothing is';
COMMENT ON COLUMN stored_events.other_id IS 'Of a link: the other ticket';
COMMENT ON COLUMN stored_events.other_kept IS 'What kept() is of the ticket, of the other one; null where nothing is';
COMMENT ON COLUMN stored_events.change IS 'The change that it was a part of: all events of one transaction have the same number, and no others';
COMMENT ON COLUMN stored_events.undoes IS 'The event that it took back; null where nothing was undone';

-- A ticket's history.
CREATE INDEX events_ticket_id_idx ON stored_events (ticket_id, event_id);
-- at_before and at_after.
CREATE INDEX events_at_idx ON stored_events (at) WITH (fillfactor = 100);
-- Tickets, comments and links as of some time: the other end of links, and what is gone.
CREATE INDEX events_other_id_idx ON stored_events (other_id, event_id) WHERE other_id IS NOT NULL;
CREATE INDEX events_deleted_idx ON stored_events (at) WHERE kind = 'deleted';
CREATE INDEX events_comment_deleted_idx ON stored_events (at) WHERE kind = 'comment_deleted';
-- The workflow as of some time.
CREATE INDEX events_workflow_idx ON stored_events (at) WHERE ticket_id IS NULL;
-- Statistics: from which status to which, and what was opened again.
CREATE INDEX events_moves_idx ON stored_events (ticket_id, at) WHERE kind = 'changed' AND changes ? 'status';
CREATE INDEX events_reopened_idx ON stored_events (ticket_id, at)
    WHERE kind = 'changed' AND (kept_closed IS NOT NULL OR kept_more -> 'closed' ->> 0 IS NOT NULL) AND changes ?| '{status,closed}';
-- What long texts were at first, where they were changed since.
CREATE INDEX events_texts_idx ON stored_events (ticket_id, at) WHERE kind IN ('changed', 'deleted') AND changes ?| '{title,description,fields}';
CREATE INDEX events_edits_idx ON stored_events (ticket_id, comment_id, at) WHERE kind IN ('comment_changed', 'comment_deleted');
-- change=, and undo() of a whole one; and what has no place in the feed yet, which must cost nothing to ask while there is nothing.
CREATE INDEX events_change_idx ON stored_events (change) WITH (fillfactor = 100);

-- Another server counts from elsewhere. A dump has no rows of a materialized view: restoring makes them anew, and so sets
-- the number on the server that is there then. By the oldest transaction that runs, which must not be given what there is.
CREATE MATERIALIZED VIEW change_base_set AS
    SELECT setval('change_base', coalesce(max(change), 0) + 1 - pg_snapshot_xmin(pg_current_snapshot())::text::bigint) AS base,
        coalesce(max(change), 0) + 1 AS first FROM stored_events;
COMMENT ON MATERIALIZED VIEW change_base_set IS 'Sets change_base whenever it is refreshed, as restoring a dump does: changes go on behind the last one there is';
COMMENT ON COLUMN change_base_set.base IS 'What it was set to';
COMMENT ON COLUMN change_base_set.first IS 'The first number that a change could have since';
