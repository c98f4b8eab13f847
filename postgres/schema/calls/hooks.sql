-- HOOKS: what a deliverer asks and says. A hook is taken by one at a time, for some seconds (until), and each time has a number
-- (epoch): who has been too slow, or whose hook was changed meanwhile, writes nothing any more. A session's advisory lock
-- would not pass a pooler. Nobody waits for a hook that somebody else has locked.

CREATE OR REPLACE FUNCTION hooks_due(holder text, most integer DEFAULT 1000, seconds double precision DEFAULT 30)
RETURNS TABLE (feed_end bigint, due json)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    last bigint;
BEGIN
    IF current_setting('transaction_read_only') = 'on' OR NOT EXISTS (SELECT FROM hooks WHERE state = 'active') THEN
        RETURN;
    END IF;
    PERFORM place_all();
    SELECT coalesce(max(position), 0) INTO last FROM places;
    IF EXISTS (SELECT FROM hooks WHERE position IS NULL AND state = 'active') THEN
        -- From its making on; where that is not known, from now on.
        UPDATE hooks SET position = CASE WHEN made.event_id IS NULL THEN last ELSE made.position END
            FROM (SELECT hook_id FROM hooks WHERE position IS NULL AND state = 'active' FOR NO KEY UPDATE SKIP LOCKED) AS found
                JOIN hooks AS its USING (hook_id) LEFT JOIN places AS made ON made.event_id = its.begins
            WHERE hooks.hook_id = found.hook_id;
    END IF;
    RETURN QUERY
        WITH found AS (
            SELECT hook_id FROM hooks
                WHERE state = 'active' AND position < last AND coalesce(until < clock_timestamp(), true) AND coalesce(next_try <= clock_timestamp(), true)
                ORDER BY next_try, hook_id LIMIT most FOR NO KEY UPDATE SKIP LOCKED),
        taken AS (
            UPDATE hooks SET holder = hooks_due.holder, until = clock_timestamp() + make_interval(secs => seconds), epoch = epoch + 1
                FROM found WHERE hooks.hook_id = found.hook_id
                RETURNING hooks.hook_id, hooks.epoch, hooks.url, hooks.kind, hooks.filter, hooks.position, hooks.tried, hooks.on_failure,
                    CASE WHEN hooks.rotated > clock_timestamp() - interval '1 day' THEN hooks.secrets ELSE hooks.secrets[1:1] END AS secrets)
        SELECT last, (SELECT coalesce(json_agg(taken), '[]') FROM taken);
END $$;
COMMENT ON FUNCTION hooks_due(text, integer, double precision) IS
    'Takes the hooks for which there is something, with their secrets, and says how far the feed is; no row where no hook is active. For a deliverer';

CREATE OR REPLACE FUNCTION keep_hooks(holder text, held jsonb, seconds double precision DEFAULT 30) RETURNS TABLE (hook_id bigint)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    -- One that somebody has locked is still held, as long as it was.
    RETURN QUERY SELECT hooks.hook_id FROM hooks JOIN jsonb_to_recordset(held) AS had(hook_id bigint, epoch bigint) USING (hook_id, epoch)
        WHERE hooks.holder = keep_hooks.holder AND hooks.until > clock_timestamp();
    UPDATE hooks SET until = clock_timestamp() + make_interval(secs => seconds)
        FROM (SELECT hooks.hook_id FROM hooks JOIN jsonb_to_recordset(held) AS had(hook_id bigint, epoch bigint) USING (hook_id, epoch)
            WHERE hooks.holder = keep_hooks.holder ORDER BY 1 FOR NO KEY UPDATE OF hooks SKIP LOCKED) AS mine
        WHERE hooks.hook_id = mine.hook_id;
    -- No more of each than somebody would read.
    DELETE FROM deliveries USING (
            SELECT had.hook_id, greatest(
                (SELECT delivery_id FROM deliveries WHERE deliveries.hook_id = had.hook_id ORDER BY delivery_id DESC OFFSET 1000 LIMIT 1),
                (SELECT max(delivery_id) FROM deliveries WHERE deliveries.hook_id = had.hook_id AND at < clock_timestamp() - interval '30 days')) AS last
            FROM jsonb_to_recordset(held) AS had(hook_id bigint)) AS old
        WHERE deliveries.hook_id = old.hook_id AND deliveries.delivery_id <= old.last;
