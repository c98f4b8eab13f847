-- Whether one row of an export is what the rules would have let in, and what the database would have kept;
-- each refuses in words what is not. Only for the import that makes them: they go with its session.

-- JSON's whole numbers are exact up to here, whoever reads them.
CREATE FUNCTION pg_temp.is_number(value bigint) RETURNS boolean LANGUAGE sql IMMUTABLE
    RETURN value BETWEEN 1 AND 9007199254740991;

-- A year of four digits is all that RFC 3339 knows.
CREATE FUNCTION pg_temp.is_moment(value timestamptz) RETURNS boolean LANGUAGE sql IMMUTABLE
    RETURN value >= '0001-01-01 00:00+00' AND value < '10000-01-01 00:00+00';

-- A time, or infinity, which nothing else is, where it is none.
CREATE FUNCTION pg_temp.moment(value text) RETURNS timestamptz LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN value::timestamptz;
EXCEPTION WHEN data_exception THEN
    RETURN 'infinity';
END $$;

CREATE FUNCTION pg_temp.fits(it statuses) RETURNS boolean LANGUAGE sql
    RETURN true;

CREATE FUNCTION pg_temp.fits(it transitions) RETURNS boolean LANGUAGE sql
    RETURN true;

CREATE FUNCTION pg_temp.fits(it tickets) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    open boolean := (SELECT is_open FROM statuses WHERE status = it.status);
BEGIN
    IF NOT pg_temp.is_number(it.ticket_id) THEN
        RETURN refuse(format('%s can''t be the number of a ticket', it.ticket_id), '', 'ticket_id');
    ELSIF open IS NULL THEN
        RETURN refuse(format('there is no status "%s"', it.status), '', 'status');
    ELSIF open AND it.closed IS NOT NULL THEN
        RETURN refuse(format('"%s" is open, so it can have no time of closing', it.status), '', 'closed');
    ELSIF NOT open AND it.closed IS NULL THEN
        RETURN refuse(format('"%s" is not open, so it needs a time of closing', it.status), '', 'closed');
    ELSIF NOT (pg_temp.is_moment(it.created) AND pg_temp.is_moment(it.updated) AND pg_temp.is_moment(coalesce(it.closed, it.created))) THEN
        RETURN refuse('created, updated and closed must be times before the year 10000', '', 'created');
    ELSIF NOT it.created <= ALL (ARRAY[it.updated, coalesce(it.closed, it.created)]) OR it.closed > it.updated THEN
        RETURN refuse('created, closed and updated must be in this order', '', 'created');
    ELSIF cardinality(it.labels) > 1 AND it.labels <> ARRAY(SELECT DISTINCT label COLLATE "C" FROM unnest(it.labels) AS label ORDER BY 1) THEN
        RETURN refuse('labels must be sorted and without repeats', '', 'labels');
    END IF;
    RETURN true;
END $$;

CREATE FUNCTION pg_temp.fits(it comments) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF NOT pg_temp.is_number(it.comment_id) THEN
        RETURN refuse(format('%s can''t be the number of a comment', it.comment_id), '', 'comment_id');
    ELSIF NOT (pg_temp.is_moment(it.created) AND pg_temp.is_moment(it.updated)) THEN
        RETURN refuse('created and updated must be times before the year 10000', '', 'created');
    ELSIF it.created > it.updated THEN
        RETURN refuse('created and updated must be in this order', '', 'created');
    END IF;
    RETURN true;
END $$;

-- Of a ticket that is gone, too: it may be brought back.
CREATE FUNCTION pg_temp.fits(it watches) RETURNS boolean LANGUAGE sql
    RETURN true;

CREATE FUNCTION pg_temp.fits(it links) RETURNS boolean LANGUAGE sql
    RETURN true;

-- What an export has as changes, without what is long and stands in the row itself.
CREATE FUNCTION pg_temp.shortened(given jsonb) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
    changes jsonb := given -> 'changes';
    long jsonb;
BEGIN
    IF jsonb_typeof(changes) <> 'object' THEN
        RETURN changes;
    ELSIF given ->> 'kind' = 'commented' THEN
        RETURN CASE WHEN EXISTS (SELECT FROM comments WHERE to_jsonb(ticket_id) = given -> 'ticket_id' AND comment_id = (given ->> 'comment_id')::bigint
            AND changes -> 'body' = jsonb_build_array(NULL, body) AND updated <= pg_temp.moment(given ->> 'at')) THEN changes - 'body' ELSE changes END;
    ELSIF given ->> 'kind' = 'created' AND NOT EXISTS (SELECT FROM retold WHERE retold.ticket_id = given -> 'ticket_id') THEN
        SELECT jsonb_object_agg(name, jsonb_build_array(NULL, to_jsonb(tickets) -> name)) INTO long
            FROM tickets CROSS JOIN unnest(referred()) AS name WHERE ticket_id = (given ->> 'ticket_id')::bigint AND changes ? name;
        IF long ? 'title' AND changes @> long AND long <@ changes THEN
            RETURN changes || (SELECT jsonb_object_agg(name, NULL) FROM jsonb_object_keys(long) AS name);
        END IF;
    END IF;
    RETURN changes;
END $$;

