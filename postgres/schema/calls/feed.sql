-- THE FEED

DO $generate$ BEGIN EXECUTE replace($function$
CREATE OR REPLACE FUNCTION events_after(after bigint, most integer DEFAULT 100)
RETURNS TABLE ("position" bigint, event_id bigint, at timestamptz, actor text, source text, ticket_id bigint,
    kind event_kind, comment_id bigint, changes jsonb, change bigint, undoes bigint, digest bytea)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
SET lock_timeout = '500ms'
-- Whatever is asked for, it is read by the same index; to plan took longer than to give one event its place.
SET plan_cache_mode = 'force_generic_plan'
AS $$
#variable_conflict use_column
DECLARE
    mine boolean;
BEGIN
    IF current_setting('transaction_read_only') = 'off' AND is_waiting() THEN
        -- Positions are given by one at a time and must be committed at once: a transaction that stays
        -- open with them would hold up everybody else's. In a transaction of its own, a statement
        -- begins when its transaction does.
        IF statement_timestamp() = transaction_timestamp() AND current_setting('transaction_isolation') = 'read committed' THEN
            PERFORM FROM latches WHERE name = 'feed' FOR UPDATE SKIP LOCKED;
            mine := FOUND;
            IF NOT mine THEN
                -- Who gives them just now is done in a moment. Who is not only looks like one
                -- statement, and is not waited for: what has a position is read without them.
                BEGIN
                    PERFORM FROM latches WHERE name = 'feed' FOR UPDATE;
                    mine := true;
                EXCEPTION WHEN lock_not_available THEN
                    PERFORM free_feed();
                END;
            END IF;
            IF mine THEN
                -- A statement of its own, whose eyes are younger than the lock. What commits later
                -- gets a later position; in portions, so that no reader waits for a million.
                PERFORM place_events(5000);
            END IF;
        ELSE
            RAISE WARNING 'there are events without a position yet, which is given outside of transaction blocks only';
        END IF;
    END IF;
    RETURN QUERY SELECT position, stored_events.event_id, at, actor, source, ticket_id, kind, comment_id, {changes}, change, undoes, digest
        FROM places JOIN stored_events USING (event_id) WHERE position > after ORDER BY position LIMIT most;
END $$;
$function$, '{changes}', told_changes('stored_events'));
END $generate$;
COMMENT ON FUNCTION events_after(bigint, integer) IS
    'The feed: every event exactly once, in one order, however transactions overlap; keep the last position, and ask again from there';

CREATE OR REPLACE FUNCTION free_feed() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    -- A statement that gives positions takes milliseconds: in its transaction for five seconds is
    -- somebody who has wrapped it up to look like one.
    PERFORM pg_terminate_backend(session.pid) FROM latches
        JOIN pg_locks ON locktype = 'transactionid' AND transactionid = latches.xmax AND granted AND mode = 'ExclusiveLock'
        JOIN pg_stat_activity AS session ON session.pid = pg_locks.pid JOIN pg_roles ON rolname = session.usename
        WHERE latches.name = 'feed' AND session.pid <> pg_backend_pid() AND NOT rolsuper
            AND session.xact_start < clock_timestamp() - interval '5 seconds';
EXCEPTION WHEN insufficient_privilege THEN
    -- An owner that is no superuser may end nobody's session: their own time limits remain.
    RETURN;
END $$;
COMMENT ON FUNCTION free_feed() IS 'Ends the session that keeps everybody else from giving positions; a part of events_after()';
