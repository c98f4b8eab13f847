-- PLACES: which events have none in the feed yet, and giving them theirs
-- An event has none where its change was not seen the last time that somebody looked. A change's number is that of its transaction, so
-- what was seen is told by two things, as a snapshot tells it: all before some number, but for those that were still open. Nothing is
-- written for that when an event is, and nothing but a row of places when it gets one.

CREATE OR REPLACE FUNCTION is_waiting() RETURNS boolean
LANGUAGE sql STABLE
RETURN (SELECT event_id IS NOT NULL OR change <= (SELECT max(stored_events.change) FROM stored_events)
    OR open <> '{}' AND EXISTS (SELECT FROM stored_events WHERE stored_events.change = ANY (open)) FROM places_reached);
COMMENT ON FUNCTION is_waiting() IS 'Whether there may be events that have no place in the feed yet; where not, there are none';

CREATE OR REPLACE FUNCTION waiting_events(most bigint DEFAULT NULL) RETURNS SETOF stored_events
LANGUAGE plpgsql STABLE ROWS 10
SET search_path = pg_catalog, public, pg_temp
-- Row by row of the index of changes, until there are enough: how many there will be, no plan knows.
SET enable_seqscan = off
SET enable_bitmapscan = off
AS $$
DECLARE
    reached places_reached;
BEGIN
    SELECT * INTO reached FROM places_reached;
    IF reached.event_id IS NOT NULL THEN
        RETURN QUERY SELECT event.* FROM stored_events AS event
            WHERE event.event_id > reached.event_id AND (SELECT places.position FROM places WHERE places.event_id = event.event_id) IS NULL
            ORDER BY event.event_id LIMIT most;
        -- And what has come since, and has a smaller number.
        reached.change := reached.until;
        reached.open := reached.until_open;
    END IF;
    RETURN QUERY SELECT event.* FROM stored_events AS event
        WHERE event.change >= reached.change AND (reached.event_id IS NULL OR event.event_id <= reached.event_id)
            AND (SELECT places.position FROM places WHERE places.event_id = event.event_id) IS NULL
        ORDER BY event.change LIMIT most;
    RETURN QUERY SELECT event.* FROM stored_events AS event
        WHERE event.change = ANY (reached.open) AND event.change < reached.change AND (reached.event_id IS NULL OR event.event_id <= reached.event_id)
            AND (SELECT places.position FROM places WHERE places.event_id = event.event_id) IS NULL LIMIT most;
END $$;
COMMENT ON FUNCTION waiting_events(bigint) IS
    'The events that have no place in the feed yet, as stored_events has them; up to three times so many, where most is given';

CREATE OR REPLACE FUNCTION find_waiting() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    base_now bigint := pg_sequence_last_value('change_base');
    own bigint := pg_current_xact_id()::text::bigint + base_now;
BEGIN
    PERFORM FROM latches WHERE name = 'feed' FOR UPDATE;
    UPDATE places_reached SET (change, open, base, until, until_open, event_id) = (SELECT least(own, coalesce(min(change), (SELECT first FROM change_base_set))),
            '{}'::bigint[], base_now, NULL::bigint, NULL::bigint[], NULL::bigint
        FROM stored_events WHERE NOT EXISTS (SELECT FROM places WHERE places.event_id = stored_events.event_id));
END $$;
COMMENT ON FUNCTION find_waiting() IS
    'Looks through all events for those that have no place in the feed, so that they will get one: for the owner, who has written events by hand';

