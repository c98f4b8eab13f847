-- SMALL FUNCTIONS that tables and rules are made with

CREATE OR REPLACE FUNCTION blanks() RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- Spelled out, for a regular expression's \s depends on how the server was initialised; iris/intake/types.py has the same.
RETURN U&'\0009\000A\000B\000C\000D\0020\0085\00A0\1680\2000\2001\2002\2003\2004\2005\2006\2007\2008\2009\200A\200B\2028\2029\202F\205F\3000\FEFF';
COMMENT ON FUNCTION blanks() IS
    'The characters that are blanks: all that Unicode calls white space, and the two invisible ones that texts get by pasting';

CREATE OR REPLACE FUNCTION actor() RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
-- The service, psql's iris and the owner may speak for others; a login of somebody's own is nobody but itself.
RETURN CASE WHEN session_user IN ('iris', 'iris_service') OR pg_has_role(session_user, 'iris', 'MEMBER')
        OR has_database_privilege(session_user, current_database(), 'CREATE')
    -- As texts are kept; iris/intake/auth.py does the same to the header.
    THEN coalesce(nullif(btrim(normalize(current_setting('iris.actor', true)), blanks()), ''), session_user::text) ELSE session_user::text END;
COMMENT ON FUNCTION actor() IS
    'Who is acting: the setting iris.actor, in NFC and without blanks around it, where the session may speak for others (iris, iris_service, the owner), else its user';

CREATE OR REPLACE FUNCTION source() RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(nullif(current_setting('application_name'), ''), 'sql');
COMMENT ON FUNCTION source() IS 'By which door: http, or the client''s application_name, such as psql';

CREATE OR REPLACE FUNCTION refuse(words text, rule text, about text) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    RAISE check_violation USING MESSAGE = words, CONSTRAINT = rule, COLUMN = about;
END $$;
COMMENT ON FUNCTION refuse(text, text, text) IS
    'Stands behind OR in a constraint: refuses in words that a person understands, and costs nothing while the constraint holds';