END $$;
COMMENT ON FUNCTION keep_hooks(text, jsonb, double precision) IS
    'Keeps hooks that a deliverer has, [{"hook_id", "epoch"}], for some seconds more, and says which of them it has; drops old deliveries of theirs';

CREATE OR REPLACE FUNCTION settle_hooks(holder text, told jsonb) RETURNS TABLE (hook_id bigint, epoch bigint, is_held boolean)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    -- Rows that nobody else has locked. One hook may be told of by two numbers: who had it before has not heard yet.
    locked bigint[];
BEGIN
    locked := ARRAY(SELECT hook_id FROM hooks WHERE hook_id IN (SELECT said.hook_id FROM jsonb_to_recordset(told) AS said(hook_id bigint))
        ORDER BY hook_id FOR NO KEY UPDATE SKIP LOCKED);
    INSERT INTO deliveries (hook_id, position, at, tried, outcome, status, took, answer)
        SELECT said.hook_id, each.position, clock_timestamp() - make_interval(secs => each.ago), each.tried, each.outcome, each.status, each.took, each.answer
            FROM jsonb_to_recordset(told) AS said(hook_id bigint, epoch bigint, tries jsonb) JOIN hooks USING (hook_id, epoch),
                jsonb_to_recordset(said.tries) AS each("position" bigint, ago double precision, tried integer, outcome delivery_outcome, status integer, took integer, answer text)
            WHERE said.hook_id = ANY (locked) AND hooks.holder = settle_hooks.holder ORDER BY each.ago DESC;
    RETURN QUERY SELECT said.hook_id, said.epoch, coalesce(hooks.epoch = said.epoch AND hooks.holder = settle_hooks.holder, false)
        FROM jsonb_to_recordset(told) AS said(hook_id bigint, epoch bigint) LEFT JOIN hooks USING (hook_id)
        WHERE hooks.hook_id IS NULL OR hooks.hook_id = ANY (locked);
    UPDATE hooks SET position = said.position, tried = said.tried, next_try = clock_timestamp() + make_interval(secs => said.wait),
            state = coalesce(said.state, hooks.state), reason = said.reason,
            holder = CASE WHEN said.ends THEN NULL ELSE hooks.holder END, until = CASE WHEN said.ends THEN NULL ELSE hooks.until END
        FROM jsonb_to_recordset(told) AS said(hook_id bigint, epoch bigint, "position" bigint, tried integer, wait double precision, state hook_state, reason text, ends boolean)
        WHERE hooks.hook_id = said.hook_id AND hooks.epoch = said.epoch AND hooks.holder = settle_hooks.holder AND hooks.hook_id = ANY (locked);
END $$;
COMMENT ON FUNCTION settle_hooks(text, jsonb) IS
    'Says how far hooks have come that a deliverer has, and what was tried; gives whether it has them still, and no row of one that somebody else has locked, of which nothing is written';

