-- UNDO

CREATE OR REPLACE FUNCTION changed_since(undone bigint[], whole bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    pair record;
    last bigint := 0;
    taken_back bigint[];
    found jsonb := '[]';
BEGIN
    FOR pair IN
        SELECT event.event_id, event.ticket_id, later.event_id AS later_id, later.undoes, later.actor, later.kind,
                (SELECT min(key) FROM jsonb_object_keys(event.changes) AS key WHERE event.kind IN ('changed', 'workflow_changed') AND later.changes ? key
                    AND later.kind IN ('changed', 'workflow_changed')) AS key
            FROM stored_events AS event CROSS JOIN LATERAL (
                SELECT other.* FROM stored_events AS other WHERE other.ticket_id = event.ticket_id
                UNION
                SELECT other.* FROM stored_events AS other WHERE other.other_id = event.ticket_id
                UNION
                SELECT other.* FROM stored_events AS other WHERE other.ticket_id = event.other_id AND other.kind IN ('created', 'deleted')
                UNION
                SELECT other.* FROM stored_events AS other WHERE event.ticket_id IS NULL AND other.ticket_id IS NULL) AS later
            WHERE event.event_id = ANY (undone) AND (later.at, later.event_id) > (event.at, event.event_id)
                AND later.change IS DISTINCT FROM whole AND later.event_id <> ALL (CASE WHEN whole IS NULL THEN undone ELSE '{}' END)
                AND CASE WHEN event.kind = 'created' THEN true
                    WHEN later.kind IN ('created', 'deleted') THEN true
                    WHEN event.kind IN ('changed', 'workflow_changed') THEN later.kind = event.kind
                        AND later.changes ?| ARRAY(SELECT jsonb_object_keys(event.changes))
                    WHEN event.comment_id IS NOT NULL THEN later.comment_id = event.comment_id
                    WHEN event.other_id IS NOT NULL THEN later.ticket_id = event.ticket_id AND later.other_id = event.other_id
                        AND coalesce(later.changes -> 'kind' ->> 0, later.changes -> 'kind' ->> 1)
                            = coalesce(event.changes -> 'kind' ->> 0, event.changes -> 'kind' ->> 1)
                    ELSE false END
            ORDER BY event.event_id, later.at DESC, later.event_id DESC LOOP
        IF pair.event_id <> last THEN
            last := pair.event_id;
            taken_back := '{}';
        END IF;
        -- What came later and was taken back since is as if it had not been.
        IF pair.later_id = ANY (taken_back) THEN
            CONTINUE;
        ELSIF pair.undoes <> pair.event_id AND EXISTS (SELECT FROM stored_events AS event JOIN stored_events AS target ON target.event_id = pair.undoes
                WHERE event.event_id = pair.event_id AND (target.at, target.event_id) > (event.at, event.event_id)) THEN
            taken_back := taken_back || pair.undoes;
        ELSE
            found := found || jsonb_build_object('ticket_id', pair.ticket_id, 'column', pair.key, 'event_id', pair.later_id, 'kind', pair.kind, 'actor', pair.actor);
            EXIT WHEN jsonb_array_length(found) >= 1000;
        END IF;
    END LOOP;
    RETURN found;
END $$;
COMMENT ON FUNCTION changed_since(bigint[], bigint) IS
    'What was done since to the same things as these events did, and stands: [{"ticket_id", "column", "event_id", …}], a thousand at most; a part of undo()';

DO $generate$ BEGIN EXECUTE replace(replace(replace($function$
CREATE OR REPLACE FUNCTION undo_event(event stored_events) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    old jsonb := (SELECT coalesce(jsonb_object_agg(key, value -> 0), '{}') FROM jsonb_each(event.changes));
    was tickets;
BEGIN
    CASE event.kind
    WHEN 'created' THEN
        DELETE FROM tickets WHERE ticket_id = event.ticket_id;
    WHEN 'changed' THEN
        SELECT * INTO was FROM tickets WHERE ticket_id = event.ticket_id;
        was := jsonb_populate_record(was, CASE WHEN event.changes ? 'status' THEN jsonb_build_object('closed', kept(event) -> 'closed' -> 0) ELSE '{}' END || old);
        -- By a version that nobody else can give, tickets_before() knows it from other changes.
        UPDATE tickets SET {changed}, closed = was.closed, version = -version WHERE ticket_id = event.ticket_id;
    WHEN 'deleted' THEN
        was := jsonb_populate_record(NULL::tickets, old);
        INSERT INTO tickets (ticket_id, {columns}, created, closed, version) OVERRIDING SYSTEM VALUE
            -- The deletion counts as a version, too.
            VALUES (event.ticket_id, {values}, (kept(event) -> 'created' ->> 0)::timestamptz, (kept(event) -> 'closed' ->> 0)::timestamptz,
                -((kept(event) -> 'version' ->> 0)::bigint + 2));
    WHEN 'commented' THEN
        DELETE FROM comments WHERE ticket_id = event.ticket_id AND comment_id = event.comment_id;
    WHEN 'comment_changed' THEN
        UPDATE comments SET body = old ->> 'body' WHERE ticket_id = event.ticket_id AND comment_id = event.comment_id;
    WHEN 'comment_deleted' THEN
        -- By this time comments_before() knows it from a new one.
        INSERT INTO comments (comment_id, ticket_id, author, body, created, updated) OVERRIDING SYSTEM VALUE
            VALUES (event.comment_id, event.ticket_id, event.kept_more -> 'comment' -> 'author' ->> 0, old ->> 'body',
                (event.kept_more -> 'comment' -> 'created' ->> 0)::timestamptz, '-infinity');
    WHEN 'linked' THEN
        DELETE FROM links WHERE ticket_id = event.ticket_id AND other_id = event.other_id AND kind::text = event.changes -> 'kind' ->> 1;
    WHEN 'unlinked' THEN
        INSERT INTO links (ticket_id, kind, other_id) VALUES (event.ticket_id, (event.changes -> 'kind' ->> 0)::link_kind, event.other_id);
    WHEN 'workflow_changed' THEN
        PERFORM set_workflow(workflow()::jsonb || old);
        -- Now, so that its event can be told from others'.
        SET CONSTRAINTS statuses_recorded, transitions_recorded IMMEDIATE;
        SET CONSTRAINTS statuses_recorded, transitions_recorded DEFERRED;
    END CASE;
END $$;
$function$,
    '{changed}', each_column('tickets', '%1$I = was.%1$I')),
    '{columns}', each_column('tickets', '%1$I')),
    '{values}', each_column('tickets', 'CASE WHEN old ? %1$L THEN was.%1$I ELSE %2$s END'));
END $generate$;
COMMENT ON FUNCTION undo_event(stored_events) IS 'Does the contrary of an event; a part of undo()';

CREATE OR REPLACE FUNCTION undo(event_id bigint DEFAULT NULL, change bigint DEFAULT NULL, dry_run boolean DEFAULT false) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
-- As the owner, who alone may bring back a ticket under its number; so it looks by itself at what its caller may.
AS $$
#variable_conflict use_column
DECLARE
    caller CONSTANT name := CASE current_setting('role') WHEN 'none' THEN session_user ELSE current_setting('role') END;
    this CONSTANT bigint := pg_current_xact_id()::text::bigint + pg_sequence_last_value('change_base');
    mark bigint;
    latest bigint;
    event stored_events;
    undone bigint[];
    conflicts jsonb;
    done jsonb;
    kinds text[];
BEGIN
    IF (undo.event_id IS NULL) = (undo.change IS NULL) THEN
        RAISE invalid_parameter_value USING MESSAGE = 'give event_id or change, one of them', COLUMN = 'event_id';
    END IF;
    -- One at a time: of two who take back the same, the later one sees that it is done.
    PERFORM latch('undo');
    IF undo.change IS NOT NULL THEN
        undone := ARRAY(SELECT events.event_id FROM stored_events AS events WHERE events.change = undo.change);
        IF undone = '{}' THEN
            RAISE SQLSTATE 'IR020' USING MESSAGE = format('there is no change %s', undo.change);
        END IF;
    ELSE
        SELECT * INTO event FROM stored_events AS events WHERE events.event_id = undo.event_id;
        IF NOT FOUND THEN
            RAISE SQLSTATE 'IR021' USING MESSAGE = format('there is no event %s', undo.event_id);
        END IF;
        undone := ARRAY[event.event_id];
        IF event.kind = 'deleted' THEN
            -- With what went with it: comments, and links to tickets that are there.
            undone := undone || ARRAY(
                SELECT gone.event_id FROM stored_events AS gone WHERE gone.ticket_id = event.ticket_id AND gone.change = event.change
                    AND (gone.kind = 'comment_deleted' AND gone.kept_version IS NULL
                        OR gone.kind = 'unlinked' AND gone.kept_version IS NULL AND EXISTS (SELECT FROM tickets WHERE ticket_id = gone.other_id))
                UNION
                SELECT gone.event_id FROM stored_events AS gone WHERE gone.other_id = event.ticket_id AND gone.change = event.change
                    AND gone.kind = 'unlinked' AND gone.other_kept IS NULL AND EXISTS (SELECT FROM tickets WHERE ticket_id = gone.ticket_id));
        END IF;
    END IF;
    kinds := ARRAY(SELECT DISTINCT events.kind::text FROM stored_events AS events WHERE events.event_id = ANY (undone));
    IF kinds && '{token_added,token_revoked}' THEN
        RAISE invalid_parameter_value USING MESSAGE = 'what was done to tokens is not taken back by undo()',
            HINT = 'Revoke the token, or add one anew.';
    ELSIF kinds && '{hook_added,hook_changed,hook_removed}' THEN
        RAISE invalid_parameter_value USING MESSAGE = 'what was done to hooks is not taken back by undo()',
            HINT = 'Change the hook, delete it, or add one anew.';
    END IF;
    IF 'created' = ANY (kinds) AND NOT has_table_privilege(caller, 'tickets', 'DELETE')
        OR 'deleted' = ANY (kinds) AND NOT has_any_column_privilege(caller, 'tickets', 'INSERT')
        OR 'changed' = ANY (kinds) AND NOT has_any_column_privilege(caller, 'tickets', 'UPDATE') THEN
        RAISE insufficient_privilege USING MESSAGE = 'permission denied for table tickets';
    ELSIF 'commented' = ANY (kinds) AND NOT has_table_privilege(caller, 'comments', 'DELETE')
        OR 'comment_changed' = ANY (kinds) AND NOT has_any_column_privilege(caller, 'comments', 'UPDATE')
        OR 'comment_deleted' = ANY (kinds) AND NOT has_any_column_privilege(caller, 'comments', 'INSERT') THEN
        RAISE insufficient_privilege USING MESSAGE = 'permission denied for table comments';
    ELSIF 'linked' = ANY (kinds) AND NOT has_table_privilege(caller, 'links', 'DELETE')
        OR 'unlinked' = ANY (kinds) AND NOT has_table_privilege(caller, 'links', 'INSERT') THEN
        RAISE insufficient_privilege USING MESSAGE = 'permission denied for table links';
    ELSIF 'workflow_changed' = ANY (kinds) AND NOT has_table_privilege(caller, 'statuses', 'UPDATE') THEN
        RAISE insufficient_privilege USING MESSAGE = 'permission denied for table statuses';
    END IF;

    -- Nobody changes any of it meanwhile, nor hangs anything on it.
    PERFORM FROM comments WHERE (ticket_id, comment_id) IN (SELECT events.ticket_id, events.comment_id FROM stored_events AS events
        WHERE events.event_id = ANY (undone) AND events.comment_id IS NOT NULL) ORDER BY ticket_id, comment_id FOR NO KEY UPDATE;
    PERFORM FROM tickets WHERE ticket_id IN (SELECT events.ticket_id FROM stored_events AS events WHERE events.event_id = ANY (undone)
        UNION SELECT events.other_id FROM stored_events AS events WHERE events.event_id = ANY (undone)) ORDER BY ticket_id FOR UPDATE;
    conflicts := changed_since(undone, undo.change);
    IF conflicts <> '[]' AND NOT EXISTS (SELECT FROM jsonb_array_elements(conflicts) AS item JOIN stored_events AS events
            ON events.event_id = (item ->> 'event_id')::bigint WHERE events.undoes = ANY (undone) IS NOT TRUE) THEN
        SELECT * INTO event FROM stored_events AS events WHERE events.event_id = (conflicts -> 0 ->> 'event_id')::bigint;
        RAISE SQLSTATE 'IR022' USING MESSAGE = CASE WHEN undo.change IS NULL
                THEN format('event %s was undone already, by %s in event %s', undo.event_id, event.actor, event.event_id)
                ELSE format('change %s was undone already, by %s in change %s', undo.change, event.actor, event.change) END,
            HINT = format('Nothing was undone. To have it back, undo %s.',
                CASE WHEN undo.change IS NULL THEN 'event ' || event.event_id ELSE 'change ' || event.change END),
            DATATYPE = jsonb_build_object('conflicts', conflicts)::text;
    ELSIF conflicts <> '[]' THEN
        RAISE SQLSTATE 'IR022' USING MESSAGE = CASE WHEN conflicts -> 0 ->> 'ticket_id' IS NULL THEN 'the workflow'
                ELSE format('ticket %s', conflicts -> 0 ->> 'ticket_id') END
            || format(' was changed again since, by %s in event %s', conflicts -> 0 ->> 'actor', conflicts -> 0 ->> 'event_id')
            || CASE jsonb_array_length(conflicts) WHEN 1 THEN '' WHEN 1000 THEN ' (and 999 more at least)'
                ELSE format(' (and %s more)', jsonb_array_length(conflicts) - 1) END,
            DETAIL = (SELECT string_agg(concat_ws(' ', 'ticket ' || (item ->> 'ticket_id'), (item ->> 'column'), 'by event', (item ->> 'event_id')), E'\n' ORDER BY nth)
                FROM jsonb_array_elements(conflicts) WITH ORDINALITY AS listed(item, nth) WHERE nth <= 100),
            HINT = 'Nothing was undone. What was done since can be undone first.',
            DATATYPE = jsonb_build_object('conflicts', conflicts)::text;
    END IF;

    SELECT coalesce(max(events.event_id), 0) INTO mark FROM stored_events AS events;
    BEGIN
        -- Backwards; a ticket before what went with it, of which history says that it went after it.
        FOR event IN
            WITH mine AS MATERIALIZED (SELECT * FROM stored_events AS events WHERE events.event_id = ANY (undone)),
            went AS (
                SELECT gone.ticket_id, max(gone.at) AS at FROM (
                    SELECT ticket_id, at FROM mine WHERE kind IN ('comment_deleted', 'unlinked') AND kept_version IS NULL
                    UNION ALL
                    SELECT other_id, at FROM mine WHERE kind = 'unlinked' AND other_kept IS NULL) AS gone
                GROUP BY gone.ticket_id)
            SELECT mine.* FROM mine LEFT JOIN went ON went.ticket_id = mine.ticket_id AND mine.kind = 'deleted'
                ORDER BY greatest(mine.at, went.at) DESC, mine.kind = 'deleted' DESC, mine.event_id DESC LOOP
            PERFORM undo_event(event);
            IF event.ticket_id IS NULL THEN
                SELECT max(written.event_id) INTO latest FROM stored_events AS written WHERE written.event_id > mark AND written.ticket_id IS NULL;
            ELSE
                -- In the order of the index of both: by the numbers alone it would look through all that was written so far.
                SELECT written.event_id INTO latest FROM stored_events AS written WHERE written.ticket_id = event.ticket_id
                    AND written.event_id > mark AND written.comment_id IS NOT DISTINCT FROM event.comment_id
                    ORDER BY written.ticket_id DESC, written.event_id DESC LIMIT 1;
            END IF;
            UPDATE stored_events AS events SET undoes = event.event_id WHERE events.event_id = latest AND events.undoes IS NULL;
        END LOOP;
        SELECT coalesce(jsonb_agg(to_jsonb(written) - '{kept_version,kept_updated,kept_closed,kept_more,other_id,other_kept}'::text[] - CASE WHEN dry_run THEN '{event_id,at,change,position,digest}'::text[] ELSE '{}' END
                ORDER BY written.event_id), '[]')
            INTO done FROM events AS written WHERE written.change = this AND written.event_id > mark;
        IF dry_run THEN
            -- What has been done is undone; the variables stay.
            RAISE SQLSTATE 'IR100';
        END IF;
    EXCEPTION WHEN SQLSTATE 'IR100' THEN
        NULL;
    END;
    RETURN done;
END $$;
COMMENT ON FUNCTION undo(bigint, bigint, boolean) IS
    'Takes back an event, or a whole change, by new events that carry undoes; all or nothing. Gives those events; dry_run only says what they would be';
