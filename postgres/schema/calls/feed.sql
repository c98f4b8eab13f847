-- THE FEED

CREATE OR REPLACE FUNCTION events_after(after bigint, most integer DEFAULT 100)
RETURNS TABLE ("position" bigint, event_id bigint, at timestamptz, actor text, source text, ticket_id bigint,
    kind event_kind, comment_id bigint, changes jsonb)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    IF EXISTS (SELECT FROM events WHERE position IS NULL) AND current_setting('transaction_read_only') = 'off' THEN
        -- Positions are given under a lock and must be committed at once: a transaction that stays
        -- open with them would hold up everybody else's feed. In a transaction of its own, a
        -- statement begins when its transaction does.
        IF statement_timestamp() = transaction_timestamp() AND current_setting('transaction_isolation') = 'read committed' THEN
            PERFORM pg_advisory_xact_lock(hashtext('iris feed'));
            -- A statement of its own, whose eyes are younger than the lock. What commits later
            -- gets a later position; in portions, so that no reader waits for a million.
            WITH last AS (SELECT coalesce(max(position), 0) AS position FROM events WHERE position IS NOT NULL),
            fresh AS (SELECT ticket_id, event_id, row_number() OVER (ORDER BY event_id) AS place
                FROM (SELECT ticket_id, event_id FROM events WHERE position IS NULL ORDER BY event_id LIMIT 5000) AS portion)
            UPDATE events SET position = last.position + fresh.place
                FROM fresh, last WHERE events.ticket_id = fresh.ticket_id AND events.event_id = fresh.event_id;
        ELSE
            RAISE WARNING 'there are events without a position yet, which is given outside of transaction blocks only';
        END IF;
    END IF;
    RETURN QUERY SELECT position, event_id, at, actor, source, ticket_id, kind, comment_id, changes
        FROM events WHERE position > after ORDER BY position LIMIT most;
END $$;
COMMENT ON FUNCTION events_after(bigint, integer) IS
    'The feed: every event exactly once, in one order, however transactions overlap; keep the last position, and ask again from there';