CREATE OR REPLACE FUNCTION shortened(value jsonb, most integer) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    RETURN CASE jsonb_typeof(value)
        WHEN 'string' THEN CASE WHEN char_length(value #>> '{}') > most THEN to_jsonb(left(value #>> '{}', most) || '…') ELSE value END
        WHEN 'array' THEN (SELECT coalesce(jsonb_agg(shortened(item, most) ORDER BY place), '[]') FROM jsonb_array_elements(value) WITH ORDINALITY AS listed(item, place))
        WHEN 'object' THEN (SELECT coalesce(jsonb_object_agg(pair.key, shortened(pair.value, most)), '{}') FROM jsonb_each(value) AS pair)
        ELSE value END;
END $$;
COMMENT ON FUNCTION shortened(jsonb, integer) IS 'JSON whose texts have at most so many characters, and … where there were more';

CREATE OR REPLACE FUNCTION ticket_around(event events) RETURNS TABLE (moment timestamptz, ticket tickets)
LANGUAGE plpgsql STABLE ROWS 2
SET search_path = pg_catalog, public, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    was jsonb;
BEGIN
    moment := event.at;
    SELECT * INTO ticket FROM ticket_as_of(event.ticket_id, moment);
    moment := event.at - interval '1 microsecond';
    IF NOT FOUND THEN
        RETURN QUERY SELECT ticket_around.moment, then_ FROM ticket_as_of(event.ticket_id, ticket_around.moment) AS then_;
        RETURN;
    END IF;
    RETURN QUERY SELECT event.at, ticket_around.ticket;
    -- Before, it was the same without what happened at that very time, as tickets_touched_since() has it; to ask for that
    -- moment, too, would put together all that has come of it since.
    SELECT coalesce(jsonb_object_agg(first.key, first.value -> 0), '{}') INTO was
        FROM (SELECT DISTINCT ON (item.key) item.key, item.value
            FROM (SELECT events.event_id, events.changes || events.kept AS old FROM stored_events AS events
                    WHERE events.ticket_id = event.ticket_id AND events.at = event.at
                UNION ALL
                SELECT events.event_id, events.other_kept FROM stored_events AS events
                    WHERE events.other_id = event.ticket_id AND events.at = event.at) AS together
            CROSS JOIN LATERAL jsonb_each(together.old) AS item
            ORDER BY item.key, together.event_id) AS first;
    ticket := jsonb_populate_record(ticket, was);
    IF ticket.created <= moment THEN
        RETURN NEXT;
    END IF;
END $$;
COMMENT ON FUNCTION ticket_around(events) IS
    'The ticket of an event as it was then, and the microsecond before; no row for a moment at which it was not there';

CREATE OR REPLACE FUNCTION delivery_body(event events, ticket tickets) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, public, pg_temp
SET timezone = 'UTC'
AS $$
DECLARE
    told json := json_build_object('position', event.position, 'event_id', event.event_id, 'at', event.at, 'actor', event.actor, 'source', event.source,
        'ticket_id', event.ticket_id, 'kind', event.kind, 'comment_id', event.comment_id, 'changes', event.changes, 'change', event.change,
        'undoes', event.undoes, 'digest', encode(event.digest, 'hex'));
    of json := CASE WHEN ticket.ticket_id IS NOT NULL THEN row_to_json(ticket) END;
    made text := json_build_object('type', event.kind, 'timestamp', event.at, 'data', json_build_object('event', told, 'ticket', of));
    most integer;
    few jsonb;
BEGIN
    -- What receivers take; and the same whenever it is asked, or one message would have two bodies.
    FOREACH most IN ARRAY '{2000,200,40}'::integer[] LOOP
        EXIT WHEN octet_length(made) < 20000;
        made := json_build_object('type', event.kind, 'timestamp', event.at, 'cut', most,
            'data', json_build_object('event', shortened(told::jsonb, most), 'ticket', shortened(of::jsonb, most)));
    END LOOP;
    -- Of very many short ones.
    FOREACH few IN ARRAY ARRAY['{}', '{"changes": null}']::jsonb[] LOOP
        EXIT WHEN octet_length(made) < 20000;
        made := json_build_object('type', event.kind, 'timestamp', event.at, 'cut', 0,
            'data', json_build_object('event', shortened(told::jsonb, 40) || few, 'ticket', shortened(of::jsonb - '{description,fields}'::text[], 40)));
    END LOOP;
    RETURN made;
END $$;
COMMENT ON FUNCTION delivery_body(events, tickets) IS
    'What hooks are sent of an event: it, and its ticket as it was then; less than 20,000 bytes, "cut" says to how many characters texts were cut for that, 0 that description and fields are left out, and changes if need be';
