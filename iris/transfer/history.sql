-- What of a history does not fit what is there, if anything: the number of an event or the row that shows it,
-- and why. To live through the history once more has to give the present; and going back from there, the past.
-- %%(kept)s are the columns that only the database writes, %%(defaults)s is what columns have that were added after a ticket was last changed: {"column": value}.

-- What each event says of each column of its ticket, its comment, or the workflow, and what was said of that before.
WITH told AS MATERIALIZED (
    SELECT event_id, ticket_id, comment_id, kind, key, old, new,
        lag(new) OVER alike AS before, lead(event_id) OVER alike IS NULL AS is_last
        FROM (SELECT event_id, at, ticket_id, comment_id, kind, key,
                -- A time is the same one in any time zone.
                CASE WHEN is_time AND value -> 0 <> 'null' THEN to_jsonb(pg_temp.moment(value ->> 0)) ELSE value -> 0 END AS old,
                CASE WHEN is_time AND value -> 1 <> 'null' THEN to_jsonb(pg_temp.moment(value ->> 1)) ELSE value -> 1 END AS new
            FROM events CROSS JOIN jsonb_each(changes)
            CROSS JOIN LATERAL (SELECT key = ANY (ARRAY(SELECT attname::text FROM pg_attribute
                WHERE attrelid = 'tickets'::regclass AND atttypid = 'timestamptz'::regtype)) AS is_time) AS typed
            WHERE other_id IS NULL AND kind NOT IN ('token_added', 'token_revoked', 'hook_added', 'hook_changed', 'hook_removed')) AS said
        WINDOW alike AS (PARTITION BY ticket_id, comment_id, key ORDER BY at, event_id)),
last AS MATERIALIZED (
    SELECT ticket_id, comment_id, jsonb_object_agg(key, new) AS told, max(event_id) AS event_id
        FROM told WHERE is_last GROUP BY ticket_id, comment_id),
nothing AS (
    SELECT jsonb_object_agg(attname, NULL) AS told FROM pg_attribute
        WHERE attrelid = 'tickets'::regclass AND attnum > 0 AND NOT attisdropped),
-- Each event that counted a version of a ticket on; those of one statement share what was before.
counted AS MATERIALIZED (
    SELECT ticket_id, event_id, at, kind, is_migrated, version, updated,
        row_number() OVER mine AS turn, count(*) OVER (PARTITION BY ticket_id) AS times,
        lag(at) OVER mine AS at_before, lag(version) OVER mine AS version_before, lag(kind) OVER mine AS kind_before,
        first_value(kind) OVER mine AS first_kind, first_value(at) OVER mine AS first_at,
        bool_or(is_migrated) OVER (PARTITION BY ticket_id) AS has_migrated
        FROM (
            SELECT ticket_id, event_id, at, kind, kind = 'created' AND source = 'migration' AS is_migrated,
                (events.kept -> 'version' ->> 0)::bigint AS version, (events.kept -> 'updated' ->> 0)::timestamptz AS updated
                FROM stored_events AS events WHERE kind = 'created' OR events.kept ? 'version'
            UNION ALL
            SELECT other_id, event_id, at, kind, false, (other_kept -> 'version' ->> 0)::bigint, (other_kept -> 'updated' ->> 0)::timestamptz
                FROM events WHERE other_kept ? 'version') AS ends
        WINDOW mine AS (PARTITION BY ticket_id ORDER BY at, event_id)),
-- What of a ticket's version its history does not tell: nothing, unless it is older than its history.
untold AS MATERIALIZED (
    SELECT counted.ticket_id, coalesce(tickets.version, counted.version + 1) - times AS versions, has_migrated, event_id
        FROM counted LEFT JOIN tickets USING (ticket_id) WHERE turn = times),
-- Each link, as it came and went.
linked AS MATERIALIZED (
    SELECT event_id, ticket_id, other_id, coalesce(changes -> 'kind' ->> 1, changes -> 'kind' ->> 0) AS link, kind,
        lag(kind) OVER alike AS before, lead(kind) OVER alike IS NULL AS is_last
        FROM events WHERE other_id IS NOT NULL
        WINDOW alike AS (PARTITION BY ticket_id, other_id, coalesce(changes -> 'kind' ->> 1, changes -> 'kind' ->> 0) ORDER BY at, event_id))

SELECT 'events' AS name, jsonb_build_object('event_id', event_id) AS row,
    format('%%s was not %%s before', key, coalesce(old, 'null')) AS words
    FROM told WHERE coalesce(before, 'null') <> old
        -- What a workflow was before its history began, and what a column had before it was first changed.
        AND (before IS NOT NULL OR kind = 'created'
            OR (ticket_id IS NOT NULL AND old IS DISTINCT FROM %(defaults)s::jsonb -> key))
UNION ALL
SELECT 'events', jsonb_build_object('event_id', event_id), format('there is no column "%%s"', key)
    FROM told WHERE ticket_id IS NOT NULL AND (CASE WHEN comment_id IS NULL THEN 'tickets' ELSE 'comments' END, key) NOT IN (
        SELECT attrelid::regclass::text, attname::text FROM pg_attribute
            WHERE attrelid IN ('tickets'::regclass, 'comments'::regclass) AND attnum > 0 AND NOT attisdropped)
UNION ALL
SELECT 'tickets', jsonb_build_object('ticket_id', tickets.ticket_id), 'it has no history'
    FROM tickets WHERE NOT EXISTS (SELECT FROM events WHERE events.ticket_id = tickets.ticket_id AND kind = 'created')