-- What an export has as kept and other_kept, by the columns of events: of kept, whatever kept() gives to the letter again.
CREATE FUNCTION pg_temp.packed(given jsonb) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
    made jsonb := jsonb_build_object('other_kept', nullif(given -> 'other_kept', '{}'), 'changes', pg_temp.shortened(given));
    more jsonb := given -> 'kept';
    name text;
BEGIN
    IF jsonb_typeof(more) = 'object' THEN
        FOREACH name IN ARRAY '{version,updated,closed}'::text[] LOOP
            IF more -> name -> 0 <> 'null' AND more -> name = jsonb_build_array(CASE name WHEN 'version' THEN more -> name -> 0
                    ELSE to_jsonb(pg_temp.moment(more -> name ->> 0)) END) THEN
                made := made || jsonb_build_object('kept_' || name, more -> name -> 0);
                more := more - name;
            END IF;
        END LOOP;
        -- That it was not closed, nothing says of a change, and of others it need not be said that there is nothing more.
        IF more = (CASE WHEN given ->> 'kind' = 'changed' AND made ? 'kept_version' AND NOT made ? 'kept_closed' THEN '{"closed": [null]}' ELSE '{}' END)::jsonb THEN
            more := NULL;
        END IF;
    END IF;
    RETURN made || jsonb_build_object('kept_more', more);
END $$;

-- Of what changed, the old values only: a new one is the present's or the next event's old one, or the history
-- does not fit.
CREATE FUNCTION pg_temp.fits(it stored_events) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    changes jsonb := CASE WHEN it.kind IN ('created', 'commented') THEN jsonb_strip_nulls(it.changes) ELSE it.changes END;
    about_ticket boolean := it.kind IN ('created', 'changed', 'deleted');
    about_comment boolean := it.kind IN ('commented', 'comment_changed', 'comment_deleted');
    about_link boolean := it.kind IN ('linked', 'unlinked');
    part jsonb;
    ticket tickets;
    version bigint;
BEGIN
    IF NOT pg_temp.is_number(it.event_id) THEN
        RETURN refuse(format('%s can''t be the number of an event', it.event_id), '', 'event_id');
    ELSIF NOT (pg_temp.is_number(it.change) AND pg_temp.is_number(coalesce(it.undoes, 1))) THEN
        RETURN refuse('change and undoes must be numbers that there can be', '', 'change');
    ELSIF NOT pg_temp.is_moment(it.at) THEN
        RETURN refuse('at must be a time before the year 10000', '', 'at');
    ELSIF char_length(it.actor) > 100 OR char_length(it.source) > 100 THEN
        RETURN refuse('actor and source must have at most 100 characters', '', 'actor');
    ELSIF (it.ticket_id IS NOT NULL) <> (about_ticket OR about_comment OR about_link)
        OR (it.comment_id IS NOT NULL) <> about_comment OR (it.other_id IS NOT NULL) <> about_link THEN
        RETURN refuse(format('ticket_id, comment_id and other_id are not those of the kind "%s"', it.kind), '', 'kind');
    ELSIF NOT (pg_temp.is_number(coalesce(it.ticket_id, 1)) AND pg_temp.is_number(coalesce(it.comment_id, 1))
        AND pg_temp.is_number(coalesce(it.other_id, 1))) THEN
        RETURN refuse('ticket_id, comment_id and other_id must be numbers that there can be', '', 'ticket_id');
    ELSIF jsonb_typeof(changes) <> 'object' OR it.changes = '{}' AND it.kind <> 'commented'
        OR changes @? 'strict $.* ? (@.type() != "array" || @.size() != 2)' THEN
        RETURN refuse('changes must be like {"column": [old, new]}', '', 'changes');
    END IF;
    FOREACH part IN ARRAY ARRAY[kept(it) - 'comment', coalesce(it.other_kept, '{}'), coalesce(it.kept_more -> 'comment', '{}')] LOOP
        CONTINUE WHEN part = '{}';
        IF jsonb_typeof(part) <> 'object' OR part @? 'strict $.* ? (@.type() != "array")'
            OR part - '{version,created,updated,closed,author}'::text[] <> '{}' THEN
            RETURN refuse('kept and other_kept must be like {"version": [old]}, of what the database keeps', '', 'kept');
        END IF;
        version := part -> 'version' ->> 0;
        IF NOT (pg_temp.is_number(coalesce(version, 1))
            AND pg_temp.is_moment(coalesce(pg_temp.moment(part -> 'created' ->> 0), it.at))
            AND pg_temp.is_moment(coalesce(pg_temp.moment(part -> 'updated' ->> 0), it.at))
            AND pg_temp.is_moment(coalesce(pg_temp.moment(part -> 'closed' ->> 0), it.at))) THEN
            RETURN refuse('kept and other_kept must have values that there can be', '', 'kept');
        END IF;
    END LOOP;
    IF it.kind IN ('changed', 'deleted') THEN
        ticket := jsonb_populate_record(NULL::tickets, (SELECT jsonb_object_agg(key, value -> 0) FROM jsonb_each(changes)));
        IF NOT isfinite(coalesce(ticket.due, it.at)) THEN
            RETURN refuse('due must be a finite time', '', 'changes');
        END IF;
    END IF;
    RETURN true;
END $$;
