-- WHAT AN EVENT SAYS THAT THE DATABASE KEPT

CREATE OR REPLACE FUNCTION kept_told(event events) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
-- Whoever shows it to somebody sets timezone. As jsonb would have it, but put together as text, which takes a fourth of the time; what is
-- rare is put together as jsonb: times spelt otherwise in somebody's export, what was kept of a comment, what came or went with its ticket.
RETURN CASE WHEN event.kept_more IS NOT NULL OR (event.kept_version IS NULL) <> (event.kept_updated IS NULL)
        OR event.kept_version IS NULL AND event.kept_closed IS NOT NULL THEN
        (coalesce(event.kept_more, '{}')
        || CASE WHEN event.kept_version IS NULL THEN '{}' ELSE jsonb_build_object('version', jsonb_build_array(event.kept_version)) END
        || CASE WHEN event.kept_updated IS NULL THEN '{}' ELSE jsonb_build_object('updated', jsonb_build_array(event.kept_updated)) END
        || CASE WHEN event.kept_closed IS NULL THEN '{}' ELSE jsonb_build_object('closed', jsonb_build_array(event.kept_closed)) END)::text
    WHEN event.kept_version IS NULL THEN '{}'
    ELSE CASE WHEN event.kept_closed IS NOT NULL THEN '{"closed": [' || to_json(event.kept_closed)::text || '], '
            WHEN event.kind = 'changed' THEN '{"closed": [null], ' ELSE '{' END
        || '"updated": [' || to_json(event.kept_updated)::text || '], "version": [' || event.kept_version || ']}' END;
COMMENT ON FUNCTION kept_told(events) IS 'kept(), as text';

CREATE OR REPLACE FUNCTION kept(event events) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE
RETURN kept_told(event)::jsonb;
COMMENT ON FUNCTION kept(events) IS
    'What the database kept of the ticket (and the comment) before an event: {"version": [old], …}, for tickets_as_of(); events.kept is the same';

GRANT EXECUTE ON FUNCTION kept_told(events), kept(events) TO iris_reader;
