-- STATISTICS
--
-- Of the tickets that there are at a moment; what was deleted by then counts nowhere. A ticket that was opened again counts as
-- closed once, when it was closed last, and while it is open again, not at all. How long it took is how long it was open: what it
-- lay there closed in between is no part of it.

CREATE OR REPLACE FUNCTION tickets_at(moment timestamptz, of bigint[]) RETURNS SETOF tickets
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT tickets.* FROM tickets WHERE tickets_at.moment IS NULL
        AND (tickets_at.of IS NULL OR tickets.ticket_id IN (SELECT unnest(tickets_at.of)))
    UNION ALL
    SELECT was.* FROM tickets_as_of(tickets_at.moment, false) AS was WHERE tickets_at.moment IS NOT NULL
        AND (tickets_at.of IS NULL OR was.ticket_id IN (SELECT unnest(tickets_at.of)));
END;
COMMENT ON FUNCTION tickets_at(timestamptz, bigint[]) IS
    'The tickets as they were at some moment, null for now; those of these numbers, null for all';

CREATE OR REPLACE FUNCTION moves(moment timestamptz DEFAULT NULL) RETURNS TABLE (ticket_id bigint, at timestamptz, was text, became text)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT events.ticket_id, events.at, events.changes -> 'status' ->> 0, events.changes -> 'status' ->> 1 FROM stored_events AS events
        WHERE events.kind = 'changed' AND events.changes ? 'status' AND (moves.moment IS NULL OR events.at <= moves.moment);
END;
COMMENT ON FUNCTION moves(timestamptz) IS 'Each move of a ticket from one status to another, up to some moment; deleted tickets included';

CREATE OR REPLACE FUNCTION reopenings(moment timestamptz DEFAULT NULL) RETURNS TABLE (ticket_id bigint, closed timestamptz, opened timestamptz)
LANGUAGE sql STABLE
BEGIN ATOMIC
    -- A closed ticket may move to another closed status, and has the same time then: the last such event opened it. So it would
    -- be of a ticket that is closed since that very time: whoever asks has to leave that one out.
    SELECT events.ticket_id, coalesce(events.kept_closed, (events.kept_more -> 'closed' ->> 0)::timestamptz), max(events.at) FROM stored_events AS events
        WHERE events.kind = 'changed' AND (events.kept_closed IS NOT NULL OR events.kept_more -> 'closed' ->> 0 IS NOT NULL) AND events.changes ?| '{status,closed}'
            AND (reopenings.moment IS NULL OR events.at <= reopenings.moment)
        GROUP BY 1, 2;
END;
COMMENT ON FUNCTION reopenings(timestamptz) IS 'Each time that a ticket lay closed, from when to when; a part of cycle_times()';

CREATE OR REPLACE FUNCTION cycle_times(moment timestamptz DEFAULT NULL, of bigint[] DEFAULT NULL)
RETURNS TABLE (ticket_id bigint, created timestamptz, closed timestamptz, reopened bigint, open_for interval)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT ticket.ticket_id, ticket.created, ticket.closed, coalesce(lay.times, 0), ticket.closed - ticket.created - coalesce(lay.closed, '0')
        FROM tickets_at(cycle_times.moment, cycle_times.of) AS ticket
        LEFT JOIN (SELECT again.ticket_id, count(*) AS times, sum(again.opened - again.closed) AS closed
                FROM reopenings(cycle_times.moment) AS again JOIN tickets_at(cycle_times.moment, cycle_times.of) AS mine ON mine.ticket_id = again.ticket_id
                WHERE again.closed <> mine.closed GROUP BY again.ticket_id) AS lay
            ON lay.ticket_id = ticket.ticket_id
        WHERE ticket.closed IS NOT NULL;
END;
COMMENT ON FUNCTION cycle_times(timestamptz, bigint[]) IS
    'How long each closed ticket was open until it was closed last, at some moment (null: now), of these numbers (null: of all)';

