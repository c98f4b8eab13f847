-- FILTERS OF TICKETS, as hooks keep them: what may be one. What each of them finds, lists say (iris/lists/tickets.py);
-- a test holds the two together.

CREATE OR REPLACE FUNCTION ticket_filters() RETURNS TABLE (name text, kind text, type text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    RETURN QUERY
        SELECT attname || ending,
                CASE WHEN ending <> '' THEN 'time' WHEN atttypid = 'boolean'::regtype THEN 'flag' WHEN attname = 'status' THEN 'status'
                    WHEN attname IN ('assignee', 'reporter') THEN 'people' ELSE 'several' END,
                atttypid::regtype::text
            FROM pg_attribute JOIN pg_type ON pg_type.oid = atttypid
                CROSS JOIN unnest(CASE WHEN atttypid = 'timestamptz'::regtype THEN '{_before,_after}' ELSE '{""}' END::text[]) AS ending
            WHERE attrelid = 'tickets'::regclass AND attnum > 0 AND NOT attisdropped AND typcategory <> 'A' AND atttypid <> 'jsonb'::regtype
                -- By which nobody asks for a ticket.
                AND attname NOT IN ('ticket_id', 'title', 'description', 'version')
        UNION ALL
        VALUES ('open', 'flag', NULL), ('unassigned', 'flag', NULL), ('overdue', 'flag', NULL), ('blocked', 'flag', NULL),
            ('label', 'several', 'text'), ('commented_by', 'people', 'text'), ('mentions', 'people', 'text'), ('watched_by', 'people', 'text'),
            ('age_over', 'span', NULL), ('idle_over', 'span', NULL), ('linked', 'number', NULL), ('q', 'words', NULL);
END $$;
COMMENT ON FUNCTION ticket_filters() IS
    'The filters of GET /tickets that a hook may have, beside fields.NAME: what kind of value each takes, and of what type a column''s is';

CREATE OR REPLACE FUNCTION chosen(value text) RETURNS TABLE (item text, said text)
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT CASE WHEN word LIKE '"%' THEN replace(substr(word, 2, char_length(word) - 2), '""', '"') ELSE word END, word
        FROM regexp_matches(regexp_replace(value, '^!', '') || ',', replace('[ ]*("(?:[^"]|"")*"[ ]*|[^,]*),', ' ', blanks()), 'g') AS part
            CROSS JOIN LATERAL btrim(part[1], blanks()) AS word;
END $$;
COMMENT ON FUNCTION chosen(text) IS 'The values of a filter that takes several, and how each was written: a, "b, c"; ! before all of them is left out';

CREATE OR REPLACE FUNCTION filter_fits(name text, value text) RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, public, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    is_field boolean := name LIKE 'fields.%';
    kind text := (SELECT each.kind FROM ticket_filters() AS each WHERE each.name = filter_fits.name);
    type text := (SELECT each.type FROM ticket_filters() AS each WHERE each.name = filter_fits.name);
    words bigint;
    wrong text;
BEGIN
    IF kind = 'words' THEN
        -- "a phrase", -"without it", words; what an or is between.
        words := (SELECT count(*) FROM regexp_matches(value, '(-?"[^"]*(?:"|$)|(?!-?")[^' || blanks() || ']+)', 'g') AS word WHERE lower(word[1]) <> 'or');
    END IF;
    wrong := CASE
        WHEN kind IS NULL AND NOT is_field THEN 'is no filter of tickets'
        WHEN kind = 'flag' THEN CASE WHEN value NOT IN ('true', 'false') THEN 'must be true or false' END
        WHEN kind = 'number' THEN
            CASE WHEN value !~ '^-?[0-9]{1,19}$' THEN 'must be a whole number'
                WHEN value::numeric NOT BETWEEN 1 AND 9223372036854775807 THEN 'must be from 1 to 9223372036854775807' END
        WHEN value = '' THEN 'must not be empty'
        WHEN kind = 'span' AND value !~ '^[0-9]{1,6}[mhdw]$' THEN 'must be a number and m, h, d or w, such as 30d'
        WHEN words = 0 THEN 'must have a word to look for'
        WHEN words > 32 THEN 'must have at most 32 words'
        WHEN kind IN ('several', 'people', 'status') THEN
            CASE WHEN EXISTS (SELECT FROM chosen(value) WHERE said LIKE '"%' AND said !~ '^"([^"]|"")*"$')
                    THEN 'must end each "…" before the next comma, with "" for a " inside of it'
                WHEN EXISTS (SELECT FROM chosen(value) WHERE said = '') THEN 'must be values separated by commas, none of them empty'
                WHEN (SELECT count(*) FROM chosen(value)) > 1000 THEN 'must be at most 1,000 values' END
        END;
    IF wrong IS NOT NULL THEN
        RETURN refuse(format('filter has %s, which %s', left(name, 100), wrong), 'hooks_check', 'filter');
    END IF;
    -- The rest is refused as a list refuses it.
    IF kind = 'time' THEN
        PERFORM moment(value);
    ELSIF kind = 'status' THEN
        PERFORM are_statuses(ARRAY(SELECT item FROM chosen(value)));
    ELSIF kind = 'several' AND type <> 'text' THEN
        EXECUTE format('SELECT $1::%s[]', type) USING ARRAY(SELECT item FROM chosen(value));
    END IF;
    RETURN true;
END $$;
COMMENT ON FUNCTION filter_fits(text, text) IS 'Whether this is a filter of tickets and a value for it; refuses what is none, in words';

CREATE OR REPLACE FUNCTION filter_kept(filter jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    me text := actor();
    fields bigint := (SELECT count(*) FROM jsonb_object_keys(filter) AS key WHERE key LIKE 'fields.%');
BEGIN
    IF fields > 32 THEN
        PERFORM refuse('filter has more than 32 of fields.NAME', 'hooks_check', 'filter');
    END IF;
    PERFORM filter_fits(key, value) FROM jsonb_each_text(filter);
    IF me = 'me' OR me ~ '^!|[,"]' OR me <> btrim(me, blanks()) THEN
        me := '"' || replace(me, '"', '""') || '"';
    END IF;
    RETURN filter || coalesce((
        SELECT jsonb_object_agg(key, (SELECT concat(substring(value FROM '^!'), string_agg(CASE said WHEN 'me' THEN me ELSE said END, ',')) FROM chosen(value)))
            FROM jsonb_each_text(filter) JOIN ticket_filters() ON name = key
            WHERE kind = 'people' AND EXISTS (SELECT FROM chosen(value) WHERE said = 'me')), '{}');
END $$;
COMMENT ON FUNCTION filter_kept(jsonb) IS 'A hook''s filter as it is kept, with who acts in the place of me; refuses what is no filter of tickets, in words';

GRANT EXECUTE ON FUNCTION ticket_filters(), chosen(text), filter_fits(text, text), filter_kept(jsonb) TO iris_admin;
