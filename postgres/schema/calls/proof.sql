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

-- To the letter what row_to_json() makes of event_contents, but that looks each of its columns up each time.
DO $generate$ BEGIN EXECUTE replace($function$
CREATE OR REPLACE FUNCTION contents(event stored_events, "position" bigint, changes text) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
-- Whoever calls this sets timezone, once for many events.
RETURN concat({columns}, '}');
$function$, '{columns}', (SELECT string_agg(format('%L, ', CASE attnum WHEN 1 THEN '{' ELSE ',' END || to_json(attname) || ':') || CASE
        WHEN attname = 'changes' THEN 'changes'
        WHEN attname = 'position' THEN 'coalesce("position"::text, ''null'')'
        WHEN attname = 'kept' THEN 'kept_told(event)'
        WHEN attname = 'other_kept' THEN 'coalesce(event.other_kept, ''{}'')'
        WHEN atttypid = 'bigint'::regtype THEN format('coalesce(event.%I::text, ''null'')', attname)
        ELSE format('to_json(event.%I)', attname) END, ', ' ORDER BY attnum)
    FROM pg_attribute WHERE attrelid = 'event_contents'::regclass));
END $generate$;
COMMENT ON FUNCTION contents(stored_events, bigint, text) IS 'What of an event at a position, with changes as events has them, its digest covers, as an export has it where timezone is UTC, but not escaped()';

CREATE OR REPLACE FUNCTION exported(event stored_events, "position" bigint, digest bytea, changes text) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN left(contents(event, "position", changes), -1) || ',"digest":' || coalesce(to_json(digest)::text, 'null') || '}';
COMMENT ON FUNCTION exported(stored_events, bigint, bytea, text) IS 'An event at a position, with changes as events has them, as an export has it where timezone is UTC, but not escaped(): its contents, and the digest behind them';

DO $generate$ BEGIN EXECUTE replace($function$
CREATE OR REPLACE FUNCTION renew_digests(after bigint DEFAULT 0, most bigint DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
SET timezone = 'UTC'
AS $$
#variable_conflict use_column
DECLARE
    last bigint := after;
    before text := coalesce((SELECT encode(digest, 'hex') FROM places WHERE position = after LIMIT 1), '');
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
        FOR id, line IN SELECT stored_events.event_id, escaped(contents(stored_events, last + row_number() OVER (ORDER BY position, event_id), {changes}))
                FROM places JOIN stored_events USING (event_id) WHERE position > last ORDER BY position, event_id LIMIT 5000 LOOP
            made := sha256(convert_to(before || line, 'UTF8'));
            before := encode(made, 'hex');
            ids := ids || id;
            digests := digests || made;
        END LOOP;
        EXIT WHEN ids = '{}';
        UPDATE places SET position = last + place, digest = listed.digest
            FROM unnest(ids, digests) WITH ORDINALITY AS listed(event_id, digest, place) WHERE places.event_id = listed.event_id;
        last := last + cardinality(ids);
        EXIT WHEN last >= after + most;
    END LOOP;
    RETURN last;
END $$;
$function$, '{changes}', told_changes('stored_events', 'text'));
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
    before text := coalesce((SELECT encode(digest, 'hex') FROM places WHERE position = after AND after > 0 ORDER BY event_id LIMIT 1), '');
    event record;
    made bytea;
BEGIN
    FOR event IN SELECT position, places.event_id, digest, CASE WHEN stored_events.event_id IS NOT NULL THEN escaped(contents(stored_events, position, {changes})) END AS line
            FROM places LEFT JOIN stored_events ON stored_events.event_id = places.event_id
            WHERE position > after ORDER BY position, places.event_id LIMIT most LOOP
        place := place + 1;
        made := sha256(convert_to(before || event.line, 'UTF8'));
        IF event.position = place AND event.digest = made THEN
            before := encode(made, 'hex');
            CONTINUE;
        END IF;
        -- Where it is another that stands here, the right one may have moved.
        RETURN QUERY SELECT position, event_id, format('its position was %s', place) FROM places JOIN stored_events USING (event_id)
            WHERE event.position <> place AND position <> place AND digest = sha256(convert_to(before || escaped(contents(stored_events, place, {changes})), 'UTF8'));
        IF NOT FOUND AND event.position > place THEN
            RETURN QUERY SELECT place, NULL::bigint, format('there is no event here any more; the next one is at %s', event.position);
        ELSIF NOT FOUND THEN
            RETURN QUERY SELECT event.position, event.event_id, CASE WHEN event.line IS NULL THEN 'it is not there any more'
                WHEN event.position < place THEN 'another event has its position' ELSE 'its digest is not that of its contents and of the one before' END;
        END IF;
        RETURN;
    END LOOP;
    IF place = after + most THEN
        -- There may be more.
        RETURN;
    END IF;
    RETURN QUERY SELECT position, event_id, 'it has a place that the feed has not' FROM places WHERE position < 1 ORDER BY event_id LIMIT 1;
    IF NOT FOUND THEN
        RETURN QUERY SELECT NULL::bigint, event_id, 'it has lost its place in the feed' FROM (
            SELECT event_id FROM stored_events EXCEPT (SELECT event_id FROM places UNION ALL SELECT event_id FROM waiting_events())) AS astray
            ORDER BY event_id LIMIT 1;
    END IF;
END $$;
$function$, '{changes}', told_changes('stored_events', 'text'));
END $generate$;
COMMENT ON FUNCTION verify_events(bigint, bigint) IS
    'The first event, after a position, among so many, that is not what it was when it got its digest, and what is wrong with it; no row where all are';
