-- PRIVILEGES-
-- By column where one is never given: a ticket's number is the database's.

GRANT SELECT ON statuses, transitions, tickets, comments, links, searches, events, alembic_version TO iris;
GRANT SELECT, INSERT, UPDATE, DELETE ON replays TO iris;
GRANT INSERT, UPDATE, DELETE ON statuses, transitions TO iris;
GRANT INSERT (title, description, status, assignee, reporter, priority, labels, fields, due, created, updated, closed, version),
    UPDATE (title, description, status, assignee, reporter, priority, labels, fields, due, created, updated, closed, version),
    DELETE ON tickets TO iris;
GRANT INSERT (ticket_id, author, body, created, updated), UPDATE (author, body, created, updated), DELETE ON comments TO iris;
GRANT INSERT, DELETE ON links TO iris;
GRANT EXECUTE ON FUNCTION workflow(), set_workflow(jsonb), events_after(bigint, integer), tickets_as_of(timestamptz),
    comments_as_of(timestamptz), links_as_of(timestamptz), searches_as_of(timestamptz), once(text, text, text),
    changed(text, anycompatible, anycompatible), put_rows(jsonb, boolean), put_tickets(jsonb, boolean),
    read_ticket(bigint, bigint[]) TO iris;

-- Large objects belong to whoever makes them, outside of all tables and rules: nobody needs one here. Only a
-- superuser may say so; other owners are told by a warning.
REVOKE EXECUTE ON FUNCTION lo_creat(integer), lo_create(oid), lo_from_bytea(oid, bytea) FROM PUBLIC;
