-- PROOF: nobody, the owner included, can rewrite the past unseen

CREATE OR REPLACE FUNCTION escaped(line text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    -- A regular expression takes its time, and there are hardly any of these.
    IF strpos(line, E'\u007f') > 0 OR octet_length(line) <> char_length(line) AND line ~ E'[\\u0080-\\u009f]' THEN
        FOR code IN 127..159 LOOP
            line := replace(line, chr(code), E'\\u00' || to_hex(code));
        END LOOP;
    END IF;
    RETURN line;
END $$;
COMMENT ON FUNCTION escaped(text) IS 'JSON without the control characters that JSON leaves as they are and terminals obey; it says the same';

CREATE OR REPLACE FUNCTION contents(event stored_events, "position" bigint, changes jsonb) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
-- Whoever calls this sets timezone, once for many events.
RETURN row_to_json(ROW(event.event_id, event.at, event.actor, event.source, event.ticket_id, event.kind, event.comment_id,
    contents.changes, "position", kept_told(event)::json, event.other_id, coalesce(event.other_kept, '{}'), event.change, event.undoes)::event_contents)::text;
COMMENT ON FUNCTION contents(stored_events, bigint, jsonb) IS 'What of an event at a position, with changes as events has them, its digest covers, as an export has it where timezone is UTC, but not escaped()';

CREATE OR REPLACE FUNCTION exported(event stored_events, changes jsonb) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN left(contents(event, event.position, changes), -1) || ',"digest":' || coalesce(to_json(event.digest)::text, 'null') || '}';
COMMENT ON FUNCTION exported(stored_events, jsonb) IS 'An event, with changes as events has them, as an export has it where timezone is UTC, but not escaped(): its contents, and the digest behind them';

DO $generate$ BEGIN EXECUTE replace($function$
CREATE OR REPLACE FUNCTION place_events(most integer) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
SET timezone = 'UTC'
AS $$
#variable_conflict use_column
DECLARE
    last bigint;
    before text;
    id tid;
    line text;
    bytes bytea;
    made bytea;
    ids tid[] := '{}';
    digests bytea[] := '{}';
    given bigint;
BEGIN
    SELECT position, encode(digest, 'hex') INTO last, before FROM stored_events WHERE position IS NOT NULL ORDER BY position DESC LIMIT 1;
    last := coalesce(last, 0);
    before := coalesce(before, '');
    FOR id, line IN SELECT ctid, contents(stored_events, last + row_number() OVER (ORDER BY event_id), {changes})
            FROM stored_events WHERE position IS NULL ORDER BY event_id LIMIT most LOOP
        bytes := convert_to(before || line, 'UTF8');
        -- What is to be escaped is U+007F, or begins with C2: found at once, without counting characters.
        IF strpos(line, E'\u007f') > 0 OR position(E'\\xc2'::bytea IN bytes) > 0 THEN
            bytes := convert_to(before || escaped(line), 'UTF8');
        END IF;
        made := sha256(bytes);
        before := encode(made, 'hex');
        ids := ids || id;
        digests := digests || made;
    END LOOP;
    -- By where they are, which is the quickest; nobody moves them, but an owner who changes what happened.
    UPDATE stored_events SET position = last + place, digest = listed.digest
        FROM unnest(ids, digests) WITH ORDINALITY AS listed(id, digest, place) WHERE stored_events.ctid = listed.id;
    GET DIAGNOSTICS given = ROW_COUNT;
    IF given <> cardinality(ids) THEN
        RAISE serialization_failure USING MESSAGE = 'events were changed while they got their places', HINT = 'Try again.';
    END IF;
END $$;
$function$, '{changes}', told_changes('stored_events'));
END $generate$;
COMMENT ON FUNCTION place_events(integer) IS
    'Gives events that have none their positions and digests, so many at most. For who holds the feed''s latch, in a statement younger than that';

DO $generate$ BEGIN EXECUTE replace($function$
CREATE OR REPLACE FUNCTION renew_digests(after bigint DEFAULT 0, most bigint DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
SET timezone = 'UTC'
AS $$
#variable_conflict use_column
DECLARE
    last bigint := after;
    before text := coalesce((SELECT encode(digest, 'hex') FROM events WHERE position = after LIMIT 1), '');
    id bigint;
    line text;
    made bytea;
    ids bigint[];
    digests bytea[];
BEGIN
    PERFORM FROM latches WHERE name = 'feed' FOR UPDATE;
    LOOP
        ids := '{}';
        digests := '{}';
        FOR id, line IN SELECT event_id, escaped(contents(stored_events, last + row_number() OVER (ORDER BY position, event_id), {changes}))
                FROM stored_events WHERE position > last ORDER BY position, event_id LIMIT 5000 LOOP
            made := sha256(convert_to(before || line, 'UTF8'));
            before := encode(made, 'hex');
            ids := ids || id;
            digests := digests || made;
        END LOOP;
        EXIT WHEN ids = '{}';
        UPDATE stored_events SET position = last + place, digest = listed.digest
            FROM unnest(ids, digests) WITH ORDINALITY AS listed(event_id, digest, place) WHERE stored_events.event_id = listed.event_id;
        last := last + cardinality(ids);
        EXIT WHEN last >= after + most;
    END LOOP;
    RETURN last;
END $$;
$function$, '{changes}', told_changes('stored_events'));
END $generate$;
COMMENT ON FUNCTION renew_digests(bigint, bigint) IS
    'Makes the digests after a position anew, of all events or of so many, and counts positions on from there; gives the last one. For the owner, who had to change the past: whoever has noted a later digest will see it';

DO $generate$ BEGIN EXECUTE replace($function$
CREATE OR REPLACE FUNCTION verify_events(after bigint DEFAULT 0, most bigint DEFAULT NULL)
RETURNS TABLE ("position" bigint, event_id bigint, why text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, public, pg_temp
SET timezone = 'UTC'
AS $$
#variable_conflict use_column
DECLARE
    place bigint := after;
    before text := coalesce((SELECT encode(digest, 'hex') FROM events WHERE position = after AND after > 0 ORDER BY event_id LIMIT 1), '');
    event record;
    made bytea;
BEGIN
    FOR event IN SELECT position, event_id, digest, escaped(contents(stored_events, position, {changes})) AS line FROM stored_events
            WHERE position > after ORDER BY position, event_id LIMIT most LOOP
        place := place + 1;
        made := sha256(convert_to(before || event.line, 'UTF8'));
        IF event.position = place AND event.digest = made THEN
            before := encode(made, 'hex');
            CONTINUE;
        END IF;
        -- Where it is another that stands here, the right one may have moved.
        RETURN QUERY SELECT position, event_id, format('its position was %s', place) FROM stored_events
            WHERE event.position <> place AND position IS DISTINCT FROM place AND digest = sha256(convert_to(before || escaped(contents(stored_events, place, {changes})), 'UTF8'));
        IF NOT FOUND AND event.position > place THEN
            RETURN QUERY SELECT place, NULL::bigint, format('there is no event here any more; the next one is at %s', event.position);
        ELSIF NOT FOUND THEN
            RETURN QUERY SELECT event.position, event.event_id, CASE WHEN event.digest IS NULL THEN 'it has no digest'
                WHEN event.position < place THEN 'another event has its position' ELSE 'its digest is not that of its contents and of the one before' END;
        END IF;
        RETURN;
    END LOOP;
    IF place = after + most THEN
        -- There may be more.
        RETURN;
    END IF;
    RETURN QUERY SELECT position, event_id, 'it has a digest and no place in the feed' FROM (
            SELECT position, event_id FROM events WHERE position < 1 UNION ALL
            SELECT position, event_id FROM events WHERE position IS NULL AND digest IS NOT NULL) AS astray ORDER BY event_id LIMIT 1;
END $$;
$function$, '{changes}', told_changes('stored_events'));
END $generate$;
COMMENT ON FUNCTION verify_events(bigint, bigint) IS
    'The first event, after a position, among so many, that is not what it was when it got its digest, and what is wrong with it; no row where all are';