DO $generate$ BEGIN EXECUTE replace(replace(replace($function$
CREATE OR REPLACE FUNCTION place_events(most integer) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
SET timezone = 'UTC'
-- By the index of changes, whatever there is.
SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
    reached places_reached;
    base_now bigint;
    own bigint;
    last bigint;
    highest bigint;
    made bytea;
    id bigint;
    line text;
    ids bigint[] := '{}';
    digests bytea[] := '{}';
BEGIN
    -- All in one, and few statements below, for each one of PL/pgSQL's is made ready anew in each transaction.
    LOOP
        -- What is seen now, before the events are looked at: what comes in between is looked for again, and found to have
        -- its place. Of this transaction, too, there may be events later.
        SELECT change, open, reached.base, event_id, coalesce(until, pg_snapshot_xmax(now.snapshot)::text::bigint + now.base),
                CASE WHEN until IS NOT NULL THEN until_open ELSE ARRAY(SELECT xip::text::bigint + now.base FROM pg_snapshot_xip(now.snapshot) AS xip)
                    || CASE WHEN now.own < pg_snapshot_xmax(now.snapshot)::text::bigint + now.base THEN ARRAY[now.own] ELSE '{}' END END,
                now.base, now.own, coalesce(position, 0), digest, coalesce((SELECT max(places.event_id) FROM places), 0)
            INTO reached.change, reached.open, reached.base, reached.event_id, reached.until, reached.until_open, base_now, own, last, made, highest
            FROM places_reached AS reached
                CROSS JOIN (SELECT pg_sequence_last_value('change_base'), pg_current_xact_id()::text::bigint + pg_sequence_last_value('change_base'), pg_current_snapshot()) AS now(base, own, snapshot)
                LEFT JOIN (SELECT position, digest FROM places ORDER BY position DESC LIMIT 1) AS place ON true;
        EXIT WHEN reached.base = base_now AND reached.change <= own;
        IF own < reached.change THEN
            -- On another server, and nobody has said so to it: its numbers are smaller.
            PERFORM find_waiting();
        ELSE
            -- On another server, where numbers go on behind the last that there was; not behind what the other one would have counted.
            UPDATE places_reached SET base = base_now, change = least(change, first), until = CASE WHEN until > first THEN first ELSE until END
                FROM change_base_set;
        END IF;
    END LOOP;
    IF reached.event_id IS NOT NULL THEN
        FOR id, line IN {lines} AND event.event_id > reached.event_id WINDOW given AS (ORDER BY event.event_id) ORDER BY event.event_id LIMIT most LOOP
            {chain}
        END LOOP;
    ELSIF reached.open = '{}' THEN
        -- Sorted: the key's own order would be walked from its beginning.
        FOR id, line IN {lines} AND event.change >= reached.change WINDOW given AS (ORDER BY event.event_id + 0) ORDER BY event.event_id + 0 LIMIT most LOOP
            {chain}
        END LOOP;
    ELSE
        FOR id, line IN {lines} AND (event.change >= reached.change OR event.change = ANY (reached.open))
                WINDOW given AS (ORDER BY event.event_id + 0) ORDER BY event.event_id + 0 LIMIT most LOOP
            {chain}
        END LOOP;
    END IF;
    INSERT INTO places (position, event_id, digest)
        SELECT last + place, listed.event_id, listed.digest FROM unnest(ids, digests) WITH ORDINALITY AS listed(event_id, digest, place);
    IF cardinality(ids) < most THEN
        UPDATE places_reached SET change = reached.until, open = reached.until_open, until = NULL, until_open = NULL, event_id = NULL;
    ELSE
        UPDATE places_reached SET until = reached.until, until_open = reached.until_open, event_id = ids[most];
    END IF;
END $$;
$function$, '{lines}', $lines$
        SELECT event.event_id, contents(event, last + row_number() OVER given, {changes})
            -- With a number above all that have a place, it has none, which need not be looked up.
            FROM stored_events AS event WHERE (event.event_id > highest OR (SELECT places.position FROM places WHERE places.event_id = event.event_id) IS NULL)$lines$),
    '{chain}', $chain$
            -- What is to be escaped is U+007F, or begins with C2: found at once, without counting characters.
            made := sha256(convert_to(concat(encode(made, 'hex'), CASE WHEN strpos(line, E'\u007f') > 0 OR position(E'\\xc2'::bytea IN convert_to(line, 'UTF8')) > 0
                THEN escaped(line) ELSE line END), 'UTF8'));
            ids := ids || id;
            digests := digests || made;$chain$),
    '{changes}', told_changes('event', 'text'));
END $generate$;
COMMENT ON FUNCTION place_events(integer) IS
    'Gives events that have none their positions and digests, so many at most. For who holds the feed''s latch, in a statement younger than that';
