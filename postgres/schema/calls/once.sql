-- SAFE TO REPEAT
-- What is kept holds what others were answered, so nobody reads the table: everybody has these two, which know
-- the keys of whoever acts and no others.

CREATE OR REPLACE FUNCTION kept_answer(the_key text, the_request text) RETURNS TABLE (answer json)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    earlier replays;
BEGIN
    DELETE FROM replays WHERE (replays.actor, replays.key) IN (
        SELECT old.actor, old.key FROM replays AS old WHERE old.created < now() - interval '25 hours'
            LIMIT 100 FOR UPDATE SKIP LOCKED);
    -- Who comes second waits here for the first one's end.
    INSERT INTO replays (actor, key, request) VALUES (actor(), the_key, the_request)
        ON CONFLICT ON CONSTRAINT replays_pkey DO NOTHING;
    IF FOUND THEN
        RETURN;
    END IF;
    -- Locked, for by that the transaction has written: the first one may have written what no standby has yet, and
    -- who only reads would not wait for one at the end.
    SELECT * INTO earlier FROM replays WHERE replays.actor = actor() AND replays.key = the_key FOR NO KEY UPDATE;
    IF earlier.request <> the_request THEN
        RAISE SQLSTATE 'IR005' USING MESSAGE = 'this Idempotency-Key was used for another request',
            HINT = 'Make a new key for each new request.';
    END IF;
    answer := earlier.answer;
    RETURN NEXT;
END $$;
COMMENT ON FUNCTION kept_answer(text, text) IS
    'The answer that is kept under a key of whoever acts; no row where there is none, and the key is taken; a part of once()';

CREATE OR REPLACE FUNCTION keep_answer(the_key text, the_answer json) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF the_answer IS NULL THEN
        -- Nothing was there to be written to: as if it had not been tried.
        DELETE FROM replays WHERE replays.actor = actor() AND replays.key = the_key;
    ELSE
        UPDATE replays SET answer = the_answer WHERE replays.actor = actor() AND replays.key = the_key;
    END IF;
END $$;
COMMENT ON FUNCTION keep_answer(text, json) IS
    'Keeps an answer under a key of whoever acts, or forgets the key; a part of once()';

CREATE OR REPLACE FUNCTION once(the_key text, the_request text, write text) RETURNS TABLE (answer json, replayed boolean)
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
-- Runs as the caller, who could run the write as well without this.
AS $$
DECLARE
    written record;
    rows integer;
BEGIN
    SELECT kept.answer INTO answer FROM kept_answer(the_key, the_request) AS kept;
    replayed := FOUND;
    IF NOT replayed THEN
        EXECUTE write INTO written;
        GET DIAGNOSTICS rows = ROW_COUNT;
        answer := CASE WHEN rows > 0 THEN row_to_json(written) END;
        PERFORM keep_answer(the_key, answer);
    END IF;
    RETURN NEXT;
END $$;
COMMENT ON FUNCTION once(text, text, text) IS
    'Runs a write in the transaction that keeps its answer, or gives the answer that is kept';
