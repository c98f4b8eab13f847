-- INBOXES: what happened on what somebody watches; who gets it by mail

CREATE OR REPLACE FUNCTION texts_of(changes jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    RETURN concat_ws(E'\n', changes #>> '{title,1}', changes #>> '{description,1}', changes #>> '{body,1}');
END $$;
COMMENT ON FUNCTION texts_of(jsonb) IS 'What an event''s changes wrote, for who is called in it';

CREATE OR REPLACE FUNCTION concerns(event stored_events, whose text, changes jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- With changes in it once, PostgreSQL takes it into the query.
RETURN coalesce(whose IN (event.changes #>> '{assignee,0}', event.changes #>> '{assignee,1}', event.changes #>> '{reporter,0}', event.changes #>> '{reporter,1}',
        event.kept_more #>> '{comment,author,0}', event.kept_more #>> '{comment,author,1}', CASE WHEN event.kind::text = 'commented' THEN event.actor END), false)
    OR is_mentioned(texts_of(concerns.changes), ARRAY[whose]);
COMMENT ON FUNCTION concerns(stored_events, text, jsonb) IS 'Whether an event itself, with changes as events has them, has to do with somebody: it gives or takes a ticket from them, calls them, or is about their comment';

DO $generate$ BEGIN EXECUTE replace(replace($function$
CREATE OR REPLACE FUNCTION inbox_after(whose text, after bigint) RETURNS TABLE ("position" bigint, event_id bigint, at timestamptz, actor text, source text,
    ticket_id bigint, title text, kind event_kind, comment_id bigint, changes jsonb, change bigint, undoes bigint)
LANGUAGE sql STABLE
-- Read when it was made, so that PostgreSQL takes it into the query around it, and walks no farther than a page.
BEGIN ATOMIC
    SELECT places.position, event.event_id, event.at, event.actor, event.source, event.ticket_id, tickets.title, event.kind, event.comment_id,
            {changes}, event.change, event.undoes
        FROM places JOIN stored_events AS event ON event.event_id = places.event_id LEFT JOIN tickets ON tickets.ticket_id = event.ticket_id
        WHERE places.position > after AND event.ticket_id IS NOT NULL AND event.actor <> whose
            AND (event.ticket_id IN (SELECT watched(whose)) OR concerns(event, whose, {changes})
                -- What is gone has no watchers; its history tells who they were.
                OR tickets.ticket_id IS NULL AND EXISTS (SELECT FROM stored_events AS before WHERE before.ticket_id = event.ticket_id AND concerns(before, whose, {before})))
            AND NOT EXISTS (SELECT FROM watches WHERE watches.ticket_id = event.ticket_id AND who = whose AND muted);
END;
$function$, '{changes}', told_changes('event')), '{before}', told_changes('before'));
END $generate$;
COMMENT ON FUNCTION inbox_after(text, bigint) IS 'What happened on what somebody watches after a position of the feed, not by them; only what has a position already';

CREATE OR REPLACE FUNCTION read_mark(whose text) RETURNS bigint
LANGUAGE sql STABLE
RETURN coalesce((SELECT position FROM read_marks WHERE who = whose), 0);
COMMENT ON FUNCTION read_mark(text) IS 'How far somebody has read their inbox, a position of the feed';

CREATE OR REPLACE FUNCTION place_all() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF is_waiting() THEN
        PERFORM FROM events_after(9223372036854775807, 0);
    END IF;
END $$;
COMMENT ON FUNCTION place_all() IS 'Gives positions to what has none yet, as who reads the feed does';

CREATE OR REPLACE FUNCTION inbox(whose text DEFAULT actor(), after bigint DEFAULT NULL) RETURNS TABLE ("position" bigint, event_id bigint, at timestamptz,
    actor text, source text, ticket_id bigint, title text, kind event_kind, comment_id bigint, changes jsonb, change bigint, undoes bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    PERFORM place_all();
    RETURN QUERY SELECT * FROM inbox_after(whose, coalesce(inbox.after, read_mark(whose))) AS new ORDER BY new.position;
END $$;
COMMENT ON FUNCTION inbox(text, bigint) IS
    'What happened on what somebody watches since they last looked (mark_read()), or after a position of the feed; not by them';

CREATE OR REPLACE FUNCTION mark_read(upto bigint DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    last bigint;
BEGIN
    PERFORM place_all();
    last := coalesce((SELECT max(places.position) FROM places), 0);
    IF upto NOT BETWEEN 0 AND last THEN
        PERFORM refuse(format('position must be from 0 to %s, the last of the feed: what is to come can''t be read yet', last), 'read_marks_check', 'position');
    END IF;
    INSERT INTO read_marks (who, position, at) VALUES (left(actor(), 100), coalesce(upto, last), clock_timestamp())
        ON CONFLICT ON CONSTRAINT read_marks_pkey DO UPDATE SET position = excluded.position, at = excluded.at;
    RETURN coalesce(upto, last);
END $$;
COMMENT ON FUNCTION mark_read(bigint) IS 'Says how far one has read one''s inbox, a position of the feed; all that is there, unless given. Set back, all since is new again';

CREATE OR REPLACE FUNCTION person(whose text DEFAULT actor()) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
SET timezone = 'UTC'
AS $$
BEGIN
    PERFORM may_tend(whose);
    RETURN (SELECT row_to_json(their) FROM (
        SELECT person_id, name, mail, digest, state, reason, created, position, mailed, next_try FROM people WHERE name = whose) AS their);
END $$;
COMMENT ON FUNCTION person(text) IS 'How somebody gets mail; oneself, or, for admins, anybody';

CREATE OR REPLACE FUNCTION put_person(whose text DEFAULT actor(), address text DEFAULT NULL, pace mail_digest DEFAULT NULL, wanted mail_state DEFAULT NULL) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    PERFORM may_tend(whose);
    -- What is there already is not mailed.
    PERFORM place_all();
    IF wanted = 'bounced' THEN
        PERFORM refuse('state can be set to active or disabled', 'people_check', 'state');
    END IF;
    UPDATE people SET mail = coalesce(address, mail), digest = coalesce(pace, digest), state = coalesce(wanted, state) WHERE name = normalize(whose);
    IF NOT FOUND THEN
        INSERT INTO people (name, mail, digest, state) VALUES (whose, address, pace, wanted)
            ON CONFLICT ON CONSTRAINT people_pkey DO UPDATE SET mail = excluded.mail, digest = excluded.digest, state = excluded.state;
    END IF;
    RETURN person(normalize(whose));
END $$;
COMMENT ON FUNCTION put_person(text, text, mail_digest, mail_state) IS
    'Says how somebody gets mail: put_person(''alice'', ''alice@example.org'', ''daily''); oneself, or, for admins, anybody. What is not given stays';

CREATE OR REPLACE FUNCTION drop_person(whose text DEFAULT actor()) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    PERFORM may_tend(whose);
    DELETE FROM people WHERE name = whose;
    RETURN CASE WHEN FOUND THEN whose END;
END $$;
COMMENT ON FUNCTION drop_person(text) IS 'Forgets somebody''s address; oneself, or, for admins, anybody. Null where there is none';
