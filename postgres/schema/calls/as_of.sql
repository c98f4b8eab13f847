-- TIME TRAVEL

-- The next give what there was at some moment. Each is one plain SELECT, which PostgreSQL
-- takes into the query around it, so that conditions reach the indexes. What happened to one ticket is
-- undone in the order of its times, which are in the order of its versions: numbers of events are not,
-- where one statement did several things.

DO $generate$ BEGIN EXECUTE replace($function$
CREATE OR REPLACE FUNCTION tickets_touched_since(moment timestamptz) RETURNS SETOF tickets
LANGUAGE sql STABLE
BEGIN ATOMIC
    -- Touched or deleted since: what is there now, if anything, with the first old value since of
    -- each column laid over it.
    -- (touched.ticket_id, not was.ticket_id, so that a condition on it reaches the index)
    SELECT {columns}
        FROM (SELECT tickets.ticket_id FROM tickets WHERE tickets.updated > tickets_touched_since.moment AND tickets.created <= tickets_touched_since.moment
            -- Once, though it may have been deleted and brought back.
            UNION
            -- What was filed since, too, need not be put together to see that it was not there.
            SELECT events.ticket_id FROM stored_events AS events
                WHERE events.kind = 'deleted' AND events.at > tickets_touched_since.moment
                    AND coalesce((events.kept_more -> 'created' ->> 0)::timestamptz <= tickets_touched_since.moment, true)) AS touched
        LEFT JOIN tickets ON tickets.ticket_id = touched.ticket_id
        CROSS JOIN LATERAL (
            SELECT coalesce(jsonb_object_agg(first.key, first.value -> 0), '{}') AS old
                FROM (SELECT DISTINCT ON (item.key) item.key, item.value
                    FROM (SELECT events.event_id, events.at, events.changes || events.kept AS old FROM stored_events AS events
                            WHERE events.ticket_id = touched.ticket_id AND events.at > tickets_touched_since.moment
                        UNION ALL
                        SELECT events.event_id, events.at, events.other_kept FROM stored_events AS events
                            WHERE events.other_id = touched.ticket_id AND events.at > tickets_touched_since.moment) AS since
                    CROSS JOIN LATERAL jsonb_each(since.old) AS item
                    ORDER BY item.key, since.at, since.event_id) AS first) AS undone
        CROSS JOIN LATERAL jsonb_populate_record(tickets, undone.old) AS was
        WHERE was.created <= tickets_touched_since.moment;
END;
$function$, '{columns}', (SELECT string_agg(format(CASE WHEN attname IN ('ticket_id') THEN 'touched.%I' ELSE 'was.%I' END, attname), ', ' ORDER BY attnum)
    FROM pg_attribute WHERE attrelid = 'tickets'::regclass AND attnum > 0 AND NOT attisdropped));
END $generate$;
COMMENT ON FUNCTION tickets_touched_since(timestamptz) IS 'The tickets that were touched or deleted since some moment, as they were then; a part of tickets_as_of()';

DO $generate$ BEGIN EXECUTE replace($function$
CREATE OR REPLACE FUNCTION comments_touched_since(moment timestamptz) RETURNS SETOF comments
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT {columns}
        FROM (SELECT comments.ticket_id, comments.comment_id FROM comments WHERE comments.updated > comments_touched_since.moment AND comments.created <= comments_touched_since.moment
                -- What follows from both, but PostgreSQL does not see it, and so which index has these.
                AND comments.updated > comments.created
            UNION
            SELECT events.ticket_id, events.comment_id FROM stored_events AS events
                WHERE events.kind = 'comment_deleted' AND events.at > comments_touched_since.moment
                    AND coalesce((events.kept_more -> 'comment' -> 'created' ->> 0)::timestamptz <= comments_touched_since.moment, true)) AS touched
        -- One by one: how few are edited, the planner does not know.
        LEFT JOIN LATERAL (SELECT comments AS row FROM comments
            WHERE comments.ticket_id = touched.ticket_id AND comments.comment_id = touched.comment_id LIMIT 1) AS present ON true
        CROSS JOIN LATERAL (
            SELECT coalesce(jsonb_object_agg(first.key, first.value -> 0), '{}') AS old
                FROM (SELECT DISTINCT ON (item.key) item.key, item.value
                    FROM stored_events AS events CROSS JOIN LATERAL jsonb_each(events.changes || coalesce(events.kept_more -> 'comment', '{}')) AS item
                    WHERE events.ticket_id = touched.ticket_id AND events.comment_id = touched.comment_id AND events.at > comments_touched_since.moment
                    ORDER BY item.key, events.at, events.event_id) AS first) AS undone
        CROSS JOIN LATERAL jsonb_populate_record(present.row, undone.old) AS was
        WHERE was.created <= comments_touched_since.moment;
END;
$function$, '{columns}', (SELECT string_agg(format(CASE WHEN attname IN ('ticket_id', 'comment_id') THEN 'touched.%I' ELSE 'was.%I' END, attname), ', ' ORDER BY attnum)
    FROM pg_attribute WHERE attrelid = 'comments'::regclass AND attnum > 0 AND NOT attisdropped));
