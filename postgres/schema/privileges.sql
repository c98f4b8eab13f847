-- PRIVILEGES
-- A ticket's number is the database's, and a comment stays with its ticket; whatever else there is may be written, and
-- what the database keeps is kept by the rules.

GRANT SELECT ON statuses, transitions, tickets, comments, links, searches, events, alembic_version TO iris;
GRANT SELECT, INSERT, UPDATE, DELETE ON replays TO iris;
GRANT INSERT, UPDATE, DELETE ON statuses, transitions TO iris;
GRANT DELETE ON tickets, comments TO iris;
GRANT INSERT, DELETE ON links TO iris;
DO $$
DECLARE
    columns record;
BEGIN
    FOR columns IN SELECT attrelid::regclass AS of, string_agg(quote_ident(attname), ', ' ORDER BY attnum) AS names,
            string_agg(quote_ident(attname), ', ' ORDER BY attnum) FILTER (WHERE attname <> 'ticket_id') AS changing
            FROM pg_attribute WHERE attrelid IN ('tickets'::regclass, 'comments'::regclass)
                AND attnum > 0 AND NOT attisdropped AND attidentity = '' GROUP BY attrelid LOOP
        EXECUTE format('GRANT INSERT (%s), UPDATE (%s) ON %s TO iris', columns.names, columns.changing, columns.of);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION workflow(), set_workflow(jsonb), events_after(bigint, integer), free_holders(interval), tickets_as_of(timestamptz),
    comments_as_of(timestamptz), links_as_of(timestamptz), searches_as_of(timestamptz), workflow_as_of(timestamptz), are_statuses(text[], timestamptz),
    once(text, text, text), read_ticket(bigint, bigint[]),
    put_tickets(jsonb, boolean), put_rows(jsonb[], integer, boolean), bulk_shape(jsonb[]), bulk_refused(jsonb), misfit(jsonb, regtype),
    nearest(text, text[]) TO iris;

-- Large objects belong to whoever makes them, outside of all tables and rules: nobody needs one here. Only a
-- superuser may say so; other owners are told by a warning.
REVOKE EXECUTE ON FUNCTION lo_creat(integer), lo_create(oid), lo_from_bytea(oid, bytea) FROM PUBLIC;
