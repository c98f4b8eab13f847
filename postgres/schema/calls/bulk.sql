-- MANY AT ONCE

CREATE OR REPLACE FUNCTION misfit(value jsonb, of regtype) RETURNS text
LANGUAGE sql STABLE
-- Nothing is bent: PostgreSQL would make a text of 5 and of {}. Whether null may be is the rules' to say.
RETURN CASE WHEN value IS NULL OR value = 'null' THEN NULL ELSE (
    SELECT CASE
        WHEN oid = 'jsonb'::regtype OR oid = 'json'::regtype THEN NULL
        WHEN typcategory = 'A' THEN CASE WHEN jsonb_typeof(value) <> 'array'
            OR jsonb_path_exists(value, 'strict $[*] ? (@.type() != "string")') THEN 'must be a list of texts' END
        WHEN typcategory = 'N' AND oid IN ('bigint'::regtype, 'integer'::regtype, 'smallint'::regtype) THEN
            CASE WHEN jsonb_typeof(value) <> 'number' OR value::text !~ '^-?[0-9]+$' THEN 'must be a whole number' END
        WHEN typcategory = 'N' THEN CASE WHEN jsonb_typeof(value) <> 'number' THEN 'must be a number' END
        WHEN typcategory = 'B' THEN CASE WHEN jsonb_typeof(value) <> 'boolean' THEN 'must be true or false' END
        WHEN typcategory = 'D' THEN CASE
            WHEN jsonb_typeof(value) <> 'string' THEN 'must be a time as text, such as 2026-12-01 or tomorrow'
            WHEN value #>> '{}' ~* '(GMT|UTC|UT)[+-][0-9]' THEN 'must not name its zone like GMT+0100, which means one hour west of Greenwich'
                ' to PostgreSQL; send it like 2026-12-01T09:00:00+01:00' END
        WHEN jsonb_typeof(value) <> 'string' THEN 'must be text' END
    FROM pg_type WHERE oid = of) END;
COMMENT ON FUNCTION misfit(jsonb, regtype) IS 'What a JSON value must be for a column of this type, if it is something else, reading on after the column''s name';

CREATE OR REPLACE FUNCTION relabelled(labels text[], more text[], less text[]) RETURNS text[]
LANGUAGE sql IMMUTABLE
RETURN ARRAY(SELECT label FROM (SELECT normalize(given) AS label FROM unnest(labels || more) AS given) AS composed
    WHERE label <> ALL (ARRAY(SELECT normalize(given) FROM unnest(less) AS given)));
COMMENT ON FUNCTION relabelled(text[], text[], text[]) IS 'Labels with some more and some less, which is what add_label and remove_label do';