CREATE OR REPLACE FUNCTION is_blank(value text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN btrim(value, blanks()) = '';
COMMENT ON FUNCTION is_blank(text) IS 'Whether a text is empty or holds nothing that can be seen';

-- WHAT IS FOUND. A text is taken apart before PostgreSQL makes words of it, for that keeps main.py, read/write, a path
-- and a whole line of Japanese as one word each. What is looked for is taken apart likewise, and its parts must follow
-- one another; so whatever stands in a text is found, and the index gets smaller.

CREATE OR REPLACE FUNCTION eastern() RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN '[' || '\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f' -- Kana
    || '\u3005-\u3007\u3105-\u312f\u31a0-\u31bf\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff' -- Han, Bopomofo
    || '\u1100-\u11ff\u3131-\u318e\ua960-\ua97c\uac00-\ud7fb\uffa0-\uffdc' || ']'; -- Hangul
COMMENT ON FUNCTION eastern() IS 'A regular expression for a letter of Chinese, Japanese or Korean';

CREATE OR REPLACE FUNCTION paired(value text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- 日本語 becomes 日本 本語 語: no more bytes than a tsvector has room for.
RETURN regexp_replace(regexp_replace(value, '(' || eastern() || '+)', ' \1 ', 'g'), '(?<=' || eastern() || ')(' || eastern() || ')', '\1 \1', 'g');
COMMENT ON FUNCTION paired(text) IS 'A text in which Chinese, Japanese and Korean, written without blanks, are pairs of letters and the last letter';

CREATE OR REPLACE FUNCTION parted(value text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- One by one, for translate() takes six times as long; of other signs PostgreSQL makes blanks itself. A number with
-- points in it stays a word, 1.2.3 or 10.0.0.1: its parts are in every other text. \x01 keeps their place meanwhile.
RETURN replace(replace(replace(replace(replace(replace(replace(replace(
    regexp_replace(CASE WHEN octet_length(value) = char_length(value) THEN replace(value, E'\x01', ' ') ELSE paired(replace(value, E'\x01', ' ')) END, '\m([0-9]+)\.(?=[0-9])', E'\\1\x01', 'g'),
    '.', ' '), E'\x01', '.'), '/', ' '), '-', ' '), '@', ' '), '<', ' '), '&', ' '), '+', ' ');
COMMENT ON FUNCTION parted(text) IS 'A text with blanks between the parts of its compounds: main py, PROJ 1234, 日本 本語 語';

CREATE OR REPLACE FUNCTION body_words(body text) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN to_tsvector('simple', parted(body));
COMMENT ON FUNCTION body_words(text) IS 'The words of a comment, for searching';

CREATE OR REPLACE FUNCTION ticket_words(title text, description text, labels text[]) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN setweight(body_words(title), 'A')
    || setweight(body_words(array_to_string(labels, ' ', '')), 'B')
    || setweight(body_words(coalesce(description, '')), 'C');
COMMENT ON FUNCTION ticket_words(text, text, text[]) IS 'A ticket''s own words, for searching; comments have theirs';

CREATE OR REPLACE FUNCTION wanted(value text, is_beginning boolean DEFAULT false) RETURNS tsquery
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    parts text := parted(value);
    meant text := phraseto_tsquery('simple', parts);
BEGIN
    IF meant = '' THEN
        RETURN meant;
    END IF;
    IF octet_length(parts) <> char_length(parts) THEN
        -- A letter by itself is the first of some pair, or ends a piece; at the end of what is looked for, the pair before
        -- it has said so already.
        meant := regexp_replace(meant, '''(' || eastern() || ')''', '''\1'':*', 'g');
        meant := regexp_replace(meant, '((' || eastern() || ')'') <-> ''\2'':\*$', '\1');
    END IF;
    IF is_beginning AND value ~ '[0-9]\.$' THEN
        meant := rtrim(meant, '''') || '.'':*';
    ELSIF is_beginning AND right(meant, 1) = '''' AND right(parts, 1) <> ' ' THEN
        meant := meant || ':*';
    END IF;
    -- 1.2 is where 1.2.3 is.
    meant := regexp_replace(meant, '''([0-9]+(?:\.[0-9]+)*)''(?!:)', '(''\1'' | ''\1.'':*)', 'g');
    IF parts <> value AND strpos(meant, '<->') > 0 THEN
        -- PostgreSQL counts places to 16,383; behind that, all of them are the same.
        meant := meant || ' | ' || replace(meant, '<->', '<0>');
    END IF;
    RETURN meant;
END $$;
COMMENT ON FUNCTION wanted(text, boolean) IS
    'What finds a word or a phrase in searches.words: WHERE words @@ wanted(''main.py''); is_beginning: a word that begins so will do';

CREATE OR REPLACE FUNCTION wanted_any(names text[]) RETURNS tsquery
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    RETURN (SELECT string_agg('(' || nullif(wanted(name)::text, '') || ')', ' | ') FROM unnest(names) AS name);
END $$;
COMMENT ON FUNCTION wanted_any(text[]) IS 'What finds any of several words or phrases';

CREATE OR REPLACE FUNCTION mentioning(names text[]) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    -- No mention of alice: bob@alice.org, @alice.b, @alice-b. One: (@alice), @alice.
    RETURN '(?<![[:alnum:]_.@+-])@(?:' || (SELECT string_agg(regexp_replace(name, '([^[:alnum:][:space:]])', '\\\1', 'g'), '|')
        FROM unnest(names) AS name) || ')(?![[:alnum:]_]|[.@-][[:alnum:]_])';
END $$;
COMMENT ON FUNCTION mentioning(text[]) IS 'A regular expression for texts that mention one of these names: body ~* mentioning(''{alice}'')';

CREATE OR REPLACE FUNCTION elapsed(span interval) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN extract(epoch FROM span) >= 86400 THEN floor(extract(epoch FROM span) / 86400) || 'd'
    WHEN extract(epoch FROM span) >= 3600 THEN floor(extract(epoch FROM span) / 3600) || 'h'
    ELSE floor(greatest(extract(epoch FROM span), 0) / 60) || 'm' END;
COMMENT ON FUNCTION elapsed(interval) IS 'A span of time as age_over= takes it: 30d, 12h, 5m; what is left over is left out';

-- RULES THAT NAME NO COLUMN are generated from the catalogue, by DO blocks, whenever they are replayed: a
-- new column is in the history, in bulk and in the past from then on. To compare rows as JSON instead
-- made a change dearer by half.

CREATE OR REPLACE FUNCTION kept() RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN '{ticket_id,comment_id,author,created,updated,closed,version}'::text[];
COMMENT ON FUNCTION kept() IS
    'The columns that are no history by themselves: the database keeps them, or they never change, as the author of a comment';

CREATE OR REPLACE FUNCTION told() RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN '{comments,links,next,age,idle,blocked_by}'::text[];
COMMENT ON FUNCTION told() IS
    'What an answer tells of a ticket beside its columns; where a ticket that was read is sent back, it says nothing';

CREATE OR REPLACE FUNCTION referred() RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN '{title,description,fields}'::text[];
COMMENT ON FUNCTION referred() IS
    'The columns of a ticket that may be long and seldom change: of them past_tickets keeps the event that tells what they were, not what they were';

CREATE OR REPLACE FUNCTION each_column(of regclass, pattern text, separator text DEFAULT ', ', required boolean DEFAULT NULL)
RETURNS text
LANGUAGE sql STABLE
RETURN (SELECT string_agg(format(pattern, attname, coalesce(pg_get_expr(adbin, adrelid), 'NULL'), format_type(atttypid, atttypmod)),
        separator ORDER BY attnum)
    FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE attrelid = of AND attnum > 0 AND NOT attisdropped AND attname <> ALL (kept()) AND (required IS NULL OR attnotnull = required));
COMMENT ON FUNCTION each_column(regclass, text, text, boolean) IS
    'A pattern of format(), filled in for each column that a client gives: %1$s its name, %2$s its default, %3$s its type; required: only those that are never null, or only those that may be';

CREATE OR REPLACE FUNCTION composed(of regclass) RETURNS text
LANGUAGE sql STABLE
-- Asked of all at once whether there is anything to do: most texts are ASCII. By few functions, for each one
-- named in a rule is looked up anew in every transaction, and who may execute it.
RETURN (SELECT format('IF octet_length(concat(%1$s)) <> char_length(concat(%1$s)) THEN ', string_agg(format('NEW.%I', attname), ', '))
        || string_agg(format('NEW.%1$I := normalize(NEW.%1$I);', attname), ' ') || ' END IF;'
    FROM pg_attribute WHERE attrelid = of AND attnum > 0 AND NOT attisdropped AND atttypid = 'text'::regtype);
COMMENT ON FUNCTION composed(regclass) IS
    'Statements that bring all texts of the row NEW into Unicode''s NFC, so that what looks alike is alike';

CREATE OR REPLACE FUNCTION recorded(of regclass, was text, now text) RETURNS text
LANGUAGE sql STABLE
-- All that is never null at once: to add one to another is to copy it. What is long stands in the row itself, or in the event that
-- changes it: first_told() finds it there, so that no text is kept twice.
RETURN regexp_replace(regexp_replace(CASE WHEN was = 'NULL' OR now = 'NULL' THEN
    'jsonb_build_object(' || each_column(of, replace(replace('%1$L, jsonb_build_array({was}, {now})',
        '{was}', CASE was WHEN 'NULL' THEN 'NULL' ELSE was || '.%1$I' END), '{now}', CASE now WHEN 'NULL' THEN 'NULL' ELSE now || '.%1$I' END),
        required => true) || ')'
    || coalesce(E'\n    || ' || each_column(of, replace(replace('CASE WHEN {row}.%1$I IS NULL THEN ''{}'' ELSE jsonb_build_object(%1$L, jsonb_build_array({pair})) END',
        '{row}', CASE was WHEN 'NULL' THEN now ELSE was END),
        '{pair}', CASE was WHEN 'NULL' THEN 'NULL, ' || now || '.%1$I' ELSE was || '.%1$I, NULL' END), E'\n    || ', required => false), '')
    ELSE each_column(of, replace(replace('CASE WHEN {was}.%1$I IS DISTINCT FROM {now}.%1$I'
        ' THEN jsonb_build_object(%1$L, jsonb_build_array({was}.%1$I, {now}.%1$I)) ELSE ''{}'' END', '{was}', was), '{now}', now), E'\n    || ') END,
    format('jsonb_build_array\(NULL, %s\.(%s)\)', now, array_to_string(referred(), '|')), 'NULL', 'g'),
    -- Of a comment, who wrote it and what, nothing is left to be said.
    replace('''body'', jsonb_build_array\(NULL, {now}\.body\), |(, )?''body'', jsonb_build_array\(NULL, {now}\.body\)', '{now}', now), '', 'g');
COMMENT ON FUNCTION recorded(regclass, text, text) IS
    'An expression for the changes of an event as they are stored, {"column": [old, new]}, made of every column that a client gives: of the rows was and now, of which one may be NULL';

GRANT EXECUTE ON FUNCTION actor(), source(), refuse(text, text, text), blanks(), is_blank(text),
    eastern(), paired(text), parted(text), body_words(text), ticket_words(text, text, text[]), wanted(text, boolean), wanted_any(text[]),
    mentioning(text[]), elapsed(interval), kept(), told(), referred() TO iris_reader;
