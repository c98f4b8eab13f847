-- What a foreign file's tickets and comments would be here, held to the very constraints of the tables, and to what
-- triggers hold those to. Their ticket_id is the place in the file, a comment's comment_id is its place at its ticket.
-- A ticket may have columns of any name some day: whatever stands beside one here is qualified.
CREATE TEMPORARY TABLE drafts (LIKE tickets INCLUDING CONSTRAINTS, PRIMARY KEY (ticket_id)) ON COMMIT DROP;
CREATE TEMPORARY TABLE remarks (LIKE comments INCLUDING CONSTRAINTS, PRIMARY KEY (ticket_id, comment_id)) ON COMMIT DROP;
-- Who somebody is here, of whom the file has another name.
CREATE TEMPORARY TABLE people (theirs text PRIMARY KEY, ours text NOT NULL) ON COMMIT DROP;

CREATE FUNCTION pg_temp.person(name text) RETURNS text LANGUAGE sql STABLE
    RETURN coalesce((SELECT people.ours FROM people WHERE people.theirs = person.name), name);

DO $generate$ BEGIN EXECUTE replace($function$
CREATE FUNCTION pg_temp.drafts_before() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    open boolean;
BEGIN
    NEW.created := coalesce(NEW.created, now());
    NEW.assignee := pg_temp.person(NEW.assignee);
    NEW.reporter := pg_temp.person(NEW.reporter);
    {composed}
    NEW.labels := ARRAY(SELECT DISTINCT normalize(listed.label) COLLATE "C" FROM unnest(NEW.labels) AS listed(label) ORDER BY 1);
    -- The workflow's first one that is open, or is not.
    NEW.status := coalesce(NEW.status, (SELECT statuses.status FROM statuses WHERE statuses.is_open = (NEW.closed IS NULL)
        ORDER BY statuses.position LIMIT 1));
    open := (SELECT statuses.is_open FROM statuses WHERE statuses.status = NEW.status);
    -- A day is for clocks that go wrong.
    IF NEW.title IS NULL THEN
        PERFORM refuse('title is required', '', 'title');
    ELSIF open IS NULL THEN
        PERFORM refuse('the workflow has no status for it', '', 'status');
    ELSIF open AND NEW.closed IS NOT NULL THEN
        PERFORM refuse(format('"%%s" is open, so it can have no time of closing', NEW.status), '', 'closed');
    ELSIF NOT (isfinite(NEW.created) AND isfinite(coalesce(NEW.updated, now())) AND isfinite(coalesce(NEW.closed, now()))) THEN
        PERFORM refuse('created, updated and closed must be finite times', '', 'created');
    ELSIF greatest(NEW.created, NEW.updated, NEW.closed) > now() + interval '1 day' THEN
        PERFORM refuse('created, updated and closed must not lie in the future', '', 'created');
    ELSIF NEW.created > least(NEW.updated, NEW.closed) THEN
        PERFORM refuse('created must not be later than updated and closed', '', 'created');
    ELSIF NEW.created < '0001-01-01 00:00+00' THEN
        PERFORM refuse('created, updated and closed must be in a year from 1 to 9999', '', 'created');
    END IF;
    IF NOT open THEN
        NEW.closed := coalesce(NEW.closed, NEW.updated, NEW.created);
    END IF;
    NEW.updated := coalesce(greatest(NEW.updated, NEW.closed), NEW.created);
    RETURN NEW;
END $$
$function$, '{composed}', composed('tickets'));
EXECUTE replace($function$
CREATE FUNCTION pg_temp.remarks_before() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    filed timestamptz := (SELECT drafts.created FROM drafts WHERE drafts.ticket_id = NEW.ticket_id);
BEGIN
    NEW.author := coalesce(pg_temp.person(NEW.author), 'import');
    NEW.created := coalesce(NEW.created, filed);
    NEW.updated := coalesce(NEW.updated, NEW.created);
    {composed}
    IF greatest(NEW.created, NEW.updated) > now() + interval '1 day' THEN
        PERFORM refuse('a comment must not lie in the future', '', 'comments');
    ELSIF filed > least(NEW.created, NEW.updated) THEN
        PERFORM refuse('a comment must not be older than its ticket', '', 'comments');
    ELSIF NEW.created > NEW.updated THEN
        PERFORM refuse('a comment must not be changed before it was written', '', 'comments');
    END IF;
    RETURN NEW;
END $$
$function$, '{composed}', composed('comments'));
END $generate$;
CREATE TRIGGER drafts_before BEFORE INSERT ON drafts FOR EACH ROW EXECUTE FUNCTION pg_temp.drafts_before();
CREATE TRIGGER remarks_before BEFORE INSERT ON remarks FOR EACH ROW EXECUTE FUNCTION pg_temp.remarks_before();

-- A file's own object for `fields`; what Iris keeps there of a ticket's origin moves nothing out of its place.
CREATE FUNCTION pg_temp.joined(own jsonb, fields jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE
    RETURN CASE WHEN own IS NULL THEN fields WHEN jsonb_typeof(own) <> 'object' THEN own
        ELSE coalesce((SELECT jsonb_object_agg(CASE WHEN fields ? pair.key AND fields -> pair.key <> pair.value
            THEN pair.key || '_' ELSE pair.key END, pair.value) FROM jsonb_each(own) AS pair), '{}') || fields END;

CREATE FUNCTION pg_temp.draft(first bigint, last bigint, defaults jsonb) RETURNS void LANGUAGE sql BEGIN ATOMIC
    INSERT INTO drafts SELECT made.*
        FROM (SELECT foreigners.place, foreigners.origin, foreigners.entry::jsonb AS entry FROM foreigners
            WHERE foreigners.place BETWEEN draft.first AND draft.last OFFSET 0) AS given
        CROSS JOIN LATERAL jsonb_populate_record(NULL::tickets, draft.defaults || (given.entry -> 'ticket')
            || coalesce((SELECT jsonb_object_agg(told.name, moment(told.words, told.name <> 'due'))
                FROM jsonb_each_text(given.entry -> 'words') AS told(name, words)), '{}') || jsonb_build_object(
            'ticket_id', given.place, 'version', 1,
            'fields', pg_temp.joined((given.entry ->> 'own')::jsonb, coalesce(given.entry -> 'ticket' -> 'fields', '{}') || given.origin))) AS made;
    INSERT INTO remarks SELECT made.*
        FROM (SELECT foreigners.place, foreigners.entry::jsonb AS entry FROM foreigners
            WHERE foreigners.place BETWEEN draft.first AND draft.last OFFSET 0) AS given
        CROSS JOIN LATERAL jsonb_array_elements(given.entry -> 'comments') WITH ORDINALITY AS listed(said, nth)
        CROSS JOIN LATERAL jsonb_populate_record(NULL::comments, listed.said || jsonb_build_object(
            'ticket_id', given.place, 'comment_id', listed.nth)) AS made;
END;

CREATE FUNCTION pg_temp.mistake(place bigint, defaults jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    words text;
    state text;
    detail text;
BEGIN
    PERFORM pg_temp.draft(place, place, defaults);
    RETURN NULL;
EXCEPTION WHEN data_exception OR integrity_constraint_violation OR statement_too_complex OR program_limit_exceeded THEN
    GET STACKED DIAGNOSTICS words = MESSAGE_TEXT, state = RETURNED_SQLSTATE, detail = PG_EXCEPTION_DETAIL;
    RETURN words || CASE WHEN state LIKE '22%%' AND detail <> '' THEN format(' (%%s)', detail) ELSE '' END;
END $$
