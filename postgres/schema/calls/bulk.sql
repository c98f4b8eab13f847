-- MANY AT ONCE

CREATE OR REPLACE FUNCTION put_rows(rows jsonb, compare boolean) RETURNS json
LANGUAGE sql
BEGIN ATOMIC
    WITH given AS MATERIALIZED (
        SELECT place - 1 AS index, item, (item ->> 'ticket_id')::bigint AS id,
            CASE WHEN item ->> 'ticket_id' IS NULL
                THEN row_number() OVER (PARTITION BY item ->> 'ticket_id' IS NULL ORDER BY place) END AS place
            FROM jsonb_array_elements(rows) WITH ORDINALITY AS listed(item, place)),
    -- In the order of their numbers, so that two who change the same tickets can't deadlock.
    before AS MATERIALIZED (
        SELECT * FROM tickets WHERE ticket_id IN (SELECT id FROM given) ORDER BY ticket_id FOR NO KEY UPDATE),
    created AS (
        INSERT INTO tickets (title, description, status, assignee, reporter, priority, labels, fields, due)
            SELECT item ->> 'title', item ->> 'description',
                CASE WHEN item ? 'status' THEN item ->> 'status' ELSE first_status() END,
                item ->> 'assignee',
                CASE WHEN item ? 'reporter' THEN item ->> 'reporter' ELSE actor() END,
                CASE WHEN item ? 'priority' THEN (item ->> 'priority')::priority ELSE 'normal' END,
                CASE WHEN NOT item ? 'labels' THEN '{}' WHEN item -> 'labels' <> 'null' THEN
                    ARRAY(SELECT jsonb_array_elements_text(item -> 'labels')) END,
                CASE WHEN item ? 'fields' THEN nullif(item -> 'fields', 'null') ELSE '{}' END,
                (item ->> 'due')::timestamptz
            FROM given WHERE id IS NULL ORDER BY index
        RETURNING *),
    changed AS (
        UPDATE tickets SET
            title = CASE WHEN item ? 'title' THEN item ->> 'title' ELSE tickets.title END,
            description = CASE WHEN item ? 'description' THEN item ->> 'description' ELSE tickets.description END,
            status = CASE WHEN item ? 'status' THEN item ->> 'status' ELSE tickets.status END,
            assignee = CASE WHEN item ? 'assignee' THEN item ->> 'assignee' ELSE tickets.assignee END,
            reporter = CASE WHEN item ? 'reporter' THEN item ->> 'reporter' ELSE tickets.reporter END,
            priority = CASE WHEN item ? 'priority' THEN (item ->> 'priority')::priority ELSE tickets.priority END,
            labels = CASE WHEN NOT item ? 'labels' THEN tickets.labels WHEN item -> 'labels' <> 'null' THEN
                ARRAY(SELECT jsonb_array_elements_text(item -> 'labels')) END,
            fields = CASE WHEN item ? 'fields' THEN nullif(item -> 'fields', 'null') ELSE tickets.fields END,
            due = CASE WHEN item ? 'due' THEN (item ->> 'due')::timestamptz ELSE tickets.due END
            FROM given JOIN before ON before.ticket_id = given.id WHERE tickets.ticket_id = given.id
        RETURNING tickets.*),
    numbered AS (SELECT created.*, row_number() OVER (ORDER BY ticket_id) AS place FROM created),
    after AS (
        SELECT given.index, NULL::json AS before, numbered.ticket_id, title, description, status, assignee, reporter,
                priority, labels, fields, due, created, updated, closed, version
            FROM given JOIN numbered USING (place)
        UNION ALL
        SELECT given.index, row_to_json(before), changed.* FROM given
            JOIN changed ON changed.ticket_id = given.id JOIN before ON before.ticket_id = given.id)
    SELECT json_agg(CASE WHEN compare
            THEN json_build_object('index', index, 'before', before, 'after', this)
            ELSE row_to_json(this) END ORDER BY index)
        FROM after CROSS JOIN LATERAL (SELECT after.ticket_id, after.title, after.description, after.status, after.assignee,
            after.reporter, after.priority, after.labels, after.fields, after.due, after.created, after.updated,
            after.closed, after.version) AS this;
