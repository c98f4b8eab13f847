-- From the last schema before the first release, 0007, to that of the first release, 0008: what
-- changes tables and what is stored in them. Rules follow by themselves. A check or a default that
-- needs a function which 0007 lacks brings it in first: \ir ../schema/rules/words.sql

\ir drop_rules.sql

-- The workflow has a history, too: an event without a ticket.
ALTER TYPE event_kind ADD VALUE 'workflow_changed';
ALTER TABLE events DROP CONSTRAINT events_pkey;
ALTER TABLE events ALTER ticket_id DROP NOT NULL;
ALTER TABLE events ADD CONSTRAINT events_pkey PRIMARY KEY (event_id);
DROP INDEX events_event_id_idx;
CREATE INDEX events_ticket_id_idx ON events (ticket_id, event_id);
CREATE INDEX events_workflow_idx ON events (at) WHERE ticket_id IS NULL;
\ir ../schema/tables/workflow_recorded.sql
\ir ../schema/calls/workflow.sql
INSERT INTO workflow_recorded (document) SELECT workflow();

-- In place of advisory locks, which anybody could take.
\ir ../schema/tables/latches.sql

UPDATE alembic_version SET version_num = '0008';