END $generate$;
COMMENT ON FUNCTION comments_touched_since(timestamptz) IS 'The comments that were touched or deleted since some moment, as they were then; a part of comments_as_of()';

CREATE OR REPLACE FUNCTION comments_as_of(moment timestamptz) RETURNS SETOF comments
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT comments.* FROM comments WHERE comments.updated <= comments_as_of.moment
    UNION ALL
    SELECT * FROM comments_touched_since(comments_as_of.moment);
END;
COMMENT ON FUNCTION comments_as_of(timestamptz) IS 'The comments as they were at some moment, deleted ones included';

CREATE OR REPLACE FUNCTION links_as_of(moment timestamptz) RETURNS SETOF links
LANGUAGE sql STABLE
BEGIN ATOMIC
    -- There now, and not made since.
    SELECT links.* FROM links
        WHERE NOT EXISTS (SELECT FROM stored_events AS events WHERE events.ticket_id = links.ticket_id AND events.other_id = links.other_id
            AND events.at > links_as_of.moment AND events.kind = 'linked' AND events.changes -> 'kind' ->> 1 = links.kind::text)
    UNION ALL
    -- Unlinked since, with nothing before that since.
    SELECT gone.ticket_id, (gone.changes -> 'kind' ->> 0)::link_kind, gone.other_id FROM stored_events AS gone
        WHERE gone.kind = 'unlinked' AND gone.other_id IS NOT NULL AND gone.at > links_as_of.moment
            AND NOT EXISTS (SELECT FROM stored_events AS events WHERE events.ticket_id = gone.ticket_id AND events.other_id = gone.other_id
                AND events.at > links_as_of.moment AND (events.at, events.event_id) < (gone.at, gone.event_id)
                AND events.kind IN ('linked', 'unlinked')
                AND coalesce(events.changes -> 'kind' ->> 0, events.changes -> 'kind' ->> 1) = gone.changes -> 'kind' ->> 0);
END;
COMMENT ON FUNCTION links_as_of(timestamptz) IS 'The links as they were at some moment, those of deleted tickets included';

CREATE OR REPLACE FUNCTION workflow_as_of(moment timestamptz) RETURNS json
LANGUAGE sql STABLE
RETURN (workflow()::jsonb || coalesce((
    SELECT jsonb_object_agg(first.key, first.value -> 0)
        FROM (SELECT DISTINCT ON (item.key) item.key, item.value
            FROM stored_events AS events CROSS JOIN LATERAL jsonb_each(events.changes) AS item
            WHERE events.ticket_id IS NULL AND events.kind::text = 'workflow_changed' AND events.at > workflow_as_of.moment
            ORDER BY item.key, events.at, events.event_id) AS first), '{}'))::json;
COMMENT ON FUNCTION workflow_as_of(timestamptz) IS 'The workflow as it was at some moment, as one document';

CREATE OR REPLACE FUNCTION are_statuses(names text[], moment timestamptz DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    known text[] := ARRAY(SELECT status FROM statuses);
    absent text;
BEGIN
    IF names <@ known THEN
        RETURN true;
    END IF;
    known := ARRAY(SELECT status FROM statuses ORDER BY position);
    IF moment IS NOT NULL THEN
        known := known || ARRAY(SELECT item ->> 'status' FROM json_array_elements(workflow_as_of(moment) -> 'statuses') AS item
            WHERE item ->> 'status' <> ALL (known));
    END IF;
    IF NOT names <@ known THEN
        SELECT name INTO absent FROM unnest(names) AS name WHERE name <> ALL (known) LIMIT 1;
        RAISE foreign_key_violation USING MESSAGE = format('there is no status "%s"', absent),
            HINT = 'The workflow has: ' || array_to_string(known, ', '), CONSTRAINT = 'tickets_status_fkey', COLUMN = 'status',
            DATATYPE = json_build_object('allowed', known)::text;
    END IF;
    RETURN true;
END $$;
COMMENT ON FUNCTION are_statuses(text[], timestamptz) IS
    'Whether all of these are statuses, or were at some moment: true, or refused in words, like a priority that there is not';
