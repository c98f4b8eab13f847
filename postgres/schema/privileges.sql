-- PRIVILEGES
-- Who may do what; README's table says the same (iris/rights.py), and so does each refusal (42501). A ticket's number is the
-- database's, and a comment stays with its ticket; whatever else there is may be written, and what the database keeps is
-- kept by the rules.

-- Readers see everything. What they write by reading, the positions of the feed, functions write for them.
GRANT SELECT ON statuses, transitions, tickets, comments, links, searches, stored_events, places, places_reached, events, past_tickets, past_searches, past_reached, alembic_version TO iris_reader;
-- Which number their own change has.
GRANT SELECT ON SEQUENCE change_base TO iris_reader;
GRANT EXECUTE ON FUNCTION workflow(), events_after(bigint, integer), tickets_as_of(timestamptz, boolean), comments_as_of(timestamptz),
    links_as_of(timestamptz), tickets_touched_since(timestamptz), comments_touched_since(timestamptz), searches_as_of(timestamptz), workflow_as_of(timestamptz), changes_between(timestamptz, timestamptz),
    tickets_at(timestamptz, bigint[]), moves(timestamptz), reopenings(timestamptz), cycle_times(timestamptz, bigint[]), hours(interval),
    weeks_until(timestamptz, integer, text), stats(timestamptz, bigint[], integer, text), spread(timestamptz, bigint[], integer, text),
    are_statuses(text[], timestamptz),
    ticket_as_of(bigint, timestamptz), tickets_lately(timestamptz, boolean), searches_lately(timestamptz), is_walked(timestamptz), unwritten(), write_past(integer), cells(timestamptz), tick(timestamptz),
    told_by(bigint, text), read_ticket(bigint, bigint[]), read_ticket_as_of(bigint, timestamptz, bigint[]),
    verify_events(bigint, bigint), contents(stored_events, bigint, text), exported(stored_events, bigint, bytea, text), escaped(text), is_waiting(), waiting_events(bigint) TO iris_reader;

-- And watch tickets, or no more: the rule lets them do so for themselves.
GRANT SELECT ON watchers, watches TO iris_reader;
GRANT INSERT, UPDATE (muted), DELETE ON watchers, watches TO iris_reader;
-- They read their inbox, and say so; who gets mail where is for themselves and for admins, by functions that ask who asks.
GRANT SELECT ON read_marks TO iris_reader;
GRANT SELECT (person_id, name) ON people TO iris_reader;
GRANT EXECUTE ON FUNCTION texts_of(jsonb), concerns(stored_events, text, jsonb), inbox_after(text, bigint), read_mark(text), place_all(), inbox(text, bigint), mark_read(bigint), person(text),
    put_person(text, text, mail_digest, mail_state), drop_person(text) TO iris_reader;
-- All this may be sent twice, by a key; what once() runs, it runs as its caller.
GRANT EXECUTE ON FUNCTION once(text, text, text), kept_answer(text, text), keep_answer(text, json) TO iris_reader;

-- Writers file and change tickets, comment and link.
GRANT DELETE ON comments TO iris_writer;
GRANT INSERT, DELETE ON links TO iris_writer;
DO $$
DECLARE
    columns record;
BEGIN
    FOR columns IN SELECT attrelid::regclass AS of, string_agg(quote_ident(attname), ', ' ORDER BY attnum) AS names,
            string_agg(quote_ident(attname), ', ' ORDER BY attnum) FILTER (WHERE attname <> 'ticket_id') AS changing
            FROM pg_attribute WHERE attrelid IN ('tickets'::regclass, 'comments'::regclass)
                AND attnum > 0 AND NOT attisdropped AND attidentity = '' GROUP BY attrelid LOOP
        EXECUTE format('GRANT INSERT (%s), UPDATE (%s) ON %s TO iris_writer', columns.names, columns.changing, columns.of);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION free_holders(interval), put_tickets(jsonb, boolean, text),
    put_rows(jsonb[], integer, boolean, text), put_times(jsonb, text),
    bulk_shape(jsonb[]), bulk_refused(jsonb), undo(bigint, bigint, boolean), misfit(jsonb, regtype),
    texts(jsonb), relabelled(text[], text[], text[]), nearest(text, text[]) TO iris_writer;

-- Admins delete tickets and change the workflow.
GRANT DELETE ON tickets TO iris_admin;
GRANT INSERT, UPDATE, DELETE ON statuses, transitions TO iris_admin;
GRANT EXECUTE ON FUNCTION set_workflow(jsonb) TO iris_admin;
-- And make and revoke tokens, but for what the database keeps of them. Nobody sees a digest again.
GRANT SELECT (name, role, actor, created, expires, used, is_login), INSERT (name, role, actor, expires, digest), DELETE ON tokens
    TO iris_admin;
GRANT EXECUTE ON FUNCTION add_token(text, token_role, text, timestamptz, bytea), add_login(text, text) TO iris_admin;

-- And say who is told, but for what the database keeps of hooks. Nobody sees a secret again.
GRANT SELECT (hook_id, url, kind, filter, position, state, on_failure, reason, tried, next_try, created, holder, until, epoch, begins, rotated),
    INSERT (url, kind, filter, position, state, on_failure, secrets), UPDATE (url, kind, filter, position, state, on_failure, secrets), DELETE ON hooks TO iris_admin;
GRANT SELECT ON deliveries TO iris_admin;
-- The service tells them, as itself.
GRANT EXECUTE ON FUNCTION hooks_due(text, integer, double precision), keep_hooks(text, jsonb, double precision), settle_hooks(text, jsonb),
    ticket_around(events), delivery_body(events, tickets), shortened(jsonb, integer) TO iris;

-- And say who gets mail, where and how often.
GRANT SELECT (person_id, name, mail, digest, state, reason, created, position, mailed, tried, next_try, holder, until, epoch),
    INSERT (name, mail, digest, state), UPDATE (mail, digest, state), DELETE ON people TO iris_admin;

-- The service asks who sends a token, as itself and not under anybody's role.
GRANT EXECUTE ON FUNCTION token_of(bytea) TO iris;

-- It sends mail, and takes what comes back, by addresses that it alone can seal.
GRANT EXECUTE ON FUNCTION people_due(text, integer, double precision), mail_piece(bigint, bigint, bigint, integer),
    settle_person(text, bigint, bigint, bigint, integer, double precision, mail_state, text, boolean, boolean), lives_at(text, text),
    unsubscribe(bigint, text), bounced(bigint, text, text, text[], text), writes_from(text), writes_by(bigint, bigint, text), role_of(text) TO iris;

-- Large objects belong to whoever makes them, outside of all tables and rules: nobody needs one here. Only a
-- superuser may say so; other owners are told by a warning.
REVOKE EXECUTE ON FUNCTION lo_creat(integer), lo_create(oid), lo_from_bytea(oid, bytea) FROM PUBLIC;