CREATE OR REPLACE FUNCTION texts(value jsonb) RETURNS text[]
LANGUAGE sql IMMUTABLE
RETURN CASE jsonb_typeof(value) WHEN 'array' THEN ARRAY(SELECT jsonb_array_elements_text(value)) WHEN 'string' THEN ARRAY[value #>> '{}'] END;
COMMENT ON FUNCTION texts(jsonb) IS 'A JSON list of texts, or one text, as an array; a part of put_tickets()';

CREATE OR REPLACE FUNCTION nearest(name text, known text[]) RETURNS text
LANGUAGE sql IMMUTABLE
-- By the pairs of letters that both have, with the ends as letters.
RETURN (SELECT word FROM unnest(known) AS word CROSS JOIN LATERAL (
        SELECT 2.0 * count(*) / (char_length(name) + char_length(word) + 2) AS likeness FROM (
            SELECT substr('^' || lower(name) || '$', place, 2) FROM generate_series(1, least(char_length(name), 100) + 1) AS place
            INTERSECT ALL
            SELECT substr('^' || word || '$', place, 2) FROM generate_series(1, char_length(word) + 1) AS place) AS shared) AS measured
    WHERE likeness >= 0.4 ORDER BY likeness DESC, word LIMIT 1);
COMMENT ON FUNCTION nearest(text, text[]) IS 'Which of the known names somebody may have meant, or null';

DO $generate$ BEGIN EXECUTE replace($function$
CREATE OR REPLACE FUNCTION put_times(item jsonb, zone text) RETURNS jsonb
LANGUAGE sql STABLE
-- What says by itself which moment it is need not be asked for.
RETURN item - kept() {times};
$function$, '{times}', coalesce((SELECT string_agg(format($part$ || CASE WHEN jsonb_typeof(item -> %1$L) = 'string'
            AND item ->> %1$L !~ '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$'
        THEN jsonb_build_object(%1$L, moment(item ->> %1$L, false, zone)) ELSE '{}' END$part$, attname), '')
    FROM pg_attribute WHERE attrelid = 'tickets'::regclass AND atttypid = 'timestamptz'::regtype AND NOT attisdropped
        AND attname <> ALL (kept())), ''));
END $generate$;
COMMENT ON FUNCTION put_times(jsonb, text) IS 'A row without what the database keeps, its times by moment(); a part of put_tickets()';

DO $generate$ BEGIN EXECUTE replace(replace(replace($function$
CREATE OR REPLACE FUNCTION put_rows(items jsonb[], place integer, compare boolean, zone text) RETURNS text
LANGUAGE sql
BEGIN ATOMIC
    WITH given AS MATERIALIZED (
        SELECT ordinality AS nth, item, jsonb_populate_record(NULL::tickets, put_times(item, zone)) AS value, (item ->> 'ticket_id')::bigint AS id,
            CASE WHEN item ->> 'ticket_id' IS NULL
                THEN row_number() OVER (PARTITION BY item ->> 'ticket_id' IS NULL ORDER BY ordinality) END AS place
            FROM unnest(items) WITH ORDINALITY AS listed(item, ordinality)),
    before AS MATERIALIZED (
        SELECT tickets AS ticket, ticket_id FROM tickets WHERE ticket_id IN (SELECT given.id FROM given) ORDER BY ticket_id FOR NO KEY UPDATE),
    created AS (
        INSERT INTO tickets ({columns})
            SELECT {created} FROM given WHERE given.id IS NULL ORDER BY given.nth
        RETURNING tickets AS ticket, ticket_id),
    changed AS (
        UPDATE tickets SET {changed}
            FROM given JOIN before ON before.ticket_id = given.id WHERE tickets.ticket_id = given.id
        RETURNING tickets AS ticket, tickets.ticket_id),
    numbered AS (SELECT ticket, row_number() OVER (ORDER BY ticket_id) AS place FROM created),
    after AS (
        SELECT given.nth, NULL::json AS before, numbered.ticket FROM given JOIN numbered USING (place)
        UNION ALL
        SELECT given.nth, row_to_json(before.ticket), changed.ticket FROM given
            JOIN changed ON changed.ticket_id = given.id JOIN before ON before.ticket_id = given.id)
    SELECT string_agg(CASE WHEN compare
            THEN json_build_object('index', put_rows.place + nth - 1, 'before', before, 'after', row_to_json(ticket))
            ELSE row_to_json(ticket) END::text, E', \n ' ORDER BY nth)
        FROM after;
END;
$function$,
    '{columns}', each_column('tickets', '%1$I')),
    '{created}', each_column('tickets', 'CASE WHEN given.item ? %1$L THEN (given.value).%1$I ELSE %2$s END')),
    '{changed}', each_column('tickets', '%1$I = CASE WHEN given.item ? %1$L THEN (given.value).%1$I ELSE tickets.%1$I END'));
END $generate$;
COMMENT ON FUNCTION put_rows(jsonb[], integer, boolean, text) IS
    'Files and changes tickets, set by set, of which place is the first one''s index; a part of put_tickets()';

CREATE OR REPLACE FUNCTION bulk_shape(items jsonb[]) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    columns jsonb;
    mistakes jsonb;
BEGIN
    SELECT jsonb_object_agg(attname, atttypid::bigint) INTO columns
        FROM pg_attribute WHERE attrelid = 'tickets'::regclass AND attnum > 0 AND NOT attisdropped;
    columns := columns || jsonb_build_object('add_label', 'text[]'::regtype::bigint, 'remove_label', 'text[]'::regtype::bigint);
    -- Words are found for the first hundred rows only: fifty thousand wrong ones would take seconds.
    WITH found AS MATERIALIZED (
        SELECT ordinality - 1 AS index, NULL AS key, item AS value
            FROM unnest(items) WITH ORDINALITY AS listed(item, ordinality) WHERE jsonb_typeof(item) <> 'object'
        UNION ALL
        SELECT ordinality - 1, key, value
            FROM unnest(items) WITH ORDINALITY AS listed(item, ordinality)
                CROSS JOIN LATERAL jsonb_each(CASE WHEN jsonb_typeof(item) = 'object' THEN item ELSE '{}' END)
            WHERE NOT columns ? key AND key <> ALL (told())
                -- What is kept by the database is not looked at.
                OR (key = 'ticket_id' OR key <> ALL (kept())) AND NOT (key IN ('add_label', 'remove_label') AND jsonb_typeof(value) = 'string') AND misfit(value, (columns ->> key)::oid::regtype) IS NOT NULL
                OR key = 'ticket_id' AND jsonb_typeof(value) = 'number' AND value::numeric NOT BETWEEN 1 AND 9223372036854775807),
    first AS (SELECT DISTINCT index FROM found ORDER BY index LIMIT 100),
    said AS (
        SELECT index, coalesce(left(key, 100), '') AS name,
                CASE WHEN key IS NULL THEN 'must be a JSON object'
                    WHEN columns ? key THEN coalesce(misfit(value, (columns ->> key)::oid::regtype), 'must be from 1 to 9223372036854775807')
                    ELSE 'is unknown here' || coalesce('; did you mean ' || nearest(key, ARRAY(SELECT jsonb_object_keys(columns))) || '?', '') END AS words,
                CASE WHEN key IS NULL OR columns ? key THEN '22023' ELSE 'IR008' END AS state
            FROM found JOIN first USING (index)),
    each AS (
        SELECT index, jsonb_build_object('index', index, 'message', string_agg(ltrim(name || ' ' || words), '; ' ORDER BY name),
                'sqlstate', min(state), 'errors', jsonb_object_agg(name, words)) AS mistake
            FROM said GROUP BY index)
    SELECT jsonb_agg(mistake ORDER BY index) INTO mistakes FROM each;
    RETURN mistakes;
END $$;
COMMENT ON FUNCTION bulk_shape(jsonb[]) IS 'The mistakes of rows that are no tickets by their shape: unknown names, values of a wrong type; a part of put_tickets()';

CREATE OR REPLACE FUNCTION bulk_refused(mistakes jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    RAISE SQLSTATE 'IR006' USING MESSAGE = format('row %s: %s', mistakes -> 0 ->> 'index', mistakes -> 0 ->> 'message')
            || CASE jsonb_array_length(mistakes) WHEN 1 THEN '' ELSE format(' (and %s more)', jsonb_array_length(mistakes) - 1) END,
        DETAIL = (SELECT string_agg(format('row %s: %s', mistake ->> 'index', mistake ->> 'message'), E'\n' ORDER BY nth)
            FROM jsonb_array_elements(mistakes) WITH ORDINALITY AS listed(mistake, nth)),
        HINT = 'Nothing was written.',
        DATATYPE = jsonb_build_object('mistakes', mistakes)::text;
END $$;
COMMENT ON FUNCTION bulk_refused(jsonb) IS 'Refuses many rows, in words for people and in JSON for programs; a part of put_tickets()';

CREATE OR REPLACE FUNCTION put_tickets(rows jsonb, dry_run boolean DEFAULT false, zone text DEFAULT current_setting('TimeZone'))
RETURNS json
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $$
-- Whatever columns there will be.
#variable_conflict use_variable
DECLARE
    -- Of how many one is to blame, when they are refused; and of how many it is looked for singly.
    portion CONSTANT integer := 500;
    items jsonb[];
    ids bigint[];
    gone bigint[];
    pieces text[] := '{}';
    mistakes jsonb := '[]';
    piece text;
    key text;
    message text;
    hint text;
    state text;
    about text;
    rule text;
    data text;
BEGIN
    IF jsonb_typeof(rows) IS DISTINCT FROM 'array' THEN
        RAISE check_violation USING MESSAGE = 'tickets must be a list';
    END IF;
    items := ARRAY(SELECT jsonb_array_elements(rows));
    mistakes := coalesce(bulk_shape(items), '[]');
    IF mistakes <> '[]' THEN
        PERFORM bulk_refused(mistakes);
    END IF;

    ids := ARRAY(SELECT (item ->> 'ticket_id')::bigint FROM unnest(items) WITH ORDINALITY AS listed(item, nth) ORDER BY listed.nth);
    IF array_remove(ids, NULL) <> '{}' THEN
        -- In the order of their numbers, so that two who change the same tickets can't deadlock.
        gone := ARRAY(SELECT id FROM unnest(ids) AS id WHERE id IS NOT NULL EXCEPT
            SELECT ticket_id FROM (SELECT ticket_id FROM tickets WHERE ticket_id = ANY (ids) ORDER BY ticket_id FOR NO KEY UPDATE) AS locked);
        SELECT coalesce(jsonb_agg(CASE WHEN moved.version IS NOT NULL
                THEN jsonb_build_object('index', listed.nth, 'sqlstate', 'IR009',
                    'message', format('ticket %s is at version %s by now', listed.id, moved.version))
                WHEN earlier < listed.nth
                THEN jsonb_build_object('index', listed.nth, 'sqlstate', 'IR007', 'message', format('ticket %s is in row %s already', id, earlier))
                ELSE jsonb_build_object('index', listed.nth, 'sqlstate', '23503', 'message', format('there is no ticket %s', id),
                    'constraint', 'comments_ticket_id_fkey', 'column', 'ticket_id') END ORDER BY listed.nth), '[]') INTO mistakes
            FROM (SELECT id, ordinality - 1 AS nth, min(ordinality) OVER (PARTITION BY id) - 1 AS earlier
                FROM unnest(ids) WITH ORDINALITY AS given(id, ordinality) WHERE id IS NOT NULL) AS listed
            -- A row that says of which version it is comes from somebody who has read that one.
            LEFT JOIN LATERAL (SELECT tickets.version FROM tickets WHERE tickets.ticket_id = listed.id
                AND jsonb_typeof(items[listed.nth + 1] -> 'version') = 'number'
                AND items[listed.nth + 1] -> 'version' <> to_jsonb(tickets.version)) AS moved ON true
            WHERE earlier < listed.nth OR listed.id = ANY (gone) OR moved.version IS NOT NULL;
    END IF;

    IF jsonb_path_exists(rows, '$[*] ? (exists (@.add_label) || exists (@.remove_label))') THEN
        -- The tickets are locked by now, so these are the labels that they have.
        items := ARRAY(SELECT CASE WHEN item ?| '{add_label,remove_label}' THEN item - '{add_label,remove_label}'::text[] || jsonb_build_object('labels',
                relabelled(CASE WHEN item ? 'labels' THEN texts(item -> 'labels') ELSE tickets.labels END,
                    texts(item -> 'add_label'), texts(item -> 'remove_label'))) ELSE item END
            FROM unnest(items) WITH ORDINALITY AS listed(item, nth)
                LEFT JOIN tickets ON ticket_id = (item ->> 'ticket_id')::bigint ORDER BY listed.nth);
    END IF;

    BEGIN
        FOR beginning IN 1 .. cardinality(items) BY portion LOOP
            EXIT WHEN jsonb_array_length(mistakes) >= 100;
            BEGIN
                piece := put_rows(items[beginning : beginning + portion - 1], beginning - 1, dry_run, zone);
                pieces := pieces || piece;
            EXCEPTION WHEN integrity_constraint_violation OR data_exception OR program_limit_exceeded OR SQLSTATE 'IR000' THEN
                -- Some of them are to blame: each is tried by itself.
                FOR nth IN beginning .. least(beginning + portion - 1, cardinality(items)) LOOP
                    BEGIN
                        PERFORM put_rows(items[nth : nth], nth - 1, false, zone);
                    EXCEPTION WHEN integrity_constraint_violation OR data_exception OR program_limit_exceeded OR SQLSTATE 'IR000' THEN
                        GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT, state = RETURNED_SQLSTATE,
                            about = COLUMN_NAME, rule = CONSTRAINT_NAME, data = PG_DATATYPE_NAME;
                        IF about = '' AND state LIKE '22%' THEN
                            -- PostgreSQL's own words about a value don't say of which column.
                            FOR key IN SELECT jsonb_object_keys(items[nth]) LOOP
                                BEGIN
                                    PERFORM jsonb_populate_record(NULL::tickets, put_times(jsonb_build_object(key, items[nth] -> key), zone));
                                EXCEPTION WHEN data_exception THEN
                                    about := key;
                                    SELECT jsonb_build_object('allowed', jsonb_agg(enumlabel ORDER BY enumsortorder))::text INTO data
                                        FROM pg_enum JOIN pg_attribute ON atttypid = enumtypid
                                        WHERE attrelid = 'tickets'::regclass AND attname = key HAVING count(*) > 0;
                                    EXIT;
                                END;
                            END LOOP;
                        END IF;
                        mistakes := mistakes || (jsonb_strip_nulls(jsonb_build_object('index', nth - 1, 'message', message,
                            'hint', nullif(hint, ''), 'sqlstate', state, 'column', nullif(about, ''),
                            'constraint', nullif(rule, ''))) || coalesce(nullif(data, '')::jsonb, '{}'));
                        EXIT WHEN jsonb_array_length(mistakes) >= 100;
                    END;
                END LOOP;
            END;
        END LOOP;
        IF mistakes <> '[]' OR dry_run THEN
            -- What has been done is undone; the variables stay.
            RAISE SQLSTATE 'IR100';
        END IF;
    EXCEPTION WHEN SQLSTATE 'IR100' THEN
        NULL;
    END;
    IF mistakes <> '[]' THEN
        PERFORM bulk_refused((SELECT jsonb_agg(mistake ORDER BY (mistake -> 'index')::integer)
            FROM (SELECT DISTINCT ON ((mistake -> 'index')::integer) mistake FROM jsonb_array_elements(mistakes) AS mistake
                ORDER BY (mistake -> 'index')::integer LIMIT 100) AS first));
    END IF;
    RETURN '[' || array_to_string(pieces, E', \n ') || ']';
END $$;
COMMENT ON FUNCTION put_tickets(jsonb, boolean, text) IS
    'Files and changes many tickets, [{"title": …}, {"ticket_id": 1, …}, …], all or nothing; a mistake names its row, from 0';
