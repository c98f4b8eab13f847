-- THE WORKFLOW AS ONE DOCUMENT

CREATE OR REPLACE FUNCTION workflow() RETURNS json
LANGUAGE sql STABLE
RETURN json_build_object(
    'statuses', (SELECT json_agg(json_build_object('status', status, 'is_open', is_open) ORDER BY position) FROM statuses),
    'transitions', (SELECT json_object_agg(status, targets ORDER BY position) FROM (
        SELECT status, position, coalesce((SELECT json_agg(to_status ORDER BY target.position) FROM transitions
            JOIN statuses AS target ON target.status = to_status WHERE from_status = origin.status), '[]') AS targets
        FROM statuses AS origin) AS origins));
COMMENT ON FUNCTION workflow() IS 'The workflow as one JSON document, as GET /workflow shows it';

CREATE OR REPLACE FUNCTION set_workflow(document jsonb) RETURNS json
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    wrong text;
BEGIN
    IF jsonb_typeof(document) IS DISTINCT FROM 'object' THEN
        RAISE check_violation USING MESSAGE = 'a workflow must be a JSON object with statuses and transitions';
    END IF;
    SELECT key INTO wrong FROM jsonb_object_keys(document) AS key WHERE key NOT IN ('statuses', 'transitions') LIMIT 1;
    IF FOUND THEN
        RAISE check_violation USING MESSAGE = format('a workflow has statuses and transitions, no "%s"', wrong), COLUMN = wrong;
    END IF;
    IF jsonb_typeof(document -> 'statuses') IS DISTINCT FROM 'array' OR EXISTS (
        SELECT FROM jsonb_array_elements(document -> 'statuses') AS item WHERE jsonb_typeof(item) <> 'object'
            OR jsonb_typeof(item -> 'status') IS DISTINCT FROM 'string'
            OR jsonb_typeof(item -> 'is_open') IS DISTINCT FROM 'boolean'
            OR item - '{status,is_open}'::text[] <> '{}') THEN
        RAISE check_violation USING MESSAGE = 'statuses must be a list like [{"status": "open", "is_open": true}, …]', COLUMN = 'statuses';
    END IF;
    IF jsonb_array_length(document -> 'statuses') = 0 THEN
        RAISE check_violation USING MESSAGE = 'a workflow needs at least one status', COLUMN = 'statuses';
    END IF;
    IF (SELECT count(DISTINCT item -> 'status') <> count(*) FROM jsonb_array_elements(document -> 'statuses') AS item) THEN
        RAISE check_violation USING MESSAGE = 'statuses must not name a status twice', COLUMN = 'statuses';
    END IF;
    IF jsonb_typeof(document -> 'transitions') IS DISTINCT FROM 'object' OR EXISTS (
        SELECT FROM jsonb_each(document -> 'transitions') WHERE jsonb_typeof(value) <> 'array') OR EXISTS (
        SELECT FROM jsonb_each(document -> 'transitions') AS origin, jsonb_array_elements(origin.value) AS target
            WHERE jsonb_typeof(target) <> 'string') THEN
        RAISE check_violation USING MESSAGE = 'transitions must be like {"open": ["active", …], …}', COLUMN = 'transitions';
    END IF;
    SELECT name INTO wrong FROM (
        SELECT key FROM jsonb_object_keys(document -> 'transitions') AS key
        UNION ALL
        SELECT jsonb_array_elements_text(value) FROM jsonb_each(document -> 'transitions')) AS names(name)
        WHERE name NOT IN (SELECT item ->> 'status' FROM jsonb_array_elements(document -> 'statuses') AS item) LIMIT 1;
    IF FOUND THEN
        RAISE check_violation USING MESSAGE = format('transitions name "%s", which is none of the statuses', wrong), COLUMN = 'transitions';
    END IF;

    -- Two who change it at once: the later one's stands, whole. This waits for the other, though it changes nothing.
    UPDATE statuses SET position = position WHERE false;
    DELETE FROM transitions;
    SET CONSTRAINTS statuses_position_key DEFERRED;
    INSERT INTO statuses (status, position, is_open)
        SELECT item ->> 'status', place, (item ->> 'is_open')::boolean
            FROM jsonb_array_elements(document -> 'statuses') WITH ORDINALITY AS listed(item, place)
        ON CONFLICT ON CONSTRAINT statuses_pkey
            DO UPDATE SET position = excluded.position, is_open = excluded.is_open;
    DELETE FROM statuses WHERE status NOT IN (SELECT item ->> 'status' FROM jsonb_array_elements(document -> 'statuses') AS item);
    INSERT INTO transitions (from_status, to_status)
        SELECT DISTINCT origin.key, target FROM jsonb_each(document -> 'transitions') AS origin,
            jsonb_array_elements_text(origin.value) AS target;
    RETURN workflow();
END $$;
COMMENT ON FUNCTION set_workflow(jsonb) IS
    'Replaces the workflow by a document like workflow() gives; a status that tickets are in can''t be dropped';
