-- WHAT CHANGED

CREATE OR REPLACE FUNCTION changes_between(since timestamptz, until timestamptz DEFAULT now())
RETURNS TABLE (ticket_id bigint, title text, kind event_kind, changes jsonb, comments bigint, links jsonb, actors text[], last timestamptz)
LANGUAGE sql STABLE
BEGIN ATOMIC
    -- What was first, and what is last, of each thing that something happened to in between: what is the same in the end did not change.
    WITH happened AS MATERIALIZED (
        SELECT events.ticket_id, events.event_id, events.at, events.actor, events.kind, events.comment_id, events.changes, events.other_id FROM events
            WHERE events.at > changes_between.since AND events.at <= changes_between.until AND events.ticket_id IS NOT NULL),
    -- Both ends show a link.
    shown AS (
        SELECT happened.ticket_id, happened.at, happened.actor FROM happened
        UNION ALL
        SELECT happened.other_id, happened.at, happened.actor FROM happened WHERE happened.other_id IS NOT NULL),
    touched AS (
        SELECT shown.ticket_id, array_agg(DISTINCT shown.actor ORDER BY shown.actor) AS actors, max(shown.at) AS last
            FROM shown GROUP BY shown.ticket_id),
    columns AS (
        SELECT first.ticket_id, jsonb_object_agg(first.key, jsonb_build_array(first.was, first.now))
                    -- What is closed follows the status, which tells it. It stands in history by itself where a status was declared closed, or open.
                    FILTER (WHERE first.was <> first.now AND NOT (first.key = 'closed' AND first.moved)) AS changes,
                max(first.was #>> '{}') FILTER (WHERE first.key = 'title') AS title_then, max(first.now #>> '{}') FILTER (WHERE first.key = 'title') AS title_now
            FROM (SELECT happened.ticket_id, item.key, bool_or(item.key = 'status') OVER (PARTITION BY happened.ticket_id) AS moved,
                    (array_agg(item.value -> 0 ORDER BY happened.at, happened.event_id))[1] AS was,
                    (array_agg(item.value -> 1 ORDER BY happened.at DESC, happened.event_id DESC))[1] AS now
                FROM happened CROSS JOIN LATERAL jsonb_each(happened.changes) AS item
                WHERE happened.kind IN ('created', 'changed', 'deleted') GROUP BY happened.ticket_id, item.key) AS first
            GROUP BY first.ticket_id),
    lives AS (
        SELECT happened.ticket_id, (array_agg(happened.kind ORDER BY happened.at, happened.event_id))[1] <> 'created' AS was_there,
                (array_agg(happened.kind ORDER BY happened.at DESC, happened.event_id DESC))[1] <> 'deleted' AS is_there
            FROM happened WHERE happened.kind IN ('created', 'deleted') GROUP BY happened.ticket_id),
    remarks AS (
        SELECT said.ticket_id, sum(said.is_there::integer - said.was_there::integer) AS more, bool_or(said.was IS DISTINCT FROM said.now) AS differ
            FROM (SELECT happened.ticket_id, (array_agg(happened.kind ORDER BY happened.at, happened.event_id))[1] <> 'commented' AS was_there,
                    (array_agg(happened.kind ORDER BY happened.at DESC, happened.event_id DESC))[1] <> 'comment_deleted' AS is_there,
                    (array_agg(happened.changes -> 'body' -> 0 ORDER BY happened.at, happened.event_id))[1] AS was,
                    (array_agg(happened.changes -> 'body' -> 1 ORDER BY happened.at DESC, happened.event_id DESC))[1] AS now
                FROM happened WHERE happened.comment_id IS NOT NULL GROUP BY happened.ticket_id, happened.comment_id) AS said
            GROUP BY said.ticket_id),
    ties AS (
        SELECT made.ticket_id, made.kind, made.other_id, made.is_there
            FROM (SELECT happened.ticket_id, coalesce(happened.changes -> 'kind' ->> 1, happened.changes -> 'kind' ->> 0) AS kind, happened.other_id,
                    (array_agg(happened.kind ORDER BY happened.at, happened.event_id))[1] <> 'linked' AS was_there,
                    (array_agg(happened.kind ORDER BY happened.at DESC, happened.event_id DESC))[1] <> 'unlinked' AS is_there
                FROM happened WHERE happened.other_id IS NOT NULL GROUP BY 1, 2, 3) AS made
            WHERE made.was_there <> made.is_there),
    tied AS (
        SELECT ends.ticket_id, jsonb_build_object(
                'added', coalesce(jsonb_agg(ends.link ORDER BY ends.link) FILTER (WHERE ends.is_there), '[]'),
                'removed', coalesce(jsonb_agg(ends.link ORDER BY ends.link) FILTER (WHERE NOT ends.is_there), '[]')) AS links
            FROM (SELECT end_.ticket_id, ties.is_there, jsonb_build_object('ticket_id', ties.ticket_id, 'kind', ties.kind, 'other_id', ties.other_id) AS link
                FROM ties CROSS JOIN LATERAL unnest(ARRAY[ties.ticket_id, ties.other_id]) AS end_(ticket_id)) AS ends
            GROUP BY ends.ticket_id)
    SELECT touched.ticket_id,
            coalesce(columns.title_now, columns.title_then,
                (SELECT later.changes -> 'title' ->> 0 FROM stored_events AS later WHERE later.ticket_id = touched.ticket_id
                    AND later.at > changes_between.until AND later.changes ? 'title' ORDER BY later.at, later.event_id LIMIT 1),
                tickets.title),
            CASE WHEN coalesce(lives.was_there, true) = coalesce(lives.is_there, true) THEN 'changed'
                WHEN lives.is_there THEN 'created' ELSE 'deleted' END::event_kind,
            coalesce(columns.changes, '{}'), coalesce(remarks.more, 0), coalesce(tied.links, '{"added": [], "removed": []}'),
            touched.actors, touched.last
        FROM touched LEFT JOIN columns ON columns.ticket_id = touched.ticket_id LEFT JOIN lives ON lives.ticket_id = touched.ticket_id
            LEFT JOIN remarks ON remarks.ticket_id = touched.ticket_id LEFT JOIN tied ON tied.ticket_id = touched.ticket_id
            LEFT JOIN tickets ON tickets.ticket_id = touched.ticket_id
        WHERE (coalesce(lives.was_there, true) OR coalesce(lives.is_there, true))
            AND (lives.was_there <> lives.is_there OR columns.changes IS NOT NULL OR remarks.differ OR tied.links IS NOT NULL);
END;
COMMENT ON FUNCTION changes_between(timestamptz, timestamptz) IS
    'A row for each ticket that differs between two moments: what it is that differs, {"column": [then, now]}, how many more comments, which links, who, and when last';