UNION ALL
SELECT 'tickets', jsonb_build_object('ticket_id', ticket_id), format('%%s is not what its history ends with', wrong.key)
    FROM (SELECT ticket_id, to_jsonb(tickets) - %(kept)s AS row, coalesce(last.told, '{}') - %(kept)s AS told
        FROM tickets LEFT JOIN last USING (ticket_id) WHERE comment_id IS NULL) AS pairs
    CROSS JOIN nothing
    CROSS JOIN LATERAL (SELECT key FROM jsonb_each(row) WHERE value IS DISTINCT FROM coalesce(pairs.told -> key,
            CASE WHEN value = %(defaults)s::jsonb -> key THEN value ELSE 'null' END) LIMIT 1) AS wrong
    WHERE row <> (nothing.told - %(kept)s) || pairs.told
UNION ALL
SELECT 'comments', jsonb_build_object('comment_id', comments.comment_id), 'its history does not end with it'
    FROM comments LEFT JOIN last USING (ticket_id, comment_id)
    WHERE NOT coalesce(to_jsonb(comments) @> last.told, false)
UNION ALL
SELECT 'events', jsonb_build_object('event_id', event_id), 'what is gone, or never was, is there in its history'
    FROM last WHERE ticket_id IS NOT NULL AND jsonb_strip_nulls(told) <> '{}' AND CASE WHEN comment_id IS NULL
        THEN NOT EXISTS (SELECT FROM tickets WHERE tickets.ticket_id = last.ticket_id)
        ELSE NOT EXISTS (SELECT FROM comments WHERE comments.ticket_id = last.ticket_id AND comments.comment_id = last.comment_id) END
UNION ALL
SELECT 'events', jsonb_build_object('event_id', event_id), 'the workflow is not what its history ends with'
    FROM last WHERE ticket_id IS NULL
        AND EXISTS (SELECT FROM jsonb_each(told) WHERE value IS DISTINCT FROM workflow()::jsonb -> key)
UNION ALL
SELECT 'events', jsonb_build_object('event_id', event_id), 'it comes after the end of its ticket or comment, or before its beginning'
    FROM (SELECT event_id, kind, row_number() OVER life AS turn, lag(kind) OVER life AS before
        FROM events WHERE ticket_id IS NOT NULL AND other_id IS NULL
        WINDOW life AS (PARTITION BY ticket_id, comment_id ORDER BY at, event_id)) AS lives
    -- Only what was deleted begins once more.
    WHERE (kind IN ('created', 'commented')) <> (turn = 1 OR before IN ('deleted', 'comment_deleted'))
UNION ALL
SELECT 'events', jsonb_build_object('event_id', event_id), 'the ticket''s version was another before'
    FROM counted JOIN untold USING (ticket_id, event_id) WHERE untold.versions < 0 OR (untold.versions > 0 AND NOT untold.has_migrated)
UNION ALL
SELECT 'events', jsonb_build_object('event_id', counted.event_id), 'the ticket''s version was another before'
    FROM counted JOIN untold USING (ticket_id)
    WHERE CASE WHEN turn = 1 THEN counted.kind <> 'created' OR counted.version IS NOT NULL
        ELSE counted.version IS DISTINCT FROM turn - 1 + untold.versions
            AND NOT (counted.version = version_before AND at = at_before AND counted.kind = kind_before AND counted.kind IN ('linked', 'unlinked')) END
UNION ALL
SELECT 'events', jsonb_build_object('event_id', event_id), 'it comes after the ticket''s next one, or before its last one'
    FROM counted WHERE turn > 1 AND NOT (at_before < at AND updated BETWEEN at_before AND at)
        AND NOT (version = version_before AND at = at_before AND updated <= at)
UNION ALL
SELECT 'tickets', jsonb_build_object('ticket_id', ticket_id), 'created and updated are not those of its history'
    FROM counted JOIN tickets USING (ticket_id) WHERE turn = times AND (tickets.updated < at OR tickets.created <> first_at)
UNION ALL
SELECT 'comments', jsonb_build_object('comment_id', comment_id), 'created and updated are not those of its history'
    FROM comments JOIN events USING (ticket_id, comment_id) WHERE kind = 'commented' AND comments.created > at
UNION ALL
SELECT 'events', jsonb_build_object('event_id', event_id), 'there is, or was, no such link'
    FROM linked WHERE link IS NULL OR (kind = 'linked') = (coalesce(before, 'unlinked') = 'linked')
        OR (is_last AND (kind = 'linked') <> EXISTS (SELECT FROM links WHERE links.ticket_id = linked.ticket_id
            AND links.other_id = linked.other_id AND links.kind::text = linked.link))
UNION ALL
SELECT 'links', to_jsonb(links), 'it has no history'
    FROM links WHERE NOT EXISTS (SELECT FROM linked WHERE links.ticket_id = linked.ticket_id
            AND links.other_id = linked.other_id AND links.kind::text = linked.link)
UNION ALL
SELECT 'events', jsonb_build_object('event_id', event_id), 'it undoes what was not there before'
    FROM events WHERE undoes IS NOT NULL AND NOT EXISTS (SELECT FROM events AS undone WHERE undone.event_id = events.undoes
        AND undone.event_id < events.event_id AND undone.ticket_id IS NOT DISTINCT FROM events.ticket_id)
UNION ALL
SELECT 'comments', jsonb_build_object('comment_id', comment_id, 'ticket_id', max(ticket_id)), 'another comment has the same number'
    FROM comments GROUP BY comment_id HAVING count(*) > 1
UNION ALL
SELECT 'events', jsonb_build_object('event_id', event_id), 'positions must count from 1 and leave out none'
    FROM (SELECT event_id, position, row_number() OVER (ORDER BY position, event_id) AS place FROM places) AS feed
    WHERE position <> place
LIMIT 1
