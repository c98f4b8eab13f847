-- WHAT PEOPLE READ OF THE HISTORY: events, made of stored_events

DO $generate$ BEGIN EXECUTE replace($function$
CREATE OR REPLACE FUNCTION first_told(ticket bigint, comment bigint, moment timestamptz, event bigint, given jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, public, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    said text;
    since timestamptz;
    was jsonb;
    present jsonb;
    name text;
BEGIN
    IF comment IS NOT NULL THEN
        IF given ? 'body' THEN
            RETURN given;
        END IF;
        SELECT body, updated INTO said, since FROM comments WHERE comments.ticket_id = ticket AND comments.comment_id = comment;
        IF since > moment IS NOT FALSE THEN
            said := coalesce((SELECT later.changes -> 'body' ->> 0 FROM stored_events AS later
                WHERE later.ticket_id = ticket AND later.comment_id = comment AND later.kind IN ('comment_changed', 'comment_deleted')
                    AND later.at >= moment AND (later.at, later.event_id) > (moment, event)
                ORDER BY later.at, later.event_id LIMIT 1), said);
        END IF;
        RETURN given || jsonb_build_object('body', jsonb_build_array(NULL, said));
    END IF;
    IF given -> 'title' <> 'null' THEN
        RETURN given;
    END IF;
    SELECT jsonb_object_agg(first.key, first.value -> 0) INTO was FROM (
        SELECT DISTINCT ON (item.key) item.key, item.value FROM stored_events AS later CROSS JOIN LATERAL jsonb_each(later.changes) AS item
            WHERE later.ticket_id = ticket AND later.kind IN ('changed', 'deleted') AND later.changes ?| '{title,description,fields}'
                AND later.at >= moment AND (later.at, later.event_id) > (moment, event) AND item.key = ANY (referred())
            ORDER BY item.key, later.at, later.event_id) AS first;
    SELECT jsonb_build_object({present}) INTO present FROM tickets WHERE tickets.ticket_id = ticket;
    FOREACH name IN ARRAY referred() LOOP
        IF given -> name = 'null' THEN
            given := given || jsonb_build_object(name, jsonb_build_array(NULL, coalesce(was -> name, present -> name)));
        END IF;
    END LOOP;
    RETURN given;
END $$;
$function$,
    '{present}', (SELECT string_agg(format('%L, tickets.%I', name, name), ', ') FROM unnest(referred()) AS name));
END $generate$;
COMMENT ON FUNCTION first_told(bigint, bigint, timestamptz, bigint, jsonb) IS
    'The changes of an event that a ticket was filed with, or a comment written, of those that are stored: what is null in them, or left out of a comment, is what the next event says that it was, or what it is now';

CREATE OR REPLACE FUNCTION told_changes(event text, form regtype DEFAULT 'jsonb') RETURNS text
LANGUAGE sql STABLE
-- What has not been changed since, which is nearly all, stands in the row itself: looked up in the query, for a function takes five times as long.
-- As text it is put where null is, between two quotes that no value has: that takes half of what it takes to make JSON, and to write that.
RETURN replace(replace(replace($expression$CASE
    WHEN {event}.kind = 'commented' AND NOT {event}.changes ? 'body' THEN coalesce(
        (SELECT {body} FROM comments AS said
            WHERE said.ticket_id = {event}.ticket_id AND said.comment_id = {event}.comment_id AND said.updated <= {event}.at),
        first_told({event}.ticket_id, {event}.comment_id, {event}.at, {event}.event_id, {event}.changes){form})
    WHEN {event}.kind = 'created' AND {event}.changes -> 'title' = 'null' THEN coalesce(
        (SELECT $expression$ || CASE form WHEN 'text'::regtype THEN
                (SELECT repeat('replace(', count(*)::integer) || '{event}.changes::text'
                        || string_agg(format(', %1$L, concat(%2$L, to_json(present.%3$I), '']''))', format('"%s": null', attname), format('"%s": [null, ', attname), attname), '' ORDER BY attnum)
                    FROM pg_attribute WHERE attrelid = 'tickets'::regclass AND attname = ANY (referred()))
            ELSE '{event}.changes || ' || (SELECT string_agg(format(CASE WHEN attnotnull THEN 'jsonb_build_object(%1$L, jsonb_build_array(NULL, present.%1$I))'
                        ELSE 'CASE WHEN {event}.changes ? %1$L THEN jsonb_build_object(%1$L, jsonb_build_array(NULL, present.%1$I)) ELSE ''{}'' END' END, attname), ' || ' ORDER BY attnum)
                    FROM pg_attribute WHERE attrelid = 'tickets'::regclass AND attname = ANY (referred())) END || $expression$
            FROM tickets AS present WHERE present.ticket_id = {event}.ticket_id
                AND NOT EXISTS (SELECT FROM stored_events AS later WHERE later.ticket_id = {event}.ticket_id
                    AND later.kind IN ('changed', 'deleted') AND later.changes ?| '{title,description,fields}')),
        first_told({event}.ticket_id, {event}.comment_id, {event}.at, {event}.event_id, {event}.changes){form})
    ELSE {event}.changes{form} END$expression$,
    '{body}', CASE form WHEN 'text'::regtype THEN 
            $$CASE WHEN {event}.changes = '{}' THEN concat('{"body": [null, ', to_json(said.body), ']}')
                ELSE ({event}.changes || jsonb_build_object('body', jsonb_build_array(NULL, said.body)))::text END$$
        ELSE $$ {event}.changes || jsonb_build_object('body', jsonb_build_array(NULL, said.body)) $$ END),
    '{form}', CASE form WHEN 'text'::regtype THEN '::text' ELSE '' END),
    '{event}', event);
COMMENT ON FUNCTION told_changes(text, regtype) IS
    'An expression for the changes of an event, {"column": [old, new]}, of a row of stored_events by this name, as jsonb or as text';

CREATE OR REPLACE VIEW events AS
    SELECT stored_events.event_id, at, actor, source, ticket_id, kind, comment_id,
            -- By a function, whose plans a session keeps: who asks for one ticket's history would plan for longer than they read.
            CASE WHEN kind IN ('created', 'commented') THEN first_told(ticket_id, comment_id, at, stored_events.event_id, changes) ELSE changes END AS changes,
            position, change, undoes, digest, kept_version, kept_updated, kept_closed, kept_more, other_id, other_kept
        FROM stored_events LEFT JOIN places ON places.event_id = stored_events.event_id;
COMMENT ON VIEW events IS 'The history: a row for each change of a ticket, a comment, a link, the workflow, a token or a hook, through whichever door; written by the rules, never changed';
DO $generate$ BEGIN EXECUTE (SELECT string_agg(format('COMMENT ON COLUMN events.%I IS %L', attname,
        coalesce(CASE attname WHEN 'changes' THEN '{"column": [old, new]}; of the workflow {"statuses": [old, new], "transitions": [old, new]}; of a token its name, role, actor and end; of a hook its number and what is not secret' END,
            (SELECT col_description(attrelid, attnum) FROM pg_attribute
                WHERE attrelid IN ('stored_events'::regclass, 'places'::regclass) AND attname = shown.attname AND attnum > 0 ORDER BY attrelid = 'places'::regclass LIMIT 1))), '; ')
    FROM pg_attribute AS shown WHERE attrelid = 'events'::regclass AND attnum > 0 AND NOT attisdropped);
END $generate$;

CREATE OR REPLACE FUNCTION events_instead() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    RAISE object_not_in_prerequisite_state USING MESSAGE = 'what happened is never changed',
        HINT = 'An owner who has to writes to stored_events and places, of which events is made; iris verify will tell.';
END $$;
COMMENT ON FUNCTION events_instead() IS 'Refuses whatever is written to events';

CREATE OR REPLACE TRIGGER events_instead INSTEAD OF INSERT OR UPDATE OR DELETE ON events
    FOR EACH ROW EXECUTE FUNCTION events_instead();

-- WHAT AN EVENT SAYS THAT THE DATABASE KEPT

CREATE OR REPLACE FUNCTION kept_told(event stored_events) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
-- Whoever shows it to somebody sets timezone. As jsonb would have it, but put together as text, which takes a fourth of the time; what is
-- rare is put together as jsonb: times spelt otherwise in somebody's export, what was kept of a comment, what came or went with its ticket.
RETURN CASE WHEN event.kept_more IS NOT NULL OR (event.kept_version IS NULL) <> (event.kept_updated IS NULL)
        OR event.kept_version IS NULL AND event.kept_closed IS NOT NULL THEN
        (coalesce(event.kept_more, '{}')
        || CASE WHEN event.kept_version IS NULL THEN '{}' ELSE jsonb_build_object('version', jsonb_build_array(event.kept_version)) END
        || CASE WHEN event.kept_updated IS NULL THEN '{}' ELSE jsonb_build_object('updated', jsonb_build_array(event.kept_updated)) END
        || CASE WHEN event.kept_closed IS NULL THEN '{}' ELSE jsonb_build_object('closed', jsonb_build_array(event.kept_closed)) END)::text
    WHEN event.kept_version IS NULL THEN '{}'
    ELSE CASE WHEN event.kept_closed IS NOT NULL THEN '{"closed": [' || to_json(event.kept_closed)::text || '], '
            WHEN event.kind = 'changed' THEN '{"closed": [null], ' ELSE '{' END
        || '"updated": [' || to_json(event.kept_updated)::text || '], "version": [' || event.kept_version || ']}' END;
COMMENT ON FUNCTION kept_told(stored_events) IS 'kept(), as text';

CREATE OR REPLACE FUNCTION kept(event stored_events) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE
RETURN kept_told(event)::jsonb;
COMMENT ON FUNCTION kept(stored_events) IS
    'What the database kept of the ticket (and the comment) before an event: {"version": [old], …}, for tickets_as_of(); stored_events.kept is the same';

GRANT EXECUTE ON FUNCTION first_told(bigint, bigint, timestamptz, bigint, jsonb), told_changes(text, regtype), kept_told(stored_events), kept(stored_events) TO iris_reader;
