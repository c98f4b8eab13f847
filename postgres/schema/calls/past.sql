-- THE PAST, WRITTEN DOWN
-- What a ticket was stands in past_tickets, a row for each version that is no more, so that a list of any moment is
-- read in the order of an index, as one of now is. Nobody who writes pays for it: the rows are made of the events, by
-- whoever asks for a past, in the order of the feed's positions, for behind a position nothing is committed any more.
-- What they don't reach yet is put together when it is read, so that an answer is right however far they go.

DO $like$
DECLARE
    differing text;
BEGIN
    -- What a column of past_tickets is: as that of tickets, but for the number of an event in place of what may be long.
    WITH wanted AS (
        SELECT attnum, attname, CASE WHEN attname = ANY (referred()) THEN 'bigint' ELSE format_type(atttypid, atttypmod) END AS type,
                attnotnull AND attname <> ALL (referred()) AS is_required
            FROM pg_attribute WHERE attrelid = 'tickets'::regclass AND attnum > 0 AND NOT attisdropped),
    present AS (
        SELECT attname, format_type(atttypid, atttypmod) AS type, attnotnull AS is_required
            FROM pg_attribute WHERE attrelid = 'past_tickets'::regclass AND attnum > 0 AND NOT attisdropped AND attname NOT LIKE 'past\_%')
    SELECT string_agg(CASE WHEN wanted.attname IS NULL THEN format('DROP %I', present.attname)
            WHEN present.attname IS NULL THEN format('ADD %I %s', wanted.attname, wanted.type) || CASE WHEN wanted.is_required THEN ' NOT NULL' ELSE '' END
            ELSE concat_ws(', ', CASE WHEN wanted.type <> present.type THEN format('ALTER %I TYPE %s USING NULL', attname, wanted.type) END,
                CASE WHEN wanted.is_required <> present.is_required
                    THEN format('ALTER %I ', attname) || CASE WHEN wanted.is_required THEN 'SET NOT NULL' ELSE 'DROP NOT NULL' END END) END,
            ', ' ORDER BY wanted.attnum) INTO differing
        FROM wanted FULL JOIN present USING (attname)
        WHERE wanted.attname IS NULL OR present.attname IS NULL OR wanted.type <> present.type OR wanted.is_required <> present.is_required;
    IF differing IS NOT NULL THEN
        -- All of it can be made anew.
        DELETE FROM past_tickets;
        DELETE FROM past_searches;
        UPDATE past_reached SET position = 0;
        EXECUTE 'ALTER TABLE past_tickets ' || differing;
    END IF;
    EXECUTE (SELECT string_agg(format('COMMENT ON COLUMN past_tickets.%I IS %L', attname, CASE WHEN attname = ANY (referred())
            THEN 'The event that tells what it was; null: what it is now' ELSE 'What it was' END), '; ')
        FROM pg_attribute WHERE attrelid = 'tickets'::regclass AND attnum > 0 AND NOT attisdropped);
END $like$;

CREATE OR REPLACE FUNCTION tick(moment timestamptz) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN moment < '4000-01-01 00:00+00 BC' THEN 0 WHEN moment >= '10000-01-01 00:00+00' THEN (1 << 27) - 1
    ELSE floor(extract(epoch FROM moment) / 4096)::integer + (1 << 26) END;
COMMENT ON FUNCTION tick(timestamptz) IS 'A time in pieces of 4,096 seconds, from 0 to 2^27; a part of cell()';

CREATE OR REPLACE FUNCTION cell(since timestamptz, until timestamptz) RETURNS integer
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, public, pg_temp
-- The longer a span, the wider its cell, a quarter of it to a half: a moment that is in the span is in one of five cells from there on, so that
-- of what is found by cell at least four of ten are alive. Of the tree of which all that is divided by two, each width is one row.
AS $$
DECLARE
    first integer := tick(since);
    width integer := greatest(floor(ln(greatest(tick(until) - first, 1)::double precision) / ln(2::double precision) + 1e-9)::integer - 1, 0);
BEGIN
    RETURN (1 << (27 - width)) + (first >> width);
END $$;
COMMENT ON FUNCTION cell(timestamptz, timestamptz) IS
    'Where a span of time begins, by a number that says how long it is, too: so many may be alive at one moment, of whatever length, and an ordinary index finds them';