CREATE OR REPLACE FUNCTION hours(span interval) RETURNS double precision
LANGUAGE sql IMMUTABLE
RETURN extract(epoch FROM span)::double precision / 3600;
COMMENT ON FUNCTION hours(interval) IS 'A span in hours';

CREATE OR REPLACE FUNCTION weeks_until(moment timestamptz, weeks integer, zone text) RETURNS timestamptz[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    monday timestamp := date_trunc('week', moment AT TIME ZONE zone);
BEGIN
    IF weeks IS NULL OR weeks NOT BETWEEN 1 AND 520 THEN
        RAISE invalid_parameter_value USING MESSAGE = 'weeks must be from 1 to 520', COLUMN = 'weeks';
    ELSIF moment < '0011-01-01 00:00+00' OR moment >= '10000-01-01 00:00+00' THEN
        -- With ten years before it; what reads JSON knows no others, nor infinity.
        RAISE invalid_parameter_value USING MESSAGE = 'statistics are of a moment in a year from 11 to 9999', COLUMN = 'as_of';
    END IF;
    RETURN ARRAY(SELECT (monday - make_interval(weeks => back)) AT TIME ZONE zone FROM generate_series(weeks - 1, 0, -1) AS back);
END $$;
COMMENT ON FUNCTION weeks_until(timestamptz, integer, text) IS 'When each of so many weeks began, the last one that of some moment';

CREATE OR REPLACE FUNCTION stats(moment timestamptz DEFAULT NULL, of bigint[] DEFAULT NULL, weeks integer DEFAULT 26,
    zone text DEFAULT current_setting('TimeZone')) RETURNS json
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, public, pg_temp
-- What is asked for differs too much for one plan. And what is sorted fits.
SET plan_cache_mode = force_custom_plan
SET work_mem = '32MB'
AS $$
#variable_conflict use_column
DECLARE
    until timestamptz := coalesce(moment, clock_timestamp());
    starts timestamptz[] := weeks_until(until, weeks, zone);
    since timestamptz := starts[1];
    told json;
BEGIN
    WITH those AS MATERIALIZED (
        SELECT ticket_id, status, assignee, priority, labels, created, updated, closed, due FROM tickets_at(moment, of)),
    -- In one pass; by says by what, a bit for each that is not: 31 by status, 47 assignee, 55 priority, 59 filed, 61 shut, 62 labels, 63 nothing.
    counted AS MATERIALIZED (
        SELECT grouping(status, assignee, priority, filed, shut, labels) AS by, status, assignee, priority, filed, shut, labels,
                count(*) AS tickets, count(*) FILTER (WHERE closed IS NULL) AS open,
                count(*) FILTER (WHERE closed IS NULL AND due < until) AS overdue
            FROM (SELECT *, CASE WHEN created >= since THEN width_bucket(created, starts) END AS filed,
                    CASE WHEN closed >= since THEN width_bucket(closed, starts) END AS shut FROM those) AS ticket
            GROUP BY GROUPING SETS ((), (status), (assignee), (priority), (filed), (shut), (labels))),
    moved AS MATERIALIZED (
        -- Ticket by ticket, for what was touched since is mostly a small part.
        SELECT ticket_id, created, move.*, width_bucket(move.at, starts) AS week
            FROM those CROSS JOIN LATERAL (SELECT move.at, move.was, move.became, lag(move.at) OVER (ORDER BY move.at) AS before
                FROM moves(moment) AS move WHERE move.ticket_id = those.ticket_id) AS move
            WHERE updated >= since AND move.at >= since),
    -- What came to a status in a week, less what left it: what was filed came to what it was when it first moved.
    flowed AS (
        SELECT status, week, sum(more) AS more FROM (
                SELECT was, week, -1 FROM moved
                UNION ALL
                SELECT became, week, 1 FROM moved
                UNION ALL
                SELECT was, width_bucket(created, starts), 1 FROM moved WHERE before IS NULL AND created >= since
                UNION ALL
                SELECT status, width_bucket(created, starts), 1 FROM those
                    WHERE created >= since AND NOT EXISTS (SELECT FROM moved WHERE moved.ticket_id = those.ticket_id)) AS change(status, week, more)
            GROUP BY status, week),
    -- So what there was at the end of a week is what there is, less what came since.
    standing AS (
        SELECT week, jsonb_object_agg(status, tickets ORDER BY position, status) AS statuses FROM (
            SELECT week, known.status, coalesce(counted.tickets, 0) - coalesce((SELECT sum(more) FROM flowed WHERE flowed.status = known.status AND flowed.week > series.week), 0) AS tickets,
                    statuses.position
                FROM generate_series(1, weeks) AS series(week)
                CROSS JOIN (SELECT status FROM statuses UNION SELECT status FROM flowed UNION SELECT status FROM counted WHERE by = 31) AS known
                LEFT JOIN statuses ON statuses.status = known.status
                LEFT JOIN counted ON counted.by = 31 AND counted.status = known.status) AS stood
            GROUP BY week)
    SELECT json_build_object('as_of', until, 'since', since,
        'tickets', total.tickets, 'open', total.open, 'overdue', total.overdue,
        'status', (SELECT json_agg(json_build_object('status', status, 'is_open', coalesce(is_open, open > 0), 'tickets', coalesce(tickets, 0)) ORDER BY position, status)
            FROM statuses FULL JOIN (SELECT status, tickets, open FROM counted WHERE by = 31) AS counted USING (status)),
        'priority', (SELECT coalesce(json_agg(json_build_object('priority', priority, 'tickets', tickets, 'open', open) ORDER BY priority DESC), '[]')
            FROM counted WHERE by = 55),
        'assignee', (SELECT coalesce(json_agg(json_build_object('assignee', assignee, 'tickets', tickets, 'open', open)
                ORDER BY open DESC, tickets DESC, assignee), '[]')
            FROM (SELECT * FROM counted WHERE by = 47 ORDER BY open DESC, tickets DESC, assignee LIMIT 50) AS most),
        'label', (SELECT coalesce(json_agg(json_build_object('label', label, 'tickets', tickets, 'open', open)
                ORDER BY open DESC, tickets DESC, label), '[]')
            FROM (SELECT label, sum(tickets) AS tickets, sum(open) AS open
                FROM counted CROSS JOIN LATERAL unnest(labels) AS label WHERE by = 62 GROUP BY label ORDER BY open DESC, tickets DESC, label LIMIT 50) AS most),
        'weeks', (SELECT json_agg(json_build_object('week', (starts[week] AT TIME ZONE zone)::date,
                'filed', coalesce(filed.tickets, 0), 'closed', coalesce(shut.tickets, 0), 'status', standing.statuses) ORDER BY week)
            FROM standing
            LEFT JOIN (SELECT filed AS week, tickets FROM counted WHERE by = 59) AS filed USING (week)
            LEFT JOIN (SELECT shut AS week, tickets FROM counted WHERE by = 61) AS shut USING (week)),
        'hours_to_close', (SELECT json_build_object('tickets', tickets, 'median', round(found[1]::numeric, 2), 'p85', round(found[2]::numeric, 2)) FROM (
            SELECT count(*) AS tickets, percentile_cont(ARRAY[0.5, 0.85]) WITHIN GROUP (ORDER BY hours(closed - created - coalesce(lay, '0'))) AS found
                FROM those LEFT JOIN (SELECT ticket_id, sum(again.opened - again.closed) AS lay
                        FROM reopenings(moment) AS again JOIN those USING (ticket_id) WHERE again.closed <> those.closed GROUP BY ticket_id) AS again USING (ticket_id)
                WHERE closed >= since) AS took),
        'hours_in_status', (SELECT coalesce(json_agg(json_build_object('status', was, 'stays', stays,
                'median', round(found[1]::numeric, 2), 'p85', round(found[2]::numeric, 2)) ORDER BY position, was), '[]')
            FROM (SELECT was, count(*) AS stays, percentile_cont(ARRAY[0.5, 0.85]) WITHIN GROUP (ORDER BY hours(at - coalesce(before, created))) AS found
                FROM moved GROUP BY was) AS stay LEFT JOIN statuses ON statuses.status = was),
        'hours_open', (SELECT coalesce(json_agg(json_build_object('status', age.status, 'tickets', tickets,
                'median', round(found[1]::numeric, 2), 'p85', round(found[2]::numeric, 2), 'oldest', round(oldest::numeric, 2)) ORDER BY position, age.status), '[]')
            FROM (SELECT status, count(*) AS tickets, max(hours(until - created)) AS oldest,
                    percentile_cont(ARRAY[0.5, 0.85]) WITHIN GROUP (ORDER BY hours(until - created)) AS found
                FROM those WHERE closed IS NULL GROUP BY status) AS age LEFT JOIN statuses ON statuses.status = age.status))
        INTO told FROM counted AS total WHERE total.by = 63;
    RETURN told;
END $$;
COMMENT ON FUNCTION stats(timestamptz, bigint[], integer, text) IS
    'What becomes of the tickets, as one document: how many there are of each kind, what was filed and closed in each of so many weeks, and how long it took, in hours; at some moment (null: now), of these numbers (null: of all)';

CREATE OR REPLACE FUNCTION spread(moment timestamptz DEFAULT NULL, of bigint[] DEFAULT NULL, weeks integer DEFAULT 26,
    zone text DEFAULT current_setting('TimeZone')) RETURNS json
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, public, pg_temp
SET plan_cache_mode = force_custom_plan
SET work_mem = '32MB'
AS $$
DECLARE
    until timestamptz := coalesce(moment, clock_timestamp());
    since timestamptz := (weeks_until(until, weeks, zone))[1];
    told json;
BEGIN
    WITH closed AS MATERIALIZED (
        SELECT took.closed, hours(took.open_for) AS hours FROM cycle_times(moment, of) AS took WHERE took.closed >= since),
    done AS (
        -- A hundred and twenty places from left to right, and a dozen for each power of ten.
        SELECT width_bucket(extract(epoch FROM closed.closed), extract(epoch FROM since), extract(epoch FROM until), 120) AS place,
                floor(12 * log(greatest(closed.hours, 0.01)))::integer AS height, count(*) AS tickets
            FROM closed GROUP BY 1, 2),
    open AS (
        SELECT ticket.status, floor(12 * log(greatest(hours(until - ticket.created), 0.01)))::integer AS height, count(*) AS tickets
            FROM tickets_at(moment, of) AS ticket WHERE ticket.closed IS NULL GROUP BY 1, 2)
    SELECT json_build_object('as_of', until, 'since', since,
        'hours_to_close', (SELECT json_build_object('tickets', took.tickets, 'median', round((took.found)[1]::numeric, 2), 'p85', round((took.found)[2]::numeric, 2))
            FROM (SELECT count(*) AS tickets, percentile_cont(ARRAY[0.5, 0.85]) WITHIN GROUP (ORDER BY closed.hours) AS found FROM closed) AS took),
        'closed', (SELECT coalesce(json_agg(json_build_array(done.place, done.height, done.tickets)), '[]') FROM done),
        'open', (SELECT coalesce(json_agg(json_build_object('status', statuses.status, 'ages',
                (SELECT coalesce(json_agg(json_build_array(open.height, open.tickets)), '[]') FROM open WHERE open.status = statuses.status))
                ORDER BY statuses.position), '[]')
            FROM statuses WHERE statuses.is_open OR EXISTS (SELECT FROM open WHERE open.status = statuses.status)))
        INTO told;
    RETURN told;
END $$;
COMMENT ON FUNCTION spread(timestamptz, bigint[], integer, text) IS
    'What a picture is drawn of: [place from since to as_of, 1 to 120; 12 times the decimal logarithm of hours; how many] of what was closed, and [the same height of its age; how many] of what is open';
