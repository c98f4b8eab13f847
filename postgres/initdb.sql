-- Iris: the whole database, read from top to bottom by psql; a table of contents.
--
--   IRIS_PASS=… psql -v ON_ERROR_STOP=1 -d iris -f postgres/initdb.sql
--
-- Run it once, as the database's owner, in an empty database. Rules live here, so that they hold
-- for whoever writes: HTTP and psql are refused alike, with the same words. A database that is
-- there already is brought up to date by `iris db upgrade`, which ends in the very same schema: revisions
-- (migrations/) change types, tables and what is in them; all other files run again, in this order, so
-- they say CREATE OR REPLACE and nothing that only psql knows.

\set ON_ERROR_STOP on
\getenv iris_pass IRIS_PASS
\if :{?iris_pass}
\else
    \warn 'initdb.sql: IRIS_PASS is not set: it is the password that the role iris will get.'
    DO $$ BEGIN RAISE EXCEPTION 'IRIS_PASS is not set'; END $$;
\endif

\set iris_service_pass ''
\getenv iris_service_pass IRIS_SERVICE_PASS
SELECT coalesce(nullif(:'iris_service_pass', ''), :'iris_pass') AS iris_service_pass \gset

BEGIN;

-- Who there is; the passwords are the only thing that comes from outside.
\ir schema/roles.sql
ALTER ROLE iris PASSWORD :'iris_pass';
ALTER ROLE iris_service PASSWORD :'iris_service_pass';

-- What enumerations there are, and the small functions that tables are made with.
\ir schema/types.sql
\ir schema/rules/words.sql

-- The tables, each with its indexes.
\ir schema/tables/latches.sql
\ir schema/tables/statuses.sql
\ir schema/tables/transitions.sql
\ir schema/rules/checks.sql
\ir schema/tables/tickets.sql
\ir schema/tables/comments.sql
\ir schema/tables/links.sql
\ir schema/tables/watches.sql
\ir schema/tables/searches.sql
\ir schema/tables/stored_events.sql
\ir schema/tables/places.sql
\ir schema/tables/past.sql
\ir schema/tables/replays.sql
\ir schema/tables/workflow_recorded.sql
\ir schema/tables/tokens.sql
\ir schema/tables/people.sql
\ir schema/tables/hooks.sql
\ir schema/tables/deliveries.sql
\ir schema/revision.sql

-- The rules that hold for whoever writes.
\ir schema/rules/latches.sql
\ir schema/rules/events.sql
\ir schema/rules/tickets.sql
\ir schema/rules/comments.sql
\ir schema/rules/links.sql
\ir schema/rules/watchers.sql
\ir schema/rules/workflow.sql
\ir schema/rules/tokens.sql
\ir schema/rules/people.sql
\ir schema/rules/filters.sql
\ir schema/rules/hooks.sql

-- What clients call.
\ir schema/calls/moment.sql
\ir schema/calls/read_ticket.sql
\ir schema/calls/bulk.sql
\ir schema/calls/workflow.sql
\ir schema/calls/as_of.sql
\ir schema/calls/past.sql
\ir schema/calls/changes.sql
\ir schema/calls/stats.sql
\ir schema/calls/undo.sql
\ir schema/calls/places.sql
\ir schema/calls/proof.sql
\ir schema/calls/feed.sql
\ir schema/calls/inbox.sql
\ir schema/calls/mail.sql
\ir schema/calls/once.sql
\ir schema/calls/tokens.sql
\ir schema/calls/hooks.sql

\ir schema/privileges.sql
\ir schema/seeds.sql

COMMIT;
