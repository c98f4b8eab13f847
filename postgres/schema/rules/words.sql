-- SMALL FUNCTIONS that tables and rules are made with

CREATE OR REPLACE FUNCTION actor() RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(nullif(current_setting('iris.actor', true), ''), session_user::text);
COMMENT ON FUNCTION actor() IS 'Who is acting: the setting iris.actor, else the session''s user';

CREATE OR REPLACE FUNCTION source() RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(nullif(current_setting('application_name'), ''), 'sql');
COMMENT ON FUNCTION source() IS 'By which door: http, or the client''s application_name, such as psql';

CREATE OR REPLACE FUNCTION refuse(words text, rule text, about text) RETURNS boolean
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE check_violation USING MESSAGE = words, CONSTRAINT = rule, COLUMN = about;
END $$;
COMMENT ON FUNCTION refuse(text, text, text) IS
    'Stands behind OR in a constraint: refuses in words that a person understands, and costs nothing while the constraint holds';

CREATE OR REPLACE FUNCTION is_blank(value text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- All that Unicode calls white space and the two invisible characters that texts get by pasting;
-- spelled out, for a regular expression's \s depends on how the server was initialised.
RETURN btrim(value, U&'\0009\000A\000B\000C\000D\0020\0085\00A0\1680\2000\2001\2002\2003\2004\2005\2006\2007\2008\2009\200A\200B\2028\2029\202F\205F\3000\FEFF') = '';
COMMENT ON FUNCTION is_blank(text) IS 'Whether a text is empty or holds nothing that can be seen';

CREATE OR REPLACE FUNCTION ticket_words(title text, description text, labels text[]) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN setweight(to_tsvector('simple', title), 'A')
    || setweight(to_tsvector('simple', array_to_string(labels, ' ', '')), 'B')
    || setweight(to_tsvector('simple', coalesce(description, '')), 'C');
COMMENT ON FUNCTION ticket_words(text, text, text[]) IS 'A ticket''s own words, for searching; comments have theirs';

CREATE OR REPLACE FUNCTION changed(name text, old anycompatible, new anycompatible) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT CASE WHEN old IS DISTINCT FROM new THEN jsonb_build_object(name, jsonb_build_array(old, new)) ELSE '{}' END $$;
COMMENT ON FUNCTION changed(text, anycompatible, anycompatible) IS 'One column''s part of a change: {name: [old, new]}, or nothing if they are the same';

GRANT EXECUTE ON FUNCTION actor(), source(), refuse(text, text, text), is_blank(text),
    ticket_words(text, text, text[]) TO iris;