CREATE OR REPLACE FUNCTION cells(moment timestamptz) RETURNS integer[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    this integer := tick(moment);
BEGIN
    RETURN ARRAY(SELECT (1 << (27 - width)) + place FROM generate_series(25, 0, -1) AS width
        CROSS JOIN LATERAL generate_series(greatest(this - (4 << width) + 1, 0) >> width, this >> width) AS place ORDER BY 1);
END $$;
COMMENT ON FUNCTION cells(timestamptz) IS 'The cells of all spans that a moment may be in, some hundred and thirty';

CREATE OR REPLACE FUNCTION told_by(event bigint, name text) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    RETURN (SELECT nullif(events.changes -> told_by.name -> 0, 'null') FROM stored_events AS events WHERE events.event_id = told_by.event);
END $$;
COMMENT ON FUNCTION told_by(bigint, text) IS 'What a column was before an event changed it';

DO $generate$ BEGIN EXECUTE replace(replace(replace($function$
CREATE OR REPLACE FUNCTION write_past_of(number bigint, begins timestamptz) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    step record;
    then_ tickets;
    was tickets;
    -- What tells the columns that are referred to.
    telling jsonb := '{}';
    ground timestamptz := '-infinity';
    is_last boolean := true;
    has_said boolean := false;
    -- The row that is to be written when it is known since when it was so: until when, and when it was but touched in between.
    lasted timestamptz;
    touched timestamptz[];
    -- With all its texts; and its words before the last event that changed them, until that.
    worded tickets;
    said tsvector;
    said_until timestamptz;
BEGIN
    SELECT coalesce(max(ends.at), ground) INTO ground FROM (
        SELECT events.at FROM events WHERE events.ticket_id = number AND events.at < begins
        UNION ALL
        SELECT events.at FROM events WHERE events.other_id = number AND events.at < begins) AS ends;
    -- What was until then may go on, with no more than a comment in between.
    SELECT least(ground, min(past_tickets.past_since)) INTO ground FROM past_tickets
        WHERE past_tickets.ticket_id = number AND past_tickets.past_until >= ground;
    DELETE FROM past_tickets WHERE past_tickets.ticket_id = number AND past_tickets.past_until > ground;
    DELETE FROM past_searches WHERE past_searches.ticket_id = number AND past_searches.past_until > ground;
    -- From the last one on back: what each event changed is what it was before.
    SELECT * INTO then_ FROM tickets WHERE tickets.ticket_id = number;
    worded := then_;
    FOR step IN
        SELECT happened.*, lag(happened.at, 1, ground) OVER (ORDER BY happened.at, happened.event_id) AS since FROM (
            SELECT events.event_id, events.at, events.kind, events.kept,
                    CASE WHEN events.kind IN ('created', 'changed', 'deleted') THEN events.changes ELSE '{}' END AS changes
                FROM stored_events AS events WHERE events.ticket_id = number AND events.at > ground
            UNION ALL
            SELECT events.event_id, events.at, events.kind, coalesce(events.other_kept, '{}'), '{}' FROM stored_events AS events WHERE events.other_id = number AND events.at > ground) AS happened
        ORDER BY happened.at DESC, happened.event_id DESC LOOP
        IF is_last AND then_.updated > step.at THEN
            -- An import knows that it was touched once more, and no event of that.
            lasted := then_.updated;
        END IF;
        is_last := false;
        was := then_;
        IF step.changes <> '{}' OR step.kept <> '{}' THEN
            then_ := jsonb_populate_record(then_, (SELECT coalesce(jsonb_object_agg(pair.key, pair.value -> 0), '{}')
                FROM jsonb_each((step.changes - referred()) || step.kept) AS pair));
        END IF;
        -- A comment or a link counts the version on, and the row stays one; fifty at most, for all of it is made anew with the next one.
        IF lasted IS NOT NULL AND step.changes = '{}' AND step.since < step.at AND was.updated = step.at AND was.version = then_.version + 1
            AND was.created = then_.created AND was.closed IS NOT DISTINCT FROM then_.closed AND was.version % 50 <> 0 THEN
            touched := step.at || touched;
        ELSE
            IF lasted > step.at THEN
                INSERT INTO past_tickets (past_since, past_until, past_cell, past_touched, {names})
                    VALUES (greatest(step.at, was.created), lasted, cell(greatest(step.at, was.created), lasted), touched, {was});
            END IF;
            touched := NULL;
            -- Of what happened at one time, the first event tells what was before.
            lasted := CASE WHEN step.since < step.at AND then_.created < step.at THEN step.at END;
        END IF;
        IF step.changes ?| referred() THEN
            telling := telling || (SELECT jsonb_object_agg(pair.key, step.event_id) FROM jsonb_each(step.changes) AS pair WHERE pair.key = ANY (referred()));
        END IF;
        has_said := has_said OR step.kind IN ('comment_changed', 'comment_deleted');
        IF step.changes ?| '{title,description,labels}' THEN
            IF said_until IS NOT NULL THEN
                INSERT INTO past_searches VALUES (number, 0, said, step.at, said_until);
            END IF;
            -- Before it was filed, or brought back, it had none.
            said_until := CASE WHEN step.kind <> 'created' THEN step.at END;
            worded := jsonb_populate_record(worded, (SELECT jsonb_object_agg(pair.key, pair.value -> 0)
                FROM jsonb_each(step.changes) AS pair WHERE pair.key IN ('title', 'description', 'labels')));
            said := ticket_words(worded.title, worded.description, worded.labels);
        END IF;
    END LOOP;
    IF lasted IS NOT NULL THEN
        was := then_;
        INSERT INTO past_tickets (past_since, past_until, past_cell, past_touched, {names})
            VALUES (greatest(ground, was.created), lasted, cell(greatest(ground, was.created), lasted), touched, {was});
    END IF;
    IF said_until IS NOT NULL THEN
        INSERT INTO past_searches VALUES (number, 0, said, coalesce((SELECT max(events.at) FROM stored_events AS events WHERE events.ticket_id = number AND events.at <= ground
            AND events.kind IN ('created', 'changed') AND events.changes ?| '{title,description,labels}'), '-infinity'), said_until);
    END IF;
    IF has_said THEN
        INSERT INTO past_searches SELECT number, told.comment_id, body_words(told.changes -> 'body' ->> 0), coalesce(told.since, '-infinity'), told.at FROM (
                SELECT events.comment_id, events.kind, events.changes, events.at,
                        lag(events.at) OVER (PARTITION BY events.comment_id ORDER BY events.at, events.event_id) AS since
                    FROM stored_events AS events WHERE events.ticket_id = number AND events.comment_id IS NOT NULL) AS told
            WHERE told.at > ground AND told.kind IN ('comment_changed', 'comment_deleted') AND coalesce(told.since, '-infinity') < told.at;
    END IF;
    IF telling <> '{}' THEN
        UPDATE past_tickets SET {told} WHERE past_tickets.ticket_id = number AND past_tickets.past_until <= ground;
    END IF;
END $$;
$function$,
    '{names}', (SELECT string_agg(format('%I', attname), ', ' ORDER BY attnum)
        FROM pg_attribute WHERE attrelid = 'tickets'::regclass AND attnum > 0 AND NOT attisdropped)),
    '{was}', (SELECT string_agg(CASE WHEN attname = 'ticket_id' THEN 'number' WHEN attname = ANY (referred()) THEN format('(telling ->> %L)::bigint', attname)
            ELSE format('was.%I', attname) END, ', ' ORDER BY attnum)
        FROM pg_attribute WHERE attrelid = 'tickets'::regclass AND attnum > 0 AND NOT attisdropped)),
    '{told}', (SELECT string_agg(format('%1$I = coalesce(past_tickets.%1$I, (telling ->> %1$L)::bigint)', name), ', ') FROM unnest(referred()) AS name));
END $generate$;
COMMENT ON FUNCTION write_past_of(bigint, timestamptz) IS 'Writes anew what one ticket was until its events of some moment and later; a part of write_past()';

CREATE OR REPLACE FUNCTION write_past(most integer DEFAULT 5000) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
-- What is empty when a session plans its statements doesn't stay so: read from end to end for each ticket, it took minutes.
SET enable_seqscan = off
AS $$
#variable_conflict use_variable
DECLARE
    reached bigint;
    last bigint;
    touched record;
BEGIN
    -- As the feed gives positions: by one at a time, and committed at once. A standby reads what there is.
    IF current_setting('transaction_read_only') = 'on' OR statement_timestamp() <> transaction_timestamp()
        OR current_setting('transaction_isolation') <> 'read committed' THEN
        RETURN NULL;
    END IF;
    PERFORM place_all();
    PERFORM FROM past_reached FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        -- Somebody else is at it.
        RETURN NULL;
    END IF;
    SELECT past_reached.position, (SELECT coalesce(max(places.position), 0) FROM places) INTO reached, last FROM past_reached;
    IF reached > last THEN
        DELETE FROM past_tickets;
        DELETE FROM past_searches;
        reached := 0;
    END IF;
    FOR touched IN
        SELECT ends.ticket_id, min(ends.at) AS begins FROM (
            SELECT events.ticket_id, events.at FROM places JOIN stored_events AS events USING (event_id) WHERE places.position > reached AND places.position <= reached + most
            UNION ALL
            SELECT events.other_id, events.at FROM places JOIN stored_events AS events USING (event_id) WHERE places.position > reached AND places.position <= reached + most) AS ends
        WHERE ends.ticket_id IS NOT NULL GROUP BY ends.ticket_id ORDER BY ends.ticket_id LOOP
        PERFORM write_past_of(touched.ticket_id, touched.begins);
    END LOOP;
    IF reached < last OR (SELECT past_reached.position FROM past_reached) <> reached THEN
        UPDATE past_reached SET position = least(reached + most, last);
    END IF;
    RETURN greatest(last - reached - most, 0);
END $$;
COMMENT ON FUNCTION write_past(integer) IS
    'Writes the past on by so many events, in a transaction of its own; gives how many are left, null where it may not: reading a past is right without, but slower';

CREATE OR REPLACE FUNCTION unwritten() RETURNS bigint[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, public, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    reached bigint := (SELECT past_reached.position FROM past_reached);
    last bigint := (SELECT coalesce(max(places.position), 0) FROM places);
    found bigint[];
    many bigint;
BEGIN
    IF last = reached AND NOT is_waiting() THEN
        RETURN '{}';
    ELSIF last < reached THEN
        RETURN NULL;
    END IF;
    SELECT count(*), array_agg(DISTINCT ends.ticket_id) INTO many, found FROM (
            (SELECT events.ticket_id, events.other_id FROM places JOIN stored_events AS events USING (event_id)
                WHERE places.position > reached ORDER BY places.position LIMIT 501)
            UNION ALL
            SELECT events.ticket_id, events.other_id FROM waiting_events(501) AS events
            LIMIT 501) AS late CROSS JOIN LATERAL unnest(ARRAY[late.ticket_id, late.other_id]) AS ends(ticket_id);
    RETURN CASE WHEN many <= 1000 THEN array_remove(found, NULL) END;
END $$;
COMMENT ON FUNCTION unwritten() IS 'The tickets of which past_tickets lacks something; null where those are too many to be told';

CREATE OR REPLACE FUNCTION is_walked(moment timestamptz) RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, public, pg_temp
-- Row by row, until there are enough.
SET enable_bitmapscan = off
SET enable_seqscan = off
AS $$
BEGIN
    RETURN unwritten() IS NOT NULL AND 100 = (SELECT count(*) FROM (SELECT FROM past_tickets
        WHERE past_tickets.past_cell = ANY (cells(is_walked.moment)) AND past_tickets.past_until > is_walked.moment
            AND past_tickets.past_since <= is_walked.moment LIMIT 100) AS alive);
END $$;
COMMENT ON FUNCTION is_walked(timestamptz) IS
    'Whether tickets_as_of() is to read past_tickets in order: for few rows among many that would take long, so tickets_lately() has them; a part of both';

CREATE OR REPLACE FUNCTION referred_column(name text, type text, event text, number text) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN format('CASE WHEN %2$s IS NULL THEN (SELECT tickets.%1$I FROM tickets WHERE tickets.ticket_id = %3$s) ELSE told_by(%2$s, %1$L)%4$s END',
    name, event, number, CASE WHEN type = 'jsonb' THEN '' ELSE ' #>> ''{}''' END);
COMMENT ON FUNCTION referred_column(text, text, text, text) IS
    'An expression for a column that past_tickets only refers to, of expressions for the number of the event that tells it and for that of the ticket';

CREATE OR REPLACE FUNCTION past_columns(moment text, later boolean DEFAULT false) RETURNS text
LANGUAGE sql STABLE
RETURN (SELECT string_agg(CASE
        WHEN attname = 'updated' THEN replace('CASE WHEN past.past_touched[1] <= {moment} THEN past.past_touched[width_bucket({moment}, past.past_touched)] ELSE past.updated END',
            '{moment}', moment)
        WHEN attname = 'version' THEN replace('CASE WHEN past.past_touched[1] <= {moment} THEN past.version + width_bucket({moment}, past.past_touched) ELSE past.version END',
            '{moment}', moment)
        WHEN attname = ANY (referred()) AND later THEN format('NULL::%s', format_type(atttypid, atttypmod))
        WHEN attname = ANY (referred()) THEN referred_column(attname, format_type(atttypid, atttypmod), format('past.%I', attname), 'past.ticket_id')
        ELSE format('past.%I', attname) END || format(' AS %I', attname), ', ' ORDER BY attnum)
    FROM pg_attribute WHERE attrelid = 'tickets'::regclass AND attnum > 0 AND NOT attisdropped);
COMMENT ON FUNCTION past_columns(text, boolean) IS
    'Expressions for the columns of a ticket at some moment, in their order, of a row of past_tickets by the name of past; the moment is an expression, too; later: without what it only refers to';

DO $generate$ BEGIN EXECUTE replace($function$
CREATE OR REPLACE FUNCTION tickets_lately(moment timestamptz, in_order boolean DEFAULT true) RETURNS SETOF tickets
LANGUAGE plpgsql STABLE ROWS 10
SET search_path = pg_catalog, public, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    late bigint[] := unwritten();
BEGIN
    IF late IS NULL THEN
        RETURN QUERY SELECT * FROM tickets_touched_since(tickets_lately.moment);
        RETURN;
    ELSIF late <> '{}' THEN
        RETURN QUERY SELECT touched.* FROM tickets_touched_since(tickets_lately.moment) AS touched WHERE touched.ticket_id = ANY (late);
    END IF;
    IF tickets_lately.in_order AND NOT is_walked(tickets_lately.moment) THEN
        RETURN QUERY SELECT {columns} FROM past_tickets AS past
            WHERE past.past_cell = ANY (cells(tickets_lately.moment)) AND past.past_until > tickets_lately.moment
                AND past.past_since <= tickets_lately.moment AND past.ticket_id <> ALL (late);
    END IF;
END $$;
$function$, '{columns}', past_columns('tickets_lately.moment'));
EXECUTE replace($function$
CREATE OR REPLACE FUNCTION ticket_as_of(number bigint, moment timestamptz) RETURNS SETOF tickets
LANGUAGE plpgsql STABLE ROWS 1
SET search_path = pg_catalog, public, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN QUERY SELECT tickets.* FROM tickets WHERE tickets.ticket_id = number AND tickets.updated <= ticket_as_of.moment;
    IF FOUND THEN
        RETURN;
    ELSIF number = ANY (unwritten()) IS NOT FALSE THEN
        RETURN QUERY SELECT touched.* FROM tickets_touched_since(ticket_as_of.moment) AS touched WHERE touched.ticket_id = number;
    ELSE
        RETURN QUERY SELECT {columns} FROM past_tickets AS past
            WHERE past.ticket_id = number AND past.past_until > ticket_as_of.moment AND past.past_since <= ticket_as_of.moment;
    END IF;
END $$;
$function$, '{columns}', past_columns('ticket_as_of.moment'));
EXECUTE replace(replace(replace(replace($function$
CREATE OR REPLACE FUNCTION tickets_as_of(moment timestamptz, in_order boolean DEFAULT true) RETURNS SETOF tickets
LANGUAGE sql STABLE
BEGIN ATOMIC
    -- With no condition inside of the UNION, PostgreSQL merges its parts in order, so that a page is read and no more. What is only referred to is
    -- looked up outside of it: for those rows that are left in the end.
    SELECT {names} FROM (
            SELECT tickets.*, true AS past_is_now, tickets.updated AS past_since, timestamptz 'infinity' AS past_until, 0 AS past_cell, {none} FROM tickets
            UNION ALL
            SELECT {columns}, false, past.past_since, past.past_until, past.past_cell, {events} FROM past_tickets AS past
            UNION ALL
            SELECT late.*, true, timestamptz '-infinity', timestamptz 'infinity', 0, {none}
                FROM tickets_lately(tickets_as_of.moment, tickets_as_of.in_order) AS late) AS then_
        WHERE then_.created <= tickets_as_of.moment AND then_.past_since <= tickets_as_of.moment
            -- IS TRUE: not by the key's index, where that means all of it.
            AND (then_.past_is_now OR (then_.past_until > tickets_as_of.moment) IS TRUE)
            AND (then_.past_is_now OR then_.past_cell = ANY ((SELECT cells(tickets_as_of.moment))::integer[]))
            AND (then_.past_is_now OR tickets_as_of.in_order IS NOT TRUE OR (SELECT is_walked(tickets_as_of.moment)))
            AND (then_.past_is_now OR then_.ticket_id <> ALL ((SELECT unwritten())::bigint[]));
END;
$function$, '{columns}', replace(replace(past_columns('tickets_as_of.moment', later => true), 'past.created',
    -- Something that no index has, for who does not want to walk through all that was.
    'CASE WHEN tickets_as_of.in_order THEN past.created ELSE least(past.created, ''infinity'') END'), 'past.ticket_id',
    'CASE WHEN tickets_as_of.in_order IS NULL THEN least(past.ticket_id, 9223372036854775807) ELSE past.ticket_id END')),
    '{names}', (SELECT string_agg(CASE WHEN attname = ANY (referred())
            THEN format('CASE WHEN then_.past_is_now THEN then_.%1$I ELSE %2$s END AS %1$I', attname,
                referred_column(attname, format_type(atttypid, atttypmod), format('then_.%I', 'past_' || attname), 'then_.ticket_id'))
            ELSE format('then_.%I', attname) END, ', ' ORDER BY attnum)
        FROM pg_attribute WHERE attrelid = 'tickets'::regclass AND attnum > 0 AND NOT attisdropped)),
    '{none}', (SELECT string_agg(format('NULL::bigint AS %I', 'past_' || name), ', ') FROM unnest(referred()) AS name)),
    '{events}', (SELECT string_agg(format('past.%I', name), ', ') FROM unnest(referred()) AS name));
END $generate$;
COMMENT ON FUNCTION tickets_lately(timestamptz, boolean) IS
    'The tickets as they were at some moment, those that past_tickets lacks something of, and all of the past where that is little; a part of tickets_as_of()';
COMMENT ON FUNCTION ticket_as_of(bigint, timestamptz) IS 'One ticket as it was at some moment, though it may be gone; no row, if it was not there';
COMMENT ON FUNCTION tickets_as_of(timestamptz, boolean) IS
    'The tickets as they were at some moment, deleted ones included; in_order: whether most of them are wanted, newest first, or few of them, which are found by what they are; null: in the order of their numbers';

CREATE OR REPLACE FUNCTION searches_lately(moment timestamptz) RETURNS SETOF searches
LANGUAGE plpgsql STABLE ROWS 10
SET search_path = pg_catalog, public, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    late bigint[] := unwritten();
BEGIN
    IF late IS NULL OR late <> '{}' THEN
        RETURN QUERY
            SELECT made.* FROM (
                SELECT then_.ticket_id, 0::bigint AS comment_id, ticket_words(then_.title, then_.description, then_.labels) AS words, then_.updated AS since
                    FROM tickets_touched_since(searches_lately.moment) AS then_ WHERE late IS NULL OR then_.ticket_id = ANY (late)
                UNION ALL
                SELECT then_.ticket_id, then_.comment_id, body_words(then_.body), then_.updated
                    FROM comments_touched_since(searches_lately.moment) AS then_ WHERE late IS NULL OR then_.ticket_id = ANY (late)) AS made
            -- Where they are what they were, they are there.
            WHERE NOT EXISTS (SELECT FROM searches WHERE searches.ticket_id = made.ticket_id AND searches.comment_id = made.comment_id
                AND searches.since <= searches_lately.moment);
    END IF;
END $$;
COMMENT ON FUNCTION searches_lately(timestamptz) IS
    'The words as they were at some moment of tickets that past_searches lacks something of, made anew; a part of searches_as_of()';

CREATE OR REPLACE FUNCTION searches_as_of(moment timestamptz) RETURNS SETOF searches
LANGUAGE sql STABLE
BEGIN ATOMIC
    -- As in tickets_as_of(), with the conditions around.
    SELECT then_.ticket_id, then_.comment_id, then_.words, then_.since FROM (
            SELECT searches.*, true AS past_is_now, timestamptz 'infinity' AS past_until FROM searches
            UNION ALL
            SELECT past.ticket_id, past.comment_id, past.words, past.past_since, false, past.past_until FROM past_searches AS past
            UNION ALL
            SELECT late.ticket_id, late.comment_id, late.words, timestamptz '-infinity', true, timestamptz 'infinity'
                FROM searches_lately(searches_as_of.moment) AS late) AS then_
        WHERE then_.since <= searches_as_of.moment
            AND (then_.past_is_now OR then_.past_until > searches_as_of.moment)
            AND (then_.past_is_now OR then_.ticket_id <> ALL ((SELECT unwritten())::bigint[]));
END;
COMMENT ON FUNCTION searches_as_of(timestamptz) IS 'The words as they were at some moment';