END;
COMMENT ON FUNCTION put_rows(jsonb, boolean) IS 'Files and changes tickets, set by set; a part of put_tickets()';

CREATE OR REPLACE FUNCTION put_tickets(rows jsonb, dry_run boolean DEFAULT false) RETURNS json
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
DECLARE
    outcome json;
    mistakes jsonb := '[]';
    one jsonb;
    nth integer;
    earlier integer;
    message text;
    hint text;
    state text;
    about text;
    rule text;
BEGIN
    IF jsonb_typeof(rows) IS DISTINCT FROM 'array' THEN
        RAISE check_violation USING MESSAGE = 'tickets must be a list';
    END IF;
    BEGIN
        IF EXISTS (SELECT FROM jsonb_array_elements(rows) AS item WHERE item ->> 'ticket_id' IS NOT NULL
                GROUP BY item ->> 'ticket_id' HAVING count(*) > 1)
            OR EXISTS (SELECT FROM jsonb_array_elements(rows) AS item WHERE item ->> 'ticket_id' IS NOT NULL
                AND NOT EXISTS (SELECT FROM tickets WHERE ticket_id = (item ->> 'ticket_id')::bigint)) THEN
            RAISE SQLSTATE 'IR000';
        END IF;
        outcome := put_rows(rows, dry_run);
        IF dry_run THEN
            -- What has been done is undone; the variable stays.
            RAISE SQLSTATE 'IR100';
        END IF;
        RETURN coalesce(outcome, '[]');
    EXCEPTION
        WHEN SQLSTATE 'IR100' THEN
            RETURN coalesce(outcome, '[]');
        WHEN integrity_constraint_violation OR data_exception OR program_limit_exceeded OR SQLSTATE 'IR000' THEN
            -- Some row is to blame: each is tried by itself, below.
            GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, state = RETURNED_SQLSTATE;
    END;
    FOR one, nth, earlier IN
        SELECT value, ordinality - 1, min(ordinality) OVER (PARTITION BY value ->> 'ticket_id') - 1
            FROM jsonb_array_elements(rows) WITH ORDINALITY ORDER BY ordinality LOOP
        BEGIN
            IF one ->> 'ticket_id' IS NOT NULL AND earlier < nth THEN
                RAISE SQLSTATE 'IR007' USING MESSAGE = format('ticket %s is in row %s already', one ->> 'ticket_id', earlier);
            END IF;
            IF put_rows(jsonb_build_array(one), false) IS NULL THEN
                RAISE foreign_key_violation USING MESSAGE = format('there is no ticket %s', one ->> 'ticket_id'),
                    CONSTRAINT = 'comments_ticket_id_fkey', COLUMN = 'ticket_id';
            END IF;
        EXCEPTION WHEN integrity_constraint_violation OR data_exception OR program_limit_exceeded OR SQLSTATE 'IR000' THEN
            GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT, state = RETURNED_SQLSTATE,
                about = COLUMN_NAME, rule = CONSTRAINT_NAME;
            mistakes := mistakes || jsonb_build_object('index', nth, 'state', state, 'message', message,
                'hint', nullif(hint, ''), 'about', nullif(about, ''), 'rule', rule);
            EXIT WHEN jsonb_array_length(mistakes) = 100;
        END;
    END LOOP;
    IF mistakes = '[]' THEN
        RAISE EXCEPTION USING ERRCODE = state, MESSAGE = message;
    END IF;
    RAISE SQLSTATE 'IR006' USING MESSAGE = format('row %s: %s', mistakes -> 0 ->> 'index', mistakes -> 0 ->> 'message'),
        DETAIL = mistakes::text, HINT = format('Nothing was written; mistakes found: %s.', jsonb_array_length(mistakes));
END $$;
COMMENT ON FUNCTION put_tickets(jsonb, boolean) IS
    'Files and changes many tickets, [{"title": …}, {"ticket_id": 1, …}, …], all or nothing; a mistake names its row, from 0';
