-- SAFE TO REPEAT

CREATE OR REPLACE FUNCTION once(the_key text, the_request text, write text) RETURNS TABLE (answer json, replayed boolean)
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
-- Runs as the caller, who could run the write as well without this.
AS $$
DECLARE
    earlier replays;
    written record;
    rows integer;
BEGIN
    DELETE FROM replays WHERE (replays.actor, replays.key) IN (
        SELECT old.actor, old.key FROM replays AS old WHERE old.created < now() - interval '25 hours'
            LIMIT 100 FOR UPDATE SKIP LOCKED);
    -- Who comes second waits here for the first one's end.
    INSERT INTO replays (actor, key, request) VALUES (actor(), the_key, the_request)
        ON CONFLICT ON CONSTRAINT replays_pkey DO NOTHING;
    IF NOT FOUND THEN
        SELECT * INTO earlier FROM replays WHERE replays.actor = actor() AND replays.key = the_key;
        IF earlier.request <> the_request THEN
            RAISE SQLSTATE 'IR005' USING MESSAGE = 'this Idempotency-Key was used for another request',
                HINT = 'Make a new key for each new request.';
        END IF;
        RETURN QUERY SELECT earlier.answer, true;
        RETURN;
    END IF;
    EXECUTE write INTO written;
    GET DIAGNOSTICS rows = ROW_COUNT;
    IF rows = 0 THEN
        -- Nothing was there to be written to: as if it had not been tried.
        DELETE FROM replays WHERE replays.actor = actor() AND replays.key = the_key;
    ELSE
        answer := row_to_json(written);
        UPDATE replays SET answer = once.answer WHERE replays.actor = actor() AND replays.key = the_key;
    END IF;
    replayed := false;
    RETURN NEXT;
END $$;
COMMENT ON FUNCTION once(text, text, text) IS
    'Runs a write in the transaction that keeps its answer, or gives the answer that is kept';
