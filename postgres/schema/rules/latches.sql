-- ONE AT A TIME

INSERT INTO latches VALUES ('undo') ON CONFLICT DO NOTHING;

CREATE OR REPLACE FUNCTION latch(which text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    -- Who waited must see what the one before did: with eyes that are younger than the lock, which
    -- other isolation levels don't have.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE feature_not_supported USING MESSAGE = CASE which
            WHEN 'undo' THEN 'what was done is undone in READ COMMITTED transactions only'
            WHEN 'links' THEN 'links of the kinds blocks and parent are written in READ COMMITTED transactions only'
            ELSE 'the workflow is changed in READ COMMITTED transactions only' END;
    END IF;
    PERFORM FROM latches WHERE name = which FOR UPDATE;
END $$;
COMMENT ON FUNCTION latch(text) IS 'Waits until nobody else holds the latch of this name, and holds it to the end of the transaction';

CREATE OR REPLACE FUNCTION free_holders(patience interval DEFAULT '60 seconds') RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    holder record;
    freed integer := 0;
BEGIN
    -- Who only reads holds up nobody. Superusers know what they do: a migration, an import.
    FOR holder IN
        SELECT session.pid FROM pg_stat_activity AS session JOIN pg_roles ON rolname = session.usename
            WHERE session.datname = current_database() AND session.pid <> pg_backend_pid() AND NOT rolsuper
                AND (session.state LIKE 'idle in transaction%' AND session.state_change < clock_timestamp() - greatest(patience, '10 seconds')
                    OR session.xact_start < clock_timestamp() - 10 * greatest(patience, '10 seconds'))
                AND EXISTS (SELECT FROM pg_locks WHERE pg_locks.pid = session.pid AND granted
                    AND (locktype = 'transactionid' OR locktype = 'relation' AND mode <> 'AccessShareLock')) LOOP
        freed := freed + pg_terminate_backend(holder.pid)::integer;
    END LOOP;
    RETURN freed;
END $$;
COMMENT ON FUNCTION free_holders(interval) IS
    'Ends sessions that keep something locked and have been idle in a transaction for a minute, or in one for ten; gives how many. The service calls it when it has waited in vain';
